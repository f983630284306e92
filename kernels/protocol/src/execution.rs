//! An execution as clients see it: one run of code in a kernel, its end, and what of its
//! output is where.
//!
//! This is the shape of `/executions` on port 49999; `openapi/executions.json` beside this
//! crate describes it and is compared with these types in a test.

use serde::{Deserialize, Serialize};

/// One execution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// Its name within the sandbox.
    pub id: String,
    /// The context (kernel) that it runs in.
    pub context_id: String,
    /// The language of that context.
    pub language: String,
    /// Who started it.
    pub origin: Origin,
    /// Where it stands.
    pub state: StateName,
    /// How it ended; absent before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<EndName>,
    /// Why it could not end by itself, when `end` is `death`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub death: Option<Death>,
    /// When it was accepted, RFC 3339.
    pub created_at: String,
    /// When its kernel began with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<String>,
    /// Seconds after its acceptance at which the server ends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_seconds: Option<u64>,
    /// What of its events is where.
    pub output: Output,
}

/// Who started an execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// `POST /execute`.
    E2b,
    /// `POST /executions`.
    Executions,
    /// A Jupyter client of the same kernel.
    Jupyter,
}

/// Where an execution stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StateName {
    /// Others of its context are before it, or the kernel starts.
    Queued,
    /// The kernel works on it.
    Running,
    /// It is over.
    Ended,
}

/// How an execution ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EndName {
    /// The code ran to its end.
    Ok,
    /// The code raised an error.
    Error,
    /// A client had it interrupted.
    Interrupted,
    /// It could not go on; the death says why.
    Death,
}

/// Why an execution could not go on. The text forms are names of `error` items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The host ended its kernel for want of memory.
    Oom,
    /// Its kernel ended by a signal, by itself, or broke its protocol.
    KernelCrash,
    /// Its deadline passed.
    Timeout,
    /// The kernel ended, or did not start, while the disk was full.
    Disk,
    /// The kernel ended, or did not start, for want of processes.
    Pids,
    /// The context was restarted on request.
    Restarted,
    /// The context was removed on request.
    Removed,
    /// No kernel came to run it.
    NoKernel,
}

impl Reason {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Oom => "oom",
            Self::KernelCrash => "kernel-crash",
            Self::Timeout => "timeout",
            Self::Disk => "disk",
            Self::Pids => "pids",
            Self::Restarted => "restarted",
            Self::Removed => "removed",
            Self::NoKernel => "no-kernel",
        }
    }
}

/// A death and what was seen of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Death {
    /// Why.
    pub reason: Reason,
    /// The same for people.
    pub message: String,
    /// What was seen.
    pub evidence: Evidence,
}

/// What was seen of a death. Absent means not known, never zero by guess.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Evidence {
    /// Signal that ended the kernel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// Exit status of the kernel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_status: Option<i32>,
    /// Last line of what the kernel wrote to its console.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub console: Option<String>,
    /// Processes that the host ended for want of memory while this ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oom_kills: Option<u64>,
    /// Forks that the process limit refused while this ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forks_refused: Option<u64>,
    /// Bytes that were free on the sandbox's disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_free_bytes: Option<u64>,
    /// The code did not heed an interrupt, so its kernel was restarted.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub kernel_restarted: bool,
}

/// What of an execution's events is where. Events are numbered from 1, without holes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Events so far; the number of the newest.
    pub events: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The first ones, in memory.
    pub head: Span,
    /// The last ones, in memory.
    pub tail: Span,
    /// A file in the sandbox, one JSON line per event. Present when memory does not hold all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<Kept>,
    /// What is nowhere any more. Absent when everything is somewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone: Option<Span>,
}

/// A run of events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Number of the first.
    pub first: u64,
    /// How many.
    pub events: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// The events that a file holds, from the first on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Path inside the sandbox.
    pub path: String,
    /// How many.
    pub events: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// `POST /executions`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// What to run.
    pub code: String,
    /// The context to run it in. Not together with `language`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_id: Option<String>,
    /// The language whose default context runs it; without either, Python.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Variables of this execution only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env_vars: Option<std::collections::BTreeMap<String, String>>,
    /// Seconds from now after which the server ends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_seconds: Option<u64>,
    /// The same key with the same body is the same execution. Also a header, `Idempotency-Key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// Answer with the events as they come, and not with the execution at once.
    #[serde(default)]
    pub attach: bool,
}

/// `GET /executions`: a page, the newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// The executions.
    pub executions: Vec<Shown>,
    /// What to give as `before` to get the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}
