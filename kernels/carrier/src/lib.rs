//! The bytes of one connection, carried by one HTTP/2 exchange: what one side says is the
//! request's body, what the other says is the answer's.
//!
//! An upgraded stream would do the same in fewer lines, but it ends alike whether its sender
//! was done or broke off, and then half a file looks like a whole one. Here an end is said,
//! and everything else is a break: the sender's body fails, HTTP/2 resets the stream, and the
//! other side's reader gets an error. Both the node and the agent use it, so both agree.
#![forbid(unsafe_code)]

mod incoming;
mod outgoing;

pub use incoming::Incoming;
pub use outgoing::{Outgoing, OutgoingBody, outgoing};

use bytes::{Bytes, BytesMut};
use http_body::Body;
use std::{io, sync::Mutex, time::Duration};
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::Instant,
};

/// Bytes that are read at a time. Held for each connection that waits for something to read.
const READ_BYTES: usize = 32 << 10;

/// Why a connection was not carried to its end.
#[derive(Debug, Error)]
pub enum Broken {
    /// The local side failed.
    #[error("the connection broke: {0}")]
    Local(#[from] io::Error),
    /// The far side of the exchange broke off.
    #[error("the other side broke off")]
    Far,
    /// Nothing was said in either direction for too long.
    #[error("nothing was said for {} s", .0.as_secs())]
    Idle(Duration),
}

/// Carries a local connection until both directions have ended. Each direction ends by itself:
/// a side that has said everything may still listen.
///
/// # Errors
/// When either side breaks off or both are silent for `idle`. The caller must drop the local
/// connection then; dropping `outgoing`, which has happened, tells the far side.
pub async fn carry<B: Body<Data = Bytes> + Unpin>(
    (mut reader, mut writer): (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
    mut incoming: Incoming<B>,
    outgoing: Outgoing,
    idle: Duration,
) -> Result<(), Broken> {
    let said = Said::now();
    let out = async {
        let mut buffer = BytesMut::new();
        loop {
            buffer.reserve(READ_BYTES);
            if reader.read_buf(&mut buffer).await? == 0 {
                return outgoing.end().await;
            }
            outgoing.send(buffer.split().freeze()).await?;
            said.note();
        }
    };
    let back = async {
        while let Some(bytes) = incoming.next().await? {
            writer.write_all(&bytes).await?;
            said.note();
        }
        Ok(writer.shutdown().await?)
    };
    tokio::select! {
        carried = async { tokio::try_join!(out, back) } => carried.map(drop),
        () = said.nothing_for(idle) => Err(Broken::Idle(idle)),
    }
}

/// When something was last said.
struct Said(Mutex<Instant>);

impl Said {
    fn now() -> Self {
        Self(Mutex::new(Instant::now()))
    }

    fn last(&self) -> Instant {
        *self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn note(&self) {
        *self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = Instant::now();
    }

    async fn nothing_for(&self, idle: Duration) {
        loop {
            let until = self.last() + idle;
            if until <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(until).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::duplex;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// Two connections whose far sides meet: what is written to one arrives at the other.
    fn joined() -> (tokio::io::DuplexStream, tokio::io::DuplexStream) {
        let ((here, near), (there, far)) = (duplex(1 << 10), duplex(1 << 10));
        let ((up, up_body), (down, down_body)) = (outgoing(), outgoing());
        tokio::spawn(carry(
            tokio::io::split(near),
            Incoming::new(down_body),
            up,
            PATIENCE,
        ));
        tokio::spawn(carry(
            tokio::io::split(far),
            Incoming::new(up_body),
            down,
            PATIENCE,
        ));
        (here, there)
    }

    #[tokio::test]
    async fn each_direction_ends_by_itself() {
        let (mut here, mut there) = joined();
        here.write_all(b"question").await.unwrap();
        here.shutdown().await.unwrap();
        let mut heard = String::new();
        there.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "question");
        tokio::spawn(async move {
            there.write_all(&[7; 100_000]).await.unwrap();
            there.shutdown().await.unwrap();
        });
        let mut answer = Vec::new();
        here.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer.len(), 100_000);
    }

    #[tokio::test]
    async fn whoever_breaks_off_is_not_taken_for_somebody_who_has_ended() {
        let (sender, body) = outgoing();
        sender.send(Bytes::from_static(b"half a fi")).await.unwrap();
        drop(sender);
        let mut incoming = Incoming::new(body);
        assert_eq!(incoming.next().await.unwrap().unwrap(), "half a fi");
        assert!(matches!(incoming.next().await, Err(Broken::Far)));
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_a_connection() {
        let (_here, near) = duplex(64);
        let ((up, _unread), (_down, down_body)) = (outgoing(), outgoing());
        let carried = carry(
            tokio::io::split(near),
            Incoming::new(down_body),
            up,
            PATIENCE,
        );
        assert!(matches!(carried.await, Err(Broken::Idle(_))));
    }

    #[tokio::test]
    async fn the_first_byte_can_be_taken_apart() {
        let (sender, body) = outgoing();
        tokio::spawn(async move {
            sender.send(Bytes::new()).await.unwrap();
            sender.send(Bytes::from_static(b"\x07rest")).await.unwrap();
            sender.end().await.unwrap();
        });
        let mut incoming = Incoming::new(body);
        assert_eq!(incoming.byte().await.unwrap(), Some(7));
        assert_eq!(incoming.next().await.unwrap().unwrap(), "rest");
        assert_eq!(incoming.next().await.unwrap(), None);
    }
}
