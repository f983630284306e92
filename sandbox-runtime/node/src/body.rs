//! Bodies that are passed on as they come, and that never hide a break.
//!
//! hyper reads a stream that its sender reset with CANCEL as if it had ended well. To a
//! reader that would be a whole file which in truth is half of one, so [`Whole`] asks for the
//! real end. [`UntilClosed`] breaks an answer the moment its sandbox is killed, whatever is
//! still buffered.

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Any error of a body.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
/// Any body that the node sends.
pub type OutBody = UnsyncBoxBody<Bytes, BoxError>;

/// Hides the type of a body.
pub fn boxed<B>(body: B) -> OutBody
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    use http_body_util::BodyExt;
    body.map_err(Into::into).boxed_unsync()
}

/// A received body whose early end is an error.
pub struct Whole(pub Incoming);

impl Body for Whole {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match Pin::new(&mut self.0).poll_frame(cx) {
            Poll::Ready(None) if !self.0.is_end_stream() => {
                Poll::Ready(Some(Err(broken("the sender broke off"))))
            }
            Poll::Ready(frame) => Poll::Ready(frame.map(|frame| frame.map_err(Into::into))),
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

/// An answer of a sandbox: breaks when the sandbox's channel is closed, and gives its place
/// among the sandbox's streams back when it is dropped.
pub struct UntilClosed {
    inner: Whole,
    closed: Pin<Box<WaitForCancellationFutureOwned>>,
    _permit: OwnedSemaphorePermit,
}

impl UntilClosed {
    /// Binds a body to a channel.
    pub fn new(inner: Incoming, closed: CancellationToken, permit: OwnedSemaphorePermit) -> Self {
        Self {
            inner: Whole(inner),
            closed: Box::pin(closed.cancelled_owned()),
            _permit: permit,
        }
    }
}

impl Body for UntilClosed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        // An answer that has fully arrived is passed on, also when the channel has ended.
        if !self.inner.is_end_stream() && self.closed.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Some(Err(broken("the sandbox is gone"))));
        }
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

fn broken(why: &'static str) -> BoxError {
    Box::new(io::Error::new(io::ErrorKind::ConnectionReset, why))
}
