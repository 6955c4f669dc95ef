//! A small Responses API on 127.0.0.1, so that tests can run the real Codex CLI.
//!
//! It answers each POST with the next [`Step`] of its list, the last one for ever, and refuses to
//! speak WebSocket, so that the CLI takes HTTP at once. Its threads end with the test process. Must
//! not talk to anything but 127.0.0.1, nor decide what a test expects.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::{Value, json};

/// What one request is answered with.
#[derive(Clone, Debug)]
pub enum Step {
    /// The model says this and ends its turn.
    Text(&'static str),
    /// The model refuses in so many words and ends its turn.
    Refusal(&'static str),
    /// The model has a command run, and is asked again after it.
    Shell(String),
    /// An HTTP error with this body.
    Status(u16, Value),
    /// The usage limit, with a window that opens in that many seconds.
    UsageLimit(u64),
    /// The stream begins and ends in an error with this code.
    Failed(&'static str),
    /// The stream begins and breaks off.
    Cut,
    /// Accepted and never answered.
    Hang,
}

pub struct Api {
    pub url: String,
    asked: Arc<AtomicUsize>,
}

impl Api {
    pub fn start(steps: Vec<Step>) -> Api {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port on 127.0.0.1");
        let url = format!("http://{}/v1", listener.local_addr().expect("an address"));
        let asked = Arc::new(AtomicUsize::new(0));
        let (counter, steps) = (Arc::clone(&asked), Arc::new(steps));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (counter, steps) = (Arc::clone(&counter), Arc::clone(&steps));
                // A connection that breaks is the client's business.
                thread::spawn(move || drop(converse(stream, &counter, &steps)));
            }
        });
        Api { url, asked }
    }

    /// How many requests for an answer of the model came so far.
    pub fn requests(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn converse(mut stream: TcpStream, asked: &AtomicUsize, steps: &[Step]) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let mut body = vec![0; length.and_then(|length| length.trim().parse().ok()).unwrap_or(0)];
    stream.read_exact(&mut body)?;
    if !head.starts_with("post ") {
        return stream.write_all(http(426, "", "{}").as_bytes());
    }
    let number = asked.fetch_add(1, Ordering::SeqCst);
    match answer(&steps[number.min(steps.len() - 1)], number) {
        Some(answer) => stream.write_all(answer.as_bytes()),
        None => stream.read(&mut [0]).map(drop), // nothing comes but the end
    }
}

fn answer(step: &Step, number: usize) -> Option<String> {
    let created = event(&json!({"type": "response.created", "response": {"id": "r"}}));
    Some(match step {
        Step::Text(text) => {
            let content = json!([{"type": "output_text", "text": text}]);
            turn(&json!({"type": "message", "role": "assistant", "id": "m", "content": content}))
        }
        Step::Refusal(text) => {
            let content = json!([{"type": "refusal", "refusal": text}]);
            turn(&json!({"type": "message", "role": "assistant", "id": "m", "content": content}))
        }
        Step::Shell(command) => turn(&json!({
            "type": "function_call", "id": format!("f{number}"), "call_id": format!("c{number}"),
            "name": "exec_command", "arguments": json!({"cmd": command}).to_string(),
        })),
        Step::Status(code, body) => http(*code, "", &body.to_string()),
        Step::UsageLimit(seconds) => usage_limit(*seconds),
        Step::Failed(code) => {
            let error = json!({"code": code, "message": "it says"});
            let failed =
                json!({"type": "response.failed", "response": {"id": "r", "error": error}});
            sse(&(created + &event(&failed)))
        }
        Step::Cut => sse(&created),
        Step::Hang => return None,
    })
}

fn turn(item: &Value) -> String {
    let usage = json!({
        "input_tokens": 1000, "input_tokens_details": {"cached_tokens": 100},
        "output_tokens": 50, "output_tokens_details": {"reasoning_tokens": 10},
        "total_tokens": 1050,
    });
    let events = [
        json!({"type": "response.created", "response": {"id": "r"}}),
        json!({"type": "response.output_item.done", "item": item}),
        json!({"type": "response.completed", "response": {"id": "r", "usage": usage}}),
    ];
    sse(&events.iter().map(event).collect::<String>())
}

fn usage_limit(seconds: u64) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock");
    let at = now.as_secs() + seconds;
    let headers = format!(
        "x-codex-primary-used-percent: 100\r\nx-codex-primary-window-minutes: 300\r\n\
         x-codex-primary-reset-at: {at}\r\n"
    );
    let error = json!({
        "type": "usage_limit_reached", "message": "The usage limit has been reached",
        "plan_type": "plus", "resets_at": at,
    });
    http(429, &headers, &json!({ "error": error }).to_string())
}

fn event(data: &Value) -> String {
    let name = data["type"].as_str().unwrap_or("message");
    format!("event: {name}\ndata: {data}\n\n")
}

fn sse(events: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n{events}"
    )
}

fn http(code: u16, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {code} Test\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
         connection: close\r\n{headers}\r\n{body}"
    )
}
