//! Whose a directory or file must be, and who else may write there, for the daemon to believe what
//! stands in it.
//!
//! Whoever can put a file into `dispatchd/` decides what the daemon runs, and with whose rights; so
//! the folder must be ours. What is ours and too open is mended. What is another user's is refused,
//! since nobody knows what that user has put there already.

const ROOT: u32 = 0;
const OTHERS_WRITE: u32 = 0o022;
const OTHERS_ALL: u32 = 0o077;
const STICKY: u32 = 0o1000;
const OWNER_ALL: u32 = 0o700;
const WORLD_ALL: u32 = 0o007;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guarded {
    /// `$GSTACK_HOME`: others may look into it.
    Home,
    /// One of the directories in it, which are nobody else's business.
    Private,
    /// A directory above `$GSTACK_HOME`, which is not ours to change.
    Above,
    /// `config.json`
    Config,
    /// A file with a secret.
    Secret,
    /// A file that says whose signatures count.
    PublicKey,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Fine,
    /// What stands there is ours, and gets this mode.
    Mend(u32),
    /// What stands there belongs to somebody else.
    Foreign,
    /// Others may write there, or read what is secret, and it is not ours to mend.
    TooOpen,
}

/// `uid` and `mode` are those of what stands there, `me` is our own uid. In a sticky directory
/// others can touch only what is theirs.
pub fn judge(place: Guarded, uid: u32, mode: u32, me: u32) -> Verdict {
    let is_open = mode & OTHERS_WRITE != 0 && mode & STICKY == 0;
    let is_ours = uid == me;
    let is_trusted = is_ours || uid == ROOT;
    match place {
        Guarded::Private if !is_ours => Verdict::Foreign,
        Guarded::Private if mode & 0o777 != OWNER_ALL => Verdict::Mend(OWNER_ALL),
        Guarded::Private => Verdict::Fine,
        _ if !is_trusted => Verdict::Foreign,
        Guarded::Home if is_ours && (is_open || mode & OWNER_ALL != OWNER_ALL) => {
            let tightened = if is_open { mode & !OTHERS_WRITE } else { mode };
            Verdict::Mend(tightened & 0o7777 | OWNER_ALL)
        }
        Guarded::Home | Guarded::Above if is_open => Verdict::TooOpen,
        // A sticky bit says nothing on a file.
        Guarded::Config if mode & OTHERS_WRITE != 0 => Verdict::TooOpen,
        Guarded::PublicKey if mode & OTHERS_WRITE != 0 => Verdict::TooOpen,
        Guarded::Secret if mode & OTHERS_ALL != 0 => Verdict::TooOpen,
        Guarded::Home | Guarded::Above | Guarded::Config | Guarded::Secret | Guarded::PublicKey => {
            Verdict::Fine
        }
    }
}

/// Judges a directory that users besides ours may have to reach: `owners` may own it, the bits of
/// its group are theirs, and nobody else has any.
pub fn judge_shared(uid: u32, mode: u32, me: u32, owners: &[u32]) -> Verdict {
    let wanted = (mode | OWNER_ALL) & !WORLD_ALL & 0o7777;
    if uid != me && !owners.contains(&uid) {
        Verdict::Foreign
    } else if wanted != mode & 0o7777 {
        Verdict::Mend(wanted)
    } else {
        Verdict::Fine
    }
}

#[cfg(test)]
mod tests {
    use super::Guarded::*;
    use super::Verdict::*;
    use super::*;

    #[test]
    fn a_shared_directory_is_for_its_group_and_for_nobody_else() {
        const ME: u32 = 1000;
        for (uid, mode, owners, want) in [
            (ME, 0o700, &[7][..], Fine),
            (ME, 0o770, &[7], Fine),
            (ME, 0o2775, &[7], Mend(0o2770)),
            (ME, 0o777, &[], Mend(0o770)),
            (ME, 0o070, &[], Mend(0o770)),
            (7, 0o750, &[7], Fine),
            (7, 0o757, &[7], Mend(0o750)),
            (7, 0o700, &[], Foreign),
            (8, 0o700, &[7], Foreign),
            (ROOT, 0o700, &[7], Foreign),
        ] {
            assert_eq!(judge_shared(uid, mode, ME, owners), want, "{uid} {mode:o} {owners:?}");
        }
    }

    #[test]
    fn what_is_ours_is_mended_and_what_is_not_is_refused() {
        const ME: u32 = 1000;
        const OTHER: u32 = 1001;
        for (place, uid, mode, want) in [
            (Private, ME, 0o700, Fine),
            (Private, ME, 0o755, Mend(0o700)),
            (Private, ME, 0o777, Mend(0o700)),
            (Private, ME, 0o1777, Mend(0o700)),
            (Private, ME, 0o500, Mend(0o700)),
            (Private, ME, 0, Mend(0o700)),
            (Private, OTHER, 0o700, Foreign),
            (Private, ROOT, 0o700, Foreign),
            (Home, ME, 0o755, Fine),
            (Home, ME, 0o700, Fine),
            (Home, ME, 0o775, Mend(0o755)),
            (Home, ME, 0o777, Mend(0o755)),
            (Home, ME, 0o1777, Fine),
            (Home, ME, 0o1577, Mend(0o1777)),
            (Home, ME, 0o500, Mend(0o700)),
            (Home, ME, 0, Mend(0o700)),
            (Home, ROOT, 0o755, Fine),
            (Home, ROOT, 0o1777, Fine),
            (Home, ROOT, 0o777, TooOpen),
            (Home, OTHER, 0o755, Foreign),
            (Above, ME, 0o775, TooOpen),
            (Above, ROOT, 0o1777, Fine),
            (Above, OTHER, 0o755, Foreign),
            (Config, ME, 0o644, Fine),
            (Config, ROOT, 0o644, Fine),
            (Config, ME, 0o664, TooOpen),
            (Config, ME, 0o1602, TooOpen),
            (Config, OTHER, 0o600, Foreign),
            (Secret, ME, 0o600, Fine),
            (Secret, ROOT, 0o400, Fine),
            (Secret, ME, 0o640, TooOpen),
            (Secret, ME, 0o604, TooOpen),
            (Secret, ME, 0o1601, TooOpen),
            (Secret, OTHER, 0o600, Foreign),
            (PublicKey, ME, 0o644, Fine),
            (PublicKey, ME, 0o664, TooOpen),
            (PublicKey, ROOT, 0o646, TooOpen),
            (PublicKey, OTHER, 0o644, Foreign),
        ] {
            assert_eq!(judge(place, uid, mode, ME), want, "{place:?} {uid} {mode:o}");
        }
        assert_eq!(judge(Private, ROOT, 0o700, ROOT), Fine);
        assert_eq!(judge(Private, ME, 0o700, ROOT), Foreign);
        assert_eq!(judge(Home, ROOT, 0o777, ROOT), Mend(0o755));
    }
}
