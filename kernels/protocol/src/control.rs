//! The control plane of the agent: what only the node may ask.
//!
//! Reached under the `:authority` `control` of the sandbox's channel. The gateway never
//! forwards to it, so nothing that a client sends arrives here.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `:authority` of the control plane.
pub const AUTHORITY: &str = "control";

/// `GET /health` of the control plane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// Version of the agent.
    pub version: String,
    /// State of the default kernel.
    pub kernel: KernelHealth,
}

/// Whether the code interpreter can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KernelHealth {
    /// The template has no kernel.
    None,
    /// The default kernel is being started.
    Starting,
    /// The default kernel has answered.
    Ready,
    /// It did not start, and will not without help.
    Failed,
}

/// Longest side of a picture in a result unless the owner of the server says otherwise, in
/// pixels: a page of 13 inches at 300 dots per inch passes as it is.
pub const IMAGE_SIDE: u32 = 4096;

fn image_side() -> u32 {
    IMAGE_SIDE
}

/// `POST /claim`: makes a warm sandbox somebody's. Answered with 204 when processes and
/// kernels started from then on, and the kernel that is already running, see the variables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// `E2B_SANDBOX_ID`.
    pub sandbox_id: String,
    /// `E2B_TEMPLATE_ID`.
    pub template_id: String,
    /// Variables of the whole sandbox: the template's, then the client's. The agent adds
    /// `E2B_SANDBOX`, `E2B_SANDBOX_ID` and `E2B_TEMPLATE_ID`, which win.
    pub env: BTreeMap<String, String>,
    /// User of requests that name none.
    pub default_user: String,
    /// Working directory of requests that name none; `None` is the user's home.
    pub default_workdir: Option<String>,
    /// 64 hexadecimal digits from the host's random source, to reseed whatever was forked
    /// or restored.
    pub entropy: String,
    /// What the sandbox may use, for its metrics: inside it the system shows the machine's.
    #[serde(default)]
    pub limits: Option<Limits>,
    /// Longest side of a picture in a result, in pixels; larger ones are scaled down. 0 for any.
    #[serde(default = "image_side")]
    pub image_side: u32,
    /// Whether connections may leave the sandbox, see [`crate::egress`].
    #[serde(default)]
    pub egress: bool,
}

/// The bounds of a sandbox, as far as they can be seen from inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Memory, in bytes.
    pub memory_bytes: u64,
    /// Processor time, in thousandths of one core.
    pub cpu_millis: u32,
    /// Disk, in bytes.
    pub disk_bytes: u64,
}

/// `POST /hardship`: what the host counted for this sandbox. Sent when a line comes on
/// `GET /questions`, and when a counter has moved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hardship {
    /// Processes that were ended for want of memory.
    pub oom_kills: Option<u64>,
    /// Forks that the process limit refused.
    pub forks_refused: Option<u64>,
}
