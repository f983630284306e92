//! One HTTP/2 connection to the node that is made when needed and again after it broke.
//!
//! A request that was never sent is sent again on a new connection; one that may have
//! reached the node is not, since it may have had its effect.

use axum::body::Body;
use http::{Request, Response};
use hyper::{body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::{io, path::PathBuf, time::Duration};
use thiserror::Error;
use tokio::{net::UnixStream, sync::Mutex, time::timeout};

/// Bytes of one stream that may be on their way without the reader's consent. Large enough
/// for full speed over a local socket, small enough that a stalled reader costs little.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
/// The whole connection is never the bottleneck: each stream has its own bound.
const CONNECTION_WINDOW_BYTES: u32 = (1 << 31) - 1;
/// One frame of the node: what its own frames from an agent have.
const FRAME_BYTES: u32 = 64 << 10;
/// What one stream may have queued towards the node.
const SEND_BUFFER_BYTES: usize = 256 << 10;
/// A local node answers at once, or is not there.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
/// A node that hangs is found out after this and the deadline below.
const PING_INTERVAL: Duration = Duration::from_secs(10);
/// Generous, since a machine under memory pressure may pause for seconds.
const PING_DEADLINE: Duration = Duration::from_secs(20);

/// Why a request got no answer.
#[derive(Debug, Error)]
pub enum ConnectionError {
    /// No node listens there.
    #[error("no node answers on {socket}: {cause}")]
    Unreachable {
        /// Path of the socket.
        socket: PathBuf,
        /// What the operating system said.
        cause: io::Error,
    },
    /// The connection broke while the request was under way.
    #[error("the connection to the node broke: {0}")]
    Broken(#[from] hyper::Error),
    /// The node took too long.
    #[error("the node did not answer within {0:?}")]
    Deadline(Duration),
}

/// A connection, or the place of one.
#[derive(Debug)]
pub struct Connection {
    socket: PathBuf,
    sender: Mutex<Option<http2::SendRequest<Body>>>,
}

impl Connection {
    /// Does not connect yet.
    pub fn new(socket: PathBuf) -> Self {
        Self {
            socket,
            sender: Mutex::new(None),
        }
    }

    /// Sends one request and gives the answer's head, its body still streaming. The caller
    /// sets the deadline, since a forwarded request may rightly take minutes.
    pub async fn send(
        &self,
        request: Request<Body>,
    ) -> Result<Response<Incoming>, ConnectionError> {
        let mut sender = self.sender().await?;
        match sender.try_send_request(request).await {
            Ok(response) => Ok(response),
            Err(mut failed) => {
                let Some(unsent) = failed.take_message() else {
                    return Err(failed.into_error().into());
                };
                self.forget().await;
                Ok(self.sender().await?.send_request(unsent).await?)
            }
        }
    }

    async fn sender(&self) -> Result<http2::SendRequest<Body>, ConnectionError> {
        let mut place = self.sender.lock().await;
        if let Some(sender) = place.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok(sender.clone());
        }
        let sender = timeout(CONNECT_DEADLINE, self.connect())
            .await
            .map_err(|_| ConnectionError::Deadline(CONNECT_DEADLINE))??;
        Ok(place.insert(sender).clone())
    }

    async fn forget(&self) {
        *self.sender.lock().await = None;
    }

    async fn connect(&self) -> Result<http2::SendRequest<Body>, ConnectionError> {
        let stream = UnixStream::connect(&self.socket).await.map_err(|cause| {
            ConnectionError::Unreachable {
                socket: self.socket.clone(),
                cause,
            }
        })?;
        let (sender, driver) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_send_buf_size(SEND_BUFFER_BYTES)
            .max_frame_size(FRAME_BYTES)
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_DEADLINE)
            .handshake(TokioIo::new(stream))
            .await?;
        // The driver ends by itself when the last sender and the last stream are gone.
        tokio::spawn(async move {
            if let Err(error) = driver.await {
                tracing::debug!(%error, "a connection to the node ended");
            }
        });
        Ok(sender)
    }
}
