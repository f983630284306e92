//! The body of an execution's answer: lines as they come, a sign of life in silence.
//!
//! The writer waits when the client does not read, and learns at once when it hangs up: the
//! body is dropped then. Detection does not depend on output.

use super::item::KEEPALIVE;
use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::mpsc;

/// Silence after which a keepalive is sent (section 5.1 of the contract).
const SILENCE: Duration = Duration::from_secs(5);

/// Largest piece of a line that is handed over at once, so that few bytes are in flight.
const PIECE_BYTES: usize = 64 << 10;

/// Pieces that may be in flight.
const PIECES: usize = 64;

/// Small pieces that are there together leave together, up to about this size. A million tiny
/// lines would otherwise be a million frames, and an HTTP/2 peer that cannot pass them on at
/// once counts small frames as an attack and ends the connection.
const TOGETHER_BYTES: usize = 16 << 10;

/// The client has hung up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HungUp;

/// Where an execution writes its lines.
pub struct Lines(mpsc::Sender<Bytes>);

impl Lines {
    /// Hands a line over, and waits while the client does not read.
    pub async fn write(&self, line: Vec<u8>) -> Result<(), HungUp> {
        let mut rest = Bytes::from(line);
        while !rest.is_empty() {
            let piece = rest.split_to(rest.len().min(PIECE_BYTES));
            self.0.send(piece).await.map_err(|_| HungUp)?;
        }
        Ok(())
    }

    /// Waits until the client has hung up.
    pub async fn hung_up(&self) {
        self.0.closed().await;
    }
}

/// A body, and where to write it. The body ends when the writer is dropped.
pub fn answer() -> (Lines, Body) {
    let (sender, receiver) = mpsc::channel::<Bytes>(PIECES);
    let pieces = stream::unfold((receiver, true), async |(mut receiver, between)| {
        loop {
            match tokio::time::timeout(SILENCE, receiver.recv()).await {
                Ok(Some(piece)) => {
                    let piece = together(piece, &mut receiver);
                    let between = piece.ends_with(b"\n");
                    return Some((Ok::<_, Infallible>(piece), (receiver, between)));
                }
                Ok(None) => return None,
                // Not in the middle of a line, whose rest is still on its way.
                Err(_) if between => {
                    return Some((Ok(Bytes::from_static(KEEPALIVE)), (receiver, true)));
                }
                Err(_) => {}
            }
        }
    });
    (Lines(sender), Body::from_stream(pieces))
}

/// Adds to a small piece what is there already.
fn together(first: Bytes, receiver: &mut mpsc::Receiver<Bytes>) -> Bytes {
    if first.len() >= TOGETHER_BYTES {
        return first;
    }
    let Ok(second) = receiver.try_recv() else {
        return first;
    };
    let mut all = Vec::with_capacity(first.len() + second.len());
    all.extend_from_slice(&first);
    all.extend_from_slice(&second);
    while all.len() < TOGETHER_BYTES
        && let Ok(next) = receiver.try_recv()
    {
        all.extend_from_slice(&next);
    }
    all.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;

    #[tokio::test(start_paused = true)]
    async fn silence_is_filled_between_lines_and_never_inside_one() {
        let (lines, mut body) = answer();
        let writer = tokio::spawn(async move {
            tokio::time::sleep(SILENCE * 5 / 2).await;
            let mut line = vec![b'x'; PIECE_BYTES * 2];
            line.push(b'\n');
            lines.write(line).await
        });
        let mut read = Vec::new();
        while let Some(frame) = body.frame().await {
            read.extend_from_slice(&frame.expect("a frame").into_data().expect("data"));
        }
        assert_eq!(writer.await.expect("it ends"), Ok(()));
        assert!(read.starts_with(&[KEEPALIVE, KEEPALIVE, b"xx"].concat()));
        assert_eq!(read.len(), 2 * KEEPALIVE.len() + 2 * PIECE_BYTES + 1);
    }

    #[tokio::test]
    async fn a_dropped_body_is_a_hang_up_without_any_output() {
        let (lines, body) = answer();
        drop(body);
        lines.hung_up().await;
        assert_eq!(lines.write(b"x\n".to_vec()).await, Err(HungUp));
    }
}
