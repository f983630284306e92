//! The E2B control plane (e2b-wire.md, sections 2 and 3).
//!
//! These files translate: a request into a call of `sandboxes`, and its outcome into the
//! texts and statuses that the stock clients decide on. They take no decision of their own.

mod body;
mod caller;
mod callers_domain;
mod error;
mod health;
mod metadata_filter;
mod pagination;
mod query;
mod sandbox_path;
mod sandboxes;
mod template_reference;

pub use body::read as read_body;
pub use caller::Authenticated;
pub use callers_domain::CallersDomain;
pub use error::ApiError;
pub use sandbox_path::SandboxPath;

use crate::gateway::App;
use axum::{
    Router,
    http::{Method, StatusCode, Uri},
    routing::{delete, get, post, put},
};
use std::sync::Arc;

/// Every route that this version knows, and the error form for all others.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/health", get(health::health))
        .route(
            "/sandboxes",
            post(sandboxes::create::classic).get(sandboxes::list::classic),
        )
        .route(
            "/v2/sandboxes",
            post(sandboxes::create::current).get(sandboxes::list::current),
        )
        .route("/sandboxes/metrics", get(sandboxes::metrics::latest))
        .route("/sandboxes/{id}/logs", get(sandboxes::logs::first))
        .route("/v2/sandboxes/{id}/logs", get(sandboxes::logs::second))
        .route("/sandboxes/{id}/metrics", get(sandboxes::metrics::of_one))
        .route("/sandboxes/{id}", get(sandboxes::get::detail))
        .route("/sandboxes/{id}", delete(sandboxes::kill::kill))
        .route("/sandboxes/{id}/connect", post(sandboxes::connect::connect))
        .route(
            "/v2/sandboxes/{id}/connect",
            post(sandboxes::connect::connect),
        )
        .route("/sandboxes/{id}/timeout", post(sandboxes::timeout::set))
        .route("/sandboxes/{id}/network", put(sandboxes::network::update))
        .route(
            "/sandboxes/{id}/refreshes",
            post(sandboxes::timeout::refresh),
        )
}

/// Whatever is no route.
pub async fn unknown_route(method: Method, uri: Uri) -> ApiError {
    let path = uri.path();
    ApiError::new(
        StatusCode::NOT_FOUND,
        format!("no such route: {method} {path}"),
    )
}

/// A route that does not take this method.
pub async fn unknown_method(method: Method, uri: Uri) -> ApiError {
    let path = uri.path();
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("{path} does not take {method}"),
    )
}
