//! What was agreed about a sandbox when it was made. Its end and its network settings change
//! later; the latter are kept here in the store, and in [`super::live`] while it runs.

use crate::auth::Secret;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use soulbox_runtime::{Limits, SandboxId, TemplateName, TierName};
use std::collections::BTreeMap;

/// Whose clock a sandbox lives by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OpenedBy {
    /// An E2B client: it ends at the time that its owner set.
    #[default]
    E2b,
    /// A Jupyter client: it ends when its kernels have been idle for long enough.
    Jupyter,
}

/// One agreement. Stored as JSON: new fields need a default.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    /// Its id.
    pub id: SandboxId,
    /// What it was started from.
    pub template: TemplateName,
    /// How it is isolated.
    pub tier: TierName,
    /// Whether it was waiting in the pool.
    pub from_pool: bool,
    /// What it may use.
    pub limits: Limits,
    /// The node's life in which it was started.
    pub incarnation: String,
    /// When it was handed over, in whole microseconds.
    pub started_at: Timestamp,
    /// The client's own words about it.
    pub metadata: BTreeMap<String, String>,
    /// What a request to its processes and files must carry; `None` when it is unsecured.
    pub envd_token: Option<Secret>,
    /// What a request to its other ports must carry; `None` when those are public.
    pub traffic_token: Option<Secret>,
    /// Who asked for it.
    #[serde(default)]
    pub opened_by: OpenedBy,
    /// What the client said about internet access.
    pub allow_internet: Option<bool>,
    /// The client's network settings, to be shown again.
    pub network: Option<serde_json::Value>,
}
