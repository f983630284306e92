//! Where this machine keeps its control groups: one tree (version 2) or one tree per
//! controller (version 1). Found out from the mounts, never from the distribution's name.

use crate::error::{HostError, Step};
use std::{fs, path::PathBuf};

/// Where the controllers are that a sandbox needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layout {
    /// Version 1: a tree for each controller (some may be the same tree).
    V1 {
        /// Memory and swap.
        memory: PathBuf,
        /// Processor quota.
        cpu: PathBuf,
        /// Processor time used.
        cpuacct: PathBuf,
        /// Number of processes.
        pids: PathBuf,
    },
    /// Version 2: one tree.
    V2 {
        /// Its mount point.
        root: PathBuf,
    },
}

/// The controllers without which a sandbox would not be bounded.
const NEEDED: [&str; 3] = ["memory", "cpu", "pids"];

impl Layout {
    /// Looks at the mounts of this process.
    ///
    /// # Errors
    /// Names the controllers that are missing.
    pub fn detect() -> Result<Self, HostError> {
        let step = "find the control groups";
        let mounts = fs::read_to_string("/proc/self/mountinfo").step(step)?;
        Self::from_mountinfo(&mounts, |root| {
            fs::read_to_string(root.join("cgroup.controllers")).unwrap_or_default()
        })
        .map_err(|why| HostError { step, why })
    }

    fn from_mountinfo(
        mounts: &str,
        controllers_of: impl Fn(&PathBuf) -> String,
    ) -> Result<Self, String> {
        let v1 = |controller: &str| {
            mounts.lines().find_map(|line| {
                let (kind, point, options) = cgroup_mount(line)?;
                let here = kind == "cgroup" && options.split(',').any(|o| o == controller);
                here.then_some(point)
            })
        };
        if let (Some(memory), Some(cpu), Some(cpuacct), Some(pids)) =
            (v1("memory"), v1("cpu"), v1("cpuacct"), v1("pids"))
        {
            return Ok(Self::V1 {
                memory,
                cpu,
                cpuacct,
                pids,
            });
        }
        let v2 = mounts.lines().find_map(|line| {
            cgroup_mount(line).and_then(|(kind, point, _)| (kind == "cgroup2").then_some(point))
        });
        let root = v2.ok_or("no control groups are mounted")?;
        let present = controllers_of(&root);
        let missing: Vec<_> = NEEDED
            .into_iter()
            .filter(|needed| !present.split_whitespace().any(|c| c == *needed))
            .collect();
        match missing.as_slice() {
            [] => Ok(Self::V2 { root }),
            missing => Err(format!("controllers missing: {}", missing.join(", "))),
        }
    }

    /// The trees, each once.
    pub fn trees(&self) -> Vec<&PathBuf> {
        let mut trees = match self {
            Self::V1 {
                memory,
                cpu,
                cpuacct,
                pids,
            } => vec![memory, cpu, cpuacct, pids],
            Self::V2 { root } => vec![root],
        };
        trees.sort();
        trees.dedup();
        trees
    }

    /// The word for findings.
    pub fn version(&self) -> &'static str {
        match self {
            Self::V1 { .. } => "version 1",
            Self::V2 { .. } => "version 2",
        }
    }
}

/// Type, mount point and super block options of one line of mountinfo (proc_pid_mountinfo(5)).
fn cgroup_mount(line: &str) -> Option<(&str, PathBuf, &str)> {
    let (left, right) = line.split_once(" - ")?;
    let point = left.split(' ').nth(4)?;
    let mut right = right.split(' ');
    let (kind, _source, options) = (right.next()?, right.next()?, right.next()?);
    kind.starts_with("cgroup")
        .then(|| (kind, PathBuf::from(point), options))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIXED: &str = "\
25 24 0:22 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
26 25 0:23 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
27 25 0:24 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
28 25 0:25 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
29 25 0:26 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw
";

    #[test]
    fn controllers_of_version_1_win_over_an_empty_version_2() {
        let layout = Layout::from_mountinfo(MIXED, |_| String::new()).expect("found");
        assert_eq!(layout.trees().len(), 3, "cpu and cpuacct are one tree");
        assert_eq!(layout.version(), "version 1");
    }

    #[test]
    fn version_2_without_a_controller_says_which() {
        let mounts = "29 25 0:26 / /sys/fs/cgroup rw shared:9 - cgroup2 cgroup2 rw\n";
        let layout = Layout::from_mountinfo(mounts, |_| "cpuset cpu io memory pids".into());
        assert_eq!(layout.expect("found").version(), "version 2");
        let error = Layout::from_mountinfo(mounts, |_| "cpu memory".into());
        assert_eq!(error, Err("controllers missing: pids".into()));
    }
}
