//! One connection carries one request: reads it, notes it, has the script choose, writes the
//! answer. Cuts every open connection at the server's end.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::thread;

use serde_json::Value;

use super::reply::Reply;
use super::script::Step;
use super::{Shared, lock};

/// The open connections, by number, so that the end of the server can cut them.
type Open = Mutex<HashMap<usize, TcpStream>>;

/// Accepts until told to stop, then cuts what is still open; the scope waits for the threads.
pub(super) fn accept(listener: &TcpListener, shared: &Shared) {
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
