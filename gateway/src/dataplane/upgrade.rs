//! Connections that leave HTTP, such as WebSockets: bytes both ways until one side ends.

use crate::sandboxes::Sandbox;
use http::{HeaderMap, Version, header};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use std::sync::Arc;

/// Bytes that are carried at a time in each direction.
const BUFFER: usize = 64 << 10;

/// Whether a client wants to leave HTTP. Only HTTP/1.1 has a way to say so.
pub fn asked(version: Version, headers: &HeaderMap) -> bool {
    version == Version::HTTP_11
        && headers.contains_key(header::UPGRADE)
        && headers
            .get_all(header::CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|word| word.trim().eq_ignore_ascii_case("upgrade"))
}

/// Carries bytes between a client and a program. When the sandbox ends, the client's
/// connection is dropped without a farewell, so that no one takes it for a proper end.
pub async fn join(sandbox: Arc<Sandbox>, client: Upgraded, program: Upgraded) {
    let (mut client, mut program) = (TokioIo::new(client), TokioIo::new(program));
    let carried =
        tokio::io::copy_bidirectional_with_sizes(&mut client, &mut program, BUFFER, BUFFER);
    // Either side may break off at any time; there is nobody to tell but the other.
    tokio::select! {
        () = sandbox.cut.cancelled() => {}
        _ = carried => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upgrade_needs_both_headers_and_http_1_1() {
        let ask = |connection: &str, version| {
            let mut headers = HeaderMap::new();
            headers.insert(header::UPGRADE, "websocket".parse().expect("a value"));
            headers.insert(header::CONNECTION, connection.parse().expect("a value"));
            asked(version, &headers)
        };
        assert!(ask("keep-alive, Upgrade", Version::HTTP_11));
        assert!(!ask("keep-alive", Version::HTTP_11));
        assert!(!ask("upgrade", Version::HTTP_2));
        assert!(!asked(Version::HTTP_11, &HeaderMap::new()));
    }
}
