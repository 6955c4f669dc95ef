//! A session runs as our user and can do what it likes to its own claim, and to the places of its
//! answer. Whatever it does there, and when: it is answered once and truly, its slot is free soon
//! after its TTL, it never runs again, and nobody else notices.
//!
//! Generated: each target × action × moment of `cells` is one cell. `make test` plays some, a
//! moment at a time, all sessions of it under one daemon; `make hostile` plays all, and each alone
//! as well, with one slot and a dispatch that waits for it.
//! `GSTACK_TEST_HOSTILE=target:action:moment` (any part may be empty) picks cells for `make
//! hostile`.

mod cells;
mod forgery;
mod parts;
mod scene;
mod table;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::util::*;
use cells::{ACTIONS, ALL_CLAIMS, Action, Cell, MOMENTS, Moment, TARGETS};
use scene::{Played, Slots, Wrongs, modes_matter, play};

/// Scenes that are played at once in the full form: they wait more than they work.
const AT_ONCE: usize = 6;

/// The cells that this machine can play.
fn playable(mut cells: Vec<Cell>) -> Vec<Cell> {
    if !modes_matter() {
        skipped("a file's mode means nothing to root, and setpriv does not work here");
        cells.retain(|cell| cell.action != Action::NoMode);
    }
    cells
}

/// Some cells of a moment, under one daemon.
fn some_hold_at(moment: Moment) {
    let cells = playable(cells::some_at(moment));
    let played = play(&cells, Slots::Enough);
    if !played.wrongs.is_empty() {
        eprintln!("{}", table::of(&cells, &played.wrongs));
        panic!("{}\n{}", table::list(&cells, &played.wrongs), played.log);
    }
}

#[test]
fn what_a_session_does_while_it_runs_harms_nobody() {
    some_hold_at(Moment::Runs);
}

#[test]
fn what_a_session_does_as_it_ends_harms_nobody() {
    some_hold_at(Moment::Ends);
}

#[test]
fn what_a_session_does_before_it_goes_without_a_result_harms_nobody() {
    some_hold_at(Moment::Silent);
}

#[test]
fn what_a_session_does_before_its_retry_harms_nobody() {
    some_hold_at(Moment::Retry);
}

#[test]
fn what_a_session_does_before_it_hangs_harms_nobody() {
    some_hold_at(Moment::Hangs);
}

#[test]
fn what_a_session_does_before_it_is_cancelled_harms_nobody() {
    some_hold_at(Moment::Cancelled);
}

#[test]
fn what_a_session_does_before_the_daemon_is_told_to_end_harms_nobody() {
    some_hold_at(Moment::Shutdown);
}

#[test]
fn what_a_session_does_before_the_daemon_is_killed_harms_nobody() {
    some_hold_at(Moment::Killed);
}

#[test]
fn what_a_session_does_before_it_ends_without_a_daemon_harms_nobody() {
    some_hold_at(Moment::Unseen);
}

/// `rm -rf …/dispatchd/active/*`
#[test]
fn a_session_that_empties_the_folder_of_all_claims_is_answered_and_so_are_the_others() {
    let mut wrong = String::new();
    for moment in [Moment::Runs, Moment::Retry, Moment::Unseen] {
        let cells = [Cell { target: &ALL_CLAIMS, action: Action::Truncated, moment }];
        for slots in [Slots::One, Slots::Enough] {
            let played = play(&cells, slots);
            if !played.wrongs.is_empty() {
                wrong += &format!("{}\n{}", table::list(&cells, &played.wrongs), played.log);
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn whatever_stands_in_a_claim_is_a_target() {
    let targets: Vec<_> = TARGETS.iter().filter_map(|target| target.in_claim()).collect();
    let missing: Vec<_> =
        forgery::names_in_a_claim().filter(|name| !targets.contains(name)).collect();
    assert!(missing.is_empty(), "not in the table of targets: {missing:?}");
    for (n, (action, _)) in ACTIONS.iter().enumerate() {
        assert_eq!(*action as usize, n);
    }
    for (n, (moment, _)) in MOMENTS.iter().enumerate() {
        assert_eq!(*moment as usize, n);
    }
}

// ----------------------------------------------------------------------------------- the full form

fn picked(cell: &Cell) -> bool {
    let wanted = std::env::var("GSTACK_TEST_HOSTILE").unwrap_or_default();
    let address = cell.address();
    let parts = wanted.split(':').zip(address.split(':'));
    parts.into_iter().all(|(wanted, is)| wanted.is_empty() || wanted == is)
}

#[test]
#[ignore = "a quarter of an hour; `make hostile`"]
fn full() {
    let cells: Vec<Cell> = playable(cells::all().filter(picked).collect());
    let groups = cells.chunk_by(|a, b| a.moment == b.moment).flat_map(|of_moment| {
        ACTIONS.iter().map(|(action, _)| {
            let of_action = of_moment.iter().filter(|cell| cell.action == *action);
            (of_action.copied().collect::<Vec<_>>(), Slots::Enough)
        })
    });
    let together = play_all(groups.filter(|(cells, _)| !cells.is_empty()).collect());
    let alone = play_all(cells.iter().map(|cell| (vec![*cell], Slots::One)).collect());
    let mut wrong = String::new();
    for (form, wrongs) in [("together", &together), ("alone, with one slot", &alone)] {
        println!("\n================ {form}\n{}", table::of(&cells, wrongs));
        if !wrongs.is_empty() {
            wrong += &format!("---------------- {form}\n{}", table::list(&cells, wrongs));
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// What is wrong in any of these scenes. The log of a scene is printed where few are played.
fn play_all(scenes: Vec<(Vec<Cell>, Slots)>) -> Wrongs {
    let (next, wrongs) = (AtomicUsize::new(0), Mutex::new(Wrongs::new()));
    thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(scenes.len()) {
            scope.spawn(|| {
                while let Some((cells, slots)) = scenes.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let Played { wrongs: found, log } = play(cells, *slots);
                    if scenes.len() <= 3 {
                        print!("{log}");
                    }
                    let mut wrongs = wrongs.lock().expect("wrongs");
                    for (name, what) in found {
                        wrongs.entry(table::blamed(cells, name)).or_default().extend(what);
                    }
                }
            });
        }
    });
    wrongs.into_inner().expect("wrongs")
}
