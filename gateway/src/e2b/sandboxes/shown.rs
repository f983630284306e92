//! A sandbox as the clients see it: the objects `Sandbox`, `ListedSandbox`, `SandboxDetail`.

use crate::{
    auth::Secret,
    sandboxes::{Record, Sandbox},
};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// A constant that old clients expect.
const CLIENT_ID: &str = "6532622b";
/// Clients switch features by it (e2b-wire.md, section 4.1).
const ENVD_VERSION: &str = "0.6.13";

/// The answer to create and connect.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Created<'a> {
    #[serde(rename = "templateID")]
    template_id: &'a str,
    #[serde(rename = "sandboxID")]
    sandbox_id: &'a str,
    #[serde(rename = "clientID")]
    client_id: &'static str,
    envd_version: &'static str,
    alias: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    envd_access_token: Option<&'a Secret>,
    traffic_access_token: Option<&'a Secret>,
    domain: Option<&'a str>,
}

/// One item of a list.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Listed {
    #[serde(rename = "templateID")]
    template_id: String,
    alias: String,
    #[serde(rename = "sandboxID")]
    sandbox_id: String,
    #[serde(rename = "clientID")]
    client_id: &'static str,
    started_at: String,
    end_at: String,
    cpu_count: u32,
    #[serde(rename = "memoryMB")]
    memory_mb: u32,
    #[serde(rename = "diskSizeMB")]
    disk_size_mb: u32,
    metadata: BTreeMap<String, String>,
    state: &'static str,
    envd_version: &'static str,
    volume_mounts: [Value; 0],
}

/// The answer to get.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Detail {
    #[serde(flatten)]
    listed: Listed,
    #[serde(skip_serializing_if = "Option::is_none")]
    envd_access_token: Option<Secret>,
    allow_internet_access: Option<bool>,
    domain: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    network: Option<Value>,
    lifecycle: Lifecycle,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Lifecycle {
    auto_resume: bool,
    on_timeout: &'static str,
}

impl<'a> Created<'a> {
    /// `domain` is the server's own, if it has one.
    pub fn new(record: &'a Record, domain: Option<&'a str>) -> Self {
        Self {
            template_id: record.template.as_str(),
            sandbox_id: record.id.as_str(),
            client_id: CLIENT_ID,
            envd_version: ENVD_VERSION,
            alias: record.template.as_str(),
            envd_access_token: record.envd_token.as_ref(),
            traffic_access_token: record.traffic_token.as_ref(),
            domain,
        }
    }
}

impl Listed {
    /// A running sandbox.
    pub fn new(sandbox: &Sandbox) -> Self {
        let record = &sandbox.record;
        Self {
            template_id: record.template.to_string(),
            alias: record.template.to_string(),
            sandbox_id: record.id.to_string(),
            client_id: CLIENT_ID,
            started_at: time(record.started_at),
            end_at: time(sandbox.end_at()),
            cpu_count: record.limits.cpu_count(),
            memory_mb: record.limits.memory_mib,
            disk_size_mb: record.limits.disk_mib,
            metadata: record.metadata.clone(),
            state: "running",
            envd_version: ENVD_VERSION,
            volume_mounts: [],
        }
    }
}

impl Detail {
    /// A running sandbox.
    pub fn new(sandbox: &Sandbox, domain: Option<&str>) -> Self {
        let record = &sandbox.record;
        let network = sandbox.network_settings();
        Self {
            listed: Listed::new(sandbox),
            envd_access_token: record.envd_token.clone(),
            allow_internet_access: network.allow_internet,
            domain: domain.map(ToOwned::to_owned),
            network: network.network,
            lifecycle: Lifecycle {
                auto_resume: false,
                on_timeout: "kill",
            },
        }
    }
}

/// RFC 3339 with six digits of a second: some clients fail on a time without a fraction.
pub fn time(at: Timestamp) -> String {
    format!("{at:.6}")
}
