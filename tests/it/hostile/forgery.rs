//! What a deed puts in place of a file or folder. A forgery is the true record of another session,
//! so that it makes sense whatever a record holds: its id and paths are changed to those of the
//! attacked dispatch, its agent is a process of the test, its deadline is tomorrow, and it
//! succeeded with the word "forged".

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::cells::{Action, Cell, Target};
use crate::util::*;

/// Stands in each forgery that could become an answer.
pub const WORD: &str = "forged";
const KEPT: &str = "the session's own\n";
const DAY_MS: i64 = 86_400_000;

/// The files of claims, by their path in the claim.
struct Template {
    lab_dir: String,
    sha256: String,
    files: BTreeMap<String, Vec<u8>>,
}

/// The claims of two dispatches that were answered: one that succeeded, and one that was ended for
/// its TTL.
fn template() -> &'static Template {
    static TEMPLATE: OnceLock<Template> = OnceLock::new();
    TEMPLATE.get_or_init(|| {
        let lab = Lab::new();
        let daemon = lab.daemon().start();
        let orders = format!(
            "fake: mark {} {WORD}\nfake: result success {WORD}",
            lab.path("marks-template").display()
        );
        lab.send(&lab.task("template", orders));
        lab.settled("template");
        lab.send(&lab.task("stopped", "fake: sleep 7777").with("ttl_seconds", 1));
        lab.settled("stopped");
        drop(daemon);
        let mut files = BTreeMap::new();
        read_all(&lab.finished("stopped"), "", &mut files);
        read_all(&lab.finished("template"), "", &mut files);
        let accepted: Value = serde_json::from_slice(&files["accepted.json"]).expect("JSON");
        let sha256 = accepted["sha256"].as_str().expect("a digest").to_string();
        Template { lab_dir: lab.dir.display().to_string(), sha256, files }
    })
}

fn read_all(dir: &Path, below: &str, into: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(dir).expect("a finished claim").flatten() {
        let name = format!("{below}{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            read_all(&entry.path(), &format!("{name}/"), into);
        } else {
            into.insert(name, fs::read(entry.path()).expect("a record"));
        }
    }
}

/// All that ever stands in the claim of a session.
pub fn names_in_a_claim() -> impl Iterator<Item = &'static str> {
    template().files.keys().map(String::as_str)
}

/// A process that has nothing to do with any session, and lives until it is dropped.
pub struct Bystander(Child);

impl Bystander {
    pub fn start() -> Bystander {
        let mut sleep = Command::new("sleep");
        let sleep = sleep.arg("7777").env_clear().process_group(0);
        let sleep = sleep.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Bystander(sleep.spawn().expect("sleep"))
    }

    fn pid(&self) -> i32 {
        self.0.id() as i32
    }

    pub fn lives(&self) -> bool {
        alive(self.pid())
    }

    /// Field 22 of /proc/PID/stat.
    fn start_time(&self) -> Option<u64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).ok()?;
        stat.rsplit(") ").next()?.split(' ').nth(19)?.parse().ok()
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        if self.lives() {
            signal(self.pid(), Signal::KILL);
        }
        // It is the test's own child.
        let _ = self.0.wait();
    }
}

/// Makes what the deed of a cell needs, and gives its place: the bait that a link is to lead to, or
/// the forgery.
pub fn prepare(lab: &Lab, cell: &Cell, bystander: &Bystander) -> PathBuf {
    let place = lab.path(&format!("with-{}", cell.name()));
    match cell.action {
        Action::Symlink if cell.target.is_folder => {
            fs::create_dir(&place).expect("a bait");
            fs::write(place.join("kept"), KEPT).expect("a bait");
        }
        Action::Symlink => fs::write(&place, KEPT).expect("a bait"),
        Action::Forgery => forge(lab, &cell.name(), cell.target, bystander, &place),
        _ => {}
    }
    place
}

/// What is wrong with the bait of a link, if the daemon followed it.
pub fn harm_to_bait(lab: &Lab, cell: &Cell) -> Option<String> {
    if cell.action != Action::Symlink {
        return None;
    }
    let place = lab.path(&format!("with-{}", cell.name()));
    let mut names = vec![];
    let kept = if cell.target.is_folder {
        let entries = fs::read_dir(&place).into_iter().flatten().flatten();
        names.extend(entries.map(|e| e.file_name().to_string_lossy().into_owned()));
        names.retain(|name| name != "kept");
        place.join("kept")
    } else {
        place
    };
    let is_kept = fs::read_to_string(kept).is_ok_and(|text| text == KEPT);
    (!is_kept || !names.is_empty()).then(|| format!("the link was followed {names:?}"))
}

fn forge(lab: &Lab, name: &str, target: &Target, bystander: &Bystander, place: &Path) {
    let claim = forged_claim(lab, name, bystander);
    let whole = |prefix: &str| {
        for (file, bytes) in claim.iter().filter_map(|(f, b)| Some((f.strip_prefix(prefix)?, b))) {
            let path = place.join(file);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a forged folder");
            fs::write(path, bytes).expect("a forged record");
        }
    };
    match target.name {
        "claim" | "finished" | "pending" => whole(""),
        // What is to be retried was left there by an earlier try, as far as anybody can see.
        "attempt-1" | "attempt-2" => whole("attempt-1/"),
        "completed" => fs::write(place, &claim["report.json"]).expect("a forged report"),
        _ => {
            let known = target.in_claim().and_then(|file| claim.get(file));
            let bytes = known.map_or(&b"\n\n\n\n\n"[..], |bytes| bytes);
            fs::write(place, bytes).expect("a forged record");
        }
    }
}

/// The files of a claim that a dispatch of that name could have.
fn forged_claim(lab: &Lab, name: &str, bystander: &Bystander) -> BTreeMap<String, Vec<u8>> {
    let template = template();
    let rename = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes)
            .replace(&template.lab_dir, &lab.dir.display().to_string());
        text.replace("template", name).replace("stopped", name)
    };
    let beside = lab.path(&format!("dispatch-of-{name}"));
    fs::write(&beside, rename(&template.files["dispatch.json"])).expect("a forged dispatch");
    let sha256 = sha256(&beside);
    let forge = |(file, bytes): (&String, &Vec<u8>)| {
        let text = rename(bytes).replace(&template.sha256, &sha256);
        (file.clone(), rewrite(text, bystander).into_bytes())
    };
    template.files.iter().map(forge).collect()
}

/// Another agent, and another deadline.
fn rewrite(text: String, bystander: &Bystander) -> String {
    let Ok(Value::Object(mut record)) = serde_json::from_str(&text) else { return text };
    if let Some(pid) = record.get_mut("pid") {
        *pid = json!(bystander.pid());
    }
    if let Some(start) = record.get_mut("start_time") {
        *start = json!(bystander.start_time());
    }
    if let Some(deadline) = record.get_mut("deadline_monotonic_ms") {
        *deadline = json!(deadline.as_i64().unwrap_or_default() + DAY_MS);
    }
    Value::Object(record).to_string()
}
