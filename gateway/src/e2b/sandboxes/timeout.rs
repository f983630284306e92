//! `POST /sandboxes/{id}/timeout` and `/refreshes` (e2b-wire.md, section 3.5).

use crate::{
    e2b::{ApiError, Authenticated, SandboxPath, body::JsonBody},
    gateway::App,
};
use axum::{extract::State, http::StatusCode};
use jiff::SignedDuration;
use serde::Deserialize;
use std::sync::Arc;

const REFRESH_MIN_SECONDS: i64 = 15;
const REFRESH_MAX_SECONDS: i64 = 3600;

#[derive(Deserialize)]
pub struct Timeout {
    timeout: i64,
}

#[derive(Deserialize)]
pub struct Refresh {
    duration: Option<i64>,
}

/// The end is so many seconds from now, be it sooner or later than before.
pub async fn set(
    State(app): State<Arc<App>>,
    _: Authenticated,
    SandboxPath(id): SandboxPath,
    body: JsonBody<Timeout>,
) -> Result<StatusCode, ApiError> {
    let lifetime = SignedDuration::from_secs(body.value.timeout);
    app.sandboxes.set_lifetime(&id, lifetime).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The old keep-alive.
pub async fn refresh(
    State(app): State<Arc<App>>,
    _: Authenticated,
    SandboxPath(id): SandboxPath,
    body: JsonBody<Refresh>,
) -> Result<StatusCode, ApiError> {
    let seconds = body.value.duration.unwrap_or(REFRESH_MIN_SECONDS);
    if seconds > REFRESH_MAX_SECONDS {
        return Err(ApiError::bad(format!(
            "duration must not exceed {REFRESH_MAX_SECONDS}"
        )));
    }
    let seconds = seconds.max(REFRESH_MIN_SECONDS);
    app.sandboxes
        .extend(&id, SignedDuration::from_secs(seconds))
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
