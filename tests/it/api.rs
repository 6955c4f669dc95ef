//! A small Anthropic Messages API on 127.0.0.1, so that tests can run the real Claude Code CLI.
//!
//! Owns its listener, its threads and the list of the requests it saw. A request of a session's
//! main conversation, which is a POST to `/v1/messages` that offers tools, is answered by the
//! [`Step`] that the test's [`Script`] chooses. The CLI's side requests (titles, token counts,
//! probes) get a harmless answer and use up no step; its attempts to compact a conversation offer
//! tools, so they are main ones. Dropping an [`Api`] cuts every connection and ends its threads.
//! Must not talk to anything but 127.0.0.1, know the daemon, sleep, or decide what a test expects.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};

use serde_json::{Value, json};

/// What one main request is answered with.
#[derive(Clone, Debug)]
pub enum Step {
    /// The model says this and ends its turn.
    Text(String),
    /// The model calls a tool; the CLI runs it and asks again.
    ToolUse { name: String, input: Value },
    /// An HTTP error in the API's form.
    Status { code: u16, kind: String, message: String, headers: Vec<(String, String)> },
    /// 200, then an `overloaded_error` event in the stream.
    SseError,
    /// The connection is reset before any answer.
    Reset,
    /// The stream begins, and the connection ends in the middle of a text.
    Cut,
    /// Accepted and never answered, until the client goes away or the server is dropped.
    Hang,
    /// Ends with `stop_reason: "refusal"`.
    Refusal,
    /// Ends with `stop_reason: "max_tokens"`.
    MaxTokens,
    /// Ends with `stop_reason: "model_context_window_exceeded"`.
    ContextWindowExceeded,
}

impl Step {
    pub fn text(text: &str) -> Step {
        Step::Text(text.into())
    }

    pub fn tool(name: &str, input: Value) -> Step {
        let name = name.into();
        Step::ToolUse { name, input }
    }

    pub fn write(path: &str, content: &str) -> Step {
        Step::tool("Write", json!({"file_path": path, "content": content}))
    }

    pub fn bash(command: &str) -> Step {
        Step::tool("Bash", json!({"command": command, "description": "test"}))
    }

    /// A session with this one has two results: the second comes when the command is over.
    pub fn background(command: &str) -> Step {
        let input = json!({"command": command, "description": "test", "run_in_background": true});
        Step::tool("Bash", input)
    }

    pub fn status(code: u16, kind: &str, message: &str) -> Step {
        let (kind, message) = (kind.into(), message.into());
        Step::Status { code, kind, message, headers: Vec::new() }
    }

    pub fn rate_limited() -> Step {
        Step::status(
            429,
            "rate_limit_error",
            "This request would exceed your account's rate limit.",
        )
    }

    pub fn prompt_too_long() -> Step {
        let message = "prompt is too long: 250001 tokens > 200000 maximum";
        Step::status(400, "invalid_request_error", message)
    }

    /// Adds a header to a [`Step::Status`], such as `retry-after`.
    pub fn header(mut self, name: &str, value: &str) -> Step {
        match &mut self {
            Step::Status { headers, .. } => headers.push((name.into(), value.into())),
            other => panic!("only Step::Status has headers, not {other:?}"),
        }
        self
    }
}

type Choose = dyn Fn(&Value, usize) -> Step + Send + Sync;

/// Chooses the answer to the n-th main request (from 0) of the server.
pub struct Script(Box<Choose>);

impl Script {
    /// One step after the other; the last one repeats.
    pub fn steps(steps: Vec<Step>) -> Script {
        let last = steps.len().checked_sub(1).expect("a script needs a step");
        Script::choose(move |_, n| steps[n.min(last)].clone())
    }

    /// As `steps`, but each session (by its id) begins at the first one: for sessions that share a
    /// server. A resumed session has its old id and goes on.
    pub fn each_session(steps: Vec<Step>) -> Script {
        let last = steps.len().checked_sub(1).expect("a script needs a step");
        let asked: Mutex<HashMap<String, usize>> = Mutex::default();
        Script::choose(move |body, _| {
            let mut asked = lock(&asked);
            let next = asked.entry(session_of(body)).or_default();
            let step = steps[(*next).min(last)].clone();
            *next += 1;
            step
        })
    }

    /// Decided by the body of the request and its number, on the connection's own thread; may block
    /// (but what it waits for must come before the server is dropped).
    pub fn choose(choose: impl Fn(&Value, usize) -> Step + Send + Sync + 'static) -> Script {
        Script(Box::new(choose))
    }
}

impl From<Step> for Script {
    fn from(step: Step) -> Script {
        Script::steps(vec![step])
    }
}

/// The session id that the CLI puts into `metadata.user_id`; empty where there is none.
pub fn session_of(body: &Value) -> String {
    let user = body["metadata"]["user_id"].as_str().unwrap_or_default();
    let inside: Value = serde_json::from_str(user).unwrap_or_default();
    inside["session_id"].as_str().unwrap_or_default().to_owned()
}

/// Whether the user's side of this conversation (prompt, tool results) holds this text.
pub fn mentions(body: &Value, text: &str) -> bool {
    let quoted = json!(text).to_string();
    let escaped = &quoted[1..quoted.len() - 1];
    let messages = body["messages"].as_array().into_iter().flatten();
    let mut user = messages.filter(|message| message["role"] == "user");
    user.any(|message| message["content"].to_string().contains(escaped))
}

/// The running server.
pub struct Api {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

struct Shared {
    script: Script,
    bodies: Mutex<Vec<Value>>,
    stop: AtomicBool,
}

impl Shared {
    /// Notes a main request; answers which one it is, from 0.
    fn record(&self, body: &Value) -> usize {
        let mut bodies = lock(&self.bodies);
        bodies.push(body.clone());
        bodies.len() - 1
    }
}

impl Api {
    pub fn start(script: impl Into<Script>) -> Api {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port on 127.0.0.1");
        let address = listener.local_addr().expect("the address of a bound listener");
        let shared = Arc::new(Shared {
            script: script.into(),
            bodies: Mutex::default(),
            stop: AtomicBool::new(false),
        });
        let served = Arc::clone(&shared);
        let accepting = thread::spawn(move || accept(&listener, &served));
        Api { address, shared, accepting: Some(accepting) }
    }

    /// For `ANTHROPIC_BASE_URL`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many main requests have come so far.
    pub fn requests(&self) -> usize {
        lock(&self.shared.bodies).len()
    }

    /// Their bodies, in order of arrival.
    pub fn bodies(&self) -> Vec<Value> {
        lock(&self.shared.bodies).clone()
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        let woken = TcpStream::connect(self.address);
        if let (Ok(_), Some(accepting)) = (woken, self.accepting.take()) {
            let panicked = accepting.join().is_err();
            assert!(
                !panicked || thread::panicking(),
                "a thread of the test's API server panicked, see above"
            );
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// The open connections, by number, so that the end of the server can cut them.
type Open = Mutex<HashMap<usize, TcpStream>>;

/// Accepts until told to stop, then cuts what is still open; the scope waits for the threads.
fn accept(listener: &TcpListener, shared: &Shared) {
    let open = &Open::default();
    thread::scope(|scope| {
        for (id, stream) in listener.incoming().enumerate() {
            if shared.stop.load(Ordering::SeqCst) {
                break;
            }
            // A connection that breaks, now or while we talk, is the client's business.
            let Ok(connection) = stream.and_then(|s| Connection::new(s, id, open)) else {
                continue;
            };
            scope.spawn(move || {
                let _ = converse(&connection.stream, shared);
            });
        }
        for stream in lock(open).values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    });
}

struct Connection<'a> {
    stream: TcpStream,
    id: usize,
    open: &'a Open,
}

impl Connection<'_> {
    fn new(stream: TcpStream, id: usize, open: &Open) -> io::Result<Connection<'_>> {
        lock(open).insert(id, stream.try_clone()?);
        Ok(Connection { stream, id, open })
    }
}

impl Drop for Connection<'_> {
    fn drop(&mut self) {
        // Both handles must go, then the kernel ends the connection.
        lock(self.open).remove(&self.id);
    }
}

/// One connection, one request. The last byte of a body is only looked at until the answer is
/// chosen: closing a socket with unread data is how std can send a reset (on Linux; elsewhere it is
/// a plain close).
fn converse(mut stream: &TcpStream, shared: &Shared) -> io::Result<()> {
    let request = Request::read(stream)?;
    let body = &request.body;
    let answer = if request.is_main() {
        let number = shared.record(body);
        let step = (shared.script.0)(body, number);
        if matches!(step, Step::Reset) {
            return Ok(());
        }
        let id = format!("{number:04}");
        Reply { body, id }.to_step(&step)
    } else {
        let id = "side".to_owned();
        Some(Reply { body, id }.to_side_request(&request.line))
    };
    if request.length > 0 {
        stream.read_exact(&mut [0])?;
    }
    match answer {
        Some(answer) => stream.write_all(answer.as_bytes()),
        None => stream.read(&mut [0]).map(drop), // nothing comes but the end
    }
}

struct Request {
    /// `METHOD /path`, without the query.
    line: String,
    /// Bytes of the body; the last one is still unread.
    length: usize,
    body: Value,
}

impl Request {
    fn read(mut stream: &TcpStream) -> io::Result<Request> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        let head = String::from_utf8_lossy(&head);
        let line = head.split([' ', '?']).take(2).collect::<Vec<_>>().join(" ");
        let length = head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .and_then(|(_, value)| value.trim().parse().ok())
            .unwrap_or(0);
        let mut body = vec![0; length];
        if let Some((last, others)) = body.split_last_mut() {
            stream.read_exact(others)?;
            stream.peek(std::slice::from_mut(last))?;
        }
        let body = serde_json::from_slice(&body).unwrap_or_default();
        Ok(Request { line, length, body })
    }

    fn is_main(&self) -> bool {
        let tools = self.body["tools"].as_array();
        self.line == "POST /v1/messages" && tools.is_some_and(|tools| !tools.is_empty())
    }
}

/// Writes the answer to one request, as the bytes for the wire.
struct Reply<'a> {
    body: &'a Value,
    /// Makes the ids of messages and tool calls unique.
    id: String,
}

impl Reply<'_> {
    /// Titles, token counts, `HEAD /`, model lists: what a quiet API would say.
    fn to_side_request(&self, line: &str) -> String {
        match line {
            "POST /v1/messages" => self.text("ok", "end_turn"),
            "POST /v1/messages/count_tokens" => json_answer(200, &json!({"input_tokens": 100})),
            "GET /v1/models" => json_answer(200, &json!({"data": [], "has_more": false})),
            line if line.starts_with("HEAD ") => http(200, "content-length: 0\r\n", ""),
            _ => json_answer(404, &error("not_found_error", "Not found")),
        }
    }

    /// None: no answer at all.
    fn to_step(&self, step: &Step) -> Option<String> {
        let unfinished = "This sentence will not be";
        Some(match step {
            Step::Text(text) => self.text(text, "end_turn"),
            Step::MaxTokens => self.text(unfinished, "max_tokens"),
            Step::ContextWindowExceeded => self.text(unfinished, "model_context_window_exceeded"),
            Step::Refusal => self.message(&[], "refusal"),
            Step::ToolUse { name, input } => {
                let id = format!("toolu_{}", self.id);
                let call = json!({"type": "tool_use", "id": id, "name": name, "input": input});
                self.message(&[call], "tool_use")
            }
            Step::Status { code, kind, message, headers } => {
                http_json(*code, headers, &error(kind, message))
            }
            Step::SseError if self.streams() => {
                stream(&(self.start() + &event(error("overloaded_error", "Overloaded"))))
            }
            Step::SseError => json_answer(529, &error("overloaded_error", "Overloaded")),
            Step::Cut => {
                let all = self.events(&[text_block(unfinished)], "end_turn");
                let half = all.find("event: content_block_stop").unwrap_or(all.len());
                part_of_stream(&all[..half])
            }
            Step::Hang | Step::Reset => return None,
        })
    }

    fn streams(&self) -> bool {
        self.body["stream"] == true
    }

    fn text(&self, text: &str, stop_reason: &str) -> String {
        self.message(&[text_block(text)], stop_reason)
    }

    /// As a stream or in one piece, whichever was asked for.
    fn message(&self, content: &[Value], stop_reason: &str) -> String {
        if self.streams() {
            stream(&self.events(content, stop_reason))
        } else {
            json_answer(200, &self.message_json(content, Some(stop_reason)))
        }
    }

    fn message_json(&self, content: &[Value], stop_reason: Option<&str>) -> Value {
        json!({
            "id": format!("msg_{}", self.id), "type": "message", "role": "assistant",
            "model": self.body["model"], "content": content,
            "stop_reason": stop_reason, "stop_sequence": null, "usage": usage(),
        })
    }

    fn start(&self) -> String {
        event(json!({"type": "message_start", "message": self.message_json(&[], None)}))
    }

    /// The server-sent events of one whole message.
    fn events(&self, content: &[Value], stop_reason: &str) -> String {
        let mut events = self.start();
        for (index, block) in content.iter().enumerate() {
            let mut empty = block.clone();
            let delta = if block["type"] == "tool_use" {
                empty["input"] = json!({});
                json!({"type": "input_json_delta", "partial_json": block["input"].to_string()})
            } else {
                empty["text"] = json!("");
                json!({"type": "text_delta", "text": block["text"]})
            };
            for (kind, key, value) in [
                ("content_block_start", "content_block", empty),
                ("content_block_delta", "delta", delta),
            ] {
                events += &event(json!({"type": kind, "index": index, key: value}));
            }
            events += &event(json!({"type": "content_block_stop", "index": index}));
        }
        let end = json!({"stop_reason": stop_reason, "stop_sequence": null});
        events += &event(json!({"type": "message_delta", "delta": end, "usage": usage()}));
        events + &event(json!({"type": "message_stop"}))
    }
}

fn text_block(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

fn error(kind: &str, message: &str) -> Value {
    json!({"type": "error", "error": {"type": kind, "message": message}})
}

/// A turn costs more than a cent, so that `--max-budget-usd 0.01` can be tried.
fn usage() -> Value {
    json!({
        "input_tokens": 1000, "output_tokens": 500,
        "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
    })
}

fn event(data: Value) -> String {
    let name = data["type"].as_str().unwrap_or("message");
    format!("event: {name}\ndata: {data}\n\n")
}

fn stream(events: &str) -> String {
    part_of_stream(events) + "0\r\n\r\n"
}

/// Without the empty chunk that would say "this was all".
fn part_of_stream(events: &str) -> String {
    let headers = "content-type: text/event-stream\r\ntransfer-encoding: chunked\r\n";
    http(200, headers, &format!("{:x}\r\n{events}\r\n", events.len()))
}

fn json_answer(code: u16, body: &Value) -> String {
    http_json(code, &[], body)
}

fn http_json(code: u16, more: &[(String, String)], body: &Value) -> String {
    let body = body.to_string();
    let mut headers =
        format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in more {
        headers += &format!("{name}: {value}\r\n");
    }
    http(code, &headers, &body)
}

fn http(code: u16, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {code} Test\r\nconnection: close\r\nrequest-id: req_test\r\n{headers}\r\n{body}"
    )
}
