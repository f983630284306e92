//! `POST /sandboxes/{id}/connect` (e2b-wire.md, section 3.6).

use super::shown::Created;
use crate::{
    e2b::{ApiError, Authenticated, CallersDomain, SandboxPath, body::JsonBody},
    gateway::App,
};
use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use jiff::SignedDuration;
use serde::Deserialize;
use std::sync::Arc;

const DEFAULT_SECONDS: i64 = 300;

#[derive(Deserialize)]
pub struct Connect {
    timeout: Option<i64>,
}

/// Hands the sandbox to one more client object. Extends its lifetime, never shortens it.
pub async fn connect(
    State(app): State<Arc<App>>,
    _: Authenticated,
    CallersDomain(domain): CallersDomain,
    SandboxPath(id): SandboxPath,
    body: JsonBody<Connect>,
) -> Result<Response, ApiError> {
    let seconds = body.value.timeout.unwrap_or(DEFAULT_SECONDS);
    if seconds < 0 {
        return Err(ApiError::bad("Timeout must not be negative"));
    }
    let sandbox = app
        .sandboxes
        .extend(&id, SignedDuration::from_secs(seconds))
        .await?;
    let shown = Created::new(&sandbox.record, domain.as_deref());
    Ok(Json(shown).into_response())
}
