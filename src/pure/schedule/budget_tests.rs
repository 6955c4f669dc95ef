use std::path::PathBuf;

use serde_json::{Value, json};

use super::*;
use crate::pure::config::apply_config;
use crate::pure::config::budget::nanos;

fn budgets(config: Value) -> Arc<Budgets> {
    let mut settings = Settings::default();
    apply_config(&mut settings, &config).expect("config");
    // `/link` leads to `/git`.
    let forms = |key: &str| -> [PathBuf; 2] { [key.into(), key.replace("/link", "/git").into()] };
    Arc::new(Budgets::new(&settings, &forms))
}

fn spending(rows: &[(i64, &str, f64, u64)]) -> Spending {
    let mut spending = Spending::default();
    for (number, (ended_at_ms, dir, usd, tokens)) in rows.iter().enumerate() {
        let one = Cost {
            dispatch_id: format!("dispatch-{number}"),
            attempt: 1,
            ended_at_ms: *ended_at_ms,
            dir: dir.to_string(),
            usd_nanos: nanos(*usd),
            tokens: *tokens,
        };
        assert!(spending.note(one.clone()) && !spending.note(one));
    }
    spending
}

/// The directory (if it is a project's), the end and the words of each budget that is used up.
fn used_up(config: Value, rows: &[(i64, &str, f64, u64)]) -> Vec<(Option<String>, i64, String)> {
    let used_up = budgets(config).used_up(&spending(rows)).into_iter();
    used_up.map(|one| (one.project.map(|project| project.dir), one.until_ms, one.reason)).collect()
}

#[test]
fn a_budget_is_used_up_until_enough_has_left_the_window() {
    let usd = || json!({"max_usd_per_day": 1, "budget_window_seconds": 60});
    let rows = |n: usize| vec![(1000, "/a", 0.3, 0); n].into_iter().enumerate();
    let rows = |n| rows(n).map(|(at, row)| (row.0 + at as i64, row.1, row.2, 0)).collect();
    let three: Vec<_> = rows(3);
    assert_eq!(used_up(usd(), &three), []);
    let four: Vec<_> = rows(4);
    let said = |what: &str| format!("{what} were used within 60 s");
    assert_eq!(used_up(usd(), &four), [(None, 61_000, said("1.2 of 1 USD"))]);
    // Two have to leave, since the limit is reached by as much as it says.
    let dimes = vec![(1000, "/a", 0.1, 0); 11];
    assert_eq!(used_up(usd(), &dimes), [(None, 61_000, said("1.1 of 1 USD"))]);
    assert_eq!(used_up(usd(), &dimes[..10]), [(None, 61_000, said("1 of 1 USD"))]);
    assert_eq!(used_up(usd(), &dimes[..9]), []);
    let late = [(1000, "/a", 0.5, 0), (2000, "/a", 0.5, 0), (9000, "/a", 0.6, 0)];
    assert_eq!(used_up(usd(), &late), [(None, 62_000, said("1.6 of 1 USD"))]);
}

#[test]
fn tokens_count_where_the_cost_is_not_known_and_the_later_end_holds() {
    let both = json!({"max_usd_per_day": 1, "max_tokens_per_day": 100, "budget_window_seconds": 1});
    assert_eq!(used_up(both.clone(), &[(0, "/a", 0.0, 99)]), []);
    let reason = |what: &str| format!("{what} were used within 1 s");
    assert_eq!(
        used_up(both.clone(), &[(0, "/a", 0.0, 100)]),
        [(None, 1000, reason("100 of 100 tokens"))]
    );
    let rows = [(0, "/a", 2.0, 50), (500, "/a", 0.0, 60)];
    assert_eq!(used_up(both, &rows), [(None, 1000, reason("2 of 1 USD and 110 of 100 tokens"))]);
    assert_eq!(used_up(json!({}), &rows), []);
}

#[test]
fn a_project_s_budget_counts_what_its_own_entry_covers() {
    let config = json!({"budget_window_seconds": 1, "projects": {
        "/link": {"max_usd_per_day": 1},
        "/git/shop": {"model": "m"},
        "/git/lib/part": {"max_tokens_per_day": 10}}});
    let budgets = budgets(config.clone());
    let cover = |rows: &[(i64, &str, f64, u64)], lane: &str| {
        let used_up = budgets.used_up(&spending(rows));
        used_up.into_iter().any(|one| one.project.is_none_or(|one| one.scope.covers(lane)))
    };
    let git = [(0, "/git/a", 0.6, 0), (0, "/git", 0.6, 0)];
    for (lane, want) in [
        ("/git", true),
        ("/git/b/c", true),
        ("/link/b", true),
        // Another entry is nearer.
        ("/git/shop", false),
        ("/git/shop/x", false),
        ("/gitter", false),
        ("/", true),
    ] {
        assert_eq!(cover(&git, lane), want, "{lane}");
    }
    assert!(!cover(&[(0, "/git/shop", 9.0, 0), (0, "/other", 9.0, 0)], "/git"));
    // What is for a part of a working tree holds all of it, and nothing beside it.
    let part = [(0, "/git/lib/part/x", 0.0, 10)];
    for (lane, want) in [("/git/lib", true), ("/git/lib/part", true), ("/git/other", false)] {
        assert_eq!(cover(&part, lane), want, "{lane}");
    }
    let told = used_up(config, &git);
    assert_eq!(told[0].0.as_deref(), Some("/git"), "{told:?}");
}

#[test]
fn the_window_moves_on_and_no_clock_stops_it() {
    let mut all = spending(&[(1000, "/a", 1.0, 0), (2000, "/a", 1.0, 0), (9000, "/a", 1.0, 0)]);
    all.move_on(3000, 2000);
    let ends: Vec<i64> = all.list().iter().map(|spent| spent.ended_at_ms).collect();
    assert_eq!(ends, [2000, 3000], "what ended in the future ended now");
    all.move_on(5000, 2000);
    assert_eq!(all.list(), []);
    all.move_on(i64::MAX, i64::MAX);
}

#[test]
fn a_line_is_read_back_as_it_was_written() {
    let one = spending(&[(1000, "/a b", 0.3, 7)]).list()[0].clone();
    let line = r#"{"dispatch_id":"dispatch-0","attempt":1,"ended_at_ms":1000,"dir":"/a b","usd_nanos":300000000,"tokens":7}"#;
    assert_eq!(serde_json::to_string(&one).expect("JSON"), line);
    assert_eq!(serde_json::from_str::<Cost>(line).expect("a line"), one);
    for (usd, want) in [(0.3, 300_000_000), (-1.0, 0), (f64::NAN, 0), (1e300, u64::MAX)] {
        assert_eq!(nanos(usd), want);
    }
}
