//! The order in which accepted dispatches run: by acceptance, one line per project.
//!
//! A value with one owner (intake), no lock, no clock. Every operation is logarithmic in the number of waiting dispatches,
//! however many of them stand behind a busy project. An item is taken out by value: what waits here waits nowhere else.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Number of acceptance; it survives restarts and retries, so that an item that comes back is first in line again.
pub type Seq = u64;
/// What may not run twice at once: the project's working tree.
pub type Lane = Arc<str>;

pub struct Queue<T> {
    per_lane_max: usize,
    lines: HashMap<Lane, Line<T>>,
    /// The first waiting item of every lane that has room.
    heads: BTreeMap<Seq, Lane>,
    waiting: usize,
}

struct Line<T> {
    running: usize,
    waiting: BTreeMap<Seq, T>,
    /// This lane's entry in `heads`.
    head: Option<Seq>,
}

impl<T> Queue<T> {
    /// `per_lane_max`: sessions at once in one lane, 0 = no limit.
    pub fn new(per_lane_max: usize) -> Queue<T> {
        let per_lane_max = if per_lane_max == 0 { usize::MAX } else { per_lane_max };
        Queue { per_lane_max, lines: HashMap::new(), heads: BTreeMap::new(), waiting: 0 }
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting
    }

    pub fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    pub fn push(&mut self, seq: Seq, lane: &Lane, item: T) {
        let line = self.line(lane);
        if line.waiting.insert(seq, item).is_none() {
            self.waiting += 1;
        }
        self.refresh(lane);
    }

    /// Whether [`Queue::take`] would give something.
    pub fn is_runnable(&self) -> bool {
        !self.heads.is_empty()
    }

    /// Takes the first item whose lane has room, and counts it as running there.
    pub fn take(&mut self) -> Option<(Seq, Lane, T)> {
        let (&seq, lane) = self.heads.first_key_value()?;
        let lane = lane.clone();
        let line = self.lines.get_mut(&lane)?;
        let item = line.waiting.remove(&seq)?;
        line.running += 1;
        self.waiting -= 1;
        self.refresh(&lane);
        Some((seq, lane, item))
    }

    /// Counts something as running in a lane that was not taken from here: an adopted session.
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
        let item = self.lines.get_mut(lane)?.waiting.remove(&seq)?;
        self.waiting -= 1;
        self.refresh(lane);
        Some(item)
    }

    fn line(&mut self, lane: &Lane) -> &mut Line<T> {
        let empty = || Line { running: 0, waiting: BTreeMap::new(), head: None };
        self.lines.entry(lane.clone()).or_insert_with(empty)
    }

    /// Brings the lane's entry in `heads` up to date, and forgets a lane with nothing in it.
    fn refresh(&mut self, lane: &Lane) {
        let Some(line) = self.lines.get_mut(lane) else { return };
        let room = line.running < self.per_lane_max;
        let head = if room { line.waiting.keys().next().copied() } else { None };
        if head != line.head {
            if let Some(old) = line.head {
                self.heads.remove(&old);
            }
            if let Some(new) = head {
                self.heads.insert(new, lane.clone());
            }
            line.head = head;
        }
        if line.running == 0 && line.waiting.is_empty() {
            self.lines.remove(lane);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane(name: &str) -> Lane {
        Lane::from(name)
    }

    fn queue(per_lane_max: usize, items: &[(Seq, &str)]) -> Queue<Seq> {
        let mut queue = Queue::new(per_lane_max);
        for (seq, name) in items {
            queue.push(*seq, &lane(name), *seq);
        }
        queue
    }

    fn take_all(queue: &mut Queue<Seq>) -> Vec<Seq> {
        std::iter::from_fn(|| queue.take().map(|(seq, _, _)| seq)).collect()
    }

    #[test]
    fn order_is_that_of_acceptance() {
        assert_eq!(take_all(&mut queue(0, &[(3, "a"), (1, "a"), (2, "b")])), [1, 2, 3]);
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
    fn what_comes_back_is_first_in_line() {
        let mut q = queue(1, &[(1, "a"), (2, "a")]);
        let (seq, lane, item) = q.take().expect("first");
        q.push(seq, &lane, item);
        q.release(&lane);
        assert_eq!(q.take().map(|t| t.0), Some(1));
    }

    #[test]
    fn an_adopted_session_keeps_its_project_busy() {
        let mut q = queue(1, &[(5, "a")]);
        q.occupy(&lane("a"));
        assert!(!q.is_runnable());
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
        assert!(q.is_empty() && q.lines.is_empty() && q.heads.is_empty());
    }
}
