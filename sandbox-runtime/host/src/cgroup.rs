//! Control groups: what bounds a cell, counts for it, and knows all of its processes.
//!
//! Groups live at `soulbox/<node>/<cell>` below the root of each tree, so a node that was
//! started anew finds what its forerunner left. A process enters its group between fork
//! and exec, before it has done anything. Killing goes by the group's own list through
//! pidfds, with membership checked again after the handle is held.

mod kill;
mod layout;

pub use layout::Layout;

use crate::{
    error::{HostError, Step},
    process::Pid,
};
use rustix::{
    fd::OwnedFd,
    fs::{Mode, OFlags, open},
};
use soulbox_runtime::{CellId, Evidence};
use std::{
    fs, io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
};

/// Above all groups of this project.
const FAMILY: &str = "soulbox";
/// Length of one accounting period of the processor quota, in microseconds: the kernel's own
/// default, short enough that a throttled sandbox stutters and does not stall.
const CPU_PERIOD_USEC: u64 = 100_000;
/// The smallest quota that the kernel takes, in microseconds.
const CPU_QUOTA_MIN_USEC: u64 = 1_000;

/// Memory of a group that nothing runs in.
const CHECK_BYTES: u64 = 64 << 20;

/// Held while groups are made or removed: the group of the node goes with its last cell, and
/// must not go while another cell is being made in it.
static TREE: Mutex<()> = Mutex::new(());

/// What one group may use. A tier adds to the sandbox's own limits what its mechanism needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CgroupLimits {
    /// Memory, swap included, in bytes.
    pub memory_bytes: u64,
    /// Processor time in thousandths of one core.
    pub cpu_millis: u32,
    /// Processes and threads, as the host counts them.
    pub pids: u32,
}

/// The groups of one node.
#[derive(Debug, Clone)]
pub struct Cgroups {
    layout: Layout,
    node: String,
}

/// The group of one cell.
#[derive(Debug, Clone)]
pub struct Cgroup {
    layout: Layout,
    /// Path below the root of every tree.
    path: PathBuf,
}

/// Processor time and memory of a group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CgroupUsage {
    /// Processor time in microseconds.
    pub cpu_usec: u64,
    /// Memory in bytes, page cache included.
    pub memory_bytes: u64,
    /// Cache of files on disks, in bytes: the kernel can take it back. Files in memory, such as
    /// those that hold the memory of a gVisor sandbox, are not part of it.
    pub cache_bytes: u64,
}

impl Cgroups {
    /// The groups of the node with this name.
    ///
    /// # Errors
    /// When the machine has no control groups that bound memory, processor and processes.
    pub fn new(node: &CellId) -> Result<Self, HostError> {
        Ok(Self {
            layout: Layout::detect()?,
            node: node.as_str().to_owned(),
        })
    }

    /// Which version, for findings.
    pub fn version(&self) -> &'static str {
        self.layout.version()
    }

    /// The group of a cell, whether it exists or not.
    pub fn of(&self, cell: &CellId) -> Cgroup {
        Cgroup {
            layout: self.layout.clone(),
            path: Path::new(FAMILY).join(&self.node).join(cell.as_str()),
        }
    }

    /// Makes the group of a cell and sets its limits.
    ///
    /// # Errors
    /// What the kernel refused; nothing is left behind then.
    pub fn create(&self, cell: &CellId, limits: &CgroupLimits) -> Result<Cgroup, HostError> {
        let alone = TREE.lock().unwrap_or_else(|error| error.into_inner());
        self.delegate()?;
        let cgroup = self.of(cell);
        let made = cgroup.make(limits);
        drop(alone);
        if made.is_err() {
            let _ = cgroup.remove_dirs();
        }
        made.map(|()| cgroup)
    }

    /// Makes a group and removes it again, to see whether that works.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn check(&self, name: &CellId) -> Result<(), HostError> {
        let limits = CgroupLimits {
            memory_bytes: CHECK_BYTES,
            cpu_millis: 1000,
            pids: 1,
        };
        let step = "remove a control group";
        self.create(name, &limits)?.remove_dirs().step(step)
    }

    /// In version 2 a group has a controller only when each group above passes it on.
    fn delegate(&self) -> Result<(), HostError> {
        let Layout::V2 { root } = &self.layout else {
            return Ok(());
        };
        let step = "pass the controllers on to the cells' control group";
        let family = root.join(FAMILY);
        let node = family.join(&self.node);
        fs::create_dir_all(&node).step(step)?;
        for dir in [root, &family, &node] {
            write(&dir.join("cgroup.subtree_control"), "+memory +cpu +pids").step(step)?;
        }
        Ok(())
    }
}

impl Cgroup {
    fn make(&self, limits: &CgroupLimits) -> Result<(), HostError> {
        let step = "make the control group";
        for tree in self.layout.trees() {
            fs::create_dir_all(tree.join(&self.path)).step(step)?;
        }
        let step = "set the limits of the control group";
        let memory = limits.memory_bytes.to_string();
        let quota = (u64::from(limits.cpu_millis) * CPU_PERIOD_USEC / 1000).max(CPU_QUOTA_MIN_USEC);
        match &self.layout {
            Layout::V1 {
                memory: tree, cpu, ..
            } => {
                let dir = tree.join(&self.path);
                write(&dir.join("memory.limit_in_bytes"), &memory).step(step)?;
                // Absent when the kernel does not account swap; then swap can't be bounded
                // other than by not using it.
                let swap = dir.join("memory.memsw.limit_in_bytes");
                if swap.exists() {
                    write(&swap, &memory).step(step)?;
                } else {
                    write(&dir.join("memory.swappiness"), "0").step(step)?;
                }
                let dir = cpu.join(&self.path);
                let period = CPU_PERIOD_USEC.to_string();
                write(&dir.join("cpu.cfs_period_us"), &period).step(step)?;
                write(&dir.join("cpu.cfs_quota_us"), &quota.to_string()).step(step)?;
            }
            Layout::V2 { root } => {
                let dir = root.join(&self.path);
                write(&dir.join("memory.max"), &memory).step(step)?;
                let swap = dir.join("memory.swap.max");
                if swap.exists() {
                    write(&swap, "0").step(step)?;
                }
                let max = format!("{quota} {CPU_PERIOD_USEC}");
                write(&dir.join("cpu.max"), &max).step(step)?;
            }
        }
        write(&self.pids_file("pids.max"), &limits.pids.to_string()).step(step)
    }

    /// Makes the command's process enter this group before it executes its program, so that
    /// nothing that it does is outside.
    ///
    /// # Errors
    /// When the group is gone.
    pub fn enter_on_exec(&self, command: &mut Command) -> Result<(), HostError> {
        let step = "open the control group";
        let mut doors: Vec<OwnedFd> = Vec::new();
        for tree in self.layout.trees() {
            let path = tree.join(&self.path).join("cgroup.procs");
            let flags = OFlags::WRONLY | OFlags::CLOEXEC;
            doors.push(open(path, flags, Mode::empty()).step(step)?);
        }
        // SAFETY: between fork and exec only `write` is called, which is safe there; the
        // descriptors were opened before, and nothing is allocated.
        unsafe {
            command.pre_exec(move || {
                for door in &doors {
                    // "0" stands for the writer itself.
                    rustix::io::write(door, b"0")?;
                }
                Ok(())
            });
        }
        Ok(())
    }

    /// The processes in this group now. Empty when the group is gone.
    pub fn processes(&self) -> Vec<Pid> {
        read(&self.pids_file("cgroup.procs"))
            .unwrap_or_default()
            .lines()
            .filter_map(|line| line.parse().ok())
            .collect()
    }

    /// Whether the group exists in any tree.
    pub fn exists(&self) -> bool {
        let trees = self.layout.trees();
        trees.iter().any(|tree| tree.join(&self.path).exists())
    }

    /// What the group uses. Zero for what can't be read (any more).
    pub fn usage(&self) -> CgroupUsage {
        match &self.layout {
            Layout::V1 {
                memory, cpuacct, ..
            } => {
                let memory = memory.join(&self.path);
                let used = number(&cpuacct.join(&self.path).join("cpuacct.usage"));
                let stat = memory.join("memory.stat");
                CgroupUsage {
                    cpu_usec: used.unwrap_or_default() / 1000,
                    memory_bytes: number(&memory.join("memory.usage_in_bytes")).unwrap_or_default(),
                    cache_bytes: files_only(&stat, "total_cache", "total_shmem"),
                }
            }
            Layout::V2 { root } => {
                let dir = root.join(&self.path);
                let used = keyed(&dir.join("cpu.stat"), "usage_usec");
                CgroupUsage {
                    cpu_usec: used.unwrap_or_default(),
                    memory_bytes: number(&dir.join("memory.current")).unwrap_or_default(),
                    cache_bytes: files_only(&dir.join("memory.stat"), "file", "shmem"),
                }
            }
        }
    }

    /// The counters that tell of hardship. Absent when the kernel does not keep them.
    pub fn counters(&self) -> Evidence {
        let (oom_kills, peak) = match &self.layout {
            Layout::V1 { memory, .. } => {
                let dir = memory.join(&self.path);
                let kills = keyed(&dir.join("memory.oom_control"), "oom_kill");
                (kills, number(&dir.join("memory.max_usage_in_bytes")))
            }
            Layout::V2 { root } => {
                let dir = root.join(&self.path);
                let kills = keyed(&dir.join("memory.events"), "oom_kill");
                (kills, number(&dir.join("memory.peak")))
            }
        };
        Evidence {
            oom_kills,
            memory_peak_bytes: peak,
            forks_refused: keyed(&self.pids_file("pids.events"), "max"),
            ..Evidence::default()
        }
    }

    fn pids_file(&self, name: &str) -> PathBuf {
        let tree = match &self.layout {
            Layout::V1 { pids, .. } => pids,
            Layout::V2 { root } => root,
        };
        tree.join(&self.path).join(name)
    }

    /// Removes the group from every tree, and the node's group when this was its last cell.
    fn remove_dirs(&self) -> io::Result<()> {
        let _alone = TREE.lock().unwrap_or_else(|error| error.into_inner());
        let mut first = Ok(());
        for tree in self.layout.trees() {
            let dir = tree.join(&self.path);
            match fs::remove_dir(&dir) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    first = first.and(Err(error));
                }
                _ => {
                    // Refused as long as it has another cell.
                    let _ = dir.parent().map(fs::remove_dir);
                }
            }
        }
        first
    }
}

fn write(path: &Path, value: &str) -> Result<(), String> {
    fs::write(path, value).map_err(|error| format!("{}: {error}", path.display()))
}

fn read(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok()
}

fn number(path: &Path) -> Option<u64> {
    read(path)?.trim().parse().ok()
}

/// Page cache without the files in memory, which the kernel counts as cache too.
fn files_only(stat: &Path, cache: &str, in_memory: &str) -> u64 {
    let cache = keyed(stat, cache).unwrap_or_default();
    cache.saturating_sub(keyed(stat, in_memory).unwrap_or_default())
}

/// The number beside `key` in a file of `key value` lines.
fn keyed(path: &Path, key: &str) -> Option<u64> {
    read(path)?.lines().find_map(|line| {
        let (name, value) = line.split_once(' ')?;
        (name == key).then(|| value.trim().parse().ok())?
    })
}
