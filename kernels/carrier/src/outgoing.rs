//! The direction that is said here: a handle that queues pieces, and the body that HTTP/2
//! takes them from. The queue is short, so a far side that does not read stops the sender.

use crate::Broken;
use bytes::Bytes;
use http_body::{Body, Frame};
use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::sync::mpsc;

/// Pieces that wait for room in HTTP/2's window.
const QUEUE_PIECES: usize = 2;

enum Piece {
    Bytes(Bytes),
    End,
}

/// Says bytes. Dropped before [`Outgoing::end`] it breaks the exchange off.
pub struct Outgoing(mpsc::Sender<Piece>);

/// What HTTP/2 sends.
pub struct OutgoingBody {
    pieces: mpsc::Receiver<Piece>,
    ended: bool,
}

/// A handle and its body.
pub fn outgoing() -> (Outgoing, OutgoingBody) {
    let (sender, pieces) = mpsc::channel(QUEUE_PIECES);
    let body = OutgoingBody {
        pieces,
        ended: false,
    };
    (Outgoing(sender), body)
}

impl Outgoing {
    /// Says some bytes, when there is room.
    ///
    /// # Errors
    /// [`Broken::Far`] when nobody takes them any more.
    pub async fn send(&self, bytes: Bytes) -> Result<(), Broken> {
        self.piece(Piece::Bytes(bytes)).await
    }

    /// Says that this was all.
    ///
    /// # Errors
    /// [`Broken::Far`] when nobody hears it any more.
    pub async fn end(&self) -> Result<(), Broken> {
        self.piece(Piece::End).await
    }

    async fn piece(&self, piece: Piece) -> Result<(), Broken> {
        self.0.send(piece).await.map_err(|_| Broken::Far)
    }
}

impl Body for OutgoingBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let piece = ready!(self.pieces.poll_recv(cx));
        Poll::Ready(match piece {
            Some(Piece::Bytes(bytes)) => Some(Ok(Frame::data(bytes))),
            Some(Piece::End) => {
                self.ended = true;
                None
            }
            None => Some(Err(io::ErrorKind::ConnectionReset.into())),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }
}
