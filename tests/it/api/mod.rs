//! A small Anthropic Messages API on 127.0.0.1, so that tests can run the real Claude Code CLI.
//!
//! Owns its listener, its threads and the list of the requests it saw. A request of a session's
//! main conversation, which is a POST to `/v1/messages` that offers tools, is answered by the
//! [`Step`] that the test's [`Script`] chooses. The CLI's side requests (titles, token counts,
//! probes) get a harmless answer and use up no step; its attempts to compact a conversation offer
//! tools, so they are main ones. Dropping an [`Api`] cuts every connection and ends its threads.
//! Must not talk to anything but 127.0.0.1, know the daemon, sleep, or decide what a test expects.

mod connection;
mod reply;
mod script;

pub use self::script::{Script, Step, mentions, session_of};

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};

use serde_json::Value;

use self::connection::accept;

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
