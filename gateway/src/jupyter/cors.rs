//! Which web pages of other origins may call: none, unless the operator names them. Browsers
//! ask before (`OPTIONS`), and then need a header in each answer.

use crate::gateway::App;
use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::Response,
};
use std::sync::Arc;

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PATCH, DELETE, OPTIONS");
const HEADERS: HeaderValue =
    HeaderValue::from_static("Authorization, Content-Type, X-API-Key, X-SoulBox-Sandbox");
const EXPOSED: HeaderValue = HeaderValue::from_static("Location, Retry-After, WWW-Authenticate");
/// A browser asks again after this, in seconds.
const PREFLIGHT_SECONDS: HeaderValue = HeaderValue::from_static("7200");

/// Answers questions of browsers, and marks answers to pages that may read them.
pub async fn apply(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let origin = request.headers().get(header::ORIGIN).cloned();
    let allowed = origin.filter(|origin| app.settings.jupyter.allows(origin));
    let mut response = if request.method() == Method::OPTIONS && allowed.is_some() {
        preflight()
    } else {
        next.run(request).await
    };
    if let Some(origin) = allowed {
        mark(response.headers_mut(), origin);
    }
    response
}

fn preflight() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HEADERS);
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_SECONDS);
    response
}

fn mark(headers: &mut HeaderMap, origin: HeaderValue) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
}
