//! How a sandbox is isolated, behind one interface.
//!
//! A [`Tier`] starts cells. A [`Cell`] is one started environment with exactly one
//! way in: a byte stream that ends at the agent's standard input and output. A tier
//! knows nothing of templates, clients, lifetimes or HTTP.

use crate::{CellId, Evidence, Limits};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::{fmt, path::PathBuf, str::FromStr};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};

/// The tiers that the project knows. Only those that a node has probed can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TierName {
    /// A user-space kernel between the code and the host's.
    Gvisor,
    /// A virtual machine.
    Microvm,
    /// The host's own kernel, with namespaces. For trusted code.
    Namespace,
    /// WebAssembly.
    Wasm,
}

impl TierName {
    /// The word that appears in options and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gvisor => "gvisor",
            Self::Microvm => "microvm",
            Self::Namespace => "namespace",
            Self::Wasm => "wasm",
        }
    }
}

impl fmt::Display for TierName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for TierName {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Gvisor, Self::Microvm, Self::Namespace, Self::Wasm]
            .into_iter()
            .find(|tier| tier.as_str() == text)
            .ok_or_else(|| {
                format!("unknown isolation `{text}`: expected gvisor, microvm, namespace or wasm")
            })
    }
}

/// What a probe found out about one tier on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TierStatus {
    /// Which tier.
    pub tier: TierName,
    /// Whether sandboxes can be started, as shown by starting one.
    pub available: bool,
    /// Version of the mechanism, e.g. what `runsc --version` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Single findings, in the order in which they were made.
    #[serde(default)]
    pub findings: Vec<Finding>,
}

/// One thing that a probe looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What was looked at, e.g. `platform ptrace`.
    pub what: String,
    /// Whether it is as wanted.
    pub ok: bool,
    /// What was seen.
    pub seen: String,
    /// What the owner of the machine can do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

/// Everything that a tier needs to start one cell.
#[derive(Debug, Clone)]
pub struct CellSpec {
    /// Names the cell's cgroup and container.
    pub id: CellId,
    /// The template's file system layers, base first. Shared and read-only.
    pub layers: Vec<PathBuf>,
    /// An empty directory that this cell owns, for disks, mounts and bundles.
    pub scratch: PathBuf,
    /// Mounted read-only at `/opt/soulbox`: the agent and the kernels' files.
    pub guest_files: PathBuf,
    /// Path of the agent inside the sandbox, and its arguments.
    pub command: Vec<String>,
    /// Host name inside the sandbox.
    pub hostname: String,
    /// What the cell may use.
    pub limits: Limits,
    /// First of 65,536 user and group ids of the host that stand for ids 0.. inside.
    pub first_host_id: u32,
}

/// The one way into a cell.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// The node's end of a cell's channel.
pub type Channel = Box<dyn Stream>;

/// A cell and the way in.
pub struct StartedCell {
    /// The handle of the cell.
    pub cell: Box<dyn Cell>,
    /// The node's end of the stream to the agent.
    pub channel: Channel,
}

/// Why a cell did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The machine lacks something.
    #[error("{tier} can't start sandboxes on this machine: {why}")]
    Unavailable {
        /// Which tier.
        tier: TierName,
        /// What is missing.
        why: String,
    },
    /// One step failed.
    #[error("{step} failed: {why}")]
    Step {
        /// The step, e.g. `mount the root file system`.
        step: &'static str,
        /// The cause, without user data.
        why: String,
    },
}

/// How the processes of a cell ended.
#[derive(Debug, Clone, Default)]
pub struct CellEnd {
    /// Counters and statuses.
    pub evidence: Evidence,
}

/// What a cell uses now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// Processor time since the start, in microseconds.
    pub cpu_usec: u64,
    /// Memory in use, page cache included, in bytes.
    pub memory_bytes: u64,
    /// The part of it that caches files on disks, in bytes.
    pub cache_bytes: u64,
    /// Bytes in use on the cell's own disk.
    pub disk_used_bytes: u64,
    /// Size of the cell's own disk in bytes.
    pub disk_total_bytes: u64,
}

/// One started environment.
#[async_trait]
pub trait Cell: Send + Sync {
    /// Waits until the cell's processes are gone. May be called often, also afterwards.
    async fn ended(&self) -> CellEnd;

    /// Ends every process of the cell and returns when they are gone. Idempotent.
    async fn kill(&self);

    /// After the end: gives back mounts, disks, cgroups and directories.
    ///
    /// # Errors
    /// The first thing that could not be given back, in words.
    async fn clear(&self) -> Result<(), StartError>;

    /// What the cell uses now.
    fn usage(&self) -> Usage;

    /// Counters that tell of hardship while the cell still runs (out-of-memory kills,
    /// refused forks).
    fn hardship(&self) -> Evidence;
}

/// One way to isolate.
#[async_trait]
pub trait Tier: Send + Sync {
    /// Which tier this is.
    fn name(&self) -> TierName;

    /// Finds out what this machine can do, by doing it. Bounded in time.
    async fn probe(&self) -> TierStatus;

    /// Starts a cell with the agent as its first process.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left behind then.
    async fn start(&self, spec: CellSpec) -> Result<StartedCell, StartError>;

    /// Ends and clears what a dead node left of a cell: its processes, mounts, cgroups,
    /// containers. Called at the node's start for each cell of its journal; must work when
    /// any part is already gone.
    ///
    /// # Errors
    /// The first thing that could not be cleared, in words.
    async fn clear_leftover(
        &self,
        id: &CellId,
        scratch: &std::path::Path,
    ) -> Result<(), StartError>;
}
