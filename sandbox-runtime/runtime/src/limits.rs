//! What one sandbox may use. Every number has its unit in its name.

use serde::{Deserialize, Serialize};

/// The bounds of one sandbox. Each tier enforces all of them or refuses to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Memory of everything in the sandbox, its files in memory included, in MiB.
    pub memory_mib: u32,
    /// Processor time, in thousandths of one core.
    pub cpu_millis: u32,
    /// What the sandbox may write to its root file system, in MiB.
    pub disk_mib: u32,
    /// Processes and threads at one time.
    pub pids: u32,
}

impl Limits {
    /// Whole cores, rounded up: what `cpuCount` shows to clients.
    pub fn cpu_count(&self) -> u32 {
        self.cpu_millis.div_ceil(1000).max(1)
    }

    /// Memory in bytes.
    pub fn memory_bytes(&self) -> u64 {
        u64::from(self.memory_mib) << 20
    }

    /// Disk in bytes.
    pub fn disk_bytes(&self) -> u64 {
        u64::from(self.disk_mib) << 20
    }
}

impl Default for Limits {
    /// What E2B's free tier gives, with enough memory for a data frame and a plot.
    fn default() -> Self {
        Self {
            memory_mib: 1024,
            cpu_millis: 2000,
            disk_mib: 10_240,
            pids: 512,
        }
    }
}
