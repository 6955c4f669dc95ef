//! What is on which side of the wall.

use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::json;

use super::*;

fn at(path: impl AsRef<Path>) -> String {
    path.as_ref().display().to_string()
}

/// What a session must not be able to do, though we own all of it.
fn forbidden(place: &Place, daemon: i32, other: i32) -> Vec<(&'static str, String)> {
    let Place { lab, project } = place;
    let (home, inbox, ours) = (at(&lab.home), at(lab.inbox()), at(lab.ours()));
    let (claim, others_claim) = (at(lab.active("a")), at(lab.active("other")));
    let others_tmp = text_file(lab.path("other/note")).split(' ').next().map(String::from);
    let others_tmp = others_tmp.expect("the other session's TMPDIR");
    let elsewhere = at(lab.path("other/file"));
    vec![
        ("append-bashrc", format!("echo x >>{home}/.bashrc")),
        ("new-in-home", format!("echo x >{home}/.new")),
        ("own-program", format!("cp /bin/true {home}/bin/tool")),
        ("own-key", format!("echo x >{home}/.ssh/authorized_keys")),
        ("other-project", format!("echo x >{elsewhere}")),
        ("new-in-other-project", format!("echo x >{elsewhere}.new")),
        ("remove-in-other-project", format!("rm {elsewhere}.gone")),
        ("move-from-other-project", format!("mv {elsewhere}.gone {}", at(project))),
        ("link-and-write", format!("ln {home}/.bashrc bashrc && echo x >>bashrc")),
        ("dispatch-itself", format!("echo {{}} >{inbox}/dispatch-planted.json")),
        ("remove-a-dispatch", format!("rm {inbox}/dispatch-other.json")),
        ("a-report", format!("echo {{}} >{inbox}/completed/dispatch-other.json")),
        ("the-audit-log", format!("echo x >>{inbox}/audit.jsonl")),
        ("cancel-another", format!(": >{inbox}/cancel-dispatch-other")),
        ("the-heartbeat", format!("echo x >{inbox}/.daemon-heartbeat")),
        ("config", format!("echo x >{ours}/config.json")),
        ("pause", format!(": >{ours}/control/pause")),
        ("holds", format!("echo x >{ours}/holds.json")),
        ("the-lock", format!("rm {ours}/lock")),
        ("own-report", format!("echo x >{claim}/report.json")),
        ("own-record", format!("echo x >{claim}/attempt-1/attempt.json")),
        ("own-stream", format!("echo x >>{claim}/attempt-1/stdout.jsonl")),
        ("own-claim", format!("mv {claim} {claim}.aside")),
        ("read-others-copy", format!("cat {others_claim}/dispatch.json")),
        ("read-others-stream", format!("cat {others_claim}/attempt-1/stdout.jsonl")),
        ("read-a-dispatch", format!("cat {inbox}/dispatch-other.json")),
        ("list-the-drop-zone", format!("ls {inbox}")),
        ("read-others-tmp", format!("ls {others_tmp}")),
        ("write-others-tmp", format!("echo x >{others_tmp}/x")),
        ("read-key", format!("cat {home}/.ssh/id_x")),
        ("list-keys", format!("ls {home}/.ssh")),
        ("read-cloud-key", format!("cat {home}/.aws/credentials")),
        ("read-token", format!("cat {home}/.config/gh/hosts.yml")),
        ("read-by-link", format!("cat {}/link-to-keys/id_x", at(project))),
        ("read-by-root", format!("cat /proc/self/root{home}/.ssh/id_x")),
        ("read-by-dots", format!("cat {}/../home/.ssh/id_x", at(project))),
        ("signal-daemon", format!("kill -CONT {daemon}")),
        ("signal-other-session", format!("kill -CONT {other}")),
    ]
}

/// What it needs for its work.
fn allowed(place: &Place) -> Vec<(&'static str, String)> {
    let home = at(&place.lab.home);
    let git = "git -c user.name=A -c user.email=a@b";
    vec![
        ("write", "echo x >made && mkdir -p deep/er && mv made deep/er/made".into()),
        ("commit", format!("git add -A && {git} commit -qm work && git log --oneline")),
        ("link", "ln -s deep/er/made link && mkfifo fifo && rm fifo".into()),
        (
            "tmp",
            "echo x >$TMPDIR/x && mkdir $TMPDIR/d && mv $TMPDIR/x $TMPDIR/d && ls $TMPDIR".into(),
        ),
        ("own-copy", "cat $GSTACK_DISPATCH_FILE".into()),
        ("agents-own-state", format!("echo {{}} >{home}/.claude/settings.json.new")),
        ("read-plain", format!("cat {home}/.bashrc {home}/.config/tool/settings /etc/passwd")),
        ("read-other-project", format!("cat {}", at(place.lab.path("other/file")))),
        ("devices", "echo x >/dev/null && head -c 1 /dev/zero && head -c 1 /dev/urandom".into()),
        ("processes", "sh -c 'sleep 0 & wait' && cat /proc/self/stat && kill -0 $$".into()),
    ]
}

/// Whether a command failed because the system refused it, and for no other reason: we own all of
/// it, so that nothing but the wall refuses.
fn was_refused(place: &Place, name: &str) -> bool {
    let said = text_file(place.project.join(format!("tried.{name}")));
    ["Permission denied", "Operation not permitted", "cross-device"]
        .iter()
        .any(|words| said.contains(words))
}

#[test]
fn a_confined_session_does_its_work_and_reaches_nothing_else() {
    if !can_confine() {
        return;
    }
    let place = Place::new();
    let (lab, gate) = (&place.lab, place.lab.gate("gate"));
    symlink(lab.home.join(".ssh"), place.project.join("link-to-keys")).expect("symlink");
    fs::write(lab.path("other/file.gone"), "of another project").expect("write");
    let daemon = lab.daemon().word("--confine").set("--max-concurrent", 2).start();
    let other = [
        "fake: tmp where note".to_string(),
        "fake: mark note".into(),
        format!("fake: block {}", gate.display()),
    ];
    lab.send(&lab.task("other", other.join("\n")).in_dir(&lab.path("other")));
    let hold = gate.held();
    let note = text_file(lab.path("other/note"));
    let words: Vec<&str> = note.split_whitespace().collect();
    let other_pid = words.iter().find_map(|word| word.parse().ok().filter(|pid| *pid > 1000));
    let forbidden = forbidden(&place, daemon.pid, other_pid.expect("the other's pid"));
    let failing = place.failing("a", &forbidden);
    let all: Vec<&str> = forbidden.iter().map(|(name, _)| *name).collect();
    assert!(failing == all && all.len() > 30, "of {all:?} only {failing:?} were kept out");
    let others: Vec<&&str> = all.iter().filter(|name| !was_refused(&place, name)).collect();
    assert!(others.is_empty(), "{others:?} failed for another reason");
    assert_eq!(place.failing("b", &allowed(&place)), [""; 0]);
    let report = lab.completed("b");
    assert_eq!(report["commits"], 1, "{report:#}");
    assert!(report["confined"]["abi"].as_u64() >= Some(1), "{report:#}");
    let write = report["confined"]["write"].as_array().expect("places");
    let claude = lab.home.join(".claude");
    for want in [place.project.as_path(), claude.as_path(), Path::new("$TMPDIR")] {
        assert!(write.contains(&json!(want)), "{} is not in {write:?}", want.display());
    }
    hold.release();
    lab.completed("other");
    drop(daemon);
}
