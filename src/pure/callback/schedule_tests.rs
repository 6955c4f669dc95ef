//! Tests of whose turn it is among callbacks, and when it is over, row by row. Must not send
//! anything: what a receiver sees is tested with the whole daemon. No test waits: the time is an
//! argument, so a day of pauses is a few additions.

use super::*;

fn seconds(list: &[u64]) -> Vec<Duration> {
    list.iter().map(|s| Duration::from_secs(*s)).collect()
}

#[test]
fn pauses_grow_and_the_last_repeats_for_a_day() {
    let delays = seconds(&[0, 5, 30, 120, 600, 3600]);
    let pauses: Vec<_> = (1..8).map(|n| pause_after(n, &delays)).collect();
    assert_eq!(pauses, [5, 30, 120, 600, 3600, 3600, 3600].map(|s| Some(Duration::from_secs(s))));
    let tries = (1..1000).find(|n| pause_after(*n, &delays).is_none());
    let waited: Duration =
        (1..tries.expect("an end")).filter_map(|n| pause_after(n, &delays)).sum();
    let hours = waited.as_secs_f64() / 3600.0;
    assert!((24.0..25.0).contains(&hours), "{hours} hours");
}

#[test]
fn no_pause_at_all_comes_to_an_end_too() {
    for delays in [seconds(&[]), seconds(&[0]), seconds(&[0, 0])] {
        assert_eq!(pause_after(1, &delays), Some(Duration::ZERO));
        assert_eq!(pause_after(86_401, &delays), None);
        assert!(pause_after(86_000, &delays).is_some());
        assert_eq!(pause_after(u32::MAX, &delays), None);
    }
}

fn id(name: impl std::fmt::Display) -> DispatchId {
    DispatchId::parse(&format!("dispatch-{name}")).expect("an id")
}

/// Starts everything that may go now, and says in which order.
fn started(schedule: &mut Schedule, now_ms: i64) -> Vec<String> {
    let mut started = Vec::new();
    while let Some(next) = schedule.next(now_ms) {
        started.push(next.as_str().trim_start_matches("dispatch-").to_string());
    }
    started
}

fn with(rows: &[(&str, &str, i64, i64)]) -> Schedule {
    let mut schedule = Schedule::default();
    for (name, host, created_ms, due_ms) in rows {
        schedule.put(id(name), host.to_string(), *created_ms, *due_ms);
    }
    schedule
}

#[test]
fn one_at_a_time_goes_to_each_host_in_the_order_in_which_they_are_due() {
    let rows = [("late", "h", 1, 90), ("b", "h", 3, 10), ("a", "h", 2, 10), ("x", "other", 9, 10)];
    let mut schedule = with(&rows);
    assert_eq!(started(&mut schedule, 9), [""; 0]);
    assert_eq!(schedule.wait_ms(4), Some(6));
    assert_eq!(started(&mut schedule, 10), ["a", "x"]);
    assert_eq!((schedule.under_way(), schedule.wait_ms(10)), (2, None));
    schedule.ended(&id("a"), 5, None);
    assert_eq!(started(&mut schedule, 10), ["b"]);
    schedule.ended(&id("x"), 5, Some(50));
    schedule.ended(&id("b"), 5, None);
    assert_eq!(schedule.wait_ms(20), Some(30));
    assert_eq!(started(&mut schedule, 50), ["x"]);
    assert!(schedule.knows(&id("x")) && schedule.knows(&id("late")) && !schedule.knows(&id("a")));
    assert_eq!(schedule.waiting(), [id("late")]);
}

#[test]
fn what_is_forgotten_is_not_sent_and_what_is_under_way_cannot_be() {
    let mut schedule = with(&[("a", "h", 1, 0), ("b", "h", 2, 0)]);
    schedule.forget(&id("b"));
    assert_eq!(started(&mut schedule, 0), ["a"]);
    schedule.forget(&id("a"));
    schedule.ended(&id("a"), 0, Some(7));
    assert_eq!(started(&mut schedule, 7), ["a"]);
    schedule.ended(&id("a"), 0, None);
    schedule.ended(&id("a"), 0, None);
    schedule.forget(&id("unknown"));
    assert_eq!((schedule.under_way(), schedule.hosts.len(), schedule.known.len()), (0, 0, 0));
}

#[test]
fn hosts_that_let_us_wait_leave_senders_for_those_that_answer() {
    let mut schedule = Schedule::default();
    for n in 0..100 {
        schedule.put(id(n), format!("silent-{n}"), n, 0);
    }
    let first = started(&mut schedule, 0);
    assert_eq!(first.len(), SENDERS_MAX);
    // All of them time out, and are due again at once.
    for name in &first {
        schedule.ended(&id(name), 30_000, Some(30_000));
    }
    // Callbacks that nobody has tried go first.
    let second = started(&mut schedule, 30_000);
    assert_eq!(second.len(), SENDERS_MAX);
    assert!(second.iter().all(|name| !first.contains(name)), "{second:?}");
    for _ in 0..5 {
        let all: Vec<DispatchId> =
            (0..100).map(id).filter(|id| schedule.is_under_way(id)).collect();
        for id in all {
            schedule.ended(&id, 30_000, Some(30_000));
        }
        started(&mut schedule, 60_000);
    }
    // All are known to be slow now: half of the senders is free for whoever comes.
    assert_eq!(
        (schedule.under_way(), schedule.slow_under_way),
        (SLOW_SENDERS_MAX, SLOW_SENDERS_MAX)
    );
    schedule.put(id("healthy"), "healthy".into(), 200, 60_000);
    assert_eq!(started(&mut schedule, 60_000), ["healthy"]);
    // A host that answers again is like any other.
    let silent = (0..100).map(id).find(|id| schedule.is_under_way(id)).expect("one under way");
    schedule.ended(&silent, 10, Some(60_000));
    assert_eq!(schedule.slow_under_way, SLOW_SENDERS_MAX - 1);
    assert_eq!(schedule.next(60_000), Some(silent));
}

impl Schedule {
    fn is_under_way(&self, id: &DispatchId) -> bool {
        self.known.get(id).is_some_and(|known| known.due_ms.is_none())
    }
}
