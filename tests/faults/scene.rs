//! One small day of a daemon: every way that a dispatch can take, dropped at once, and brought to
//! its end.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::check::{Story, violations};
use crate::util::dump::dump;
use crate::util::*;
use serde_json::Value;

pub struct Scene {
    pub lab: Lab,
    pub story: Story,
    /// Violations that this kind of fault may leave, by their first words.
    pub forgives: &'static [&'static str],
    /// How long a healthy daemon may take for what is left.
    pub patience: Duration,
    /// Its sessions run in the stand-in of an engine, whose folder this is.
    engine: Option<PathBuf>,
    /// Its sessions run behind a wall.
    is_confined: bool,
    /// The only project that is trusted.
    trusted: Option<PathBuf>,
}

impl Scene {
    /// An empty directory.
    pub fn new() -> Scene {
        let lab = Lab::new();
        let story = Story {
            gstack: lab.gstack.clone(),
            marks: lab.path("marks"),
            sent: Vec::new(),
            invalid: 0,
            seen: BTreeMap::new(),
        };
        Scene {
            lab,
            story,
            forgives: &[],
            patience: PATIENCE,
            engine: None,
            is_confined: false,
            trusted: None,
        }
    }

    /// Dispatches that wait until a person says yes or no, or until their time is over, and one that
    /// is trusted.
    pub fn with_a_gate(callback: &str) -> Scene {
        let mut scene = Scene::new();
        scene.trusted = Some(scene.lab.project("project-trusted"));
        for name in ["trusted", "approved", "second", "denied"] {
            scene.send(name, "");
        }
        let calls = scene.lab.task("told", scene.mark()).with("callback_url", callback);
        scene.lab.send(&calls);
        scene.story.sent.push(id("told"));
        let keys = scene.lab.home.join(".ssh");
        fs::create_dir_all(&keys).expect("create");
        scene.lab.send(&scene.lab.task("misplaced", scene.mark()).in_dir(&keys));
        scene.story.sent.push(id("misplaced"));
        scene
    }

    /// What was said must be what came of each dispatch.
    fn against_the_gate(&self) -> Vec<String> {
        if self.trusted.is_none() {
            return Vec::new();
        }
        let answer = |name: &str| {
            let text = fs::read(self.completed().join(format!("{}.json", id(name))));
            let report: Value =
                serde_json::from_slice(&text.unwrap_or_default()).unwrap_or_default();
            let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
            // A crash between an attempt's record and its agent counts as one that ran.
            let status = match text(&report["error_type"]).as_str() {
                "interrupted" => "completed".into(),
                _ => text(&report["status"]),
            };
            (status, text(&report["approval"]["by"]))
        };
        [
            ("trusted", "completed", "trusted_project"),
            ("approved", "completed", "person"),
            ("second", "completed", "person"),
            ("denied", "cancelled", ""),
            ("told", "cancelled", ""),
            ("misplaced", "failed", ""),
        ]
        .into_iter()
        .filter_map(|(name, status, by)| {
            let (got, want) = (answer(name), (status.to_string(), by.to_string()));
            (got != want).then(|| format!("wrong answer: {name} is {got:?}, not {want:?}"))
        })
        .collect()
    }

    /// Says yes or no to what waits, as a person who looks at it again and again.
    pub fn answer_what_waits(&self) {
        let ours = self.lab.ours();
        for (name, word) in
            [("approved", "approve"), ("second", "approve"), ("denied", "deny"), ("told", "deny")]
        {
            let copy = ours.join("pending").join(id(name)).join("dispatch.json");
            let asked = ours.join("control").join(format!("{word}-{}", id(name)));
            if self.trusted.is_none() || !copy.exists() || asked.exists() {
                continue;
            }
            let beside = self.lab.path("being-asked");
            let text = if word == "approve" { sha256(&copy) } else { "no".into() };
            // The daemon may be faster, and the folder gone by now.
            if fs::write(&beside, text).is_ok() {
                let _ = fs::rename(&beside, &asked);
            }
        }
    }

    /// A session in an engine that only its own command reaches, until it is ended at its TTL.
    pub fn in_an_engine() -> Scene {
        let mut scene = Scene::new();
        let engine = scene.lab.path("engine");
        fs::create_dir(&engine).expect("create the engine's folder");
        scene.engine = Some(engine);
        let task = format!("{}\nfake: sleep 7777", scene.mark());
        scene.lab.send(&scene.lab.task("endless", task).with("ttl_seconds", 1));
        scene.story.sent.push(id("endless"));
        scene
    }

    /// One session behind a wall, which is built while its attempt becomes durable.
    pub fn behind_a_wall() -> Scene {
        let mut scene = Scene::new();
        scene.is_confined = true;
        // From behind the wall nothing can be made beside the daemon's own directory.
        fs::write(&scene.story.marks, "").expect("write");
        scene.send("walled", "");
        scene
    }

    /// The same with the daemon's directory on another disk.
    pub fn on(disk: &Path) -> Scene {
        let mut scene = Scene::new();
        scene.lab.gstack = disk.join("gstack");
        scene.story.gstack = scene.lab.gstack.clone();
        scene
    }

    /// One dispatch of every kind: goes well, is retried, fails, leaves a process behind, is
    /// cancelled, calls back, is invalid.
    pub fn with_every_kind(callback: &str) -> Scene {
        let mut scene = Scene::new();
        scene.send("well", "");
        scene.send("retried", "fake: once result error 429 rate_limit");
        scene.send("fails", "fake: exit 3");
        let child = scene.lab.path("child");
        scene.send("leaves", &format!("fake: setsid-child {}", child.display()));
        scene.send("cancelled", "");
        fs::write(scene.lab.inbox().join("cancel-dispatch-cancelled"), "").expect("write");
        let mark = scene.mark();
        let calls = scene.lab.task("calls", mark).with("callback_url", callback);
        scene.lab.send(&calls);
        scene.story.sent.push(id("calls"));
        scene.lab.place("dispatch-bad.json", br#"{"id": "dispatch-bad"}"#);
        scene.story.invalid += 1;
        scene
    }

    fn mark(&self) -> String {
        format!("fake: mark {}", self.story.marks.display())
    }

    pub fn send(&mut self, name: &str, orders: &str) {
        self.lab.send(&self.lab.task(name, format!("{}\n{orders}", self.mark())));
        self.story.sent.push(id(name));
    }

    /// Writes it where it belongs and brings it to the disk.
    pub fn drop_durably(&mut self, name: &str, orders: &str) {
        let dispatch = self.lab.task(name, format!("{}\n{orders}", self.mark()));
        fs::create_dir_all(self.lab.inbox()).expect("create the inbox");
        let path = self.lab.dropped(name);
        fs::write(&path, dispatch.bytes()).expect("write a dispatch");
        // Folder by folder up to the disk's root.
        for path in path.ancestors().take(4) {
            fs::File::open(path).and_then(|file| file.sync_all()).expect("sync");
        }
        self.story.sent.push(id(name));
    }

    /// A daemon that wastes no time.
    pub fn daemon(&self) -> Start<'_> {
        let start = match &self.engine {
            Some(engine) => {
                let word = |verb| {
                    format!("{FIXTURES}/launchers/engine.sh {verb} {} {{id}}", engine.display())
                };
                let start = self.lab.daemon().set("--launcher", word("start"));
                start.set("--launcher-kill", word("kill"))
            }
            None => self.lab.daemon(),
        };
        let start = match &self.trusted {
            Some(dir) => start.set("--trusted-projects", dir.display()),
            None => start,
        };
        let start = if self.is_confined {
            start.word("--confine").set("--confine-write", self.story.marks.display())
        } else {
            start
        };
        start
            .set("--max-concurrent", 3)
            .set("--rate-limit-backoff", 0.02)
            .set("--kill-grace", 0.1)
            // The disks that lose power are small.
            .set("--min-free-mb", 0)
    }

    /// What is published now stays as it is.
    pub fn look_at_reports(&mut self) {
        let Ok(entries) = fs::read_dir(self.completed()) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_ours = self.story.sent.iter().any(|id| name == format!("{id}.json"));
            if is_ours && !self.story.seen.contains_key(&name) {
                let bytes = fs::read(entry.path()).unwrap_or_default();
                self.story.seen.insert(name, bytes);
            }
        }
    }

    fn completed(&self) -> PathBuf {
        self.story.gstack.join("dispatch/completed")
    }

    /// Whether a process waits to become an agent.
    pub fn has_what_waits(&self) -> bool {
        let mark = |id: &String| format!("GSTACK_DISPATCH_ID={id}");
        let ours = format!("GSTACK_HOME={}", self.story.gstack.display());
        let mut ids = self.story.sent.iter();
        ids.any(|id| {
            let found = processes_with(&[mark(id), ours.clone()]);
            found.iter().any(|(_, line)| line.contains(" __session "))
        })
    }

    /// Whether all work is done.
    pub fn is_done(&self) -> bool {
        let is_empty =
            |dir: &Path| fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_none());
        let ours = self.lab.ours();
        self.story.sent.iter().all(|id| self.completed().join(format!("{id}.json")).exists())
            && is_empty(&ours.join("active"))
            && is_empty(&ours.join("pending"))
            && is_empty(&ours.join("outbox"))
            && self.lab.waiting().is_empty()
    }

    /// A healthy daemon does what is left; then everything is looked at. What is wrong is said
    /// under this name.
    pub fn conclude(mut self, name: &str) -> Vec<String> {
        self.look_at_reports();
        let mut daemon = self.daemon().start();
        let began = Instant::now();
        while !self.is_done() && began.elapsed() < self.patience {
            self.answer_what_waits();
            pause_as_a_slow_writer(Duration::from_millis(5));
        }
        let is_done = self.is_done();
        assert_eq!(daemon.stop(), 0, "{name}");
        let panicked = daemon.stderr().contains("panicked");
        daemon.left();
        let mut found = violations(&self.story);
        found.extend(self.against_the_gate());
        if !is_done {
            found.push(format!("the work is not done after {:?}", self.patience));
        }
        found.retain(|what| !self.forgives.iter().any(|word| what.starts_with(word)));
        if panicked {
            found.push("a panic".into());
        }
        if !found.is_empty() {
            // Chance may not come this way again.
            dump();
        }
        found.into_iter().map(|what| format!("{name}: {what}")).collect()
    }
}
