//! Bytes between a client's WebSocket and the agent, as they come.
//!
//! A thousand of these are idle for every one that is busy, so an idle one holds a small
//! buffer and nothing else. Whichever side ends, the other is told by the end of its stream:
//! the agent closes with a frame of its own, a sandbox that is gone with a plain close, upon
//! which clients ask what became of their kernel.

use crate::kernels::Open;
use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body::{Body as HttpBody, Frame};
use http_body_util::BodyExt;
use hyper::{body::Incoming, upgrade::Upgraded};
use hyper_util::rt::TokioIo;
use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf, split},
    sync::mpsc,
    time::timeout,
};

/// Pieces that may wait for the agent; then the client waits.
const PIECES: usize = 2;
/// What an idle connection holds.
const SMALL_BUFFER: usize = 2 << 10;
/// What one that sends much may hold.
const LARGE_BUFFER: usize = 64 << 10;
/// A client that takes nothing for so long is not there any more.
const WRITE_DEADLINE: Duration = Duration::from_secs(120);
/// After one side has ended, what the other still has to say.
const FAREWELL: Duration = Duration::from_secs(5);

/// A client's half that the agent reads.
pub struct Pieces(mpsc::Receiver<Bytes>);

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = self.0.poll_recv(context);
        piece.map(|piece| piece.map(|bytes| Ok(Frame::data(bytes))))
    }
}

/// A request body that is fed from a client which is still to come.
pub fn body() -> (mpsc::Sender<Bytes>, Body) {
    let (sender, receiver) = mpsc::channel(PIECES);
    (sender, Body::new(Pieces(receiver)))
}

/// Carries bytes until one side has ended, or the sandbox.
pub async fn join(client: Upgraded, agent: mpsc::Sender<Bytes>, open: Open) {
    let (reader, writer) = split(TokioIo::new(client));
    let cut = open.sandbox.cut.clone();
    let outward = outward(open.answer.into_body(), writer);
    let mut outward = std::pin::pin!(outward);
    let carried = async {
        tokio::select! {
            () = &mut outward => {}
            () = inward(reader, agent) => {
                // The agent's last words, e.g. the answer to a close.
                let _ = timeout(FAREWELL, outward).await;
            }
        }
    };
    tokio::select! {
        () = cut.cancelled() => {}
        () = carried => {}
    }
}

/// From the client, until it has ended or the agent listens no more.
async fn inward(mut client: ReadHalf<TokioIo<Upgraded>>, agent: mpsc::Sender<Bytes>) {
    let mut size = SMALL_BUFFER;
    let mut buffer = BytesMut::with_capacity(size);
    loop {
        buffer.reserve(size);
        match client.read_buf(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(read) => {
                let full = read >= size;
                if agent.send(buffer.split().freeze()).await.is_err() {
                    return;
                }
                size = if full { LARGE_BUFFER } else { SMALL_BUFFER };
                if !full {
                    // Gives back what a burst has made large.
                    buffer = BytesMut::new();
                }
            }
        }
    }
}

/// To the client, until the agent has ended or the client takes no more.
async fn outward(mut agent: Incoming, mut client: WriteHalf<TokioIo<Upgraded>>) {
    while let Some(Ok(frame)) = agent.frame().await {
        let Ok(bytes) = frame.into_data() else {
            continue;
        };
        let written = timeout(WRITE_DEADLINE, client.write_all(&bytes)).await;
        if !matches!(written, Ok(Ok(()))) {
            return;
        }
    }
    let _ = timeout(FAREWELL, client.shutdown()).await;
}
