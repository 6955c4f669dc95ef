//! A small Gemini API on 127.0.0.1, so that tests can run the real Gemini CLI.
//!
//! Owns its listener and its threads. A request for the main conversation, which is one for a
//! stream of content, is answered by the next [`Step`] of the test's script, the last of which
//! repeats; anything else gets a harmless answer. One connection carries one request. Must not know
//! the daemon, or decide what a test expects.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::{Value, json};

#[derive(Clone, Debug)]
pub enum Step {
    /// The model says this and ends its turn.
    Text(&'static str),
    /// The model calls a tool; the CLI runs it and asks again.
    Tool(&'static str, Value),
    /// An HTTP error in the API's form: code, status, message, details.
    Error(u16, &'static str, &'static str, Value),
    /// The answer is blocked.
    Safety,
    /// The stream ends in the middle of a text, without a reason.
    Cut,
    /// Never answered, until the client goes away.
    Hang,
    /// Answered with a text as soon as that file exists.
    WhenThereIs(PathBuf),
}

pub struct Api {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

struct Shared {
    steps: Vec<Step>,
    asked: AtomicUsize,
    stop: AtomicBool,
    bodies: Mutex<Vec<String>>,
}

impl Api {
    pub fn start(steps: Vec<Step>) -> Api {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port on 127.0.0.1");
        let address = listener.local_addr().expect("the address of a bound listener");
        let (asked, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
        let shared = Arc::new(Shared { steps, asked, stop, bodies: Mutex::default() });
        let served = Arc::clone(&shared);
        let accepting = thread::spawn(move || accept(&listener, &served));
        Api { address, shared, accepting: Some(accepting) }
    }

    /// For `GOOGLE_GEMINI_BASE_URL`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many main requests have come so far.
    pub fn requests(&self) -> usize {
        self.shared.asked.load(Ordering::SeqCst)
    }

    /// Their bodies, in order of arrival.
    pub fn bodies(&self) -> Vec<String> {
        self.shared.bodies.lock().expect("the bodies").clone()
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        let woken = TcpStream::connect(self.address);
        if let (Ok(_), Some(accepting)) = (woken, self.accepting.take()) {
            let panicked = accepting.join().is_err();
            assert!(!panicked || thread::panicking(), "a thread of the test's API panicked");
        }
    }
}

fn accept(listener: &TcpListener, shared: &Shared) {
    thread::scope(|scope| {
        for stream in listener.incoming() {
            if shared.stop.load(Ordering::SeqCst) {
                break;
            }
            // A connection that breaks is the client's business.
            let Ok(stream) = stream else { continue };
            scope.spawn(move || {
                let _ = converse(&stream, shared);
            });
        }
    });
}

fn converse(mut stream: &TcpStream, shared: &Shared) -> io::Result<()> {
    let (line, body) = read_request(stream)?;
    if !line.contains(":streamGenerateContent") {
        return stream.write_all(to_side_request(&line).as_bytes());
    }
    shared.bodies.lock().expect("the bodies").push(body);
    let number = shared.asked.fetch_add(1, Ordering::SeqCst);
    let last = shared.steps.len().checked_sub(1).expect("a script needs a step");
    let answer = match &shared.steps[number.min(last)] {
        Step::Text(text) => events(&[text_part(text)], Some("STOP")),
        Step::Tool(name, args) => {
            events(&[json!({"functionCall": {"name": name, "args": args}})], Some("STOP"))
        }
        Step::Error(code, status, message, details) => {
            let error =
                json!({"code": code, "status": status, "message": message, "details": details});
            answer(*code, "application/json", &json!({ "error": error }).to_string())
        }
        Step::Safety => events(&[], Some("SAFETY")),
        Step::Cut => events(&[text_part("This sentence will ")], None),
        Step::Hang => return until(stream, shared, || false),
        Step::WhenThereIs(path) => {
            until(stream, shared, || path.exists())?;
            events(&[text_part("It was there.")], Some("STOP"))
        }
    };
    stream.write_all(answer.as_bytes())
}

/// Waits for a condition, for the server's end, or for the client to go away, which is an error.
fn until(stream: &TcpStream, shared: &Shared, condition: impl Fn() -> bool) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_millis(20)))?;
    while !condition() && !shared.stop.load(Ordering::SeqCst) {
        match stream.peek(&mut [0]) {
            Ok(0) => return Err(io::ErrorKind::ConnectionAborted.into()),
            Err(e) if !matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                return Err(e);
            }
            Ok(_) | Err(_) => {}
        }
    }
    Ok(())
}

fn read_request(mut stream: &TcpStream) -> io::Result<(String, String)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head);
    let length = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body)?;
    let line = head.lines().next().unwrap_or_default().to_string();
    Ok((line, String::from_utf8_lossy(&body).into_owned()))
}

/// Which model to take, how many tokens that is: what a quiet API would say.
fn to_side_request(line: &str) -> String {
    let body = if line.contains(":countTokens") {
        json!({"totalTokens": 10})
    } else {
        content(&[text_part("{}")], Some("STOP"))
    };
    answer(200, "application/json", &body.to_string())
}

fn text_part(text: &str) -> Value {
    json!({ "text": text })
}

fn content(parts: &[Value], reason: Option<&str>) -> Value {
    let mut candidate = json!({"content": {"role": "model", "parts": parts}});
    if let Some(reason) = reason {
        candidate["finishReason"] = json!(reason);
    }
    let usage =
        json!({"promptTokenCount": 100, "candidatesTokenCount": 20, "totalTokenCount": 120});
    json!({"candidates": [candidate], "usageMetadata": usage, "modelVersion": "gemini-2.5-pro"})
}

fn events(parts: &[Value], reason: Option<&str>) -> String {
    answer(200, "text/event-stream", &format!("data: {}\r\n\r\n", content(parts, reason)))
}

fn answer(code: u16, kind: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {code} Test\r\nconnection: close\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}
