//! Which handler a request is for. Forwarded requests are told apart first, because their
//! paths are the clients' and may look like anything.

use crate::{
    api::{
        answer::{self, Answer},
        events,
        forward::{self, Target},
        sandboxes, tunnel,
    },
    body::OutBody,
    error::Refusal,
    node::Node,
};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use soulbox_runtime::{SandboxId, api::ErrorCode};
use std::sync::Arc;
use tracing::info;

/// Answers one request; every failure has become an answer too.
pub async fn answer(node: Arc<Node>, request: Request<Incoming>) -> Response<OutBody> {
    if request.method() == Method::CONNECT {
        let tunnelled = tunnel::open(&node, request).await;
        return tunnelled.unwrap_or_else(|error| answer::refusal(&error));
    }
    let answered = match Target::parse(request.uri()) {
        Some(target) => forward::forward(&node, target, request).await,
        None => route(&node, request).await,
    };
    answered.unwrap_or_else(|error| answer::refusal(&error))
}

async fn route(node: &Arc<Node>, request: Request<Incoming>) -> Answer {
    let path = request.uri().path().to_owned();
    let mut parts = path.strip_prefix("/v1/").unwrap_or_default().split('/');
    let words = (parts.next(), parts.next(), parts.next(), parts.next());
    match (request.method(), words) {
        (&Method::GET, (Some("node"), None, ..)) => sandboxes::node_status(node),
        (&Method::GET, (Some("events"), None, ..)) => events::stream(node),
        (&Method::POST, (Some("shutdown"), None, ..)) => {
            info!("a gateway asked for the end of this node");
            node.shutdown.cancel();
            answer::empty(StatusCode::ACCEPTED)
        }
        (&Method::GET, (Some("sandboxes"), None, ..)) => sandboxes::list(node),
        (&Method::POST, (Some("sandboxes"), None, ..)) => sandboxes::create(node, request).await,
        (&Method::GET, (Some("sandboxes"), Some(id), None, _)) => {
            sandboxes::get(node, &sandbox(id)?)
        }
        (&Method::DELETE, (Some("sandboxes"), Some(id), None, _)) => {
            sandboxes::delete(node, &sandbox(id)?, request.uri().query())
        }
        (&Method::PUT, (Some("sandboxes"), Some(id), Some("lease"), None)) => {
            sandboxes::lease(node, &sandbox(id)?, request).await
        }
        (&Method::PUT, (Some("sandboxes"), Some(id), Some("network"), None)) => {
            sandboxes::network(node, &sandbox(id)?, request).await
        }
        (&Method::GET, (Some("sandboxes"), Some(id), Some("usage"), None)) => {
            sandboxes::usage(node, &sandbox(id)?)
        }
        (&Method::GET, (Some("sandboxes"), Some(id), Some("metrics"), None)) => {
            sandboxes::metrics(node, &sandbox(id)?, request.uri().query())
        }
        _ => Err(Refusal::new(
            ErrorCode::RouteUnknown,
            "this node has no such route",
        )),
    }
}

fn sandbox(id: &str) -> Result<SandboxId, Refusal> {
    // An id that cannot be one is not known either.
    SandboxId::new(id).map_err(|error| Refusal::new(ErrorCode::SandboxUnknown, error.to_string()))
}
