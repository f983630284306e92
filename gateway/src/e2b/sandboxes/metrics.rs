//! `GET /sandboxes/{id}/metrics` and `GET /sandboxes/metrics` (e2b-wire.md, section 3.7).

use super::shown::time;
use crate::{
    e2b::{ApiError, Authenticated, SandboxPath, query::Query},
    gateway::App,
    sandboxes::Sandbox,
};
use axum::{Json, extract::State};
use jiff::Timestamp;
use serde::Serialize;
use soulbox_runtime::api::Sample;
use std::{collections::BTreeMap, sync::Arc};

/// Sandboxes in one question.
const AT_ONCE: usize = 100;
/// The newest sample is not older, or the node does not sample.
const LATEST_SECONDS: i64 = 30;

/// What a sandbox used at one moment.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Metric {
    timestamp: String,
    timestamp_unix: i64,
    cpu_count: u32,
    cpu_used_pct: f64,
    mem_used: u64,
    mem_total: u64,
    mem_cache: u64,
    disk_used: u64,
    disk_total: u64,
}

/// The last metric of each sandbox.
#[derive(Debug, Serialize)]
pub struct Latest {
    sandboxes: BTreeMap<String, Metric>,
}

/// All that is remembered of one sandbox, or the part between two times.
pub async fn of_one(
    State(app): State<Arc<App>>,
    _: Authenticated,
    SandboxPath(id): SandboxPath,
    query: Query,
) -> Result<Json<Vec<Metric>>, ApiError> {
    let start = query.parsed("start", "a time in seconds since 1970")?;
    let end = query.parsed("end", "a time in seconds since 1970")?;
    if start.zip(end).is_some_and(|(start, end)| start > end) {
        return Err(ApiError::bad("start must not be after end"));
    }
    let sandbox = app
        .sandboxes
        .running(&id)
        .ok_or_else(|| ApiError::no_sandbox(&id))?;
    let samples = app.sandboxes.metrics(&sandbox, start, end).await?;
    let shown = samples.iter().map(|sample| Metric::new(&sandbox, sample));
    Ok(Json(shown.collect()))
}

/// The newest of several; those that are not there are left out.
pub async fn latest(
    State(app): State<Arc<App>>,
    _: Authenticated,
    query: Query,
) -> Result<Json<Latest>, ApiError> {
    let ids = query.list("sandbox_ids");
    if ids.is_empty() || ids.len() > AT_ONCE {
        let message = format!("sandbox_ids must name 1 to {AT_ONCE} sandboxes");
        return Err(ApiError::bad(message));
    }
    let since = Timestamp::now().as_second() - LATEST_SECONDS;
    let mut sandboxes = BTreeMap::new();
    for sandbox in ids.iter().filter_map(|id| app.sandboxes.running(id)) {
        let Ok(samples) = app.sandboxes.metrics(&sandbox, Some(since), None).await else {
            continue;
        };
        if let Some(sample) = samples.last() {
            let id = sandbox.record.id.to_string();
            sandboxes.insert(id, Metric::new(&sandbox, sample));
        }
    }
    Ok(Json(Latest { sandboxes }))
}

impl Metric {
    fn new(sandbox: &Sandbox, sample: &Sample) -> Self {
        let limits = &sandbox.record.limits;
        let total = limits.memory_bytes();
        Self {
            timestamp: time(sample.at),
            timestamp_unix: sample.at.as_second(),
            cpu_count: limits.cpu_count(),
            cpu_used_pct: sample.cpu_percent,
            // What the tier itself needs comes on top of the sandbox's limit.
            mem_used: sample.memory_bytes.min(total),
            mem_total: total,
            mem_cache: sample.cache_bytes.min(total),
            disk_used: sample.disk_used_bytes,
            disk_total: sample.disk_total_bytes,
        }
    }
}
