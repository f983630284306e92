//! What the node tells the helper, and what the helper reports: both go over one socket.
//!
//! The node writes one plan and closes its half. The helper answers with lines: `pid N`
//! when the cell's first process exists, `error …` when a step failed. The socket ends when
//! the agent has been executed; an end without an error is success.

use serde::{Deserialize, Serialize};
use soulbox_host::Root;
use soulbox_runtime::CellSpec;
use std::path::PathBuf;

/// Size of `/run` in bytes: sockets and pid files.
const RUN_BYTES: u64 = 64 << 20;
/// The most that a plan or a report may take; both are some hundred bytes.
pub const MESSAGE_BYTES: u64 = 64 << 10;

/// Everything that the helper needs to know.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The assembled root file system.
    pub root: PathBuf,
    /// For `/tmp`.
    pub tmp: PathBuf,
    /// For `/opt/soulbox`.
    pub guest: PathBuf,
    /// Host name inside.
    pub hostname: String,
    /// The agent and its arguments.
    pub command: Vec<String>,
    /// First of the ids on the host.
    pub first_host_id: u32,
    /// Size of `/dev/shm` in bytes.
    pub shm_bytes: u64,
    /// Size of `/run` in bytes.
    pub run_bytes: u64,
}

impl Plan {
    /// The plan for a cell.
    pub fn new(spec: &CellSpec, root: &Root) -> Self {
        Self {
            root: root.merged.clone(),
            tmp: root.tmp.clone(),
            guest: root.guest.clone(),
            hostname: spec.hostname.clone(),
            command: spec.command.clone(),
            first_host_id: spec.first_host_id,
            shm_bytes: spec.limits.memory_bytes() / 2,
            run_bytes: RUN_BYTES,
        }
    }
}

/// One line of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// The number of the cell's first process on the host.
    Pid(String),
    /// A step failed.
    Error(String),
}

impl Report {
    /// As a line.
    pub fn line(&self) -> String {
        match self {
            Self::Pid(pid) => format!("pid {pid}\n"),
            Self::Error(why) => format!("error {}\n", why.replace('\n', " ")),
        }
    }

    /// Reads all lines of a report.
    pub fn parse(text: &str) -> Vec<Self> {
        text.lines()
            .filter_map(|line| match line.split_once(' ')? {
                ("pid", pid) => Some(Self::Pid(pid.to_owned())),
                ("error", why) => Some(Self::Error(why.to_owned())),
                _ => None,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_as_it_was_written() {
        let lines = [Report::Pid("7".into()), Report::Error("a\nb".into())];
        let text: String = lines.iter().map(Report::line).collect();
        let wanted = [Report::Pid("7".into()), Report::Error("a b".into())];
        assert_eq!(Report::parse(&text), wanted);
    }
}
