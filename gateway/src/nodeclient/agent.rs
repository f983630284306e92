//! The connection of one sandbox: requests that go through the node to its agent.

use super::connection::{Connection, ConnectionError};
use axum::body::Body;
use http::{Method, Request, Response, Uri, uri::InvalidUri};
use hyper::{body::Incoming, upgrade::Upgraded};
use soulbox_runtime::{
    SandboxId,
    api::{ERROR_HEADER, ErrorCode, Plane},
};
use std::{path::PathBuf, time::Duration};
use thiserror::Error;
use tokio::time::timeout;

/// The node itself gives up sooner than this when a port does not answer.
const TUNNEL_DEADLINE: Duration = Duration::from_secs(20);

/// Why an agent gave no answer.
#[derive(Debug, Error)]
pub enum AgentError {
    /// The node said so itself.
    #[error("the node refused with {0:?}")]
    Refused(ErrorCode),
    /// The node can't be reached, or broke off.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// The path can't be sent on.
    #[error("the path can't be forwarded: {0}")]
    Path(#[from] InvalidUri),
}

/// The way to one sandbox's agent.
#[derive(Debug)]
pub struct AgentLink {
    id: SandboxId,
    connection: Connection,
}

impl AgentLink {
    /// Does not connect yet.
    pub fn new(socket: PathBuf, id: SandboxId) -> Self {
        Self {
            id,
            connection: Connection::new(socket),
        }
    }

    /// Sends a request on to a plane of the agent, path and query as they are.
    pub async fn send(
        &self,
        plane: Plane,
        mut request: Request<Body>,
    ) -> Result<Response<Incoming>, AgentError> {
        let wanted = request
            .uri()
            .path_and_query()
            .map_or("/", |text| text.as_str());
        let target = format!(
            "http://node/v1/sandboxes/{}/agent/{}{wanted}",
            self.id,
            plane.as_str()
        );
        *request.uri_mut() = target.parse::<Uri>()?;
        *request.version_mut() = http::Version::HTTP_2;
        accepted(self.connection.send(request).await?)
    }

    /// Opens a tunnel to a port inside, whose bytes are the port's from the first on.
    pub async fn tunnel(&self, port: u16) -> Result<Upgraded, AgentError> {
        let mut request = Request::new(Body::empty());
        *request.method_mut() = Method::CONNECT;
        *request.uri_mut() = format!("{}:{port}", self.id).parse::<Uri>()?;
        *request.version_mut() = http::Version::HTTP_2;
        let opening = async {
            let response = accepted(self.connection.send(request).await?)?;
            let opened = hyper::upgrade::on(response).await;
            Ok(opened.map_err(ConnectionError::Broken)?)
        };
        timeout(TUNNEL_DEADLINE, opening)
            .await
            .map_err(|_| ConnectionError::Deadline(TUNNEL_DEADLINE))?
    }
}

/// The answer, unless it is the node's own word for a failure.
fn accepted(response: Response<Incoming>) -> Result<Response<Incoming>, AgentError> {
    match response.headers().get(ERROR_HEADER) {
        None => Ok(response),
        Some(word) => {
            let word = word.to_str().unwrap_or_default();
            let code = serde_json::from_value(word.into()).unwrap_or(ErrorCode::Internal);
            Err(AgentError::Refused(code))
        }
    }
}
