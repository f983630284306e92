//! Why a node does not start or cannot do what was asked.

use soulbox_runtime::{
    StartError,
    api::{ErrorBody, ErrorCode},
};
use std::{io, path::PathBuf};
use thiserror::Error;

/// Why [`crate::run`] gave up.
#[derive(Debug, Error)]
pub enum NodeError {
    /// The node must be root: it mounts, makes cgroups and maps user ids.
    #[error(
        "the node must run as root; start it with sudo, or use `soulbox serve` as root, which starts it"
    )]
    NotRoot,
    /// Two nodes would take each other's sandboxes for leftovers.
    #[error("another node runs on {0}; stop it, or choose another --data-dir")]
    Locked(PathBuf),
    /// The socket's path is served by somebody else.
    #[error("another program answers on {0}; stop it, or choose another socket")]
    SocketTaken(PathBuf),
    /// The agent's binary is not where it should be.
    #[error(
        "the agent is not at {0}; build it with `cargo build -p soulbox-agent`, or give its path"
    )]
    NoAgent(PathBuf),
    /// The name of the node is not one directory name.
    #[error("invalid node name `{0}`: expected 1 to 40 characters of a-z, 0-9 and -")]
    Name(String),
    /// No tier can be used.
    #[error("no isolation works on this machine: {0}")]
    NoTier(String),
    /// A system call or a file operation failed.
    #[error("{what}: {cause}")]
    Io {
        /// What was being done.
        what: String,
        /// The system's answer.
        cause: io::Error,
    },
}

impl NodeError {
    /// Wraps a system error with what was being done.
    pub fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |cause| Self::Io { what, cause }
    }
}

/// Why a cell did not become ready. Its text goes into the log and, without user data in
/// it, to the gateway.
#[derive(Debug, Error, Clone)]
pub enum NotReady {
    /// The template is not built.
    #[error("template `{0}` is not built on this node; `soulbox template build {0}` builds it")]
    TemplateUnknown(String),
    /// The tier does not work here.
    #[error("isolation can't be used on this node: {0}")]
    TierUnavailable(String),
    /// There is no room.
    #[error("{0}")]
    NoRoom(String),
    /// The cell did not answer in time.
    #[error("the sandbox was not ready after {seconds} s: {last}")]
    Late {
        /// The bound that was passed.
        seconds: u64,
        /// What was being waited for.
        last: &'static str,
    },
    /// A step of the start failed.
    #[error("{0}")]
    Failed(String),
}

impl From<StartError> for NotReady {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Unavailable { tier, why } => {
                Self::TierUnavailable(format!("{tier}: {why}"))
            }
            step @ StartError::Step { .. } => Self::Failed(step.to_string()),
        }
    }
}

/// An answer of the API that is an error.
#[derive(Debug, Error, Clone)]
#[error("{message}")]
pub struct Refusal {
    /// The stable word.
    pub code: ErrorCode,
    /// The sentence.
    pub message: String,
}

impl Refusal {
    /// A refusal with a sentence.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// The body of the answer.
    pub fn body(&self) -> ErrorBody {
        ErrorBody {
            code: self.code,
            message: self.message.clone(),
        }
    }
}

impl From<NotReady> for Refusal {
    fn from(error: NotReady) -> Self {
        let code = match &error {
            NotReady::TemplateUnknown(_) => ErrorCode::TemplateUnknown,
            NotReady::TierUnavailable(_) => ErrorCode::TierUnavailable,
            NotReady::NoRoom(_) => ErrorCode::Capacity,
            NotReady::Late { .. } => ErrorCode::StartTimeout,
            NotReady::Failed(_) => ErrorCode::Internal,
        };
        Self::new(code, error.to_string())
    }
}
