//! Why a sandbox ended. Every death has a name and its evidence, and every
//! protocol tells it in its own words.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The reason of a death, as one word. The text forms are part of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The owner asked for it.
    Killed,
    /// The end of its lifetime came.
    Timeout,
    /// The kernel of the host ended it, because it used up its memory.
    Oom,
    /// It used up its processes and could not go on.
    Pids,
    /// It used up its disk and could not go on.
    Disk,
    /// The agent or the channel to it is gone, and nothing says why.
    AgentLost,
    /// The node that owned it is gone.
    NodeLost,
}

impl Reason {
    /// The word that appears on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Killed => "killed",
            Self::Timeout => "timeout",
            Self::Oom => "oom",
            Self::Pids => "pids",
            Self::Disk => "disk",
            Self::AgentLost => "agent-lost",
            Self::NodeLost => "node-lost",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What was seen when it died. Absent means not known, never zero by guess.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Processes of the sandbox that the host's out-of-memory killer ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oom_kills: Option<u64>,
    /// Forks that the process limit refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forks_refused: Option<u64>,
    /// The highest memory use seen, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_peak_bytes: Option<u64>,
    /// Exit status of the sandbox's first process on the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_status: Option<i32>,
    /// Signal that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// The last line of the tier's console (never of user code), at most 400 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub console: Option<String>,
}

/// One death.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Death {
    /// Why.
    pub reason: Reason,
    /// When it was noticed.
    pub at: Timestamp,
    /// What was seen.
    pub evidence: Evidence,
}

impl Death {
    /// A death that was noticed just now.
    pub fn now(reason: Reason, evidence: Evidence) -> Self {
        Self {
            reason,
            at: Timestamp::now(),
            evidence,
        }
    }
}
