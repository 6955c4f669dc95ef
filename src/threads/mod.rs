//! Layer 3, threads: small loops that call `pure` for decisions and `effects` for deeds. Each owns
//! its state; what one tells another goes through a channel, and a claim moves with it. `health` is
//! what all of them say is wrong.
//!
//! `signals` raises the level, and so does `lock` when another daemon has taken our place.
//! `watcher` turns file events into names. `intake` owns the queue: it looks, accepts and hands
//! claims out. `worker` drives one claim at a time through its attempts (`attempt`; `watch` while
//! one runs, `follow` for what it says, `verify` after it) to its answer (`conclude`). `heartbeat`
//! and `courier` tell the world, and with each beat `retention` thins out what is over. `recover`
//! runs once, at start, before the others. `live` holds the settings in force, `sources` reads
//! them, `reload` does so again.

pub mod attempt;
pub mod conclude;
pub mod courier;
pub mod events;
pub mod follow;
pub mod heartbeat;
pub mod intake;
pub mod recover;
pub mod reload;
pub mod retention;
pub mod shared;
pub mod signals;
pub mod verify;
pub mod watch;
pub mod watcher;
pub mod worker;
