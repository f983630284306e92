//! `GET /health`: the gateway answers. Says nothing of the node, so that a load balancer
//! does not take the gateway away while the node is being restarted.

use axum::Json;
use serde_json::{Value, json};

/// 200 whenever the process serves.
pub async fn health() -> Json<Value> {
    Json(json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION") }))
}
