//! How much a session's processes work: the sum of their processor time, and which they are.
//!
//! The sum takes a look at every process of the machine, since an agent's tools lead groups of
//! their own. So it is taken seldom, and only for a session that has been silent for a while.

use super::sweep::{Mark, belongs, is_of_group};
use super::{Processes, procfs};
use crate::pure::attempt::limits::Cpu;

impl Processes {
    /// `None`: this system does not tell.
    pub fn cpu(&self, mark: &Mark) -> Option<Cpu> {
        if !cfg!(target_os = "linux") {
            return None;
        }
        let mut cpu = Cpu { ticks: 0, who: 0 };
        for pid in procfs::all_pids() {
            let Some(stat) = procfs::stat(pid).filter(|stat| !stat.is_dead()) else { continue };
            if is_of_group(&stat, mark) || belongs(pid, &stat, mark, false) {
                cpu.ticks += stat.cpu_ticks;
                cpu.who = cpu.who.wrapping_add(identity(pid, stat.start_time));
            }
        }
        Some(cpu)
    }
}

/// A number for one process. The sum of these numbers stands for a set of processes.
fn identity(pid: i32, start_time: u64) -> u64 {
    const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;
    (start_time.wrapping_mul(SPREAD) ^ pid as u64).wrapping_mul(SPREAD)
}
