//! `DELETE /sandboxes/{id}` (e2b-wire.md, section 3.4).

use crate::{
    e2b::{ApiError, Authenticated, SandboxPath},
    gateway::App,
};
use axum::{extract::State, http::StatusCode};
use std::sync::Arc;

/// 204 when this request ended it, 404 when there was nothing to end.
pub async fn kill(
    State(app): State<Arc<App>>,
    _: Authenticated,
    SandboxPath(id): SandboxPath,
) -> Result<StatusCode, ApiError> {
    app.sandboxes.kill(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}
