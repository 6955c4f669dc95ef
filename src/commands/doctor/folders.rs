//! The folders of ours and the machine below them: there, ours, writable, with room, on this
//! machine, watched; and the clock.

use super::Examined;
use crate::effects::clock;
use crate::effects::process::{InotifyUse, inotify_use};
use crate::effects::store::FolderFlaw;
use crate::pure::config::Settings;
use crate::pure::doctor::{Check, is_nearly_used_up};
use crate::pure::human::span;
use crate::pure::text::escape::shell_word;
use crate::pure::upkeep::ownership::Verdict;

/// So far a clock may be set back without anybody's notice.
const AHEAD_MAX_MS: i64 = 60_000;

pub(super) fn look(examined: &Examined, settings: &Settings) -> Vec<Check> {
    let mut checks = vec![home(examined)];
    checks.extend(rights(examined, settings));
    checks
}

fn home(examined: &Examined) -> Check {
    const NAME: &str = "home";
    let place = examined.place;
    if examined.judged.home().is_none() || place.environment.home.is_none() {
        return Check::fail(NAME, "HOME is not set", "set HOME in the service's environment");
    }
    let flaws = place.store.look_at_folders();
    let Some((path, flaw)) = flaws.iter().find_map(|f| Some((&f.path, f.flaw?))) else {
        return Check::ok(NAME, place.home.display().to_string());
    };
    let (shown, word) = (path.display(), shell_word(&path.to_string_lossy()));
    match flaw {
        FolderFlaw::Missing => Check::fail(
            NAME,
            format!("{shown} is not there"),
            "start the daemon, which makes it: gstack-dispatch-daemon",
        ),
        FolderFlaw::NoFolder => {
            Check::fail(NAME, format!("{shown} is no folder"), format!("mv {word} {word}.old"))
        }
        FolderFlaw::NotWritable => {
            Check::fail(NAME, format!("{shown} cannot be written"), format!("chmod u+rwx {word}"))
        }
    }
}

fn rights(examined: &Examined, settings: &Settings) -> Vec<Check> {
    const NAME: &str = "rights";
    let found = examined.place.store.look_at_rights(!settings.allowed_uids.is_empty());
    let me = examined.place.store.our_uid();
    let check = |(path, mode, verdict): (std::path::PathBuf, u32, Verdict)| {
        let (shown, word) = (path.display(), shell_word(&path.to_string_lossy()));
        match verdict {
            Verdict::Foreign => Check::warn(
                NAME,
                format!("{shown} belongs to another user"),
                format!("if all in it is right: chown {me} {word}"),
            ),
            Verdict::Mend(mode) => Check::warn(
                NAME,
                format!("{shown} is open to others, or shut to you"),
                format!("chmod {mode:o} {word}"),
            ),
            Verdict::TooOpen | Verdict::Fine => Check::warn(
                NAME,
                format!("{shown} is open to others (mode {mode:04o})"),
                format!("chmod go-w {word}; for a secret: chmod 600 {word}"),
            ),
        }
    };
    let checks: Vec<Check> = found.into_iter().map(check).collect();
    if checks.is_empty() { vec![Check::ok(NAME, "nobody else can reach into it")] } else { checks }
}

pub(super) fn look_at_machine(examined: &Examined, settings: &Settings) -> Vec<Check> {
    vec![disk(examined, settings), network(examined, settings), inotify(), stamps(examined)]
}

fn disk(examined: &Examined, settings: &Settings) -> Check {
    const NAME: &str = "disk";
    match examined.place.store.want_of_room(settings.min_free_bytes) {
        Ok(None) => Check::ok(NAME, "there is room"),
        Ok(Some(want)) => {
            Check::fail(NAME, want, "make room; what takes it: du -xsh ~/.[!.]* ~/* | sort -h")
        }
        Err(e) => Check::skip(NAME, e.to_string()),
    }
}

fn network(examined: &Examined, settings: &Settings) -> Check {
    const NAME: &str = "network_fs";
    match examined.place.store.network_file_system() {
        Ok(None) => Check::ok(NAME, "the directory is on this machine"),
        Ok(Some(name)) => {
            let text =
                format!("{} is on a network file system ({name})", examined.place.home.display());
            let fix = "set GSTACK_HOME to a directory on a local disk, or take the risk: --allow-network-fs";
            let make = if settings.allow_network_fs { Check::warn } else { Check::fail };
            make(NAME, text, fix)
        }
        Err(e) => Check::skip(NAME, e.to_string()),
    }
}

fn inotify() -> Check {
    const NAME: &str = "inotify";
    let Some(InotifyUse { instances, instances_max, watches, watches_max }) = inotify_use() else {
        return Check::skip(NAME, "this system has no such limits");
    };
    let text = format!(
        "{instances} of {instances_max} instances, {watches} of {watches_max} watches in use"
    );
    let short = [
        (is_nearly_used_up(instances, instances_max), "instances", instances_max),
        (is_nearly_used_up(watches, watches_max), "watches", watches_max),
    ];
    match short.into_iter().find(|(is_short, _, _)| *is_short) {
        None => Check::ok(NAME, text),
        Some((_, what, limit)) => {
            let more = (limit * 2).max(128);
            Check::warn(NAME, text, format!("sudo sysctl fs.inotify.max_user_{what}={more}"))
        }
    }
}

fn stamps(examined: &Examined) -> Check {
    const NAME: &str = "clock";
    match examined.place.store.look_at_stamps(clock::unix_ms()) {
        Some((ahead_ms, path)) if ahead_ms > AHEAD_MAX_MS => {
            let ahead = span::show(ahead_ms.unsigned_abs() / 1000);
            let text =
                format!("{} was written {ahead} from now: the clock was set back", path.display());
            Check::warn(NAME, text, "look whether it is right now: date; timedatectl")
        }
        Some(_) | None => Check::ok(NAME, "no stamp of ours is ahead of it"),
    }
}
