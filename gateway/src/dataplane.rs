//! The data plane: requests that are for a sandbox, not for us (e2b-wire.md, section 1.3).
//!
//! `route` decides whose a request is, `access` whether it may pass, `forward` sends it on to
//! the agent, and `ports` to a program that listens in the sandbox.
//! Bodies are never looked into, only streamed, with back-pressure from end to end.

mod access;
mod cors;
mod errors;
mod forward;
mod noting;
mod page;
mod ports;
mod route;
mod signature;
mod signed_url;
mod tunnel;
mod upgrade;

pub use cors::{is_preflight, preflight};
pub use errors::DataError;
pub use ports::check_mask;
pub use route::{Route, route};
pub use tunnel::open as open_tunnel;
pub use upgrade::{asked as asks_for_upgrade, join};

use crate::{
    gateway::{App, discard},
    sandboxes::Sandbox,
};
use axum::body::Body;
use http::{HeaderMap, HeaderValue, Request, Response};
use soulbox_runtime::api::Plane;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use tokio_util::sync::CancellationToken;

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

/// How the data plane ends the HTTP/1.1 connection that a request came on. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct HangUp {
    now: CancellationToken,
    reset: Arc<AtomicBool>,
}

impl HangUp {
    /// Ends the connection now, with a reset.
    pub fn now(&self) {
        self.break_off();
        self.now.cancel();
    }

    /// When the connection ends, it ends with a reset, so that nobody takes what was sent for
    /// the whole of an answer.
    pub fn break_off(&self) {
        self.reset.store(true, Ordering::Release);
    }

    /// Waits until the connection is to be ended.
    pub async fn asked(&self) {
        self.now.cancelled().await;
    }

    /// Whether the connection is to end with a reset.
    pub fn is_reset(&self) -> bool {
        self.reset.load(Ordering::Acquire)
    }
}

/// Serves a request to a port of a sandbox.
pub async fn serve(app: &App, id: &str, port: u16, request: Request<Body>) -> Response<Body> {
    let sandbox = app.sandboxes.running(id);
    let sandbox = sandbox.ok_or_else(|| DataError::NotFound { id: id.to_owned() });
    admit_and_send(app, sandbox, port, request).await
}

/// Serves a signed file request that names no sandbox.
pub async fn serve_signed(app: &App, request: Request<Body>) -> Response<Body> {
    let owner = signed_url::owner(&app.sandboxes, &request);
    let owner = owner.ok_or(DataError::Unauthorized("invalid signature"));
    admit_and_send(app, owner, ENVD_PORT, request).await
}

async fn admit_and_send(
    app: &App,
    sandbox: Result<Arc<Sandbox>, DataError>,
    port: u16,
    request: Request<Body>,
) -> Response<Body> {
    let person = page::is_for_person(&request);
    let admitted = sandbox.and_then(|sandbox| Ok((admit(&sandbox, port, &request)?, sandbox)));
    let answer = match admitted {
        Ok((Some(plane), sandbox)) => {
            let noted = noting::kind(plane, request.method(), request.uri().path());
            let answer = forward::to_agent(app, Arc::clone(&sandbox), plane, request).await;
            if let (Some(noted), Ok(response)) = (noted, &answer) {
                noted.note(&sandbox, response.status());
            }
            answer
        }
        Ok((None, sandbox)) => ports::to_program(app, sandbox, port, request).await,
        Err(error) => {
            discard(request.into_body()).await;
            Err(error)
        }
    };
    let mut response = answer.unwrap_or_else(|error| match page::of(&error) {
        Some(page) if person => page,
        _ => error.into_response(),
    });
    // A program on a port of the sandbox says itself who may read its answers.
    if plane(port).is_some() {
        cors::open(response.headers_mut());
    }
    response
}

/// Whether a request may pass, and to which service of the agent; to a program when to none.
fn admit(
    sandbox: &Sandbox,
    port: u16,
    request: &Request<Body>,
) -> Result<Option<Plane>, DataError> {
    if port != ENVD_PORT {
        traffic_token(sandbox, request.headers())?;
    }
    let Some(plane) = plane(port) else {
        return Ok(None);
    };
    let path = request.uri().path();
    match plane {
        Plane::Envd if CONTROL_ROUTES.contains(&path) => {
            return Err(DataError::ControlRoute {
                path: path.to_owned(),
            });
        }
        Plane::Envd => access::envd(&sandbox.record, request)?,
        Plane::Interpreter => access::interpreter(&sandbox.record, request)?,
    }
    Ok(Some(plane))
}

/// Whether a request is for a program in a sandbox, which answers everything by itself.
pub fn is_for_program(route: &Route) -> bool {
    matches!(route, Route::Sandbox { port, .. } if plane(*port).is_none())
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
