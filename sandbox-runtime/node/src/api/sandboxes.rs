//! The routes of sandboxes: they translate, and call the parts that do.

use crate::{
    api::answer::{self, Answer},
    create,
    error::Refusal,
    node::Node,
};
use http::{Request, StatusCode};
use hyper::body::Incoming;
use soulbox_runtime::{
    Network, Reason, SandboxId,
    api::{EndReason, ErrorCode, LeaseRequest, NodeStatus, SandboxSpec, TemplateStatus},
};
use std::{sync::Arc, time::Duration};
use tracing::warn;

/// The agent hands new variables to kernels meanwhile. Below what gateways wait.
const SWITCH_TIMEOUT: Duration = Duration::from_secs(8);

/// `GET /v1/node`.
pub fn node_status(node: &Node) -> Answer {
    let tier = node.tiers.default_tier();
    let templates = node.templates.list().into_iter().map(|template| {
        let key = crate::pool::PoolKey {
            template: template.name.clone(),
            tier,
        };
        let (warm, warm_wanted) = node.registry.pool_size(&key);
        TemplateStatus {
            name: template.name,
            build: template.build,
            interpreter: template.interpreter,
            limits: template.limits,
            warm,
            warm_wanted,
            kernels: template.kernels,
        }
    });
    let status = NodeStatus {
        incarnation: node.incarnation.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        attached: node.options.attached,
        default_tier: tier,
        tiers: node.tiers.status().to_vec(),
        templates: templates.collect(),
    };
    answer::json(StatusCode::OK, &status)
}

/// `POST /v1/sandboxes`.
pub async fn create(node: &Arc<Node>, request: Request<Incoming>) -> Answer {
    let spec: SandboxSpec = answer::read(request).await?;
    let status = create::create(node, spec).await?;
    answer::json(StatusCode::CREATED, &status)
}

/// `GET /v1/sandboxes`.
pub fn list(node: &Node) -> Answer {
    answer::json(StatusCode::OK, &node.registry.list())
}

/// `GET /v1/sandboxes/{id}`.
pub fn get(node: &Node, sandbox: &SandboxId) -> Answer {
    let status = node.registry.status(sandbox).ok_or_else(unknown)?;
    answer::json(StatusCode::OK, &status)
}

/// `GET /v1/sandboxes/{id}/usage`.
pub fn usage(node: &Node, sandbox: &SandboxId) -> Answer {
    let live = node.registry.running(sandbox).ok_or_else(unknown)?;
    answer::json(StatusCode::OK, &live.handle.usage())
}

/// `GET /v1/sandboxes/{id}/metrics?start=&end=`.
pub fn metrics(node: &Node, sandbox: &SandboxId, query: Option<&str>) -> Answer {
    let live = node.registry.running(sandbox).ok_or_else(unknown)?;
    let (mut start, mut end) = (None, None);
    for pair in query.into_iter().flat_map(|query| query.split('&')) {
        let bound = match pair.split_once('=') {
            Some(("start", bound)) => bound.parse().map(|bound| start = Some(bound)),
            Some(("end", bound)) => bound.parse().map(|bound| end = Some(bound)),
            _ => continue,
        };
        bound.map_err(|_| {
            Refusal::new(ErrorCode::Invalid, "start and end are seconds since 1970")
        })?;
    }
    answer::json(StatusCode::OK, &live.meter.between(start, end))
}

/// `DELETE /v1/sandboxes/{id}?reason=`.
pub fn delete(node: &Arc<Node>, sandbox: &SandboxId, query: Option<&str>) -> Answer {
    let reason = match query {
        None | Some("") => EndReason::Killed,
        Some(query) => query
            .strip_prefix("reason=")
            .and_then(|word| serde_json::from_value(word.into()).ok())
            .ok_or_else(|| {
                Refusal::new(
                    ErrorCode::Invalid,
                    "expected `?reason=killed` or `?reason=timeout`",
                )
            })?,
    };
    let reason = match reason {
        EndReason::Killed => Reason::Killed,
        EndReason::Timeout => Reason::Timeout,
    };
    if node.end_sandbox(sandbox, reason) {
        answer::empty(StatusCode::NO_CONTENT)
    } else {
        Err(unknown())
    }
}

/// `PUT /v1/sandboxes/{id}/lease`.
pub async fn lease(node: &Node, sandbox: &SandboxId, request: Request<Incoming>) -> Answer {
    let lease: LeaseRequest = answer::read(request).await?;
    let status = node
        .registry
        .extend(sandbox, lease.expires_at)
        .ok_or_else(unknown)?;
    answer::json(StatusCode::OK, &status)
}

/// `PUT /v1/sandboxes/{id}/network`. The rules hold when this answers, and connections that
/// they forbid are being cut.
pub async fn network(node: &Node, sandbox: &SandboxId, request: Request<Incoming>) -> Answer {
    let network: Network = answer::read(request).await?;
    let live = node.registry.running(sandbox).ok_or_else(unknown)?;
    let on = !network.is_off();
    if live.gate.set(network) != on
        && let Err(error) = live.agent.switch_egress(on, SWITCH_TIMEOUT).await
    {
        // Only what programs are told hangs on it, not what they may do.
        warn!(%sandbox, %error, "an agent did not take the change of its way out");
    }
    answer::empty(StatusCode::NO_CONTENT)
}

fn unknown() -> Refusal {
    Refusal::new(
        ErrorCode::SandboxUnknown,
        "there is no such sandbox on this node",
    )
}
