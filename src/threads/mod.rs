//! Layer 3, threads: small loops that call `pure` for decisions and `effects` for deeds. Each owns
//! its state; what one tells another goes through a channel, and a claim moves with it.
//!
//! `intake` looks at the drop zone, accepts, owns the queue and hands claims out. A `worker` drives
//! one claim at a time through its attempts, each of which is a `session`. `heartbeat`,
//! `courier` and `on_finish` tell the world, `signals` ends the daemon or has `reload` read the
//! settings again. `recover` and `conclude` are procedures that threads call: what an earlier
//! daemon left, and the way from a decided report to an answered dispatch. `events` go between
//! intake and the owners of claims; what all threads use is in `shared`.

pub mod authority;
pub mod conclude;
pub mod courier;
pub mod events;
pub mod heartbeat;
pub mod intake;
pub mod on_finish;
pub mod recover;
pub mod recover_pending;
pub mod reload;
pub mod session;
pub mod shared;
pub mod signals;
pub mod worker;
