//! Processors: who runs on which, and how much of one was used.

use anyhow::Context;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::sys::time::TimeVal;
use nix::unistd::{Pid, SysconfVar, sysconf};
use std::collections::HashSet;
use std::time::Duration;

/// Which processors serve and which drive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The one of the server under test. `None` when there is a single one for all.
    pub(crate) server: Option<usize>,
    /// Those of this program.
    pub(crate) driver: Vec<usize>,
}

/// The processors that this program may use.
pub(crate) fn allowed() -> anyhow::Result<Vec<usize>> {
    let allowed = sched_getaffinity(Pid::from_raw(0)).context("asking for this program's processors")?;
    Ok((0..CpuSet::count()).filter(|&cpu| allowed.is_set(cpu).unwrap_or(false)).collect())
}

/// Threads of the driver at most: more than this no single core of a server keeps busy.
const DRIVERS: usize = 4;

impl Plan {
    /// The first processor this program may use serves, others drive.
    pub(crate) fn here() -> anyhow::Result<Self> {
        Ok(Self::of(&allowed()?))
    }

    fn of(all: &[usize]) -> Self {
        match all {
            [server, driver @ ..] if !driver.is_empty() => {
                Self { server: Some(*server), driver: driver.iter().copied().take(DRIVERS).collect() }
            }
            _ => Self { server: None, driver: all.to_vec() },
        }
    }

    /// What it says in the report.
    pub(crate) fn words(&self) -> String {
        match self.server {
            Some(server) => {
                format!("the server under test on processor {server}, the load driver on {:?}", self.driver)
            }
            None => "one processor for server and load driver: the numbers say little".into(),
        }
    }
}

/// Lets the calling thread, and every thread and process it starts, run on these processors only while `work` runs.
pub(crate) fn pinned<T>(cpus: &[usize], work: impl FnOnce() -> T) -> anyhow::Result<T> {
    let this = Pid::from_raw(0);
    let before = sched_getaffinity(this).context("asking for the thread's processors")?;
    let mut wanted = CpuSet::new();
    for &cpu in cpus {
        wanted.set(cpu)?;
    }
    sched_setaffinity(this, &wanted).context("choosing the thread's processors")?;
    let outcome = work();
    sched_setaffinity(this, &before).context("giving the thread its processors back")?;
    Ok(outcome)
}

/// Processor time this program has used, all threads together.
pub(crate) fn own_time() -> anyhow::Result<Duration> {
    Ok(of_usage(&getrusage(UsageWho::RUSAGE_SELF)?))
}

/// Processor time the calling thread has used: what others do on the same machine does not count.
pub(crate) fn thread_time() -> anyhow::Result<Duration> {
    Ok(of_usage(&getrusage(UsageWho::RUSAGE_THREAD)?))
}

/// User and system time.
pub(crate) fn of_usage(usage: &Usage) -> Duration {
    let of = |time: TimeVal| {
        Duration::from_secs(time.tv_sec().unsigned_abs())
            + Duration::from_micros(time.tv_usec().unsigned_abs())
    };
    of(usage.user_time()) + of(usage.system_time())
}

/// Processor time that a process and all its descendants that are alive have used so far, in steps of the kernel's
/// clock tick (10 ms).
pub(crate) fn tree_time(root: u32) -> anyhow::Result<Duration> {
    let ticks = tree_ticks(&stats()?, root).with_context(|| format!("process {root} is gone"))?;
    let a_second = sysconf(SysconfVar::CLK_TCK)?.filter(|&hz| hz > 0).unwrap_or(100);
    Ok(Duration::from_secs_f64(ticks as f64 / a_second as f64))
}

/// Bytes that a process and all its descendants have in memory now, those they share counted once for each.
pub(crate) fn tree_resident(root: u32) -> anyhow::Result<u64> {
    let members = tree(&stats()?, root).with_context(|| format!("process {root} is gone"))?;
    let kib = |stat: &Stat| {
        let status = std::fs::read_to_string(format!("/proc/{}/status", stat.pid)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.split_ascii_whitespace().next()?.parse::<u64>().ok()
    };
    Ok(members.iter().filter_map(kib).sum::<u64>() << 10)
}

/// A process and all its descendants that are alive; nothing when it is gone.
pub(crate) fn members(root: u32) -> Vec<u32> {
    let known = stats().ok().and_then(|stats| tree(&stats, root));
    known.into_iter().flatten().map(|stat| stat.pid).collect()
}

fn stats() -> anyhow::Result<Vec<Stat>> {
    let entries = std::fs::read_dir("/proc")?.filter_map(Result::ok);
    let lines = entries.filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok());
    Ok(lines.filter_map(|line| Stat::parse(&line)).collect())
}

/// What is needed of a line of `/proc/PID/stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    pid: u32,
    parent: u32,
    ticks: u64,
}

impl Stat {
    /// The name in parentheses may hold anything, spaces and parentheses too: fields are counted after the last one.
    fn parse(line: &str) -> Option<Self> {
        let (pid, rest) = line.split_once(" (")?;
        let (_, rest) = rest.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
        let parent = u32::try_from(number(1)?).ok()?;
        Some(Self { pid: pid.parse().ok()?, parent, ticks: number(11)? + number(12)? })
    }
}

fn tree_ticks(stats: &[Stat], root: u32) -> Option<u64> {
    Some(tree(stats, root)?.iter().map(|stat| stat.ticks).sum())
}

/// A process and all below it, if it is there.
fn tree(stats: &[Stat], root: u32) -> Option<Vec<Stat>> {
    let mut members = vec![*stats.iter().find(|stat| stat.pid == root)?];
    let mut known = HashSet::from([root]);
    // Children of children appear within as many passes as the tree is deep.
    loop {
        let born = stats.iter().filter(|s| known.contains(&s.parent) && !known.contains(&s.pid));
        let born: Vec<Stat> = born.copied().collect();
        if born.is_empty() {
            return Some(members);
        }
        known.extend(born.iter().map(|stat| stat.pid));
        members.extend(born);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_is_read_behind_a_hostile_name() {
        let line = "42 (a) b (c) S 7 42 42 0 -1 4194560 1 0 0 0 250 50 3 4 20 0 1 0 100 1 1";
        assert_eq!(Stat::parse(line), Some(Stat { pid: 42, parent: 7, ticks: 300 }));
        for torn in ["", "42", "42 (name", "42 (name) S 7", "x (name) S 7 1 1 1 1 1 1 1 1 1 1 1"] {
            assert_eq!(Stat::parse(torn), None, "{torn:?}");
        }
    }

    #[test]
    fn a_tree_is_its_root_and_all_below() {
        let stat = |pid, parent, ticks| Stat { pid, parent, ticks };
        // The grandchild comes before its parent, as it does when process numbers wrap.
        let stats = [stat(5, 30, 1), stat(10, 1, 100), stat(30, 10, 10), stat(31, 1, 1_000)];
        assert_eq!(tree_ticks(&stats, 10), Some(111));
        assert_eq!(tree_ticks(&stats, 99), None);
    }

    #[test]
    fn one_processor_is_shared_and_two_are_split() {
        assert_eq!(Plan::of(&[3]), Plan { server: None, driver: vec![3] });
        assert_eq!(Plan::of(&[0, 1]), Plan { server: Some(0), driver: vec![1] });
        assert_eq!(Plan::of(&[0, 1, 2, 3, 4, 5]).driver, [1, 2, 3, 4]);
    }

    #[test]
    fn this_process_has_used_some_time() {
        assert!(own_time().unwrap() > Duration::ZERO);
        assert!(tree_time(std::process::id()).is_ok());
        assert!(tree_time(u32::MAX).is_err());
        assert!(tree_resident(std::process::id()).unwrap() > 1 << 20);
    }
}
