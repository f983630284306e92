//! The plane of processes and files: port 49983 of the contract (section 4).
//!
//! It only joins the services. Access tokens and signatures have been checked by the gateway.

use crate::connect::{self, Code, ConnectError};
use crate::filesystem;
use crate::metrics;
use crate::process;
use crate::process::reaper::Reaper;
use crate::sandbox::Sandbox;
use axum::body::Body;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use std::sync::Arc;

/// The routes of the `envd` authority.
pub fn service(sandbox: Arc<Sandbox>, reaper: Arc<Reaper>) -> Router {
    let small = Router::new()
        .route("/health", get(health))
        .route("/envs", get(envs))
        .with_state(sandbox.clone());
    let metrics = Router::new()
        .route("/metrics", get(metrics::answer))
        .with_state(Arc::new(metrics::Meter::new(sandbox.clone())));
    small
        .merge(metrics)
        .merge(filesystem::routes(sandbox.clone()))
        .merge(process::service::service(sandbox, reaper))
        .fallback(no_route)
}

const NO_STORE: (header::HeaderName, HeaderValue) =
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store"));

async fn health() -> impl IntoResponse {
    (StatusCode::NO_CONTENT, [NO_STORE])
}

async fn envs(State(sandbox): State<Arc<Sandbox>>) -> impl IntoResponse {
    ([NO_STORE], Json(sandbox.identity().env.clone()))
}

/// Methods and routes that are not there. A client of the Connect protocol gets its own form.
async fn no_route(request: Request<Body>) -> Response<Body> {
    let content_type = request
        .headers()
        .get(header::CONTENT_TYPE)
        .map(HeaderValue::as_bytes);
    match content_type {
        Some(b"application/connect+json") => connect::stream::unimplemented_method(),
        Some(b"application/json") if request.method() == Method::POST => {
            ConnectError::new(Code::Unimplemented, "no such method").into_response()
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}
