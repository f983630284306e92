//! Which service of the agent a request is for: the `:authority` says it.
//!
//! `control` is for the node alone; `envd` and `interpreter` are what clients reach through
//! the gateway; `CONNECT` to a loopback address is a tunnel to a port of the sandbox.

use crate::control;
use crate::envd;
use crate::interpreter::{self, Interpreter};
use crate::jupyter;
use crate::ports;
use crate::process::reaper::Reaper;
use crate::sandbox::Sandbox;
use axum::Router;
use axum::body::Body;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use std::sync::Arc;
use tower::ServiceExt as _;

/// The routers, cheap to clone per request.
#[derive(Clone)]
pub struct Planes {
    control: Router,
    envd: Router,
    interpreter: Router,
}

impl Planes {
    /// Wires the planes to what they share.
    pub fn new(sandbox: Arc<Sandbox>, reaper: Arc<Reaper>, kernels: Arc<Interpreter>) -> Self {
        Self {
            control: control::service(sandbox.clone(), kernels.clone()),
            envd: envd::service(sandbox, reaper),
            interpreter: interpreter::service(kernels.clone()).merge(jupyter::service(kernels)),
        }
    }

    /// Processes and files alone.
    pub fn envd(&self) -> Router {
        self.envd.clone()
    }

    /// The interpreter and its kernels alone.
    pub fn interpreter(&self) -> Router {
        self.interpreter.clone()
    }

    /// Answers one request of the channel.
    pub async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let request = request.map(Body::new);
        if request.method() == Method::CONNECT {
            return ports::tunnel(request).await;
        }
        let router = match request
            .uri()
            .authority()
            .map(|authority| authority.as_str())
        {
            Some(soulbox_protocol::control::AUTHORITY) => &self.control,
            Some("envd") => &self.envd,
            Some("interpreter") => &self.interpreter,
            _ => return refusal(StatusCode::MISDIRECTED_REQUEST),
        };
        match router.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

fn refusal(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}
