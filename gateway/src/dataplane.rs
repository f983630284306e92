//! The data plane: requests that are for a sandbox, not for us (e2b-wire.md, section 1.3).
//!
//! `route` decides whose a request is, `access` whether it may pass, `forward` sends it on.
//! Bodies are never looked into, only streamed, with back-pressure from end to end.

mod access;
mod cors;
mod errors;
mod forward;
mod route;
mod signature;
mod signed_url;

pub use cors::{is_preflight, preflight};
pub use route::{Route, route};

use crate::{gateway::App, sandboxes::Sandbox};
use axum::body::Body;
use errors::DataError;
use http::{HeaderMap, HeaderValue, Request, Response};
use soulbox_runtime::api::Plane;
use std::sync::Arc;

/// Port of processes and files.
const ENVD_PORT: u16 = 49983;
/// Port of the code interpreter.
const INTERPRETER_PORT: u16 = 49999;
/// What the vendor's own proxy talks to its agent with; nobody else may.
const CONTROL_ROUTES: [&str; 6] = [
    "/init",
    "/freeze",
    "/unfreeze",
    "/collapse",
    "/fsfreeze",
    "/fsthaw",
];
const TRAFFIC_TOKEN: &str = "e2b-traffic-access-token";

/// Serves a request to a port of a sandbox.
pub async fn serve(app: &App, id: &str, port: u16, request: Request<Body>) -> Response<Body> {
    let plane = plane(port);
    let answer = match app.sandboxes.running(id) {
        None => Err(DataError::NotFound { id: id.to_owned() }),
        Some(sandbox) => admit_and_send(app, sandbox, port, request).await,
    };
    finish(answer, plane.is_some())
}

/// Serves a signed file request that names no sandbox.
pub async fn serve_signed(app: &App, request: Request<Body>) -> Response<Body> {
    let answer = match signed_url::owner(&app.sandboxes, &request) {
        None => Err(DataError::Unauthorized("invalid signature")),
        Some(sandbox) => admit_and_send(app, sandbox, ENVD_PORT, request).await,
    };
    finish(answer, true)
}

async fn admit_and_send(
    app: &App,
    sandbox: Arc<Sandbox>,
    port: u16,
    request: Request<Body>,
) -> Result<Response<Body>, DataError> {
    let id = || sandbox.record.id.to_string();
    if port != ENVD_PORT {
        traffic_token(&sandbox, request.headers())?;
    }
    let path = request.uri().path();
    match plane(port) {
        Some(Plane::Envd) => {
            if CONTROL_ROUTES.contains(&path) {
                return Err(DataError::ControlRoute {
                    path: path.to_owned(),
                });
            }
            access::envd(&sandbox.record, &request)?;
            forward::to_agent(app, sandbox, Plane::Envd, request).await
        }
        Some(Plane::Interpreter) => {
            access::interpreter(&sandbox.record, &request)?;
            forward::to_agent(app, sandbox, Plane::Interpreter, request).await
        }
        // Ports of programs in the sandbox will be tunnels through the agent; until there
        // are any, none is open.
        None => Err(DataError::PortClosed { id: id(), port }),
    }
}

fn plane(port: u16) -> Option<Plane> {
    match port {
        ENVD_PORT => Some(Plane::Envd),
        INTERPRETER_PORT => Some(Plane::Interpreter),
        _ => None,
    }
}

fn traffic_token(sandbox: &Sandbox, headers: &HeaderMap) -> Result<(), DataError> {
    let Some(token) = &sandbox.record.traffic_token else {
        return Ok(());
    };
    let id = || sandbox.record.id.to_string();
    match headers.get(TRAFFIC_TOKEN).map(HeaderValue::as_bytes) {
        None => Err(DataError::TrafficTokenMissing { id: id() }),
        Some(presented) if !token.is(presented) => Err(DataError::TrafficTokenWrong { id: id() }),
        Some(_) => Ok(()),
    }
}

fn finish(answer: Result<Response<Body>, DataError>, ours: bool) -> Response<Body> {
    let mut response = answer.unwrap_or_else(DataError::into_response);
    // A program on a port of the sandbox says itself who may read its answers.
    if ours {
        cors::open(response.headers_mut());
    }
    response
}
