//! Thins out the archive, a little with each beat: only so much is looked at and only so much
//! removed at a time, and of what stays only a sum is kept in memory.
//!
//! A look through everything begins at start, and then only when something may have become due: by
//! age, which each look foretells, or by size, once more has come since. An idle daemon looks at
//! nothing.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::effects::clock;
use crate::effects::error::Result;
use crate::effects::store::{SPENT_KEEP, Shelf, Store, Walk};
use crate::pure::config::Settings;
use crate::pure::upkeep::retention::{Kept, OLDEST_MAX, ShelfLimits, Survey, WallClock};
use crate::threads::shared::context::Context;

/// How many folders are looked at with one beat, and how many are removed.
const LOOKS_A_BEAT: usize = 256;
const REMOVALS_A_BEAT: usize = 32;
/// The shortest time between two looks through everything, unless the last one left something to
/// remove.
const LOOK_EVERY_MIN: Duration = Duration::from_secs(5 * 60);
/// The longest time between them: ages are by the wall clock, which may have been set a little
/// since.
const LOOK_EVERY_MAX: Duration = Duration::from_secs(24 * 60 * 60);

pub struct Retention<'c> {
    context: &'c Context,
    wall: WallClock,
    keepers: [Keeper; 5],
}

/// Keeps one shelf within its limits.
struct Keeper {
    shelf: Shelf,
    /// The limits of the logs of finished dispatches, or of all that was rejected.
    limits: ShelfLimits,
    /// The limits after which a finished dispatch is forgotten altogether.
    forget: ShelfLimits,
    look: Option<RetentionPass>,
    /// Removals that are decided and not done yet.
    removals: VecDeque<Removal>,
    next: Instant,
    /// When the last look began, and how much had come to the shelf by then.
    began: Instant,
    had_come: u64,
}

/// A look through everything on one shelf, which is under way.
struct RetentionPass {
    walk: Walk,
    survey: Survey,
    /// The time until the first of what stays is too old.
    first_due: Duration,
}

enum Removal {
    Logs(String),
    All(String),
}

struct ShelfRules {
    keep: ShelfLimits,
    forget: ShelfLimits,
}

/// The rules for what is finished, for what was rejected, for ids that are kept taken, for who had
/// a task (as long as the id of any dispatch can be kept), and for callbacks that were given up,
/// which are of use as long as their reports.
fn limits(settings: &Settings) -> [ShelfRules; 5] {
    let forget = ShelfLimits { keep: settings.reports_keep, bytes_max: 0 };
    let logs = ShelfLimits { keep: settings.logs_keep, bytes_max: settings.logs_max_bytes };
    let rejected =
        ShelfLimits { keep: settings.rejected_keep, bytes_max: settings.rejected_max_bytes };
    let spent = ShelfLimits { keep: SPENT_KEEP, bytes_max: 0 };
    let keep = match settings.reports_keep {
        Duration::ZERO => Duration::ZERO,
        keep => keep.max(SPENT_KEEP),
    };
    let tasks = ShelfLimits { keep, bytes_max: 0 };
    let all = |keep| ShelfRules { keep, forget: keep };
    [ShelfRules { keep: logs, forget }, all(rejected), all(spent), all(tasks), all(forget)]
}

impl<'c> Retention<'c> {
    pub fn new(context: &'c Context) -> Retention<'c> {
        let [finished, rejected, spent, tasks, dead] = limits(&context.settings());
        let keepers = [
            Keeper::new(Shelf::Finished, finished),
            Keeper::new(Shelf::Rejected, rejected),
            Keeper::new(Shelf::Spent, spent),
            Keeper::new(Shelf::Tasks, tasks),
            Keeper::new(Shelf::DeadCallbacks, dead),
        ];
        let (now_ms, monotonic_ms) = (clock::unix_ms(), clock::monotonic_ms());
        let wall = WallClock::new(context.last_beat_ms, now_ms, monotonic_ms);
        Retention { context, wall, keepers }
    }

    /// Follows a change of the settings.
    pub fn follow_settings(&mut self) {
        for (keeper, limits) in self.keepers.iter_mut().zip(limits(&self.context.settings())) {
            if (keeper.limits, keeper.forget) != (limits.keep, limits.forget) {
                (keeper.limits, keeper.forget) = (limits.keep, limits.forget);
                keeper.forget_look();
            }
        }
    }

    /// Does one beat's share.
    pub fn step(&mut self) {
        if !self.wall.is_believed(clock::unix_ms(), clock::monotonic_ms()) {
            // What was found too old before this may not be too old.
            self.keepers.iter_mut().for_each(Keeper::forget_look);
            return;
        }
        for keeper in &mut self.keepers {
            if let Err(e) = keeper.step(&self.context.store) {
                log::warn!("{e}");
            }
        }
    }
}

impl Keeper {
    fn new(shelf: Shelf, ShelfRules { keep: limits, forget }: ShelfRules) -> Keeper {
        let now = Instant::now();
        let (look, removals) = (None, VecDeque::new());
        Keeper { shelf, limits, forget, look, removals, next: now, began: now, had_come: 0 }
    }

    fn step(&mut self, store: &Store) -> Result<()> {
        if self.look.is_none() && self.removals.is_empty() {
            if !self.is_due(store) {
                return Ok(());
            }
            self.began = Instant::now();
            self.had_come = store.came_to(self.shelf);
            self.next = self.began + LOOK_EVERY_MIN;
            if !store.has(self.shelf) {
                return Ok(());
            }
            let walk = store.walk(self.shelf)?;
            self.look =
                Some(RetentionPass { walk, survey: Survey::default(), first_due: Duration::MAX });
        }
        self.look_on();
        self.remove_some(store);
        Ok(())
    }

    fn forget_look(&mut self) {
        self.look = None;
        self.removals.clear();
        self.next = Instant::now();
    }

    /// Whether a look is due: by age, or by size if there may be more than there was.
    fn is_due(&self, store: &Store) -> bool {
        let has_more = self.limits.bytes_max > 0 && store.came_to(self.shelf) != self.had_come;
        Instant::now() >= self.next || has_more && self.began.elapsed() >= LOOK_EVERY_MIN
    }

    fn look_on(&mut self) {
        let Some(mut look) = self.look.take() else { return };
        for _ in 0..LOOKS_A_BEAT {
            if self.removals.len() >= REMOVALS_A_BEAT {
                break;
            }
            match look.walk.next() {
                Some(Ok(kept)) => self.judge(kept, &mut look),
                // An entry that cannot be read must not hold up the rest.
                Some(Err(e)) => log::warn!("{e}"),
                None => return self.end_look(look),
            }
        }
        self.look = Some(look);
    }

    fn judge(&mut self, kept: Kept, look: &mut RetentionPass) {
        let is_logs = self.shelf == Shelf::Finished;
        if self.forget.is_too_old(kept.age) {
            return self.removals.push_back(Removal::All(kept.name));
        }
        look.first_due = look.first_due.min(self.forget.time_left(kept.age));
        // A dispatch that has no logs any more has nothing to keep.
        if is_logs && kept.bytes == 0 {
            return;
        }
        if self.limits.is_too_old(kept.age) {
            return self.removals.push_back(Removal::Logs(kept.name));
        }
        look.first_due = look.first_due.min(self.limits.time_left(kept.age));
        look.survey.add(kept);
    }

    fn end_look(&mut self, look: RetentionPass) {
        let gone = look.survey.to_remove(&self.limits);
        let may_be_more = gone.len() >= OLDEST_MAX;
        let removal = match self.shelf {
            Shelf::Finished => Removal::Logs,
            Shelf::Rejected | Shelf::Spent | Shelf::Tasks | Shelf::DeadCallbacks => Removal::All,
        };
        self.removals.extend(gone.into_iter().map(|kept| removal(kept.name)));
        // What came since becomes too old later than this.
        let newest =
            self.limits.time_left(Duration::ZERO).min(self.forget.time_left(Duration::ZERO));
        let wait = look.first_due.min(newest).clamp(LOOK_EVERY_MIN, LOOK_EVERY_MAX);
        self.next = if may_be_more { self.began } else { self.began + wait };
    }

    /// What cannot be removed must not keep the rest from going; the next look finds it again.
    fn remove_some(&mut self, store: &Store) {
        let count = self.removals.len().min(REMOVALS_A_BEAT);
        for removal in self.removals.drain(..count) {
            let removed = match &removal {
                Removal::Logs(name) => store.remove_logs(name),
                Removal::All(name) => store.remove_past(self.shelf, name),
            };
            match (removed, removal) {
                (Ok(()), Removal::Logs(name)) => log::debug!("the logs of {name} are removed"),
                (Ok(()), Removal::All(name)) => log::debug!("{name} is removed"),
                (Err(e), _) => log::warn!("{e}"),
            }
        }
        if count > 0 {
            log::info!("{count} of what was kept long enough removed ({:?})", self.shelf);
        }
    }
}
