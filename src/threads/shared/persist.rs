//! How often an operation on the disk is tried: without end while the disk takes nothing from
//! anybody, and a few times if only one dispatch's own files refuse.
//!
//! This may wait long, so intake must not call it.

use std::thread;
use std::time::Duration;

use super::context::Context;
use crate::effects::error::{Error, Result};
use crate::pure::upkeep::health::Subsystem;

/// The first pause; it doubles up to the setting.
const PERSIST_PAUSE: Duration = Duration::from_secs(1);
/// How often an operation that fails for one dispatch alone is tried, and the pause in between.
const OWN_TRIES: u32 = 3;
const OWN_PAUSE: Duration = Duration::from_millis(50);

/// Why something about a dispatch is not on the disk.
#[derive(Debug)]
pub enum Unwritten {
    /// The daemon is told to end now; the next one goes on from what stands on disk.
    DaemonEnds,
    /// The error concerns this dispatch alone, and waiting does not mend it.
    Own(Error),
}

/// Tries an operation on the disk until it works: what is known of a finished session must not be
/// dropped for a full disk. An operation that fails for this dispatch alone gets a few tries, since
/// it must not keep a slot from the others.
pub fn persist<T>(
    context: &Context,
    mut deed: impl FnMut() -> Result<T>,
) -> std::result::Result<T, Unwritten> {
    let holder = context.health.holder();
    let (mut pause, mut own_tries, mut is_told) = (PERSIST_PAUSE, 0, false);
    let done = loop {
        let failed = match deed() {
            Ok(value) => break Ok(value),
            Err(e) => e,
        };
        if failed.fault().is_everywhere() {
            is_told = true;
            context.health.failed_for(Subsystem::Answer, holder, &failed);
            if context.level.is_last_try() {
                return Err(Unwritten::DaemonEnds);
            }
            let pause_max = context.settings().trouble_pause;
            thread::sleep(pause.min(pause_max));
            pause = (pause * 2).min(pause_max);
            // This brings back a folder that is gone or was shut.
            if let Err(e) = context.store.make_directories() {
                log::debug!("{e}");
            }
            continue;
        }
        own_tries += 1;
        if own_tries >= OWN_TRIES {
            break Err(Unwritten::Own(failed));
        }
        thread::sleep(OWN_PAUSE);
    };
    if is_told {
        context.health.works_again_for(Subsystem::Answer, holder);
    }
    done
}
