use super::Access::{Read, Write};
use super::*;

/// A disk: a folder ends in `/`, a link in `@`.
const DISK: &[&str] = &[
    "/bin/",
    "/home/",
    "/home/u/",
    "/home/u/.config/",
    "/home/u/.config/gh/",
    "/home/u/.config/git/",
    "/home/u/.gitconfig",
    "/home/u/.netrc",
    "/home/u/.ssh/",
    "/home/u/keys@",
    "/home/u/project/",
    "/home/v/",
    "/link@",
    "/tmp/",
    "/tmp/own/",
    "/tmp/own/a/",
    "/tmp/own/b/",
];

fn list(folder: &Path) -> Vec<Entry> {
    let entry = |text: &&str| {
        let (text, kind) = match text.chars().last() {
            Some('/') => (text.trim_end_matches('/'), EntryKind::Folder),
            Some('@') => (text.trim_end_matches('@'), EntryKind::Link),
            _ => (*text, EntryKind::Other),
        };
        let path = PathBuf::from(text);
        let name = path.file_name()?.to_os_string();
        (path.parent() == Some(folder)).then_some(Entry { name, kind })
    };
    DISK.iter().filter_map(entry).collect()
}

fn paths(texts: &[&str]) -> Vec<PathBuf> {
    texts.iter().map(PathBuf::from).collect()
}

fn granted(confinement: &Confinement, access: Access) -> Vec<String> {
    let grants = confinement.grants(&mut list);
    let wanted = grants.into_iter().filter(|grant| grant.access == access);
    wanted.map(|grant| grant.path.display().to_string()).collect()
}

#[test]
fn what_is_denied_is_left_out_by_granting_its_siblings() {
    for (denied, want) in [
        (&[][..], &["/"][..]),
        (
            &["/home/u/.ssh"],
            &[
                "/bin",
                "/home/u/.config",
                "/home/u/.gitconfig",
                "/home/u/.netrc",
                "/home/u/project",
                "/home/v",
                "/tmp",
            ],
        ),
        (
            &["/home/u/.config/gh", "/home/u/.netrc", "/home/u/.ssh", "/home/u/.aws"],
            &[
                "/bin",
                "/home/u/.config/git",
                "/home/u/.gitconfig",
                "/home/u/project",
                "/home/v",
                "/tmp",
            ],
        ),
        // What is not there yet is denied when it comes.
        (
            &["/home/u/.config/new/deep"],
            &[
                "/bin",
                "/home/u/.config/gh",
                "/home/u/.config/git",
                "/home/u/.gitconfig",
                "/home/u/.netrc",
                "/home/u/.ssh",
                "/home/u/project",
                "/home/v",
                "/tmp",
            ],
        ),
        (&["/home", "/home/u/.ssh"], &["/bin", "/tmp"]),
        (&["/"], &[]),
    ] {
        let confinement = Confinement { denied: paths(denied), ..Confinement::default() };
        assert_eq!(granted(&confinement, Read), *want, "{denied:?}");
        assert!(granted(&confinement, Write).is_empty());
    }
}

#[test]
fn writing_is_granted_where_it_is_named_and_not_denied() {
    let of = |writable: &[&str], own: &[&str]| Confinement {
        denied: paths(&["/home/u/.ssh", "/tmp/own"]),
        writable: paths(writable),
        own_writable: paths(own),
        ..Confinement::default()
    };
    for (writable, own, want) in [
        (&["/home/u/project"][..], &["/tmp/own/a"][..], &["/home/u/project", "/tmp/own/a"][..]),
        (&["/home/u/.ssh/x", "/home/u/.ssh"], &[], &[]),
        (
            &["/home/u"],
            &[],
            &["/home/u/.config", "/home/u/.gitconfig", "/home/u/.netrc", "/home/u/project"],
        ),
        (&["/tmp/own/b"], &[], &[]),
    ] {
        assert_eq!(granted(&of(writable, own), Write), *want, "{writable:?}");
    }
}

#[test]
fn what_is_written_is_not_granted_for_reading_too_and_splits_nothing() {
    for (denied, writable, want) in [
        (&[][..], &["/home/u/project"][..], &["/"][..]),
        (&["/tmp/own"], &["/home/u/project"], &["/bin", "/home"]),
        (&["/home/u/.ssh", "/tmp"], &["/home/u", "/home/v"], &["/bin"]),
    ] {
        let (denied, writable) = (paths(denied), paths(writable));
        let confinement = Confinement { denied, writable, ..Confinement::default() };
        assert_eq!(granted(&confinement, Read), *want);
    }
}

#[test]
fn what_is_the_session_s_own_is_read_although_its_place_is_denied() {
    let confinement = Confinement {
        denied: paths(&["/"]),
        own_readable: paths(&["/home/u/copy"]),
        ..Confinement::default()
    };
    assert_eq!(granted(&confinement, Read), ["/home/u/copy"]);
}

#[test]
fn a_denied_place_is_named_for_what_lies_in_it() {
    let confinement = Confinement { denied: paths(&["/a/b"]), ..Confinement::default() };
    for (place, want) in [("/a/b", true), ("/a/b/c", true), ("/a/bc", false), ("/a", false)] {
        assert_eq!(confinement.denier(Path::new(place)).is_some(), want, "{place}");
    }
}
