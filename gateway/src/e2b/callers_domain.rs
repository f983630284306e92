//! The `domain` that an answer tells (e2b-wire.md, section 3.1): as the caller wrote it, if it
//! came by `api.<domain>`, since only the caller knows which port leads here; else as it is set.

use crate::gateway::App;
use axum::{
    extract::FromRequestParts,
    http::{header::HOST, request::Parts},
};
use std::{convert::Infallible, sync::Arc};

/// The domain for this caller; `None` when the server has none.
pub struct CallersDomain(pub Option<String>);

impl FromRequestParts<Arc<App>> for CallersDomain {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Infallible> {
        let host = match parts.uri.authority() {
            Some(authority) => Some(authority.as_str()),
            None => parts.headers.get(HOST).and_then(|host| host.to_str().ok()),
        };
        let domain = app.settings.domain.as_ref();
        let written = domain
            .zip(host)
            .and_then(|(domain, host)| domain.as_written(host));
        Ok(Self(
            written
                .map(ToOwned::to_owned)
                .or_else(|| app.domain.clone()),
        ))
    }
}
