//! A small HTTP server on 127.0.0.1 that keeps what it was sent.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::Value;

use super::waiting::{PATIENCE, wait_until};

#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value)
    }
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }
    /// The report in a callback, without what is told besides.
    pub fn report(&self) -> Value {
        let mut body = self.json();
        let fields = body.as_object_mut().expect("an object");
        for key in ["type", "task_id", "clawvisor_task_id", "text", "message"] {
            fields.remove(key);
        }
        body
    }
}

#[derive(Clone)]
pub enum Answer {
    Status(u16),
    /// 302 to that address.
    Redirect(String),
    /// A status with one more header line.
    With(u16, &'static str),
    /// These bytes again and again, for as long as somebody takes them.
    Endless(&'static str, &'static [u8]),
    /// Takes the request and never answers.
    Silence,
}

/// An HTTP server on 127.0.0.1 that gives its answers in order (the last one for ever) and keeps
/// what it was sent.
pub struct Server {
    pub url: String,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    pub fn start(answers: Vec<Answer>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        Server::on(listener, answers)
    }

    pub fn on(listener: TcpListener, answers: Vec<Answer>) -> Server {
        Server::watching(listener, answers, |_| {})
    }

    /// The same, and each request is looked at before it is answered.
    pub fn watching(
        listener: TcpListener,
        answers: Vec<Answer>,
        watch: impl Fn(&Request) + Send + Sync + 'static,
    ) -> Server {
        let watch = Arc::new(watch);
        let address = listener.local_addr().expect("address");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        // It ends with the test process; a test's own end does not wait for it.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (log, answers) = (Arc::clone(&log), answers.clone());
                let watch = Arc::clone(&watch);
                thread::spawn(move || serve(stream, &log, &answers, &*watch));
            }
        });
        Server { url: format!("http://{address}"), seen }
    }

    pub fn seen(&self) -> Vec<Request> {
        self.seen.lock().expect("requests").clone()
    }

    /// Waits for that many requests.
    pub fn requests(&self, count: usize) -> Vec<Request> {
        wait_until(&format!("{count} requests"), PATIENCE, || self.seen().len() >= count);
        self.seen()
    }
}

fn serve(
    mut stream: TcpStream,
    log: &Mutex<Vec<Request>>,
    answers: &[Answer],
    watch: &impl Fn(&Request),
) {
    let Some(request) = read_request(&mut stream) else { return };
    watch(&request);
    let n = {
        let mut log = log.lock().expect("requests");
        log.push(request);
        log.len() - 1
    };
    let head = match &answers[n.min(answers.len() - 1)] {
        Answer::Status(code) => format!("HTTP/1.1 {code} Answer\r\n"),
        Answer::With(code, header) => format!("HTTP/1.1 {code} Answer\r\n{header}\r\n"),
        Answer::Redirect(to) => format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\n"),
        Answer::Endless(head, more) => {
            let _ = stream.write_all(head.as_bytes());
            while stream.write_all(more).is_ok() {}
            return;
        }
        Answer::Silence => {
            let _ = stream.read(&mut [0]); // until the other side gives up
            return;
        }
    };
    let _ = stream
        .write_all(format!("{head}Content-Length: 0\r\nConnection: close\r\n\r\n").as_bytes());
}

pub(super) fn read_request(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        bytes.push(byte[0]);
    }
    let head = String::from_utf8(bytes).ok()?;
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ').map(String::from);
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(key, value)| (key.to_string(), value.to_string()))
        .collect();
    let mut request =
        Request { method: first.next()?, path: first.next()?, headers, body: Vec::new() };
    request.body = vec![0; request.header("content-length").parse().unwrap_or(0)];
    stream.read_exact(&mut request.body).ok()?;
    Some(request)
}
