//! One port for both proxies: the first byte tells SOCKS 5 from HTTP.

use super::exits::{Exit, Exits};
use super::{http, socks};
use rustix::net::sockopt;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncRead;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Connections to the proxies at a time. More wait in the system's own queue; the node has a
/// lower bound of its own on what leaves.
const CONNECTIONS: usize = 512;

/// How long a client may take to say what it wants. Browsers open connections in advance.
pub const WORD: Duration = Duration::from_secs(60);

/// Pause after an accept that failed, e.g. for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// First byte of SOCKS 5 (RFC 1928, section 3).
pub const SOCKS_VERSION: u8 = 5;

/// Serves until it is dropped, and its connections with it.
pub async fn serve(listener: TcpListener, exits: &Arc<Exits>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let Ok(place) = places.clone().acquire_owned().await else {
            return;
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        match accepted {
            Ok((stream, _)) => {
                let exits = exits.clone();
                connections.spawn(async move {
                    let _place = place;
                    talk(stream, exits).await;
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection to the proxies was not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn talk(stream: TcpStream, exits: Arc<Exits>) {
    // What a client says is passed on at once; delays would add up.
    let _ = stream.set_nodelay(true);
    let mut first = [0];
    match timeout(WORD, stream.peek(&mut first)).await {
        Ok(Ok(1)) if first[0] == SOCKS_VERSION => socks::serve(stream, &exits).await,
        Ok(Ok(1)) => http::serve(stream, exits).await,
        _ => {}
    }
}

/// Carries a connection. A far side that broke off resets it, so that the client does not
/// take half an answer for a whole one.
pub async fn carry(exit: Exit, mut stream: TcpStream, early: impl AsyncRead + Unpin) {
    let carried = {
        let (reader, writer) = stream.split();
        let reader = tokio::io::AsyncReadExt::chain(early, reader);
        exit.carry((reader, writer)).await
    };
    if carried.is_err() {
        let _ = sockopt::set_socket_linger(&stream, Some(Duration::ZERO));
    }
}
