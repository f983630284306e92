//! ZeroMQ sockets towards a kernel: the only file that knows which crate speaks ZMTP.
//!
//! A kernel's sockets are files. They are waited for by looking every few milliseconds,
//! because the crate's own back-off starts at 100 ms and would cost up to half a second of a
//! cold start. Reading happens only when somebody asks for the next message, so a reader
//! that stops holds the kernel back instead of filling memory.

use bytes::Bytes;
use std::path::Path;
use std::time::Duration;
use thiserror::Error;
use tokio::sync::Mutex;
use tokio::time::Instant;
use zeromq::util::PeerIdentity;
use zeromq::{
    DealerRecvHalf, DealerSendHalf, DealerSocket, Socket as _, SocketOptions, SocketRecv as _, SocketSend as _,
    SubSocket, ZmqError, ZmqMessage,
};

/// Between two looks for a socket file. A look costs one system call.
const LOOK_AGAIN: Duration = Duration::from_millis(3);

/// Longest wait for one message to be taken over by the sending side of a socket.
const SEND_DEADLINE: Duration = Duration::from_secs(10);

/// What can go wrong on a socket.
#[derive(Debug, Error)]
pub enum SocketError {
    /// The kernel did not make its socket in time.
    #[error("the kernel did not open its sockets in time")]
    Missing,
    /// The kernel has not taken the message.
    #[error("the kernel does not take messages")]
    Stuck,
    /// The protocol failed.
    #[error("the connection to the kernel failed")]
    Zmq(#[from] ZmqError),
}

/// The sending side of a request channel.
pub struct Sender(Mutex<DealerSendHalf>);

impl Sender {
    /// Sends the frames of one message.
    pub async fn send(&self, frames: Vec<Bytes>) -> Result<(), SocketError> {
        let message = ZmqMessage::try_from(frames).map_err(|_| SocketError::Stuck)?;
        let send = async { self.0.lock().await.send(message).await };
        match tokio::time::timeout(SEND_DEADLINE, send).await {
            Ok(sent) => Ok(sent?),
            Err(_) => Err(SocketError::Stuck),
        }
    }
}

/// The receiving side of any channel.
pub enum Receiver {
    /// Answers to requests.
    Dealer(DealerRecvHalf),
    /// Broadcasts.
    Subscriber(SubSocket),
}

impl Receiver {
    /// The frames of the next message; `None` when the kernel is gone.
    pub async fn next(&mut self) -> Option<Vec<Bytes>> {
        let message = match self {
            Self::Dealer(socket) => socket.recv().await,
            Self::Subscriber(socket) => socket.recv().await,
        };
        message.ok().map(ZmqMessage::into_vec)
    }
}

/// Waits until the socket file exists.
async fn appears(path: &Path, until: Instant) -> Result<(), SocketError> {
    while !path.exists() {
        if Instant::now() >= until {
            return Err(SocketError::Missing);
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    Ok(())
}

async fn in_time<T>(until: Instant, connect: impl Future<Output = Result<T, ZmqError>>) -> Result<T, SocketError> {
    match tokio::time::timeout_at(until, connect).await {
        Ok(connected) => Ok(connected?),
        Err(_) => Err(SocketError::Missing),
    }
}

/// Connects a request channel. Channels that share an identity are one client to the kernel,
/// which is how it finds the stdin of whoever asked on shell.
pub async fn dealer(path: &Path, identity: &str, until: Instant) -> Result<(Sender, Receiver), SocketError> {
    appears(path, until).await?;
    let mut options = SocketOptions::default();
    options.peer_identity(identity.parse::<PeerIdentity>()?);
    let mut socket = DealerSocket::with_options(options);
    in_time(until, socket.connect(&address(path))).await?;
    let (sender, receiver) = socket.split();
    Ok((Sender(Mutex::new(sender)), Receiver::Dealer(receiver)))
}

/// Connects to the broadcasts, all of them.
pub async fn subscriber(path: &Path, until: Instant) -> Result<Receiver, SocketError> {
    appears(path, until).await?;
    let mut socket = SubSocket::new();
    in_time(until, socket.connect(&address(path))).await?;
    in_time(until, socket.subscribe("")).await?;
    Ok(Receiver::Subscriber(socket))
}

fn address(path: &Path) -> String {
    format!("ipc://{}", path.display())
}
