//! Ending everything in a group, and removing the group.
//!
//! A fork bomb must not outrun this: the limit on processes is set to zero first, so the
//! list can only shrink.

use super::{Cgroup, Layout, write};
use crate::{
    error::HostError,
    process::{Pid, kill_pidfd, open_pidfd},
};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Between two looks at a group that is being emptied.
const LOOK: Duration = Duration::from_millis(2);

impl Cgroup {
    /// Kills every process in the group and waits until the group is empty.
    ///
    /// # Errors
    /// When something still runs at the deadline (a process that hangs in the kernel).
    pub async fn kill_all(&self, within: Duration) -> Result<(), HostError> {
        let deadline = Instant::now() + within;
        // The group may be gone already; then the list below is empty.
        let _ = write(&self.pids_file("pids.max"), "0");
        loop {
            if let Layout::V2 { root } = &self.layout {
                // Absent before Linux 5.14; the list below does the same work then.
                let _ = write(&root.join(&self.path).join("cgroup.kill"), "1");
            }
            let processes = self.processes();
            if processes.is_empty() {
                return Ok(());
            }
            for pid in &processes {
                self.kill_member(*pid);
            }
            if Instant::now() >= deadline {
                return Err(HostError {
                    step: "kill the processes of the cell",
                    why: format!("{} are still there after {within:?}", processes.len()),
                });
            }
            sleep(LOOK).await;
        }
    }

    /// Kills one process if it is in this group. The handle comes first and the check second:
    /// a number that was given to a stranger in between is noticed.
    fn kill_member(&self, pid: Pid) {
        if let Some(handle) = open_pidfd(pid)
            && self.processes().contains(&pid)
        {
            use rustix::fd::AsFd;
            kill_pidfd(handle.as_fd());
        }
    }

    /// Removes an empty group. A group that is gone is no error.
    ///
    /// # Errors
    /// When the kernel still finds it busy at the deadline.
    pub async fn remove(&self, within: Duration) -> Result<(), HostError> {
        let deadline = Instant::now() + within;
        loop {
            // A process that has just died keeps its group busy for a moment.
            match self.remove_dirs() {
                Ok(()) => return Ok(()),
                Err(error) if Instant::now() >= deadline => {
                    return Err(HostError {
                        step: "remove the control group",
                        why: error.to_string(),
                    });
                }
                Err(_) => sleep(LOOK).await,
            }
        }
    }
}
