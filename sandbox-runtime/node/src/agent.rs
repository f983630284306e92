//! The node's side of the one channel into a cell: an HTTP/2 client.
//!
//! It asks the control plane for itself and carries the requests of clients. Everything that
//! comes back was written by code that may be hostile, so sizes and times are bounded here.
//! When the channel ends, every stream on it ends with an error, never with a clean end.

use crate::body::{self, BoxError, OutBody};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full, Limited};
use hyper::{
    body::Incoming,
    client::conn::http2::{Builder, SendRequest},
    upgrade::Upgraded,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use soulbox_protocol::{
    control::{AUTHORITY, Claim, Hardship, Health},
    egress::{ACCEPT_PATH, SWITCH_PATH, Switch},
};
use soulbox_runtime::{
    Channel,
    api::{CLIENT_STREAMS, TUNNELS},
};
use std::{error::Error, sync::Arc, time::Duration};
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tracing::debug;

/// Bytes of one answer that may be under way: what a stalled reader costs at most.
pub const STREAM_WINDOW: u32 = 1 << 20;
/// The connection's window never stalls, so that one stream cannot hold up the others.
pub const CONNECTION_WINDOW: u32 = (1 << 31) - 1;
/// Bytes of one frame that the agent may send. With the default of 16 KiB a stream of output
/// costs four times the system calls, which are dear where it crosses the sandbox's edge.
const FRAME: u32 = 64 << 10;
/// Bytes of one request that may wait for the agent.
pub const SEND_BUFFER: usize = 256 << 10;
/// Headers of one answer, in bytes.
pub const HEADER_BYTES: u32 = 64 << 10;
/// An answer of the control plane.
const CONTROL_ANSWER_BYTES: usize = 64 << 10;
/// The HTTP/2 handshake of a live agent takes milliseconds.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);
/// The agent itself gives up sooner than this when a port does not answer.
const TUNNEL_TIMEOUT: Duration = Duration::from_secs(15);
/// After a stream broke, the end of the whole channel is known within this.
const END_PASSES: Duration = Duration::from_millis(50);

/// Why the agent did not answer as it should.
#[derive(Debug, Error)]
pub enum AgentError {
    /// The channel is gone.
    #[error("the channel to the agent is closed")]
    Closed,
    /// Nothing came in time.
    #[error("the agent did not answer in time")]
    Late,
    /// The agent broke the protocol or refused.
    #[error("the agent's answer makes no sense: {0}")]
    Answer(String),
    /// Nothing listens on that port of the sandbox.
    #[error("nothing listens on this port of the sandbox")]
    PortClosed,
    /// Too many tunnels are open.
    #[error("{TUNNELS} connections into this sandbox are open; try again when one has ended")]
    TooManyTunnels,
    /// Too many requests of clients are under way.
    #[error(
        "{CLIENT_STREAMS} requests to this sandbox are under way; try again when one has ended"
    )]
    Busy,
}

/// The way to one agent. Clones share the channel.
#[derive(Debug, Clone)]
pub struct AgentClient {
    sender: SendRequest<OutBody>,
    closed: CancellationToken,
    streams: Arc<Semaphore>,
    tunnels: Arc<Semaphore>,
}

impl AgentClient {
    /// Speaks HTTP/2 on a channel. The connection lives in a task of its own until
    /// [`AgentClient::close`] or until the agent ends it.
    ///
    /// # Errors
    /// When the agent does not speak HTTP/2 or does not speak in time.
    pub async fn connect(channel: Channel) -> Result<Self, AgentError> {
        let mut builder = Builder::new(TokioExecutor::new());
        builder
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buf_size(SEND_BUFFER)
            .max_frame_size(FRAME)
            .max_header_list_size(HEADER_BYTES);
        let handshake = builder.handshake(TokioIo::new(channel));
        let (sender, connection) = tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake)
            .await
            .map_err(|_| AgentError::Late)?
            .map_err(|error| AgentError::Answer(chain(&error)))?;
        let closed = CancellationToken::new();
        let end = closed.clone();
        tokio::spawn(async move {
            // Dropping the connection ends its streams with an error on both sides.
            tokio::select! {
                ended = connection => {
                    if let Err(error) = ended {
                        debug!(error = chain(&error), "a channel broke");
                    }
                    end.cancel();
                }
                () = end.cancelled() => {}
            }
        });
        Ok(Self {
            sender,
            closed,
            streams: Arc::new(Semaphore::new(CLIENT_STREAMS)),
            tunnels: Arc::new(Semaphore::new(TUNNELS)),
        })
    }

    /// Ends the channel at once, and every stream on it with an error.
    pub fn close(&self) {
        self.closed.cancel();
    }

    /// Waits for the end of the channel.
    pub async fn closed(&self) {
        self.closed.cancelled().await;
    }

    /// `GET /health` of the control plane.
    ///
    /// # Errors
    /// When no proper answer came within `timeout`.
    pub async fn health(&self, timeout: Duration) -> Result<Health, AgentError> {
        let answer = self
            .control(Method::GET, "/health", Bytes::new(), timeout)
            .await?;
        serde_json::from_slice(&answer).map_err(|error| AgentError::Answer(error.to_string()))
    }

    /// `POST /claim` of the control plane.
    ///
    /// # Errors
    /// When no proper answer came within `timeout`.
    pub async fn claim(&self, claim: &Claim, timeout: Duration) -> Result<(), AgentError> {
        let body =
            serde_json::to_vec(claim).map_err(|error| AgentError::Answer(error.to_string()))?;
        self.control(Method::POST, "/claim", body.into(), timeout)
            .await?;
        Ok(())
    }

    /// Tells the agent whether there is a way out.
    ///
    /// # Errors
    /// When no proper answer came within `timeout`.
    pub async fn switch_egress(&self, on: bool, timeout: Duration) -> Result<(), AgentError> {
        let body = serde_json::to_vec(&Switch { on })
            .map_err(|error| AgentError::Answer(error.to_string()))?;
        self.control(Method::PUT, SWITCH_PATH, body.into(), timeout)
            .await?;
        Ok(())
    }

    /// `GET /questions` of the control plane: a frame for each time that the agent wants to know
    /// what was counted. What the frames say is not looked at.
    ///
    /// # Errors
    /// When the channel is gone or the agent refuses.
    pub async fn questions(&self) -> Result<Incoming, AgentError> {
        let request = Request::builder()
            .uri(format!("http://{AUTHORITY}/questions"))
            .body(body::boxed(Empty::new()))
            .map_err(|error| AgentError::Answer(error.to_string()))?;
        let answer = self.send(request).await?;
        match answer.status() {
            StatusCode::OK => Ok(answer.into_body()),
            other => Err(AgentError::Answer(format!("status {other}"))),
        }
    }

    /// `POST /hardship` of the control plane.
    ///
    /// # Errors
    /// When no proper answer came within `timeout`.
    pub async fn tell_hardship(
        &self,
        told: &Hardship,
        timeout: Duration,
    ) -> Result<(), AgentError> {
        let body =
            serde_json::to_vec(told).map_err(|error| AgentError::Answer(error.to_string()))?;
        self.control(Method::POST, "/hardship", body.into(), timeout)
            .await?;
        Ok(())
    }

    /// Holds a way out open until the agent takes it; its answer names a destination.
    ///
    /// # Errors
    /// When the channel is gone or the agent refuses it.
    pub async fn offer_exit(&self, body: OutBody) -> Result<Response<Incoming>, AgentError> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("http://{AUTHORITY}{ACCEPT_PATH}"))
            .body(body)
            .map_err(|error| AgentError::Answer(error.to_string()))?;
        self.send(request).await
    }

    /// Carries a client's request. The permit must live as long as the answer's body.
    ///
    /// # Errors
    /// When the channel is gone or too many requests are under way.
    pub async fn forward(
        &self,
        request: Request<OutBody>,
    ) -> Result<(Response<Incoming>, OwnedSemaphorePermit), AgentError> {
        let permit = self
            .streams
            .clone()
            .try_acquire_owned()
            .map_err(|_| AgentError::Busy)?;
        Ok((self.send(request).await?, permit))
    }

    /// Opens a tunnel to a port of the sandbox. The permit must live as long as the tunnel.
    ///
    /// # Errors
    /// When nothing listens there, the channel is gone or too many tunnels are open.
    pub async fn tunnel(&self, port: u16) -> Result<(Upgraded, OwnedSemaphorePermit), AgentError> {
        let permit = self
            .tunnels
            .clone()
            .try_acquire_owned()
            .map_err(|_| AgentError::TooManyTunnels)?;
        let request = Request::builder()
            .method(Method::CONNECT)
            .uri(format!("127.0.0.1:{port}"))
            .body(body::boxed(Empty::new()))
            .map_err(|error| AgentError::Answer(error.to_string()))?;
        let opening = async {
            let answer = self.send(request).await?;
            match answer.status() {
                StatusCode::OK => hyper::upgrade::on(answer)
                    .await
                    .map_err(|error| AgentError::Answer(chain(&error))),
                StatusCode::BAD_GATEWAY => Err(AgentError::PortClosed),
                other => Err(AgentError::Answer(format!("status {other}"))),
            }
        };
        let tunnel = tokio::time::timeout(TUNNEL_TIMEOUT, opening)
            .await
            .map_err(|_| AgentError::Late)??;
        Ok((tunnel, permit))
    }

    /// Wakes up when the channel ends, for bodies that are under way then.
    pub fn closed_token(&self) -> CancellationToken {
        self.closed.clone()
    }

    async fn control(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        timeout: Duration,
    ) -> Result<Bytes, AgentError> {
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{AUTHORITY}{path}"))
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(body::boxed(Full::new(body)))
            .map_err(|error| AgentError::Answer(error.to_string()))?;
        let exchange = async {
            let answer = self.send(request).await?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), CONTROL_ANSWER_BYTES)
                .collect()
                .await
                .map_err(|error: BoxError| AgentError::Answer(error.to_string()))?;
            match status {
                StatusCode::OK | StatusCode::NO_CONTENT => Ok(body.to_bytes()),
                other => Err(AgentError::Answer(format!("status {other}"))),
            }
        };
        tokio::time::timeout(timeout, exchange)
            .await
            .map_err(|_| AgentError::Late)?
    }

    async fn send(&self, request: Request<OutBody>) -> Result<Response<Incoming>, AgentError> {
        let mut sender = self.sender.clone();
        let error = tokio::select! {
            biased;
            () = self.closed.cancelled() => return Err(AgentError::Closed),
            answer = sender.send_request(request) => match answer {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            },
        };
        // A stream that the agent reset is one failed request; a channel that broke is the end
        // of the sandbox. The streams learn of it a moment before the connection's task.
        let ended = tokio::time::timeout(END_PASSES, self.closed.cancelled()).await;
        match ended {
            Ok(()) => Err(AgentError::Closed),
            Err(_) => Err(AgentError::Answer(chain(&error))),
        }
    }
}

/// An error with its causes: hyper's own text stops at "connection error".
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
