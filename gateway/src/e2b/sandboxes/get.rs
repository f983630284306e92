//! `GET /sandboxes/{id}` (e2b-wire.md, section 3.3).

use super::shown::Detail;
use crate::{
    e2b::{ApiError, Authenticated, CallersDomain, SandboxPath},
    gateway::App,
};
use axum::{Json, extract::State};
use std::sync::Arc;

/// Everything about one running sandbox.
pub async fn detail(
    State(app): State<Arc<App>>,
    _: Authenticated,
    CallersDomain(domain): CallersDomain,
    SandboxPath(id): SandboxPath,
) -> Result<Json<Detail>, ApiError> {
    let sandbox = app
        .sandboxes
        .running(&id)
        .ok_or_else(|| ApiError::no_sandbox(&id))?;
    Ok(Json(Detail::new(&sandbox, domain.as_deref())))
}
