//! Reaping what a cell leaves to its node.
//!
//! A subreaper inherits the children of every dead process below it: gVisor's stubs become
//! ours when their sentry dies. They can't be told from other children of the node by name,
//! but they still carry the session of the process that they belonged to.

use crate::process::{Pid, open_pidfd, reap_pidfd};
use rustix::fd::AsFd;
use std::fs;

/// Reaps every dead child of ours that belongs to the session of `leader`. Returns how many
/// children of that session are still there, on their way to death.
pub fn reap_session(leader: Pid) -> usize {
    let own = std::process::id();
    let Ok(processes) = fs::read_dir("/proc") else {
        return 0;
    };
    processes
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<Pid>().ok())
        .filter(|pid| *pid != leader)
        .filter(|pid| {
            Stat::of(*pid).is_some_and(|stat| stat.parent == own && stat.session == leader.number())
        })
        .filter_map(open_pidfd)
        .filter(|pidfd| reap_pidfd(pidfd.as_fd()).is_none())
        .count()
}

/// Whose child a process is. `None` when it is gone.
pub fn parent_of(pid: Pid) -> Option<u32> {
    Stat::of(pid).map(|stat| stat.parent)
}

/// The part of `/proc/<pid>/stat` that is needed.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    parent: u32,
    session: u32,
}

impl Stat {
    fn of(pid: Pid) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// A program may put anything into its name, brackets included: what counts begins after
    /// the last one.
    fn parse(text: &str) -> Option<Self> {
        let (_, rest) = text.rsplit_once(") ")?;
        let mut fields = rest.split(' ');
        Some(Self {
            parent: fields.nth(1)?.parse().ok()?,
            session: fields.nth(1)?.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_confuse() {
        let stat = Stat::parse("12 (a) Z 1 (b) S 7 8 9 0 -1");
        let wanted = Stat {
            parent: 7,
            session: 9,
        };
        assert_eq!(stat, Some(wanted));
    }
}
