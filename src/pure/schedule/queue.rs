//! The order in which accepted dispatches run: by acceptance, one line per project, and none whose
//! agent is held.
//!
//! The queue is a value with one owner (intake), no lock and no clock. Every operation is
//! logarithmic in the number of waiting dispatches, however many of them stand behind a busy
//! project or a held agent. An item is taken out by value: what waits here waits nowhere else.

use std::collections::{BTreeMap, HashMap};

use super::hold::{Hold, Holds};
use crate::pure::dispatch::{Agent, Lane};

/// The number of an acceptance. It survives restarts and retries, so that an item that comes back
/// is first in line again.
pub type Seq = u64;

pub struct Queue<T> {
    per_lane_max: usize,
    lines: HashMap<Lane, Line<T>>,
    /// For each agent, the first of its waiting items of every lane that has room. Agents are kept
    /// apart, so that those that are held are passed over at once.
    heads: BTreeMap<Agent, BTreeMap<Seq, Lane>>,
    /// How many wait for each agent.
    counts: BTreeMap<Agent, usize>,
}

struct Line<T> {
    running: usize,
    /// One entry for each agent that somebody waits for. There can be a hundred thousand lines, and
    /// most have one.
    waiting: Vec<Waiting<T>>,
}

struct Waiting<T> {
    agent: Agent,
    items: BTreeMap<Seq, T>,
    /// The entry of these items in `heads`.
    head: Option<Seq>,
}

impl<T> Line<T> {
    fn of(&mut self, agent: Agent) -> &mut Waiting<T> {
        let at = self.waiting.iter().position(|waiting| waiting.agent == agent);
        let at = at.unwrap_or_else(|| {
            self.waiting.push(Waiting { agent, items: BTreeMap::new(), head: None });
            self.waiting.len() - 1
        });
        &mut self.waiting[at]
    }
}

/// Something that runs now.
pub struct Taken<T> {
    pub seq: Seq,
    pub lane: Lane,
    pub agent: Agent,
    pub item: T,
}

impl<T> Queue<T> {
    /// `per_lane_max`: how many sessions run at once in one lane; 0 = no limit.
    pub fn new(per_lane_max: usize) -> Queue<T> {
        let per_lane_max = if per_lane_max == 0 { usize::MAX } else { per_lane_max };
        let (heads, counts) = (BTreeMap::new(), BTreeMap::new());
        Queue { per_lane_max, lines: HashMap::new(), heads, counts }
    }

    /// Sets the limit from now on; what runs already runs on. This goes through every lane.
    pub fn limit_lanes(&mut self, per_lane_max: usize) {
        let Queue { per_lane_max: new, .. } = Queue::<T>::new(per_lane_max);
        if std::mem::replace(&mut self.per_lane_max, new) != new {
            let lanes: Vec<Lane> = self.lines.keys().cloned().collect();
            lanes.iter().for_each(|lane| self.refresh(lane));
        }
    }

    /// Everything that waits, in no order.
    pub fn waiting(&self) -> impl Iterator<Item = &T> {
        let lines = self.lines.values().flat_map(|line| &line.waiting);
        lines.flat_map(|waiting| waiting.items.values())
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.counts.values().sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many of the waiting items a hold covers.
    pub fn held_by(&self, hold: &Hold) -> usize {
        if hold.is_budget() {
            let count = |line: &Line<T>| line.waiting.iter().map(|w| w.items.len()).sum::<usize>();
            let lines = self.lines.iter().filter(|(lane, _)| hold.covers_lane(lane));
            return if hold.project.is_none() {
                self.len()
            } else {
                lines.map(|(_, line)| count(line)).sum()
            };
        }
        let agent = hold.agent.as_str();
        let Some(project) = &hold.project else {
            return self.counts.get(agent).copied().unwrap_or_default();
        };
        let line = self.lines.get(project.dir.as_str());
        let waiting = line.and_then(|line| line.waiting.iter().find(|w| w.agent == agent));
        waiting.map_or(0, |waiting| waiting.items.len())
    }

    pub fn push(&mut self, seq: Seq, lane: &Lane, agent: Agent, item: T) {
        if self.line(lane).of(agent).items.insert(seq, item).is_none() {
            *self.counts.entry(agent).or_default() += 1;
        }
        self.refresh(lane);
    }

    /// Whether [`Queue::take`] would give something.
    pub fn is_runnable(&self, holds: &Holds, now_ms: i64) -> bool {
        self.first(holds, now_ms).is_some()
    }

    /// The first item whose lane has room and whose agent is not held there.
    fn first(&self, holds: &Holds, now_ms: i64) -> Option<(Seq, &Lane, Agent)> {
        let admitted = self.heads.iter().filter(|(agent, _)| holds.admits(agent, now_ms));
        // There are no more to pass over than held projects: each has one head for an agent.
        let firsts = admitted.filter_map(|(agent, heads)| {
            let mut heads = heads.iter();
            let (seq, lane) = heads.find(|(_, lane)| holds.admits_in(agent, lane, now_ms))?;
            Some((*seq, lane, *agent))
        });
        firsts.min_by_key(|first| first.0)
    }

    /// Takes the first item that may run, and counts it as running in its lane.
    pub fn take(&mut self, holds: &Holds, now_ms: i64) -> Option<Taken<T>> {
        let (seq, lane, agent) = self.first(holds, now_ms)?;
        let lane = lane.clone();
        let line = self.lines.get_mut(&lane)?;
        let item = line.of(agent).items.remove(&seq)?;
        line.running += 1;
        self.count_out(agent);
        self.refresh(&lane);
        Some(Taken { seq, lane, agent, item })
    }

    /// Counts an adopted session as running in its lane, although it was not taken from here.
    pub fn occupy(&mut self, lane: &Lane) {
        self.line(lane).running += 1;
        self.refresh(lane);
    }

    /// One running item of the lane has ended.
    pub fn release(&mut self, lane: &Lane) {
        let line = self.line(lane);
        line.running = line.running.saturating_sub(1);
        self.refresh(lane);
    }

    /// Takes a waiting item out, wherever it stands.
    pub fn remove(&mut self, seq: Seq, lane: &Lane) -> Option<T> {
        let line = self.lines.get_mut(lane)?;
        let mut waiting = line.waiting.iter_mut();
        let (agent, item) = waiting.find_map(|w| Some((w.agent, w.items.remove(&seq)?)))?;
        self.count_out(agent);
        self.refresh(lane);
        Some(item)
    }

    fn count_out(&mut self, agent: Agent) {
        if let Some(count) = self.counts.get_mut(agent) {
            *count -= 1;
        }
    }

    fn line(&mut self, lane: &Lane) -> &mut Line<T> {
        let empty = || Line { running: 0, waiting: Vec::with_capacity(1) };
        self.lines.entry(lane.clone()).or_insert_with(empty)
    }

    /// Brings the lane's entries in `heads` up to date, and forgets a lane with nothing in it.
    fn refresh(&mut self, lane: &Lane) {
        let Some(line) = self.lines.get_mut(lane) else { return };
        let room = line.running < self.per_lane_max;
        for waiting in &mut line.waiting {
            let head = if room { waiting.items.keys().next().copied() } else { None };
            if head != waiting.head {
                let heads = self.heads.entry(waiting.agent).or_default();
                if let Some(old) = waiting.head {
                    heads.remove(&old);
                }
                if let Some(new) = head {
                    heads.insert(new, lane.clone());
                }
                waiting.head = head;
            }
        }
        line.waiting.retain(|waiting| !waiting.items.is_empty());
        if line.running == 0 && line.waiting.is_empty() {
            self.lines.remove(lane);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::attempt::sign::Sign;
    use crate::pure::dispatch::DispatchId;
    use crate::pure::report::ErrorType;
    use crate::pure::schedule::hold::{HoldLimits, Notice};

    fn lane(name: &str) -> Lane {
        Lane::from(name)
    }

    #[test]
    fn a_new_limit_of_a_lane_holds_for_what_waits_already() {
        let mut queue = queue(1, &[(1, "a"), (2, "a"), (3, "a")]);
        let holds = no_holds();
        assert_eq!(queue.waiting().count(), 3);
        assert!(queue.take(&holds, 0).is_some() && !queue.is_runnable(&holds, 0));
        queue.limit_lanes(2);
        assert_eq!(queue.take(&holds, 0).map(|taken| taken.seq), Some(2));
        assert!(!queue.is_runnable(&holds, 0));
        queue.limit_lanes(0);
        assert!(queue.is_runnable(&holds, 0), "no limit");
        queue.limit_lanes(1);
        assert!(!queue.is_runnable(&holds, 0), "two run already");
        queue.release(&lane("a"));
        assert!(!queue.is_runnable(&holds, 0), "one still runs");
        queue.release(&lane("a"));
        assert_eq!(queue.take(&holds, 0).map(|taken| taken.seq), Some(3));
    }

    fn no_holds() -> Holds {
        Holds::new(HoldLimits { max_ms: 1000, probe_ms: 100 })
    }

    fn queue(per_lane_max: usize, items: &[(Seq, &str)]) -> Queue<Seq> {
        let mut queue = Queue::new(per_lane_max);
        for (seq, name) in items {
            queue.push(*seq, &lane(name), "claude", *seq);
        }
        queue
    }

    fn take_under(queue: &mut Queue<Seq>, holds: &Holds, now_ms: i64) -> Vec<Seq> {
        std::iter::from_fn(|| queue.take(holds, now_ms).map(|taken| taken.seq)).collect()
    }

    fn take_all(queue: &mut Queue<Seq>) -> Vec<Seq> {
        take_under(queue, &no_holds(), 0)
    }

    #[test]
    fn order_is_that_of_acceptance() {
        assert_eq!(take_all(&mut queue(0, &[(3, "a"), (1, "a"), (2, "b")])), [1, 2, 3]);
        let mut mixed = queue(0, &[(1, "a"), (3, "a")]);
        mixed.push(2, &lane("a"), "codex", 2);
        mixed.push(4, &lane("b"), "codex", 4);
        assert_eq!(take_all(&mut mixed), [1, 2, 3, 4]);
    }

    #[test]
    fn a_busy_project_waits_while_others_overtake() {
        let mut q = queue(1, &[(1, "a"), (2, "a"), (3, "b"), (4, "b")]);
        assert_eq!(take_all(&mut q), [1, 3]);
        assert_eq!(q.len(), 2);
        q.release(&lane("b"));
        assert_eq!(take_all(&mut q), [4]);
        q.release(&lane("a"));
        assert_eq!(take_all(&mut q), [2]);
    }

    #[test]
    fn a_project_has_one_line_for_all_agents() {
        let mut q = queue(1, &[(1, "a"), (3, "a")]);
        q.push(2, &lane("a"), "codex", 2);
        assert_eq!(take_all(&mut q), [1]);
        q.release(&lane("a"));
        assert_eq!(take_all(&mut q), [2]);
        q.release(&lane("a"));
        assert_eq!(take_all(&mut q), [3]);
    }

    #[test]
    fn what_is_held_waits_while_others_overtake() {
        let met = |kind, resets_at_ms| Notice {
            id: DispatchId::parse("dispatch-x").expect("an id"),
            agent: "claude",
            lane: lane("a"),
            project: "a".into(),
            sign: Sign::Met { kind, resets_at_ms, reason: String::new() },
        };
        let filled = || {
            let mut q = queue(1, &[(1, "a"), (3, "b"), (4, "b")]);
            q.push(2, &lane("a"), "codex", 2);
            q.push(5, &lane("c"), "codex", 5);
            q
        };
        let mut everywhere = no_holds();
        everywhere.learn(&met(ErrorType::UsageLimit, Some(50)), 0, 0);
        let mut q = filled();
        assert_eq!(take_under(&mut q, &everywhere, 49), [2, 5]);
        assert_eq!(q.held_by(&everywhere.list()[0]), 3);
        assert_eq!(take_under(&mut q, &everywhere, 50), [3]);

        let mut in_project = no_holds();
        in_project.learn(&met(ErrorType::Auth, None), 0, 0);
        let mut q = filled();
        assert_eq!(q.held_by(&in_project.list()[0]), 1);
        assert_eq!(take_under(&mut q, &in_project, 99), [2, 3, 5]);
        q.release(&lane("a"));
        assert!(!q.is_runnable(&in_project, 99) && q.is_runnable(&in_project, 100));
        assert_eq!(q.take(&in_project, 100).map(|taken| taken.agent), Some("claude"));
    }

    #[test]
    fn what_comes_back_is_first_in_line() {
        let mut q = queue(1, &[(1, "a"), (2, "a")]);
        let Taken { seq, lane, agent, item } = q.take(&no_holds(), 0).expect("first");
        q.push(seq, &lane, agent, item);
        q.release(&lane);
        assert_eq!(take_all(&mut q), [1]);
    }

    #[test]
    fn an_adopted_session_keeps_its_project_busy() {
        let mut q = queue(1, &[(5, "a")]);
        q.occupy(&lane("a"));
        assert!(!q.is_runnable(&no_holds(), 0));
        q.release(&lane("a"));
        assert_eq!(take_all(&mut q), [5]);
    }

    #[test]
    fn a_cancelled_item_is_gone_and_the_next_moves_up() {
        let mut q = queue(1, &[(1, "a"), (2, "a")]);
        assert_eq!(q.remove(1, &lane("a")), Some(1));
        assert_eq!(q.remove(1, &lane("a")), None);
        assert_eq!(take_all(&mut q), [2]);
    }

    #[test]
    fn nothing_is_kept_of_lanes_that_are_done() {
        let mut q = queue(1, &[(1, "a"), (2, "b")]);
        take_all(&mut q);
        q.release(&lane("a"));
        q.release(&lane("b"));
        assert!(q.is_empty() && q.lines.is_empty() && q.heads.values().all(BTreeMap::is_empty));
    }
}
