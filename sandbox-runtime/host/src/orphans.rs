//! Reaping what a cell leaves to its node.
//!
//! A subreaper inherits the children of every dead process below it: gVisor's stubs become
//! ours when their sentry dies. They make sessions of their own, and a dead process has no
//! control group any more; but it still has its user, and the users of a cell are its own.

use crate::{
    idmap::ID_COUNT,
    process::{Pid, open_pidfd, reap_pidfd},
};
use rustix::fd::AsFd;
use std::fs;

/// Reaps every dead child of ours whose user is one of a cell's, and returns how many of
/// them are still there, on their way to death. Living cells must not share their ids.
pub fn reap_users(first_host_id: u32) -> usize {
    let own = std::process::id();
    let users = first_host_id..first_host_id.saturating_add(ID_COUNT);
    let Ok(processes) = fs::read_dir("/proc") else {
        return 0;
    };
    processes
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<Pid>().ok())
        .filter(|pid| {
            Status::of(*pid)
                .is_some_and(|status| status.parent == own && users.contains(&status.user))
        })
        .filter_map(open_pidfd)
        .filter(|pidfd| reap_pidfd(pidfd.as_fd()).is_none())
        .count()
}

/// Whose child a process is. `None` when it is gone.
pub fn parent_of(pid: Pid) -> Option<u32> {
    Status::of(pid).map(|status| status.parent)
}

/// The part of `/proc/<pid>/status` that is needed.
#[derive(Debug, PartialEq, Eq)]
struct Status {
    parent: u32,
    user: u32,
}

impl Status {
    fn of(pid: Pid) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?)
    }

    /// The kernel escapes newlines in names, so a line is always what it says.
    fn parse(text: &str) -> Option<Self> {
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse().ok()
        };
        Some(Self {
            parent: field("PPid:")?,
            user: field("Uid:")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parent_and_real_user_are_read() {
        let status = Status::parse("Name:\tPPid: 3\\nUid: 4\nPPid:\t7\nUid:\t9\t10\t11\t12\n");
        assert_eq!(status, Some(Status { parent: 7, user: 9 }));
    }
}
