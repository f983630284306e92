//! The opening of a WebSocket (RFC 6455, section 4.2), which is all of it that is read here.

use super::error::JupyterError;
use axum::body::Body;
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Version, header};
use sha1::{Digest, Sha1};

/// What every server mixes into the client's key (RFC 6455, section 1.3).
const MAGIC: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const VERSION: &[u8] = b"13";
/// Bytes of a client's key.
const KEY_BYTES: usize = 16;
/// The framing that Jupyter clients may ask for (jupyter-wire.md, section 4.3).
const JUPYTER_V1: &str = "v1.kernel.websocket.jupyter.org";

/// A client's opening that is in order.
pub struct Handshake {
    accept: HeaderValue,
    /// The framing that was agreed on; the default one when there is none.
    pub subprotocol: Option<&'static str>,
}

impl Handshake {
    /// Reads a client's opening.
    pub fn read(version: Version, headers: &HeaderMap) -> Result<Self, JupyterError> {
        let wants = version == Version::HTTP_11
            && has_word(headers, &header::CONNECTION, "upgrade")
            && has_word(headers, &header::UPGRADE, "websocket");
        if !wants {
            return Err(JupyterError::bad(
                "this route needs a WebSocket: HTTP/1.1 with Connection: Upgrade",
            ));
        }
        let spoken = headers.get(header::SEC_WEBSOCKET_VERSION);
        if spoken.is_none_or(|spoken| spoken.as_bytes() != VERSION) {
            let ours = HeaderValue::from_static("13");
            let error = JupyterError::new(
                StatusCode::UPGRADE_REQUIRED,
                "this server speaks version 13 of WebSocket",
            );
            return Err(error.with(header::SEC_WEBSOCKET_VERSION, ours));
        }
        let key = headers.get(header::SEC_WEBSOCKET_KEY);
        let key = key.map_or(&[][..], HeaderValue::as_bytes);
        if BASE64.decode(key).map_or(0, |bytes| bytes.len()) != KEY_BYTES {
            return Err(JupyterError::bad(
                "Sec-WebSocket-Key must be 16 bytes in base64",
            ));
        }
        let v1 = has_word(headers, &header::SEC_WEBSOCKET_PROTOCOL, JUPYTER_V1);
        Ok(Self {
            accept: accept(key),
            subprotocol: v1.then_some(JUPYTER_V1),
        })
    }

    /// The answer after which the connection is a WebSocket.
    pub fn switch(&self) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, self.accept.clone());
        if let Some(word) = self.subprotocol {
            let word = HeaderValue::from_static(word);
            headers.insert(header::SEC_WEBSOCKET_PROTOCOL, word);
        }
        response
    }
}

fn accept(key: &[u8]) -> HeaderValue {
    let digest = Sha1::new().chain_update(key).chain_update(MAGIC).finalize();
    HeaderValue::from_str(&BASE64.encode(digest)).expect("base64 is plain text")
}

fn has_word(headers: &HeaderMap, name: &HeaderName, wanted: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|word| word.trim().eq_ignore_ascii_case(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opening(change: (&'static str, &'static str)) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            change,
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn the_answer_is_that_of_the_standard_and_names_only_what_was_offered() {
        let protocol = (
            "sec-websocket-protocol",
            "x, v1.kernel.websocket.jupyter.org",
        );
        let answer = Handshake::read(Version::HTTP_11, &opening(protocol)).expect("in order");
        let response = answer.switch();
        // The example of RFC 6455, section 1.3.
        assert_eq!(
            response.headers()["sec-websocket-accept"],
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
        assert_eq!(response.headers()["sec-websocket-protocol"], JUPYTER_V1);
        let other = opening(("sec-websocket-protocol", "x"));
        let answer = Handshake::read(Version::HTTP_11, &other).expect("in order");
        assert!(answer.subprotocol.is_none());
        assert!(
            !answer
                .switch()
                .headers()
                .contains_key("sec-websocket-protocol")
        );
    }

    #[test]
    fn what_is_no_opening_is_refused_with_a_status() {
        for (change, want) in [
            (("sec-websocket-key", "short"), 400),
            (("sec-websocket-version", "8"), 426),
            (("connection", "close"), 400),
            (("upgrade", "h2c"), 400),
        ] {
            let Err(error) = Handshake::read(Version::HTTP_11, &opening(change)) else {
                panic!("{change:?} was taken");
            };
            assert_eq!(error.status().as_u16(), want, "{change:?}");
        }
    }
}
