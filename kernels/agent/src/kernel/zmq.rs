//! The ZeroMQ sockets of a kernel that starts: waited for, connected, with deadlines.
//!
//! A kernel's sockets are files, or ports of the loopback. They are looked for every few
//! milliseconds until they are there, because any longer wait is added to every cold start.

use super::connection::Address;
use super::zmtp::{self, Reader, Role, Writer};
use bytes::Bytes;
use std::io;
use std::time::Duration;
use thiserror::Error;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// Between two looks for a socket. A look costs one system call.
const LOOK_AGAIN: Duration = Duration::from_millis(3);

/// Longest wait for a kernel to take one message.
pub const SEND_DEADLINE: Duration = Duration::from_secs(10);

/// What can go wrong on a socket.
#[derive(Debug, Error)]
pub enum SocketError {
    /// The kernel did not make its socket in time.
    #[error("the kernel did not open its sockets in time")]
    Missing,
    /// The kernel does not take messages, or answer them.
    #[error("the kernel does not take messages")]
    Stuck,
    /// The protocol failed.
    #[error("the connection to the kernel failed")]
    Broken(#[from] io::Error),
}

/// The sending side of a request channel.
pub struct Sender(Mutex<Writer>);

impl Sender {
    /// Sends the frames of one message.
    pub async fn send(&self, frames: &[Bytes]) -> Result<(), SocketError> {
        let send = async { self.0.lock().await.send(frames).await };
        match tokio::time::timeout(SEND_DEADLINE, send).await {
            Ok(sent) => Ok(sent?),
            Err(_) => Err(SocketError::Stuck),
        }
    }

    /// Sends the frames of one message, and waits as long as the kernel takes none.
    pub async fn send_patiently(&self, frames: &[Bytes]) -> Result<(), SocketError> {
        Ok(self.0.lock().await.send(frames).await?)
    }
}

/// Connects a request channel. Channels that share an identity are one client to the kernel,
/// which is how it finds the stdin of whoever asked on shell.
pub async fn dealer(
    address: &Address,
    identity: &str,
    until: Instant,
) -> Result<(Sender, Reader), SocketError> {
    let (reader, writer) = connect(address, Role::Dealer(identity), until).await?;
    Ok((Sender(Mutex::new(writer)), reader))
}

/// Connects to the broadcasts, all of them. The writer keeps the subscription.
pub async fn subscriber(
    address: &Address,
    until: Instant,
) -> Result<(Writer, Reader), SocketError> {
    let (reader, writer) = connect(address, Role::Subscriber, until).await?;
    Ok((writer, reader))
}

async fn connect(
    address: &Address,
    role: Role<'_>,
    until: Instant,
) -> Result<(Reader, Writer), SocketError> {
    loop {
        match tokio::time::timeout_at(until, zmtp::connect(address, role)).await {
            Ok(Ok(connected)) => return Ok(connected),
            // Not made yet, or bound and not yet listened on.
            Ok(Err(error))
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
                ) => {}
            Ok(Err(error)) => return Err(error.into()),
            Err(_) => return Err(SocketError::Missing),
        }
        if Instant::now() >= until {
            return Err(SocketError::Missing);
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}
