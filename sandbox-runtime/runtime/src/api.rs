//! What a gateway and a node say to each other: HTTP/2, JSON bodies of these types.
//!
//! The routes (all under `/v1`) are listed in the node crate. Unknown fields are
//! refused in requests, so that a typing error is told and not ignored.

use crate::{Death, Limits, Network, SandboxId, TemplateName, TierName, TierStatus};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Which service of the agent a request is for. Forwarded requests carry it in their path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Plane {
    /// Processes and files (port 49983 of the E2B contract).
    Envd,
    /// The code interpreter (port 49999 of the E2B contract).
    Interpreter,
}

impl Plane {
    /// The word in the path and in the `:authority` towards the agent.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Envd => "envd",
            Self::Interpreter => "interpreter",
        }
    }
}

/// `POST /v1/sandboxes`: what a gateway wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SandboxSpec {
    /// Chosen by the gateway.
    pub id: SandboxId,
    /// Which template to start from.
    pub template: TemplateName,
    /// Which tier; `None` is the node's default.
    #[serde(default)]
    pub tier: Option<TierName>,
    /// Variables of the whole sandbox.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// What may leave it; nothing when this is absent.
    #[serde(default)]
    pub network: Network,
    /// The node kills the sandbox itself some time after this, should no gateway have done so.
    pub expires_at: Timestamp,
}

/// Where in its life a sandbox is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Being started.
    Starting,
    /// A client has it.
    Running,
    /// It is over.
    Dead,
}

/// `GET /v1/sandboxes/{id}`: what a node knows of one sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxStatus {
    /// Its id.
    pub id: SandboxId,
    /// Its template.
    pub template: TemplateName,
    /// The tier that it truly runs on.
    pub tier: TierName,
    /// Its state.
    pub state: State,
    /// When it was handed over.
    pub started_at: Timestamp,
    /// When the node will end it by itself.
    pub expires_at: Timestamp,
    /// What it may use.
    pub limits: Limits,
    /// Whether it came from the pool of warm sandboxes.
    pub from_pool: bool,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub death: Option<Death>,
}

/// `PUT /v1/sandboxes/{id}/lease`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeaseRequest {
    /// The new end.
    pub expires_at: Timestamp,
}

/// `DELETE /v1/sandboxes/{id}?reason=`: why a gateway ends a sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndReason {
    /// The owner asked for it.
    Killed,
    /// Its lifetime is over.
    Timeout,
}

/// One item of `GET /v1/sandboxes/{id}/metrics?start=&end=` (seconds since 1970, both
/// included): what a sandbox used at one moment, seen from the host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// When.
    pub at: Timestamp,
    /// Processor time since the sample before, of all cores that the sandbox has.
    pub cpu_percent: f64,
    /// Memory without the cache of files, in bytes. Includes what the tier itself needs.
    pub memory_bytes: u64,
    /// The cache of files, in bytes.
    pub cache_bytes: u64,
    /// Bytes in use on the sandbox's own disk.
    pub disk_used_bytes: u64,
    /// Size of the sandbox's own disk in bytes.
    pub disk_total_bytes: u64,
}

/// One line of `GET /v1/events`. The first line is sent at once and holds no sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Whose state changed; `None` in the first line and in heartbeats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<SandboxStatus>,
    /// Events that this reader was too slow for; it must list again when this is not 0.
    #[serde(default)]
    pub missed: u64,
}

/// One template of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateStatus {
    /// Its name.
    pub name: TemplateName,
    /// Hash of the recipe that it was built from.
    pub build: String,
    /// Whether it has kernels, so that the code interpreter must be ready before hand-over.
    pub interpreter: bool,
    /// Limits that its sandboxes get.
    pub limits: Limits,
    /// Warm sandboxes now.
    pub warm: u32,
    /// Warm sandboxes wanted.
    pub warm_wanted: u32,
    /// The kernels that can be started in its sandboxes.
    #[serde(default)]
    pub kernels: Vec<KernelKind>,
}

/// One kind of kernel of a template, as its kernelspec describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelKind {
    /// Its name, as the agent knows it.
    pub name: String,
    /// What people are shown.
    pub display_name: String,
    /// The language, as notebooks write it down.
    pub language: String,
    /// Further names that mean it.
    pub aliases: Vec<String>,
    /// `signal` or `message`.
    pub interrupt_mode: String,
    /// Whether it answers debuggers.
    pub debugger: bool,
}

/// `GET /v1/node`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// Changes with every start of the node: whoever sees a new one knows that the old
    /// sandboxes are lost.
    pub incarnation: String,
    /// Version of the node's program.
    pub version: String,
    /// Whether `soulbox serve` started this node and so may shut it down.
    pub attached: bool,
    /// What `None` in [`SandboxSpec::tier`] means.
    pub default_tier: TierName,
    /// What the probes found.
    pub tiers: Vec<TierStatus>,
    /// The templates that can be used.
    pub templates: Vec<TemplateStatus>,
}

/// Tunnels into one sandbox at one time: `CONNECT <sandbox id>:<port>`, upon whose 200 bytes
/// go both ways. They are counted apart from forwarded requests, so that programs with many
/// connections do not take the places of processes and files.
pub const TUNNELS: usize = 400;

/// Requests of clients to one sandbox at one time. Health checks are not counted, so they
/// pass when clients take all.
pub const CLIENT_STREAMS: usize = 2048;

/// Header of every error that is the node's own, with the [`ErrorCode`] as its value. A
/// forwarded answer never has it (the node takes it off), so a gateway can tell "the sandbox
/// is gone" from an agent that says 404.
pub const ERROR_HEADER: &str = "x-soulbox-error";

/// Every error body of the node. Sent with [`ERROR_HEADER`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// A stable word, e.g. `template_unknown`.
    pub code: ErrorCode,
    /// A sentence that names the thing and the way out.
    pub message: String,
}

/// The words of [`ErrorBody::code`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The request makes no sense (400).
    Invalid,
    /// No such template here (404).
    TemplateUnknown,
    /// No such sandbox here, or no more (404).
    SandboxUnknown,
    /// No such route (404).
    RouteUnknown,
    /// The id is in use (409).
    Conflict,
    /// The sandbox's agent does not answer (502).
    AgentLost,
    /// Nothing listens on that port of the sandbox (502).
    PortClosed,
    /// As many tunnels into the sandbox are open as there may be (429).
    TooManyTunnels,
    /// The node has no room for a further sandbox (503).
    Capacity,
    /// The wanted tier does not work on this machine (503).
    TierUnavailable,
    /// The sandbox did not become ready in time (504).
    StartTimeout,
    /// Something broke; the node's log has the cause (500).
    Internal,
}

impl ErrorCode {
    /// The HTTP status that goes with it.
    pub fn status(self) -> u16 {
        match self {
            Self::Invalid => 400,
            Self::TemplateUnknown | Self::SandboxUnknown | Self::RouteUnknown => 404,
            Self::Conflict => 409,
            Self::AgentLost | Self::PortClosed => 502,
            Self::TooManyTunnels => 429,
            Self::Capacity | Self::TierUnavailable => 503,
            Self::StartTimeout => 504,
            Self::Internal => 500,
        }
    }
}
