//! What the daemon and its folders say of themselves: whether one runs, what it waits for, what was
//! not delivered, what was rejected.

use super::Examined;
use crate::commands::running::Running;
use crate::effects::clock;
use crate::pure::doctor::Check;
use crate::pure::doctor::running;
use crate::pure::text::escape::shell_word;
use crate::pure::text::time::rfc3339;

const DAY_MS: i64 = 86_400_000;
/// How many ids a line names.
const NAMED_MAX: usize = 3;

pub(super) fn look(examined: &Examined) -> Vec<Check> {
    let store = &examined.place.store;
    let now_ms = clock::unix_ms();
    let running = Running::look(examined.place);
    let beat = running.as_ref().ok().and_then(|running| running.beat.clone());
    let mut checks = vec![match &running {
        Err(_) => Check::warn("daemon", "its lock cannot be looked at", "look whose it is"),
        Ok(running) => {
            let pid = beat.as_ref().and_then(|beat| beat.pid);
            let beat_age_ms = beat.as_ref().and_then(|beat| beat.at_ms()).map(|at| now_ms - at);
            running::check(running.liveness, pid, beat_age_ms)
        }
    }];
    checks.push(match store.is_paused() {
        true => Check::warn("paused", "nothing new is started", "gstack-dispatch-daemon resume"),
        false => Check::ok("paused", "it is not"),
    });
    checks.extend(holds(examined, now_ms));
    let degraded = beat.and_then(|beat| beat.degraded);
    checks.push(match degraded {
        Some(why) => Check::fail("degraded", why, "mend that; the daemon goes on by itself then"),
        None => Check::ok("degraded", "it is not"),
    });
    checks.push(callbacks(examined));
    checks.push(rejected(examined, now_ms));
    checks
}

fn holds(examined: &Examined, now_ms: i64) -> Vec<Check> {
    const NAME: &str = "holds";
    let held = examined.place.store.read_holds().holds;
    let held = held.into_iter().filter(|hold| hold.until_ms > now_ms);
    let checks: Vec<Check> = held
        .map(|hold| {
            let until = rfc3339(hold.until_ms);
            let text = format!("{} is held until {until}: {}", hold.agent, hold.reason);
            Check::warn(NAME, text, format!("gstack-dispatch-daemon release {}", hold.agent))
        })
        .collect();
    if checks.is_empty() { vec![Check::ok(NAME, "there are none")] } else { checks }
}

fn callbacks(examined: &Examined) -> Check {
    const NAME: &str = "callbacks";
    match examined.place.store.look_at_callbacks() {
        Err(e) => Check::warn(NAME, e.to_string(), "look at the folder"),
        Ok((tried, 0)) if tried.is_empty() => Check::ok(NAME, "all that were tried are delivered"),
        Ok((tried, dead)) => {
            let ids: Vec<&str> = tried.iter().take(NAMED_MAX).map(|id| id.as_str()).collect();
            let named =
                if ids.is_empty() { String::new() } else { format!(" ({})", ids.join(", ")) };
            let text = format!("{} tried and not delivered{named}, {dead} given up", tried.len());
            let fix = match ids.first() {
                Some(id) => format!("gstack-dispatch-daemon show {id}"),
                None => "move them from outbox/dead back into outbox to try them again".into(),
            };
            Check::warn(NAME, text, fix)
        }
    }
}

fn rejected(examined: &Examined, now_ms: i64) -> Check {
    const NAME: &str = "rejected";
    match examined.place.store.look_at_rejected(now_ms - DAY_MS) {
        (0, _) => Check::ok(NAME, "nothing in the last 24 hours"),
        (count, last) => {
            let last = last.unwrap_or_default().join("reason.json");
            let fix = format!("cat {}", shell_word(&last.to_string_lossy()));
            Check::warn(NAME, format!("{count} in the last 24 hours"), fix)
        }
    }
}
