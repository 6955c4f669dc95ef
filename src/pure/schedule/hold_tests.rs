//! Tests of which holds stand after which notices, what a probe decides, and what is believed of
//! saved holds. Must not ask in which order dispatches run: the queue's tests do. No test waits:
//! the time is an argument, so each row says when its notice comes.

use super::*;
use crate::pure::dispatch::AGENTS;
use crate::pure::report::ErrorType;
use crate::pure::schedule::held::CLOCK_BACK_MS_MAX;
use ErrorType::*;

const LIMITS: HoldLimits = HoldLimits { max_ms: 10_000, probe_ms: 300 };

fn id(name: &str) -> DispatchId {
    DispatchId::parse(&format!("dispatch-{name}")).expect("an id")
}

/// What an attempt of `claude` in the project of that name says.
fn notice(project: &str, sign: Sign) -> Notice {
    Notice {
        id: id(project),
        agent: "claude",
        lane: Lane::from(project),
        project: project.into(),
        sign,
    }
}

fn limited(resets_at_ms: i64) -> Notice {
    let resets_at_ms = Some(resets_at_ms);
    notice("a", Sign::Met { kind: UsageLimit, resets_at_ms, reason: "window".into() })
}

fn refused(project: &str, kind: ErrorType) -> Notice {
    notice(project, Sign::Met { kind, resets_at_ms: None, reason: "refused".into() })
}

fn clear(project: &str, started_at_ms: i64) -> Notice {
    notice(project, Sign::Clear { started_at_ms })
}

/// The holds after these notices, each learnt at its time.
fn holds(notices: &[(i64, Notice)]) -> Holds {
    let mut holds = Holds::new(LIMITS);
    for (now_ms, notice) in notices {
        holds.learn(notice, *now_ms, 0);
    }
    holds
}

fn untils(holds: &Holds) -> Vec<i64> {
    holds.list().iter().map(|hold| hold.until_ms).collect()
}

/// Where the agent is held: project by project, or everywhere.
fn places(holds: &Holds) -> Vec<&str> {
    let place = |hold: &Hold| if hold.project.is_some() { "project" } else { "*" };
    holds.list().iter().map(place).collect()
}

#[test]
fn a_usage_limit_holds_the_agent_everywhere_until_its_reset() {
    for (notices, wanted) in [
        (vec![(1000, limited(5000))], vec![5000]),
        // A time that is over is ignored. One that is absurdly far off becomes the longest hold.
        (vec![(1000, limited(1000))], vec![]),
        (vec![(1000, limited(i64::MAX))], vec![11_000]),
        // The later of two windows counts, whichever is told of first.
        (vec![(1000, limited(5000)), (1001, limited(4000))], vec![5000]),
        (vec![(1000, limited(4000)), (1001, limited(5000))], vec![5000]),
    ] {
        assert_eq!(untils(&holds(&notices)), wanted, "{notices:?}");
    }
    let held = holds(&[(1000, limited(5000))]);
    assert!(!held.admits("claude", 4999) && !held.admits_in("claude", "b", 4999));
    assert!(held.admits("codex", 4999) && held.admits_in("codex", "a", 4999));
    assert!(held.admits("claude", 5000) && held.admits_in("claude", "b", 5000));
    assert_eq!((held.next_wake_ms(4000), held.next_wake_ms(5000)), (Some(1000), None));
    let mut jittered = Holds::new(LIMITS);
    jittered.learn(&limited(5000), 1000, 77);
    assert_eq!(untils(&jittered), [5077]);
}

#[test]
fn a_refusal_holds_one_project_and_a_second_one_all() {
    let one = holds(&[(1000, refused("a", Auth))]);
    assert!(one.admits("claude", 1001) && !one.admits_in("claude", "a", 1299));
    assert!(one.admits_in("claude", "b", 1001) && one.admits_in("claude", "a", 1300));
    for (notices, wanted) in [
        (vec![(0, refused("a", Auth)), (1, refused("a", Auth))], vec!["project"]),
        (vec![(0, refused("a", Auth)), (1, refused("b", Auth))], vec!["*"]),
        (
            vec![(0, refused("a", Auth)), (1, refused("b", Auth)), (2, refused("a", Auth))],
            vec!["*"],
        ),
        // Two refusals of different kinds are not alike.
        (vec![(0, refused("a", Auth)), (1, refused("b", Billing))], vec!["project", "project"]),
        // The first refusal had ended.
        (
            vec![(0, refused("a", Auth)), (1, clear("a", 1)), (2, refused("b", Auth))],
            vec!["project"],
        ),
    ] {
        assert_eq!(places(&holds(&notices)), wanted, "{notices:?}");
    }
    let mut extended = holds(&[(0, refused("a", Auth))]);
    let changes = extended.learn(&refused("b", Auth), 1, 0);
    assert!(
        matches!(&changes[..], [HoldChange::Ended(_, Why::AllProjects), HoldChange::Started(hold)] if hold.project.is_none()),
        "{changes:?}"
    );
}

#[test]
fn one_is_let_through_and_how_it_ends_decides() {
    let due = || {
        let mut held = holds(&[(0, limited(100)), (0, refused("a", Auth))]);
        assert!(!held.let_through(&id("other"), "codex", "a", 300));
        assert!(held.let_through(&id("probe"), "claude", "a", 300));
        // The others wait for it, however long it takes.
        assert!(!held.admits("claude", 9000) && !held.admits_in("claude", "a", 9000));
        assert_eq!(held.next_wake_ms(400), None);
        held
    };
    let mut well = due();
    let changes = well.learn(&clear("a", 300), 400, 0);
    assert_eq!((changes.len(), well.is_empty()), (2, true));

    let mut again = due();
    again.learn(&limited(900), 400, 0);
    assert!(!again.admits("claude", 899));

    // The probe told nothing: a window lets the next one through, a refusal waits.
    let mut silent = due();
    assert!(!silent.gone(&id("other")) && silent.gone(&id("probe")));
    assert!(silent.admits("claude", 400) && silent.admits_in("claude", "b", 400));
    assert!(!silent.admits_in("claude", "a", 599) && silent.admits_in("claude", "a", 600));
}

#[test]
fn what_started_before_a_hold_does_not_end_it() {
    let mut held = holds(&[(1000, limited(5000))]);
    assert_eq!(held.learn(&clear("a", 999), 2000, 0), []);
    assert_eq!(untils(&held), [5000]);
    // Nor does an attempt in another project end a project's hold.
    let mut held = holds(&[(1000, refused("a", Auth))]);
    assert_eq!(held.learn(&clear("b", 2000), 2000, 0), []);
    assert_eq!(held.learn(&clear("a", 2000), 2000, 0).len(), 1);
}

#[test]
fn a_release_ends_holds_at_once() {
    for (agent, left) in [(None, 0), (Some("claude"), 0), (Some("codex"), 2), (Some("x"), 2)] {
        let mut held = holds(&[(0, limited(9000)), (0, refused("a", Auth))]);
        assert_eq!(held.release(agent).len(), 2 - left);
        assert_eq!((held.list().len(), held.admits_in("claude", "a", 1)), (left, left == 0));
    }
}

#[test]
fn a_usage_limit_that_nobody_waits_for_ends_with_its_time() {
    let mut held = holds(&[(0, limited(100)), (0, refused("a", Auth))]);
    assert_eq!(held.expire(99, |_| 0), []);
    assert_eq!(held.expire(100, |_| 1), []);
    assert!(matches!(&held.expire(100, |_| 0)[..], [HoldChange::Ended(_, Why::Time)]));
    assert_eq!(held.list().len(), 1);
}

#[test]
fn what_was_saved_is_believed_within_reason() {
    let hold = |project: Option<&str>, kind, since_ms, until_ms| Hold {
        agent: "claude".into(),
        project: project.map(|name| HeldProject { name: name.into(), dir: name.into() }),
        kind,
        since_ms,
        until_ms,
        reason: "r".into(),
        probe: None,
        scope: None,
    };
    let year_ms = 365 * 86_400_000;
    let rows = [
        ("a window that is closed", hold(None, HoldKind::UsageLimit, 0, 1500), vec![1500]),
        ("one that is open again", hold(None, HoldKind::UsageLimit, 0, 1000), vec![]),
        ("a year ahead", hold(None, HoldKind::UsageLimit, 0, year_ms), vec![11_000]),
        ("beyond all", hold(None, HoldKind::UsageLimit, 0, i64::MAX), vec![11_000]),
        ("a refusal", hold(Some("a"), HoldKind::Auth, 0, 1200), vec![1200]),
        ("a probe is due", hold(None, HoldKind::Config, 0, 500), vec![500]),
        ("a probe in a year", hold(None, HoldKind::Billing, 0, year_ms), vec![1300]),
        ("no such hold", hold(Some("a"), HoldKind::UsageLimit, 0, 1500), vec![]),
        (
            "no such agent",
            Hold { agent: "x".into(), ..hold(None, HoldKind::Auth, 0, 1200) },
            vec![],
        ),
        ("from the future", hold(None, HoldKind::UsageLimit, 5000, 6000), vec![6000]),
    ];
    for (name, hold, wanted) in rows {
        let saved = Saved { as_of_ms: 900, holds: vec![hold.clone(), hold] };
        let text = serde_json::to_string(&saved).expect("JSON");
        let read: Saved = serde_json::from_str(&text).expect("the same");
        let restored = Holds::restore(LIMITS, read, &AGENTS, 1000);
        assert_eq!(untils(&restored), wanted, "{name}");
        let shut = wanted.first().is_some_and(|until| *until > 1000);
        assert_eq!(restored.admits_in("claude", "a", 1000), !shut, "{name}");
    }
}

#[test]
fn a_clock_that_is_put_back_ends_no_hold_early_by_much_nor_keeps_it_for_ever() {
    let held = holds(&[(1_000_000, limited(1_005_000))]);
    assert!(!held.admits("claude", 1_000_000 - CLOCK_BACK_MS_MAX));
    assert!(held.admits("claude", 1_000_000 - CLOCK_BACK_MS_MAX - 1));
}

#[test]
fn a_saved_hold_of_an_unknown_kind_takes_no_other_with_it() {
    let known = r#"{"agent":"claude","kind":"auth","since_ms":0,"until_ms":9,"reason":"r"}"#;
    for other in [known.replace("auth", "tool_failure"), "7".into(), "{}".into()] {
        let text = format!(r#"{{"as_of_ms":1,"holds":[{other},{known}]}}"#);
        let saved: Saved = serde_json::from_str(&text).expect("saved holds");
        assert_eq!(saved.holds.len(), 1, "{other}");
    }
}

fn used_up(until_ms: i64) -> UsedUp {
    UsedUp { project: None, until_ms, reason: "all of it".into() }
}

#[test]
fn a_budget_holds_every_agent_until_it_is_counted_again() {
    let mut held = holds(&[(0, refused("a", Auth))]);
    let told = held.follow_budgets(vec![used_up(500)], 10);
    assert!(matches!(&told[..], [HoldChange::Started(hold)] if hold.is_budget()), "{told:?}");
    for agent in AGENTS {
        assert!(!held.admits(agent, 10) && !held.admits_in(agent, "b", 999));
    }
    assert_eq!((held.next_count_ms(), held.next_wake_ms(10)), (Some(500), Some(290)));
    // Neither a release nor a session that works ends it, and nothing is let through.
    assert_eq!(held.release(None).len(), 1);
    assert_eq!(held.learn(&clear("a", 20), 20, 0), []);
    assert!(!held.let_through(&id("p"), "claude", "a", 600));
    assert_eq!(held.expire(999, |_| 0), []);
    // It is told again when its end moves, and not when it does not.
    assert_eq!(held.follow_budgets(vec![used_up(500)], 20), []);
    let told = held.follow_budgets(vec![used_up(800)], 30);
    assert!(matches!(&told[..], [HoldChange::Prolonged(hold)] if hold.until_ms == 800));
    assert_eq!(held.list()[0].since_ms, 10);
    let told = held.follow_budgets(vec![], 800);
    assert!(matches!(&told[..], [HoldChange::Ended(_, Why::Time)]) && held.is_empty());
}

#[test]
fn a_budget_that_was_told_of_is_not_told_of_again_after_a_restart() {
    let mut held = Holds::new(LIMITS);
    held.follow_budgets(vec![used_up(500)], 10);
    let text = serde_json::to_string(&held.save(20)).expect("JSON");
    assert!(text.contains(r#""kind":"budget""#) && !text.contains("agent"), "{text}");
    let read = || serde_json::from_str(&text).expect("saved holds");
    let mut restored = Holds::restore(LIMITS, read(), &AGENTS, 30);
    assert_eq!(restored.follow_budgets(vec![used_up(500)], 30), []);
    let mut restored = Holds::restore(LIMITS, read(), &AGENTS, 30);
    assert_eq!(restored.follow_budgets(vec![], 30).len(), 1);
}
