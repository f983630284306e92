//! Tunnels to ports of the sandbox: `CONNECT 127.0.0.1:<port>` on the channel.
//!
//! Only the loopback addresses of the sandbox itself can be reached, whatever the authority
//! says besides the port: this is a way in, not a way out.

use axum::body::Body;
use http::uri::Authority;
use http::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::net::TcpStream;

/// A loopback connection is made at once or not at all.
const CONNECT: Duration = Duration::from_secs(5);

/// Bytes that are carried at a time in each direction.
const BUFFER: usize = 64 << 10;

/// Answers a `CONNECT`: 200 and then the bytes of the port, or 502 when nothing listens.
pub async fn tunnel(request: Request<Body>) -> Response<Body> {
    let port = request
        .uri()
        .authority()
        .filter(|a| is_loopback(a))
        .and_then(Authority::port_u16);
    let Some(port) = port.filter(|port| *port > 0) else {
        return answer(StatusCode::BAD_REQUEST);
    };
    // A stranger who may reach a port of the sandbox must not go on from there to the world.
    if port == soulbox_protocol::egress::PORT {
        return answer(StatusCode::BAD_GATEWAY);
    }
    let Ok(Some(mut server)) = tokio::time::timeout(CONNECT, connect(port)).await else {
        return answer(StatusCode::BAD_GATEWAY);
    };
    tokio::spawn(async move {
        // Fails only when the node gives the stream up before it has begun.
        if let Ok(client) = hyper::upgrade::on(request).await {
            let mut client = TokioIo::new(client);
            // Either side may break off at any time; there is nobody to tell but the other.
            let _ =
                tokio::io::copy_bidirectional_with_sizes(&mut client, &mut server, BUFFER, BUFFER)
                    .await;
        }
    });
    answer(StatusCode::OK)
}

/// Servers listen on either address; IPv4 is the more common.
async fn connect(port: u16) -> Option<TcpStream> {
    for address in [
        SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        SocketAddr::from((Ipv6Addr::LOCALHOST, port)),
    ] {
        if let Ok(stream) = TcpStream::connect(address).await {
            // A port of the ephemeral range that nobody listens on may, by chance, be given to
            // the connection itself, which then talks to itself (TCP's simultaneous open).
            if stream.local_addr().is_ok_and(|local| local == address) {
                continue;
            }
            // The tunnel carries what it is given at once; delays would add up.
            let _ = stream.set_nodelay(true);
            return Some(stream);
        }
    }
    None
}

fn is_loopback(authority: &Authority) -> bool {
    matches!(authority.host(), "127.0.0.1" | "localhost")
}

fn answer(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}
