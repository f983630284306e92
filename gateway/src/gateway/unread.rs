//! What a client still sends when it has been refused already.
//!
//! Most clients read an answer only when they have sent everything, and a connection that is
//! closed before tells them nothing. So we read on and throw away, within bounds.

use axum::body::Body;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{runtime::Handle, time::timeout};

const DISCARDED_BYTES: usize = 64 << 20;
const DEADLINE: Duration = Duration::from_secs(5);

/// Reads the rest of a body, or as much as the bounds allow.
pub async fn discard(mut body: Body) {
    let rest = async {
        let mut seen = 0;
        while let Some(Ok(frame)) = body.frame().await {
            seen += frame.data_ref().map_or(0, Bytes::len);
            if seen > DISCARDED_BYTES {
                return;
            }
        }
    };
    let _ = timeout(DEADLINE, rest).await;
}

/// A body that is read to its end, within the same bounds, also when the one who got it drops
/// it: whoever answers early, e.g. because a key is wrong, need not think of it.
pub fn read_on(body: Body) -> Body {
    Body::new(ReadOn(body))
}

struct ReadOn(Body);

impl HttpBody for ReadOn {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.0).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

impl Drop for ReadOn {
    fn drop(&mut self) {
        if self.0.is_end_stream() {
            return;
        }
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(discard(std::mem::take(&mut self.0)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc;

    #[tokio::test]
    async fn a_dropped_body_is_still_taken_from_its_sender() {
        let (sender, mut chunks) = mpsc::channel::<Bytes>(1);
        let body = Body::from_stream(futures_util::stream::poll_fn(move |context| {
            let chunk = chunks.poll_recv(context);
            chunk.map(|chunk| chunk.map(Ok::<_, std::convert::Infallible>))
        }));
        drop(read_on(body));
        for _ in 0..100 {
            sender
                .send(Bytes::from_static(&[0; 1000]))
                .await
                .expect("somebody reads");
        }
    }
}
