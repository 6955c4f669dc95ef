//! Never lost, never twice, nothing left running: tried with the daemon killed before every single
//! effect, with every effect failing, with daemons and sessions killed at random under load.
//!
//! Built with the feature `failpoints` (`src/effects/failpoint.rs`). `scene` is what is dispatched
//! and how it is brought to its end, `check` is what must hold then, `planted` shows that the check
//! sees what it is there for.

#[path = "../it/util/mod.rs"]
#[allow(dead_code, unused_imports)]
mod util;

mod check;
mod clock;
mod crash;
mod disk;
mod errors;
mod hang;
mod planted;
mod pool;
mod power;
mod scene;
mod storm;
mod synced;
