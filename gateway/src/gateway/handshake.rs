//! From a TCP connection on the TLS port to a stream of bytes that nobody else reads.
//!
//! Whoever speaks plain HTTP there is told so, since a bare reset would leave them guessing.

use super::client_stream::ClientStream;
use rustls::ServerConfig;
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// A handshake is two round trips. Whoever does not finish it holds a connection for nothing.
const DEADLINE: Duration = Duration::from_secs(10);
/// What every TLS connection begins with: a record of the type "handshake".
const HANDSHAKE: u8 = 22;
/// More is not read of a request that is refused.
const UNREAD_BYTES: u64 = 64 << 10;
const PLAIN: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\
Content-Type: application/json\r\nContent-Length: 60\r\nConnection: close\r\n\r\n\
{\"code\": 400, \"message\": \"this port speaks HTTPS, not HTTP\"}";

/// Shakes hands; `None` when there is nobody to talk to.
pub async fn shake(
    stream: TcpStream,
    config: Arc<ServerConfig>,
    wrap: impl FnOnce(TcpStream) -> ClientStream,
) -> Option<TlsStream<ClientStream>> {
    let shaken = timeout(DEADLINE, async {
        let mut first = [0];
        let seen = stream.peek(&mut first).await.ok()?;
        if seen == 1 && first[0] != HANDSHAKE {
            refuse(stream).await;
            return None;
        }
        let accepted = TlsAcceptor::from(config).accept(wrap(stream)).await;
        accepted
            .inspect_err(|error| tracing::debug!(%error, "a TLS handshake failed"))
            .ok()
    });
    shaken.await.ok().flatten()
}

/// Says why, and reads what was sent so that the answer is not lost in a reset.
async fn refuse(mut stream: TcpStream) {
    let _ = stream.write_all(PLAIN).await;
    let _ = stream.shutdown().await;
    let _ = tokio::io::copy(&mut stream.take(UNREAD_BYTES), &mut tokio::io::sink()).await;
}

#[cfg(test)]
mod tests {
    use super::PLAIN;

    #[test]
    fn the_length_of_the_refusal_is_right() {
        let text = std::str::from_utf8(PLAIN).expect("ASCII");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.contains(&format!("Content-Length: {}", body.len())));
    }
}
