//! `CONNECT <sandbox id>:<port>`: a tunnel from a gateway to a port inside a sandbox.
//!
//! The answer is 200 once the port has taken the connection; from then on the two streams are
//! joined, with the back-pressure of HTTP/2 on both. A sandbox that ends breaks its tunnels.
//! A port where nothing listens is an error of its own, so that a gateway may try again.

use crate::{
    api::{
        answer::{self, Answer},
        forward,
    },
    error::Refusal,
    node::Node,
};
use http::{Request, StatusCode, Uri};
use hyper::{body::Incoming, upgrade::Upgraded};
use hyper_util::rt::TokioIo;
use soulbox_runtime::{SandboxId, api::ErrorCode};
use tokio_util::sync::CancellationToken;

/// Bytes that are carried at a time in each direction.
const BUFFER: usize = 64 << 10;

/// Opens a tunnel.
///
/// # Errors
/// When the sandbox is not there, nothing listens or there are too many tunnels.
pub async fn open(node: &Node, request: Request<Incoming>) -> Answer {
    let (sandbox, port) = target(request.uri()).ok_or_else(|| {
        Refusal::new(
            ErrorCode::Invalid,
            "CONNECT takes the id of a sandbox, a colon and a port",
        )
    })?;
    let live = node.registry.running(&sandbox).ok_or_else(|| {
        Refusal::new(
            ErrorCode::SandboxUnknown,
            "there is no such running sandbox on this node",
        )
    })?;
    let (server, permit) = live.agent.tunnel(port).await.map_err(forward::refusal)?;
    let closed = live.agent.closed_token();
    tokio::spawn(async move {
        // Fails only when the gateway gave up meanwhile.
        if let Ok(client) = hyper::upgrade::on(request).await {
            join(client, server, closed).await;
        }
        drop(permit);
    });
    answer::empty(StatusCode::OK)
}

/// Carries bytes until both sides are done, one broke off or the sandbox is gone.
async fn join(client: Upgraded, server: Upgraded, closed: CancellationToken) {
    let (mut client, mut server) = (TokioIo::new(client), TokioIo::new(server));
    let carried =
        tokio::io::copy_bidirectional_with_sizes(&mut client, &mut server, BUFFER, BUFFER);
    // Either side may break off at any time; there is nobody to tell but the other.
    tokio::select! {
        () = closed.cancelled() => {}
        _ = carried => {}
    }
}

fn target(uri: &Uri) -> Option<(SandboxId, u16)> {
    let authority = uri.authority()?;
    let sandbox = SandboxId::new(authority.host()).ok()?;
    let port = authority.port_u16().filter(|port| *port > 0)?;
    Some((sandbox, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_sandbox_and_a_port_are_a_target() {
        let parse = |text: &str| target(&text.parse().expect("a URI"));
        let (sandbox, port) = parse("i0123456789abcdefghij:8080").expect("a target");
        assert_eq!((sandbox.as_str(), port), ("i0123456789abcdefghij", 8080));
        for wrong in [
            "i0123456789abcdefghij:0",
            "i0123456789abcdefghij",
            "127.0.0.1:80",
            "/v1/sandboxes",
        ] {
            assert!(parse(wrong).is_none(), "{wrong}");
        }
    }
}
