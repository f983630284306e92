//! `/api` and `/api/status`.

use super::{caller::Authenticated, error::JupyterError};
use crate::gateway::App;
use axum::{Json, extract::State};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::sync::Arc;

/// Alive, and which version. The one route that needs no key.
pub async fn version() -> Json<Value> {
    Json(json!({ "version": env!("CARGO_PKG_VERSION") }))
}

/// How much is going on.
pub async fn status(
    State(app): State<Arc<App>>,
    _: Authenticated,
) -> Result<Json<Value>, JupyterError> {
    let kernels = app.kernels.list().await;
    let started = app.started_at;
    let activities = kernels.iter().map(|held| held.kernel.last_activity);
    let last: Timestamp = activities.max().unwrap_or(started);
    Ok(Json(json!({
        "started": format!("{started:.6}"),
        "last_activity": format!("{last:.6}"),
        "kernels": kernels.len(),
        "connections": app.kernels.connections(),
    })))
}
