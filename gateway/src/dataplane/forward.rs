//! Sending a request on to the agent, streamed both ways.
//!
//! Two ends can break a stream. A client that hangs up drops the answer's body here, which
//! resets the stream to the node at once. A sandbox that ends fires its token, upon which
//! the body fails and the server breaks the client's connection without a clean end: only
//! then do clients know that the sandbox is gone (e2b-wire.md, section 8, row 1).
//! A client that does not read would never notice; its HTTP/1.1 connection is ended shortly
//! after, so that a dead sandbox holds nothing here.

use super::{HangUp, errors::DataError};
use crate::{
    gateway::App,
    nodeclient::AgentError,
    sandboxes::{STREAMS_PER_SANDBOX, Sandbox},
};
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, Request, Response, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use soulbox_runtime::api::{CLIENT_STREAMS, ErrorCode, Plane, TUNNELS};
use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use thiserror::Error;
use tokio::time::sleep;
use tokio_util::sync::{CancellationToken, DropGuard, WaitForCancellationFutureOwned};

/// Headers that are about one connection only (RFC 9110, section 7.6.1), and those that the
/// agent must not see: keys and tokens of its own sandbox or of others.
const NOT_SENT_ON: [HeaderName; 9] = [
    header::HOST,
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::COOKIE,
    HeaderName::from_static("keep-alive"),
];
const SECRETS: [&str; 5] = [
    "x-api-key",
    "x-access-token",
    "e2b-traffic-access-token",
    "e2b-sandbox-id",
    "e2b-sandbox-port",
];

/// How long a connection may take to end by itself when its sandbox has.
const UNREAD_GRACE: Duration = Duration::from_secs(1);

/// Sends a request that was found in order.
pub async fn to_agent(
    app: &App,
    sandbox: Arc<Sandbox>,
    plane: Plane,
    mut request: Request<Body>,
) -> Result<Response<Body>, DataError> {
    let id = || sandbox.record.id.to_string();
    let Some(permit) = sandbox.stream() else {
        return Err(DataError::TooManyStreams {
            id: id(),
            limit: STREAMS_PER_SANDBOX,
        });
    };
    let hang_up = request.extensions_mut().remove::<HangUp>();
    clean(request.headers_mut());
    for name in SECRETS {
        request.headers_mut().remove(name);
    }
    let answer = tokio::select! {
        biased;
        () = sandbox.cut.cancelled() => return Err(DataError::NotFound { id: id() }),
        answer = sandbox.link.send(plane, request) => answer,
    };
    let mut response = match answer {
        Ok(response) => response,
        Err(error) => return Err(failure(app, &sandbox, error).await),
    };
    clean(response.headers_mut());
    Ok(until_cut(&sandbox, response, hang_up, permit))
}

/// Ties an answer to its sandbox: it fails when the sandbox ends, and holds its place among
/// the sandbox's streams, or whatever else is given, until it is over.
pub fn until_cut<H: Send + Unpin + 'static>(
    sandbox: &Sandbox,
    response: Response<Incoming>,
    hang_up: Option<HangUp>,
    held: H,
) -> Response<Body> {
    let read = CancellationToken::new();
    if let Some(hang_up) = hang_up.clone() {
        tokio::spawn(end_unread(sandbox.cut.clone(), read.clone(), hang_up));
    }
    let cut = Box::pin(sandbox.cut.clone().cancelled_owned());
    let read = read.drop_guard();
    response.map(|body| {
        Body::new(CutBody {
            body,
            cut,
            hang_up,
            _read: read,
            _held: held,
        })
    })
}

/// Ends the connection of an answer that is not read to its end after its sandbox's.
async fn end_unread(cut: CancellationToken, read: CancellationToken, hang_up: HangUp) {
    let too_late = async {
        cut.cancelled().await;
        sleep(UNREAD_GRACE).await;
    };
    tokio::select! {
        () = read.cancelled() => {}
        () = too_late => hang_up.now(),
    }
}

fn clean(headers: &mut HeaderMap) {
    for name in NOT_SENT_ON {
        headers.remove(name);
    }
}

/// What a client is told when the agent could not be asked.
pub async fn failure(app: &App, sandbox: &Sandbox, error: AgentError) -> DataError {
    let id = &sandbox.record.id;
    let gone = DataError::NotFound { id: id.to_string() };
    tracing::warn!(sandbox = %id, %error, "a request did not reach the agent");
    match error {
        AgentError::Path(_) => return DataError::BadPath,
        // Who hears that it is gone may ask at once why, so the answer must be known.
        AgentError::Refused(ErrorCode::SandboxUnknown | ErrorCode::AgentLost)
            if app.sandboxes.doubt(id).await =>
        {
            return gone;
        }
        AgentError::Refused(ErrorCode::Capacity) => {
            return DataError::TooManyStreams {
                id: sandbox.record.id.to_string(),
                limit: CLIENT_STREAMS,
            };
        }
        AgentError::Refused(ErrorCode::TooManyTunnels) => {
            return DataError::TooManyStreams {
                id: id.to_string(),
                limit: TUNNELS,
            };
        }
        _ => {}
    }
    if sandbox.is_running() {
        DataError::Unreachable { id: id.to_string() }
    } else {
        gone
    }
}

/// The end of a sandbox, seen from one of its streams.
#[derive(Debug, Error)]
#[error("the sandbox has ended")]
struct Cut;

/// An answer's body that fails when its sandbox ends.
struct CutBody<H> {
    body: Incoming,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    hang_up: Option<HangUp>,
    _read: DropGuard,
    _held: H,
}

impl<H: Unpin> HttpBody for CutBody<H> {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.cut.as_mut().poll(context).is_ready() {
            if let Some(hang_up) = &self.hang_up {
                hang_up.break_off();
            }
            return Poll::Ready(Some(Err(Box::new(Cut))));
        }
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let (Poll::Ready(Some(Err(_))), Some(hang_up)) = (&polled, &self.hang_up) {
            hang_up.break_off();
        }
        polled.map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
