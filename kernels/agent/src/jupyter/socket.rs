//! One WebSocket of one client, from its first byte to the end.
//!
//! Two halves run side by side, so that a client that sends much while it reads nothing, or the
//! other way round, is only held back in that direction. What is sent comes from the client's
//! place in the kernel's audience; nothing is queued here beyond what is on its way.

use super::framing::Framing;
use super::protection::Protection;
use super::websocket::{self, Decoder, Kind, Received, close};
use crate::interpreter::context::Context;
use crate::kernel::audience::{Next, Place};
use crate::kernel::backlog::Sequence;
use crate::kernel::fanout::{Channel, Incoming};
use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;

/// Between two pings of a silent connection (section 4.7).
const PING: Duration = Duration::from_secs(30);

/// A client that was not heard for this long is gone (section 4.7).
const SILENCE: Duration = Duration::from_secs(90);

/// How soon a client is asked whether it has what was sent. Frequent cells share one question.
const ASK_SEEN: Duration = Duration::from_millis(250);

/// How long a client has to answer our close.
const FAREWELL: Duration = Duration::from_secs(2);

/// Messages that are taken at a time, in bytes.
const BATCH_BYTES: usize = 256 << 10;

/// Largest piece that is handed over at once, so that few bytes are in flight.
const PIECE_BYTES: usize = 256 << 10;

/// Pieces that may be in flight.
const PIECES: usize = 2;

/// Pongs that wait for a client that pings and does not read. Only the latest need an answer
/// (RFC 6455, 5.5.3), so older ones go.
const PONGS: usize = 4;

/// How the connection ends.
enum End {
    /// The client said so.
    Client,
    /// The connection is lost.
    Lost,
    /// We say so.
    Ours(u16, &'static str),
}

/// What the reading half leaves for the writing half.
#[derive(Default)]
struct Errands {
    pongs: Mutex<Vec<Bytes>>,
    heard: Mutex<Option<Instant>>,
    /// The kernel takes nothing at the moment, so the client is not listened to.
    held: AtomicBool,
    /// A message is written in part only, so nothing else can follow.
    midway: AtomicBool,
    wake: Notify,
}

/// One connection.
pub struct Socket {
    /// How its messages look.
    pub framing: Framing,
    /// What its client has to be protected from.
    pub protection: Protection,
    /// Its kernel.
    pub context: Arc<Context>,
    /// Its place there.
    pub place: Place,
}

/// Speaks with a client whose bytes come from `from`; the answer's body carries ours.
pub fn open(socket: Socket, from: Body) -> Body {
    let (to, pieces) = mpsc::channel(PIECES);
    tokio::spawn(serve(socket, from, to));
    let pieces = ReceiverStream::new(pieces);
    Body::from_stream(futures_util::StreamExt::map(
        pieces,
        Ok::<Bytes, Infallible>,
    ))
}

async fn serve(mut socket: Socket, mut from: Body, to: mpsc::Sender<Bytes>) {
    let errands = Errands::default();
    *lock(&errands.heard) = Some(Instant::now());
    let mut decoder = Decoder::default();
    let protection = std::mem::take(&mut socket.protection);
    let end = tokio::select! {
        end = socket.read(&mut from, &mut decoder, &errands) => end,
        end = socket.write(protection, &to, &errands) => end,
        () = to.closed() => End::Lost,
    };
    let (code, reason) = match end {
        End::Lost => return,
        End::Client => {
            socket.place.farewell();
            (close::NORMAL, "")
        }
        End::Ours(code, reason) => (code, reason),
    };
    if errands.midway.load(Ordering::Relaxed) {
        return;
    }
    let last = websocket::closing(code, reason);
    let answered = async {
        if to.send(last).await.is_ok() && !matches!(end, End::Client) {
            // What is still under way is read to the client's own close, or else the connection
            // would end with a reset, and take our last words with it.
            while let Some(Ok(frame)) = from.frame().await {
                let mut bytes = frame.into_data().unwrap_or_default();
                while let Ok(Some(received)) = decoder.take(&mut bytes) {
                    if received == Received::Close {
                        return;
                    }
                }
            }
        }
    };
    let _ = tokio::time::timeout(FAREWELL, answered).await;
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Socket {
    async fn read(&self, from: &mut Body, decoder: &mut Decoder, errands: &Errands) -> End {
        while let Some(Ok(frame)) = from.frame().await {
            *lock(&errands.heard) = Some(Instant::now());
            let mut bytes = frame.into_data().unwrap_or_default();
            loop {
                match decoder.take(&mut bytes) {
                    Ok(None) => break,
                    Ok(Some(Received::Close)) => return End::Client,
                    Ok(Some(Received::Ping(payload))) => {
                        let mut pongs = lock(&errands.pongs);
                        if pongs.len() == PONGS {
                            pongs.remove(0);
                        }
                        pongs.push(payload);
                        errands.wake.notify_one();
                    }
                    Ok(Some(Received::Pong(payload))) => {
                        if let Ok(number) = payload.as_ref().try_into() {
                            self.place.seen(Sequence::from_be_bytes(number));
                        }
                    }
                    Ok(Some(Received::Text(payload))) => self.ask(&payload, true, errands).await,
                    Ok(Some(Received::Binary(payload))) => self.ask(&payload, false, errands).await,
                    Err(violation) => {
                        return End::Ours(violation.code(), "the frames make no sense");
                    }
                }
            }
        }
        End::Lost
    }

    /// Sends a client's message on to the kernel. What cannot be read is dropped, and the
    /// connection goes on.
    async fn ask(&self, payload: &Bytes, text: bool, errands: &Errands) {
        let (channel, message) = match self.framing.decode(payload, text) {
            Ok(decoded) => decoded,
            Err(error) => {
                tracing::debug!(%error, "a message of a Jupyter client was dropped");
                return;
            }
        };
        let Ok(head) = message.head() else { return };
        if channel == Channel::Shell
            && head.msg_type == "kernel_info_request"
            && self.place.answer_info(&message)
        {
            return;
        }
        // Answers to the kernel's own questions have no answer.
        if channel != Channel::Stdin {
            self.place.note(&head.msg_id);
        }
        errands.held.store(true, Ordering::Relaxed);
        self.context.kernel().send(channel, message).await;
        *lock(&errands.heard) = Some(Instant::now());
        errands.held.store(false, Ordering::Relaxed);
    }

    async fn write(
        &self,
        mut protection: Protection,
        to: &mpsc::Sender<Bytes>,
        errands: &Errands,
    ) -> End {
        let mut sent: Sequence = 0;
        let mut ping = Instant::now() + PING;
        loop {
            let pongs = std::mem::take(&mut *lock(&errands.pongs));
            for payload in pongs {
                if to
                    .send(websocket::small(Kind::Pong, &payload))
                    .await
                    .is_err()
                {
                    return End::Lost;
                }
            }
            match self.place.next(BATCH_BYTES) {
                Next::Messages(messages, sequence) => {
                    errands.midway.store(true, Ordering::Relaxed);
                    if self.send(&messages, &mut protection, to).await.is_none() {
                        return End::Lost;
                    }
                    errands.midway.store(false, Ordering::Relaxed);
                    sent = sequence;
                    ping = ping.min(Instant::now() + ASK_SEEN);
                    continue;
                }
                Next::Nothing => {}
                Next::Replaced => {
                    return End::Ours(close::AWAY, "another connection of this session took over");
                }
                Next::Dismissed => return End::Ours(close::NORMAL, "the kernel is gone"),
            }
            tokio::select! {
                () = self.place.changed() => {}
                () = errands.wake.notified() => {}
                () = tokio::time::sleep_until(ping) => {
                    let silent = lock(&errands.heard).is_some_and(|heard| heard.elapsed() > SILENCE);
                    if silent && !errands.held.load(Ordering::Relaxed) {
                        return End::Lost;
                    }
                    let question = websocket::small(Kind::Ping, &sent.to_be_bytes());
                    if to.send(question).await.is_err() {
                        return End::Lost;
                    }
                    ping = Instant::now() + PING;
                }
            }
        }
    }

    /// Writes messages; small ones leave together. `None` when the client has left.
    async fn send(
        &self,
        messages: &[Arc<Incoming>],
        protection: &mut Protection,
        to: &mpsc::Sender<Bytes>,
    ) -> Option<()> {
        let mut open = BytesMut::new();
        for message in messages {
            for encoded in protection.encode(self.framing, message) {
                open.extend_from_slice(&websocket::head(encoded.kind, encoded.len()));
                for mut piece in encoded.pieces {
                    if open.len() + piece.len() <= PIECE_BYTES {
                        open.extend_from_slice(&piece);
                        continue;
                    }
                    if !open.is_empty() {
                        to.send(open.split().freeze()).await.ok()?;
                    }
                    while !piece.is_empty() {
                        let next = piece.split_to(piece.len().min(PIECE_BYTES));
                        to.send(next).await.ok()?;
                    }
                }
            }
        }
        if !open.is_empty() {
            to.send(open.freeze()).await.ok()?;
        }
        Some(())
    }
}
