//! How the texts come to their places, and go again: nothing of others is touched.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::{run, service};
use crate::util::*;

fn unit_of(lab: &Lab) -> PathBuf {
    lab.home.join(".config/systemd/user/gstack-dispatch-daemon.service")
}

fn names_in(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("a folder");
    entries.map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn a_unit_is_installed_once_changed_and_taken_away() {
    let lab = Lab::new();
    let program = PathBuf::from(DAEMON);
    let (unit, typed) = (unit_of(&lab), |words: &[&str]| run(service(&lab, &program, words)));
    let (code, stdout, said) = typed(&["systemd", "--install"]);
    assert_eq!((code, stdout), (0, format!("{}\n", unit.display())));
    assert!(said.contains("systemctl --user enable --now gstack-dispatch-daemon"), "{said}");
    assert_eq!(text_file(&unit), typed(&["systemd"]).1);
    let before = fs::metadata(&unit).and_then(|m| m.modified()).expect("the unit");
    let (code, again, _) = typed(&["systemd", "--install", "--json"]);
    let again: serde_json::Value = serde_json::from_str(&again).expect("JSON");
    assert_eq!((code, &again["changed"], &again["installed"]), (0, &false.into(), &true.into()));
    assert_eq!(fs::metadata(&unit).and_then(|m| m.modified()).expect("the unit"), before);
    assert_eq!(typed(&["systemd", "--install", "--", "--local-only"]).0, 0);
    assert!(text_file(&unit).contains("leave --local-only\n"));
    assert_eq!(names_in(unit.parent().expect("a folder")), ["gstack-dispatch-daemon.service"]);
    assert_eq!(typed(&["systemd", "--uninstall"]).0, 0);
    assert!(!unit.exists());
    let (code, _, said) = typed(&["systemd", "--uninstall"]);
    assert!(code == 0 && said.contains("nothing of ours"), "{said}");
    // Another place for configuration counts, and launchd has its own.
    let mut elsewhere = service(&lab, &program, &["systemd", "--install"]);
    elsewhere.env("XDG_CONFIG_HOME", lab.path("xdg"));
    assert_eq!(run(elsewhere).0, 0);
    assert!(lab.path("xdg/systemd/user/gstack-dispatch-daemon.service").exists());
    assert_eq!(typed(&["launchd", "--install"]).0, 0);
    assert!(lab.home.join("Library/LaunchAgents/gstack-dispatch-daemon.plist").exists());
}

#[test]
fn what_is_not_ours_stays() {
    let lab = Lab::new();
    let program = PathBuf::from(DAEMON);
    let unit = unit_of(&lab);
    let dir = unit.parent().expect("a folder");
    fs::create_dir_all(dir).expect("create a folder");
    let foreign = "[Service]\nExecStart=/opt/gstack-dispatch-daemon\n";
    let other = dir.join("other");
    fs::write(&other, text_file(DAEMON.to_string() + ".d")).expect("write");
    let plants: [&dyn Fn(); 3] = [
        &|| fs::write(&unit, foreign).expect("write a unit"),
        &|| symlink(&other, &unit).expect("a link"),
        &|| fs::create_dir(&unit).expect("a folder"),
    ];
    for plant in plants {
        plant();
        for deed in ["--install", "--uninstall"] {
            let (code, stdout, said) = run(service(&lab, &program, &["systemd", deed]));
            assert_eq!((code, stdout.as_str()), (1, ""), "{said}");
            assert!(said.contains("it is not ours; to move it away: mv "), "{said}");
        }
        assert_eq!(names_in(dir).len(), 2);
        if unit.is_file() && !unit.is_symlink() {
            assert_eq!(text_file(&unit), foreign);
        }
        match unit.is_dir() {
            true => fs::remove_dir(&unit).expect("remove"),
            false => fs::remove_file(&unit).expect("remove"),
        }
    }
}

#[test]
fn what_gstack_itself_installed_is_recognised() {
    let lab = Lab::new();
    let lists = lab.home.join("Library/LaunchAgents");
    fs::create_dir_all(&lists).expect("create a folder");
    let theirs = lists.join("com.gstack.dispatch-daemon.plist");
    fs::write(&theirs, "<plist/>").expect("write");
    let (code, _, said) = run(service(&lab, &DAEMON.into(), &["launchd", "--install"]));
    assert_eq!(code, 0);
    let want = format!("launchctl unload {0}; rm {0}", theirs.display());
    assert!(said.contains("this replaces gstack's own ") && said.contains(&want), "{said}");
    assert!(theirs.exists());
}

/// A `crontab` that keeps its table in a file.
fn crontab(lab: &Lab, table: &str) -> PathBuf {
    let (program, kept) = (lab.path("crontab"), lab.path("table"));
    let kept_word = kept.display();
    let script = format!(
        "#!/bin/sh\ncase $1 in\n-l) cat {kept_word} 2>/dev/null || {{ echo no crontab for x >&2; exit 1; }};;\n\
         -) cat >{kept_word};;\nesac\n"
    );
    fs::write(&program, script).expect("write crontab");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("make it executable");
    match table {
        "" => drop(fs::remove_file(&kept)),
        table => fs::write(&kept, table).expect("write a table"),
    }
    kept
}

#[test]
fn our_lines_of_a_crontab_come_and_go_and_others_stay() {
    let lab = Lab::new();
    let typed = |words: &[&str]| run(service(&lab, &DAEMON.into(), words));
    for theirs in ["", "MAILTO=x\n5 4 * * * /bin/true # 100%\n", "# no end"] {
        let table = crontab(&lab, theirs);
        let (code, stdout, said) = typed(&["cron", "--install"]);
        assert_eq!((code, stdout.as_str()), (0, "crontab\n"), "{said}");
        let with = text_file(&table);
        assert!(with.starts_with(theirs), "{with}");
        let (_, ours, _) = typed(&["cron"]);
        assert!(with.ends_with(&ours) && ours.contains(" USER=somebody "), "{with}");
        assert_eq!(typed(&["cron", "--install"]).0, 0);
        assert_eq!(text_file(&table), with);
        assert_eq!(typed(&["cron", "--install", "--", "--local-only"]).0, 0);
        assert_eq!(text_file(&table).matches(" --local-only ").count(), 2);
        assert_eq!(typed(&["cron", "--uninstall"]).0, 0);
        assert_eq!(text_file(&table).trim_end(), theirs.trim_end());
    }
    let torn = "# BEGIN gstack-dispatch-daemon. x\n* * * * * theirs\n";
    let table = crontab(&lab, torn);
    let (code, _, said) = typed(&["cron", "--install"]);
    assert!(code == 1 && said.contains("crontab -e"), "{said}");
    assert_eq!(text_file(&table), torn);
}
