//! Our own routes, under `/soulbox/v1`: what E2B has no words for.

mod ports;

pub use ports::PROTOCOL as TUNNEL_PROTOCOL;

use crate::{
    e2b::{ApiError, Authenticated, SandboxPath},
    gateway::App,
    sandboxes::Known,
};
use axum::{Json, Router, extract::State, http::StatusCode, routing::get};
use serde::Serialize;
use soulbox_runtime::{Death, TierName, api::NodeStatus};
use std::sync::Arc;

/// The routes.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/soulbox/v1/sandboxes/{id}", get(sandbox))
        .route(
            "/soulbox/v1/sandboxes/{id}/ports/{port}",
            get(ports::tunnel),
        )
        .route("/soulbox/v1/node", get(node))
}

/// One sandbox, dead or alive.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Fate {
    #[serde(rename = "sandboxID")]
    sandbox_id: String,
    #[serde(rename = "templateID")]
    template_id: String,
    state: &'static str,
    tier: TierName,
    from_pool: bool,
    started_at: String,
    end_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    death: Option<Death>,
}

async fn sandbox(
    State(app): State<Arc<App>>,
    _: Authenticated,
    SandboxPath(id): SandboxPath,
) -> Result<Json<Fate>, ApiError> {
    let Known {
        record,
        end_at,
        death,
    } = app.sandboxes.known(&id).await?;
    Ok(Json(Fate {
        sandbox_id: record.id.to_string(),
        template_id: record.template.to_string(),
        state: if death.is_some() { "dead" } else { "running" },
        tier: record.tier,
        from_pool: record.from_pool,
        started_at: format!("{:.6}", record.started_at),
        end_at: format!("{end_at:.6}"),
        death,
    }))
}

async fn node(State(app): State<Arc<App>>, _: Authenticated) -> Result<Json<NodeStatus>, ApiError> {
    let status = app.sandboxes.node().node().await;
    status.map(Json).map_err(|error| {
        tracing::warn!(%error, "the node did not say how it is");
        ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "the node can't be reached at the moment",
        )
    })
}
