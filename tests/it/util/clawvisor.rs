//! A double of Clawvisor's API on 127.0.0.1: tasks that tests change while the daemon asks about
//! them, and the hazards of a real network: errors, silence, other programs' answers.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::server::{Request, read_request};
use super::waiting::{PATIENCE, wait_until};

pub const TOKEN: &str = "cvis_00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
pub const SERVICE: &str = "local.gstack-coding";

/// What stands in the way of an answer.
#[derive(Clone, Debug)]
pub enum Trouble {
    /// This status with this body.
    Answer(u16, String),
    /// The same, with one more header line.
    With(u16, &'static str),
    Redirect(String),
    /// Takes the request and never answers.
    Silence,
    /// Closes the connection without a word.
    Reset,
    /// An answer that has no end.
    Endless,
    /// Answers rightly, after so many milliseconds.
    Slow(u64),
}

#[derive(Default)]
struct State {
    tasks: HashMap<String, Value>,
    /// By task, or for all (""): how many more times.
    troubles: HashMap<String, (usize, Trouble)>,
    seen: Vec<Request>,
    token: String,
    /// The agent who may complete is another one.
    is_siblings: bool,
    /// Long polls are answered at once.
    ignores_wait: bool,
}

#[derive(Clone)]
pub struct Clawvisor {
    pub url: String,
    state: Arc<(Mutex<State>, Condvar)>,
}

/// A task that covers any dispatch for this service, at once.
pub fn task(id: &str, lifetime: &str) -> Value {
    json!({
        "id": id, "user_id": "user-1", "agent_id": "agent-a", "purpose": "code", "status": "active",
        "lifetime": lifetime, "schema_version": 1, "request_count": 0,
        "authorized_actions": [
            {"service": SERVICE, "action": "spawn-session", "auto_execute": true, "expected_use": "one"},
        ],
    })
}

impl Clawvisor {
    pub fn start() -> Clawvisor {
        Clawvisor::on(TcpListener::bind("127.0.0.1:0").expect("bind"))
    }

    pub fn on(listener: TcpListener) -> Clawvisor {
        let address = listener.local_addr().expect("address");
        let state = State { token: TOKEN.into(), ..State::default() };
        let double = Clawvisor {
            url: format!("http://{address}"),
            state: Arc::new((Mutex::new(state), Condvar::new())),
        };
        let serving = double.clone();
        // It ends with the test process.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let serving = serving.clone();
                thread::spawn(move || serving.serve(stream));
            }
        });
        double
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let changed = change(&mut self.state.0.lock().expect("the state"));
        self.state.1.notify_all();
        changed
    }

    pub fn put(&self, task: Value) {
        let id = task["id"].as_str().expect("an id").to_string();
        self.change(|state| state.tasks.insert(id, task));
    }

    pub fn set_status(&self, id: &str, status: &str) {
        self.change(|state| state.tasks.get_mut(id).expect("a task")["status"] = status.into());
    }

    pub fn status(&self, id: &str) -> String {
        self.change(|state| state.tasks[id]["status"].as_str().expect("a status").to_string())
    }

    /// `id`: of a task, "" for all, or "complete" for completions. `times`: 0 ends it.
    pub fn trouble(&self, id: &str, times: usize, trouble: Trouble) {
        self.change(|state| state.troubles.insert(id.into(), (times, trouble)));
    }

    pub fn no_trouble(&self) {
        self.change(|state| state.troubles.clear());
    }

    pub fn know_token(&self, token: &str) {
        self.change(|state| state.token = token.into());
    }

    pub fn belong_to_sibling(&self) {
        self.change(|state| state.is_siblings = true);
    }

    pub fn ignore_wait(&self) {
        self.change(|state| state.ignores_wait = true);
    }

    pub fn seen(&self) -> Vec<Request> {
        self.change(|state| state.seen.clone())
    }

    /// The requests of that method whose path begins so.
    pub fn seen_of(&self, method: &str, path: &str) -> Vec<Request> {
        let mut seen = self.seen();
        seen.retain(|request| request.method == method && request.path.starts_with(path));
        seen
    }

    /// Waits for that many of them.
    pub fn requests(&self, method: &str, path: &str, count: usize) -> Vec<Request> {
        let what = format!("{count} requests {method} {path}");
        wait_until(&what, PATIENCE, || self.seen_of(method, path).len() >= count);
        self.seen_of(method, path)
    }

    fn serve(&self, mut stream: TcpStream) {
        let Some(request) = read_request(&mut stream) else { return };
        let path = request.path.split('?').next().unwrap_or_default().to_string();
        let id = path.strip_prefix("/api/tasks/").unwrap_or_default();
        let id = id.split('/').next().unwrap_or_default().to_string();
        let is_completion = path.ends_with("/complete");
        let trouble = self.change(|state| {
            state.seen.push(request.clone());
            let keys = if is_completion { ["complete", ""] } else { [id.as_str(), ""] };
            let key = keys
                .into_iter()
                .find(|key| state.troubles.get(*key).is_some_and(|(times, _)| *times > 0))?;
            let (times, trouble) = state.troubles.get_mut(key)?;
            *times -= 1;
            Some(trouble.clone())
        });
        match trouble {
            Some(Trouble::Slow(ms)) => thread::sleep(Duration::from_millis(ms)),
            Some(trouble) => return in_trouble(stream, trouble),
            None => {}
        }
        let (status, body) = match (request.method.as_str(), path.as_str()) {
            ("GET", "/ready") => (200, json!({"status": "ok", "db": "ok", "vault": "ok"})),
            // A webhook that stands at the same address.
            ("POST", "/clawvisor/callback") => (202, json!({"ok": true})),
            ("GET", _) if !id.is_empty() && !is_completion => self.get(&request, &id),
            ("POST", _) if is_completion => self.complete(&request, &id),
            _ => (404, json!({"error": "no such route", "code": "NOT_FOUND"})),
        };
        answer(stream, status, "", &format!("{body}\n"));
    }

    fn refuses(&self, request: &Request) -> Option<(u16, Value)> {
        let shown = request.header("authorization");
        let error = if shown.is_empty() {
            "missing authorization header"
        } else if shown != format!("Bearer {}", self.change(|state| state.token.clone())) {
            "invalid agent token"
        } else {
            return None;
        };
        Some((401, json!({"error": error, "code": "UNAUTHORIZED"})))
    }

    fn get(&self, request: &Request, id: &str) -> (u16, Value) {
        if let Some(refused) = self.refuses(request) {
            return refused;
        }
        let query = request.path.split('?').nth(1).unwrap_or_default();
        let waits = query.split('&').any(|word| word == "wait=true");
        let seconds = query.split('&').find_map(|word| word.strip_prefix("timeout="));
        let seconds: u64 = seconds.and_then(|text| text.parse().ok()).unwrap_or(120);
        let end = Instant::now() + Duration::from_secs(seconds);
        let mut state = self.state.0.lock().expect("the state");
        loop {
            let Some(task) = state.tasks.get(id) else {
                return (404, json!({"error": "task not found", "code": "NOT_FOUND"}));
            };
            let status = task["status"].as_str().unwrap_or_default();
            let is_pending = matches!(status, "pending_approval" | "pending_scope_expansion");
            let left = end.saturating_duration_since(Instant::now());
            if !waits || state.ignores_wait || !is_pending || left.is_zero() {
                return (200, task.clone());
            }
            state = self.state.1.wait_timeout(state, left).expect("the state").0;
        }
    }

    fn complete(&self, request: &Request, id: &str) -> (u16, Value) {
        if let Some(refused) = self.refuses(request) {
            return refused;
        }
        self.change(|state| {
            let is_siblings = state.is_siblings;
            let Some(task) = state.tasks.get_mut(id) else {
                return (404, json!({"error": "task not found", "code": "NOT_FOUND"}));
            };
            if is_siblings {
                return (403, json!({"error": "not your task", "code": "FORBIDDEN"}));
            }
            let status = task["status"].as_str().unwrap_or_default().to_string();
            if status != "active" && status != "expired" {
                let error = format!("task is not active or expired (status: {status})");
                return (409, json!({"error": error, "code": "INVALID_STATE"}));
            }
            // It does not look at the lifetime.
            task["status"] = "completed".into();
            (200, json!({"status": "completed", "task_id": id}))
        })
    }
}

fn in_trouble(mut stream: TcpStream, trouble: Trouble) {
    match trouble {
        Trouble::Answer(status, body) => answer(stream, status, "", &body),
        Trouble::With(status, header) => answer(stream, status, &format!("{header}\r\n"), "{}"),
        Trouble::Redirect(to) => answer(stream, 302, &format!("Location: {to}\r\n"), ""),
        Trouble::Silence => {
            let _ = stream.read(&mut [0]); // until the other side gives up
        }
        Trouble::Reset | Trouble::Slow(_) => {}
        Trouble::Endless => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"id\":\"");
            while stream.write_all(&[b'x'; 4096]).is_ok() {}
        }
    }
}

fn answer(mut stream: TcpStream, status: u16, headers: &str, body: &str) {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} Answer\r\nContent-Type: application/json\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    let _ = stream.write_all(format!("{head}{body}").as_bytes());
}
