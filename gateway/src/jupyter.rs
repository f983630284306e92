//! Jupyter's side of the server (jupyter-wire.md, sections 2 and 4.1): kernelspecs, kernels,
//! sessions, and the handshake of a kernel's channels.
//!
//! These files translate: a request into a call of `kernels`, and its outcome into the bodies
//! and statuses that Jupyter clients decide on. What goes through an open channel is not
//! looked at; the agent speaks the WebSocket frames.

mod body;
mod caller;
mod channels;
mod cors;
mod entrance;
mod error;
mod handshake;
mod kernels;
mod kernelspecs;
mod logos;
mod me;
mod model;
mod pipe;
mod sessions;
mod status;

pub use entrance::enter;

use crate::gateway::App;
use axum::{
    Router,
    http::{Method, Uri},
    middleware,
    routing::{get, post},
};
use error::JupyterError;
use std::sync::Arc;

/// Every route, without a base path and without a slash at the end.
pub fn routes(app: &Arc<App>) -> Router {
    Router::new()
        .route("/api", get(status::version))
        .route("/api/status", get(status::status))
        .route("/api/me", get(me::me))
        .route("/api/kernelspecs", get(kernelspecs::list))
        .route("/api/kernelspecs/{name}", get(kernelspecs::get))
        .route("/kernelspecs/{name}/{file}", get(logos::logo))
        .route("/api/kernels", get(kernels::list).post(kernels::create))
        .route("/api/kernels/{id}", get(kernels::get).delete(kernels::end))
        .route("/api/kernels/{id}/interrupt", post(kernels::interrupt))
        .route("/api/kernels/{id}/restart", post(kernels::restart))
        .route("/api/kernels/{id}/channels", get(channels::open))
        .route("/api/sessions", get(sessions::list).post(sessions::create))
        .route(
            "/api/sessions/{id}",
            get(sessions::get)
                .patch(sessions::change)
                .delete(sessions::end),
        )
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(Arc::clone(app), cors::apply))
        .with_state(Arc::clone(app))
}

async fn unknown(uri: Uri) -> JupyterError {
    JupyterError::not_found(format!("No such route: {}", uri.path()))
}

async fn wrong_method(method: Method, uri: Uri) -> JupyterError {
    JupyterError::new(
        http::StatusCode::METHOD_NOT_ALLOWED,
        format!("{} does not take {method}", uri.path()),
    )
}
