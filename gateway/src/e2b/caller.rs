//! `X-API-Key` (e2b-wire.md, section 1.6).

use super::ApiError;
use crate::{auth::Caller, gateway::App};
use axum::{
    extract::FromRequestParts,
    http::{StatusCode, request::Parts},
};
use std::sync::Arc;

/// Extracts the caller of a request; a handler that takes it can't be reached without a key.
pub struct Authenticated(pub Caller);

impl FromRequestParts<Arc<App>> for Authenticated {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let unauthorized = |message| ApiError::new(StatusCode::UNAUTHORIZED, message);
        let Some(presented) = parts.headers.get("x-api-key") else {
            return Err(unauthorized("the header X-API-Key is missing"));
        };
        let caller = match presented.to_str() {
            Ok(text) => app.keys.caller(text).await?,
            Err(_) => None,
        };
        caller.map(Self).ok_or_else(|| {
            unauthorized("the API key is not valid here: `soulbox key create` makes a new one")
        })
    }
}
