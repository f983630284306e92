//! The typed calls of the node API, each with its deadline.

use super::connection::{Connection, ConnectionError};
use axum::body::Body;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use jiff::Timestamp;
use serde::{Serialize, de::DeserializeOwned};
use soulbox_runtime::{
    Network, SandboxId,
    api::{
        EndReason, ErrorBody, ErrorCode, LeaseRequest, NodeStatus, Sample, SandboxSpec,
        SandboxStatus,
    },
};
use std::{path::PathBuf, time::Duration};
use thiserror::Error;
use tokio::time::timeout;

/// Calls that the node answers from memory.
const QUICK_DEADLINE: Duration = Duration::from_secs(10);
/// A cold start on a busy machine; the node gives up before with `start_timeout`.
const CREATE_DEADLINE: Duration = Duration::from_secs(180);
/// The node ends every process of the sandbox before it answers.
const DELETE_DEADLINE: Duration = Duration::from_secs(60);
/// Larger than the list of every sandbox that one machine can hold.
const ANSWER_LIMIT_BYTES: usize = 32 << 20;

/// Why a control call failed.
#[derive(Debug, Error)]
pub enum ControlError {
    /// The node refused, with its own words.
    #[error("the node refused: {}", .0.message)]
    Refused(ErrorBody),
    /// The node can't be reached, or broke off.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// The node's answer makes no sense to this version.
    #[error("the node's answer to {call} can't be read: {why}")]
    Unreadable {
        /// Which call.
        call: &'static str,
        /// What was wrong.
        why: String,
    },
}

impl ControlError {
    /// The node's code, when it was the node who refused.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused(body) => Some(body.code),
            _ => None,
        }
    }
}

/// The control connection of one node.
#[derive(Debug)]
pub struct Control {
    connection: Connection,
}

impl Control {
    /// Does not connect yet.
    pub fn new(socket: PathBuf) -> Self {
        Self {
            connection: Connection::new(socket),
        }
    }

    /// Starts or claims a sandbox; returns when it can be used.
    pub async fn create(&self, spec: &SandboxSpec) -> Result<SandboxStatus, ControlError> {
        let request = json(Method::POST, "/v1/sandboxes", spec);
        self.call("create", request, CREATE_DEADLINE).await
    }

    /// Ends a sandbox; returns when it can't be reached any more. `Ok(false)`: it was not there.
    pub async fn delete(&self, id: &SandboxId, reason: EndReason) -> Result<bool, ControlError> {
        let word = match reason {
            EndReason::Killed => "killed",
            EndReason::Timeout => "timeout",
        };
        let request = empty(Method::DELETE, &format!("/v1/sandboxes/{id}?reason={word}"));
        match self.raw("delete", request, DELETE_DEADLINE).await {
            Ok(_) => Ok(true),
            Err(error) if error.code() == Some(ErrorCode::SandboxUnknown) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Moves the moment at which the node would end the sandbox by itself.
    pub async fn lease(&self, id: &SandboxId, expires_at: Timestamp) -> Result<(), ControlError> {
        let path = format!("/v1/sandboxes/{id}/lease");
        let request = json(Method::PUT, &path, &LeaseRequest { expires_at });
        self.raw("lease", request, QUICK_DEADLINE).await.map(drop)
    }

    /// Replaces the rules for what leaves a sandbox. They hold when this returns.
    pub async fn network(&self, id: &SandboxId, network: &Network) -> Result<(), ControlError> {
        let path = format!("/v1/sandboxes/{id}/network");
        let request = json(Method::PUT, &path, network);
        self.raw("network", request, QUICK_DEADLINE).await.map(drop)
    }

    /// Every live sandbox, and the dead ones that the node remembers.
    pub async fn sandboxes(&self) -> Result<Vec<SandboxStatus>, ControlError> {
        let request = empty(Method::GET, "/v1/sandboxes");
        self.call("sandboxes", request, QUICK_DEADLINE).await
    }

    /// What the node knows of one sandbox.
    pub async fn sandbox(&self, id: &SandboxId) -> Result<SandboxStatus, ControlError> {
        let request = empty(Method::GET, &format!("/v1/sandboxes/{id}"));
        self.call("sandbox", request, QUICK_DEADLINE).await
    }

    /// What a sandbox used, from `start` to `end` in seconds since 1970.
    pub async fn metrics(
        &self,
        id: &SandboxId,
        start: Option<i64>,
        end: Option<i64>,
    ) -> Result<Vec<Sample>, ControlError> {
        let start = start.map(|start| format!("start={start}"));
        let end = end.map(|end| format!("end={end}"));
        let query: Vec<_> = start.into_iter().chain(end).collect();
        let path = format!("/v1/sandboxes/{id}/metrics?{}", query.join("&"));
        self.call("metrics", empty(Method::GET, &path), QUICK_DEADLINE)
            .await
    }

    /// What the node can do, and its incarnation.
    pub async fn node(&self) -> Result<NodeStatus, ControlError> {
        self.call("node", empty(Method::GET, "/v1/node"), QUICK_DEADLINE)
            .await
    }

    /// Asks the node to end everything and itself.
    pub async fn shutdown(&self) -> Result<(), ControlError> {
        let request = empty(Method::POST, "/v1/shutdown");
        self.raw("shutdown", request, QUICK_DEADLINE)
            .await
            .map(drop)
    }

    /// The head of the event stream; the body never ends by itself.
    pub(super) async fn event_stream(&self) -> Result<Incoming, ControlError> {
        let sent = self.connection.send(empty(Method::GET, "/v1/events"));
        let response = timeout(QUICK_DEADLINE, sent)
            .await
            .map_err(|_| ConnectionError::Deadline(QUICK_DEADLINE))??;
        if response.status() == StatusCode::OK {
            return Ok(response.into_body());
        }
        Err(ControlError::Unreadable {
            call: "events",
            why: format!("status {}", response.status()),
        })
    }

    async fn call<T: DeserializeOwned>(
        &self,
        call: &'static str,
        request: Request<Body>,
        deadline: Duration,
    ) -> Result<T, ControlError> {
        let body = self.raw(call, request, deadline).await?;
        serde_json::from_slice(&body).map_err(|error| ControlError::Unreadable {
            call,
            why: error.to_string(),
        })
    }

    async fn raw(
        &self,
        call: &'static str,
        request: Request<Body>,
        deadline: Duration,
    ) -> Result<Vec<u8>, ControlError> {
        timeout(deadline, self.exchange(call, request))
            .await
            .map_err(|_| ConnectionError::Deadline(deadline))?
    }

    async fn exchange(
        &self,
        call: &'static str,
        request: Request<Body>,
    ) -> Result<Vec<u8>, ControlError> {
        let unreadable = |why: String| ControlError::Unreadable { call, why };
        let response = self.connection.send(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_LIMIT_BYTES)
            .collect()
            .await
            .map_err(|error| unreadable(error.to_string()))?
            .to_bytes();
        if status.is_success() {
            return Ok(body.to_vec());
        }
        Err(match serde_json::from_slice(&body) {
            Ok(refusal) => ControlError::Refused(refusal),
            Err(_) => unreadable(format!("status {status} without an error body")),
        })
    }
}

fn empty(method: Method, path: &str) -> Request<Body> {
    request(method, path)
        .body(Body::empty())
        .expect("ids are safe in a path")
}

fn json(method: Method, path: &str, value: &impl Serialize) -> Request<Body> {
    let body = serde_json::to_vec(value).expect("API types have string keys only");
    request(method, path)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body))
        .expect("ids are safe in a path")
}

fn request(method: Method, path: &str) -> http::request::Builder {
    Request::builder()
        .method(method)
        .uri(format!("http://node{path}"))
}
