//! Requests to programs that listen on a port of a sandbox (e2b-wire.md, section 1.5).
//!
//! Each request gets a tunnel of its own, and HTTP/1.1 is spoken on it, whatever the client
//! speaks. Headers are the program's own affair, so all pass but those of one connection and
//! those that would hand our credentials to code that we do not trust.

use super::{HangUp, TRAFFIC_TOKEN, errors::DataError, forward, tunnel, upgrade};
use crate::{
    gateway::{App, discard},
    sandboxes::{STREAMS_PER_SANDBOX, Sandbox},
};
use axum::body::Body;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri, header};
use hyper::{client::conn::http1, upgrade::Upgraded};
use std::sync::Arc;
use tokio_util::sync::{CancellationToken, DropGuard};

/// What the connection to a program may have read ahead.
const BUFFER_BYTES: usize = 256 << 10;
/// Headers that are about one connection only (RFC 9110, section 7.6.1). `Expect` is answered
/// by our own server.
const OF_ONE_CONNECTION: [HeaderName; 9] = [
    header::CONNECTION,
    header::EXPECT,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
];
const ROUTING: [&str; 3] = [TRAFFIC_TOKEN, "e2b-sandbox-id", "e2b-sandbox-port"];
/// What our own keys begin with. Any other `X-API-Key` is the program's.
const OUR_KEYS: &[u8] = b"e2b_";

/// Sends a request to a program and gives its answer, both streamed.
pub async fn to_program(
    app: &App,
    sandbox: Arc<Sandbox>,
    port: u16,
    mut request: Request<Body>,
) -> Result<Response<Body>, DataError> {
    let Some(permit) = sandbox.stream() else {
        discard(request.into_body()).await;
        return Err(DataError::TooManyStreams {
            id: sandbox.record.id.to_string(),
            limit: STREAMS_PER_SANDBOX,
        });
    };
    let hang_up = request.extensions_mut().remove::<HangUp>();
    let tunnel = match tunnel::open(app, &sandbox, port).await {
        Ok(tunnel) => tunnel,
        Err(error) => {
            discard(request.into_body()).await;
            return Err(error);
        }
    };
    let client = upgrade::asked(request.version(), request.headers())
        .then(|| hyper::upgrade::on(&mut request));
    prepare(&sandbox, port, &mut request, client.is_some())?;
    let answered = converse(&sandbox, tunnel, request).await;
    let (mut response, conversation) = answered.map_err(|error| {
        let id = sandbox.record.id.to_string();
        match error {
            Ended::Sandbox => DataError::NotFound { id },
            Ended::Program => DataError::NoAnswer { id, port },
        }
    })?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        clean(response.headers_mut());
        return Ok(forward::until_cut(
            &sandbox,
            response,
            hang_up,
            (permit, conversation),
        ));
    }
    let Some(client) = client else {
        let id = sandbox.record.id.to_string();
        return Err(DataError::NoAnswer { id, port });
    };
    let protocol = response.headers().get(header::UPGRADE).cloned();
    clean(response.headers_mut());
    restore_upgrade(response.headers_mut(), protocol);
    let program = hyper::upgrade::on(&mut response);
    tokio::spawn(async move {
        // Fails only when one of them went away before it began.
        if let (Ok(client), Ok(program)) = tokio::join!(client, program) {
            upgrade::join(sandbox, client, program).await;
        }
        drop((permit, conversation));
    });
    Ok(response.map(|_| Body::empty()))
}

/// Why there was no answer.
enum Ended {
    Sandbox,
    Program,
}

/// Speaks HTTP/1.1 on a tunnel, which is closed when the guard is dropped.
async fn converse(
    sandbox: &Sandbox,
    tunnel: Upgraded,
    request: Request<Body>,
) -> Result<(Response<hyper::body::Incoming>, DropGuard), Ended> {
    // Names of headers are written as their sender did, or, from HTTP/2, as most programs do:
    // not all that look for `Host:` know that its letters do not matter.
    let opened = http1::Builder::new()
        .max_buf_size(BUFFER_BYTES)
        .preserve_header_case(true)
        .title_case_headers(true)
        .handshake::<_, Body>(tunnel)
        .await;
    let (mut sender, connection) = opened.map_err(|_| Ended::Program)?;
    let over = CancellationToken::new();
    let (cut, done) = (sandbox.cut.clone(), over.clone());
    tokio::spawn(async move {
        tokio::select! {
            () = cut.cancelled() => {}
            () = done.cancelled() => {}
            ended = connection.with_upgrades() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection to a program ended");
                }
            }
        }
    });
    let over = over.drop_guard();
    tokio::select! {
        biased;
        () = sandbox.cut.cancelled() => Err(Ended::Sandbox),
        answer = sender.send_request(request) => match answer {
            Ok(response) => Ok((response, over)),
            Err(error) => {
                tracing::debug!(%error, "a program gave no answer");
                Err(if sandbox.is_running() { Ended::Program } else { Ended::Sandbox })
            }
        },
    }
}

/// Makes the request one for the program's own connection.
fn prepare(
    sandbox: &Sandbox,
    port: u16,
    request: &mut Request<Body>,
    upgrades: bool,
) -> Result<(), DataError> {
    // HTTP/2 clients name the host in the address only.
    let host = request
        .uri()
        .authority()
        .and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
    let target = request
        .uri()
        .path_and_query()
        .map_or("/", |all| all.as_str());
    let target: Uri = target.parse().map_err(|_| DataError::BadPath)?;
    *request.uri_mut() = target;
    *request.version_mut() = http::Version::HTTP_11;
    let headers = request.headers_mut();
    let protocol = headers.get(header::UPGRADE).cloned();
    clean(headers);
    if upgrades {
        restore_upgrade(headers, protocol);
    }
    for name in ROUTING {
        headers.remove(name);
    }
    if headers
        .get("x-api-key")
        .is_some_and(|key| key.as_bytes().starts_with(OUR_KEYS))
    {
        headers.remove("x-api-key");
    }
    let token = sandbox.record.envd_token.as_ref();
    if let (Some(token), Some(sent)) = (token, headers.get("x-access-token"))
        && token.is(sent.as_bytes())
    {
        headers.remove("x-access-token");
    }
    let network = sandbox.record.network.as_ref();
    let mask = network.and_then(|all| all.get("maskRequestHost")?.as_str());
    let masked = mask.and_then(|mask| mask_host(mask, port));
    if let Some(host) = masked.or(host) {
        headers.insert(header::HOST, host);
    }
    Ok(())
}

/// Whether a `maskRequestHost` can be used: a host with an optional port, in which `${PORT}`
/// stands for the port that is asked for.
pub fn check_mask(mask: &str) -> bool {
    let Some(host) = mask_host(mask, 1) else {
        return false;
    };
    let authority = host
        .to_str()
        .ok()
        .and_then(|text| text.parse::<http::uri::Authority>().ok());
    authority.is_some_and(|all| !all.host().is_empty() && !all.as_str().contains('@'))
}

fn mask_host(mask: &str, port: u16) -> Option<HeaderValue> {
    HeaderValue::from_str(&mask.replace("${PORT}", &port.to_string()))
        .ok()
        .filter(|_| mask.is_ascii())
}

fn restore_upgrade(headers: &mut HeaderMap, protocol: Option<HeaderValue>) {
    if let Some(protocol) = protocol {
        headers.insert(header::UPGRADE, protocol);
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    }
}

fn clean(headers: &mut HeaderMap) {
    // The sender names further headers of its connection in `connection`.
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::try_from(name.trim()).ok())
        // A host or a length is never about one connection only; without them the message
        // would mean something else.
        .filter(|name| name != header::HOST && name != header::CONTENT_LENGTH)
        .collect();
    for name in named.iter().chain(&OF_ONE_CONNECTION) {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_is_a_host_with_the_port_filled_in() {
        let masked = mask_host("app.localhost:${PORT}", 8080).expect("a mask");
        assert_eq!(masked, "app.localhost:8080");
        assert_eq!(mask_host("plain", 1).expect("a mask"), "plain");
        for good in [
            "localhost",
            "localhost:3000",
            "${PORT}.example.org",
            "[::1]:${PORT}",
        ] {
            assert!(check_mask(good), "{good}");
        }
        for bad in ["", "a b", "a\r\nb", "a/b", "u@host", "ü.example", ":80"] {
            assert!(!check_mask(bad), "{bad:?}");
        }
    }

    #[test]
    fn headers_of_one_connection_stay_on_it() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "x-one, close, host, content-length"),
            ("x-one", "1"),
            ("x-two", "2"),
            ("host", "a"),
            ("content-length", "3"),
            ("te", "trailers"),
            ("keep-alive", "timeout=5"),
        ] {
            headers.insert(name, value.parse().expect("a value"));
        }
        clean(&mut headers);
        let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["content-length", "host", "x-two"]);
    }
}
