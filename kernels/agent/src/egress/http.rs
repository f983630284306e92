//! The HTTP proxy: `CONNECT` for anything, absolute URLs for plain HTTP (RFC 9110, section
//! 9.3.6, and RFC 9112, section 3.2.2).
//!
//! Each request takes a connection of its own to its origin. Heads are read by hyper within
//! bounds; bodies are passed on as they come.

use super::exits::{Exit, Exits, NoExit};
use super::listener::{self, WORD};
use axum::body::Body;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::Scheme;
use http::{Method, Request, Response, StatusCode, Uri, Version};
use hyper::body::Incoming;
use hyper::upgrade::Upgraded;
use hyper_util::rt::{TokioIo, TokioTimer};
use soulbox_protocol::egress::Outcome;
use std::convert::Infallible;
use std::io::Cursor;
use std::sync::Arc;
use tokio::net::TcpStream;

/// Bytes of the head of a request or of an answer.
const HEAD_BYTES: usize = 64 << 10;

/// Bytes between HTTP and the way out, in each direction.
const PIPE_BYTES: usize = 32 << 10;

/// Port of `http` URLs without one.
const HTTP_PORT: u16 = 80;

/// Headers of one hop (RFC 9110, section 7.6.1), and what was meant for this proxy.
const HOP: [HeaderName; 9] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    // Answered here, as soon as the body is asked for.
    header::EXPECT,
];

/// Serves one client, and all its requests.
pub async fn serve(stream: TcpStream, exits: Arc<Exits>) {
    let service = hyper::service::service_fn(move |request| {
        let exits = exits.clone();
        async move { Ok::<_, Infallible>(answer(request, &exits).await) }
    });
    // It ends with an error whenever a client hangs up; there is nobody to tell.
    let _ = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(WORD)
        .max_buf_size(HEAD_BYTES)
        .preserve_header_case(true)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
}

async fn answer(request: Request<Incoming>, exits: &Exits) -> Response<Body> {
    if request.method() == Method::CONNECT {
        return tunnel(request, exits).await;
    }
    if request.uri().scheme() != Some(&Scheme::HTTP) {
        return refusal(
            StatusCode::BAD_REQUEST,
            "This is the sandbox's proxy. It takes CONNECT, and absolute URLs that begin with http://.",
        );
    }
    forward(request, exits)
        .await
        .unwrap_or_else(|refusal| refusal)
}

async fn tunnel(request: Request<Incoming>, exits: &Exits) -> Response<Body> {
    let Some(destination) = request.uri().authority().map(ToString::to_string) else {
        return none(NoExit::Said(Outcome::Malformed));
    };
    let exit = match exits.open(&destination).await {
        Ok(exit) => exit,
        Err(why) => return none(why),
    };
    tokio::spawn(async move {
        // Fails only when the client has gone away.
        if let Ok(upgraded) = hyper::upgrade::on(request).await {
            carry(exit, upgraded).await;
        }
    });
    Response::new(Body::empty())
}

async fn carry(exit: Exit, upgraded: Upgraded) {
    // What `serve` put in.
    let Ok(parts) = upgraded.downcast::<TokioIo<TcpStream>>() else {
        return;
    };
    listener::carry(exit, parts.io.into_inner(), Cursor::new(parts.read_buf)).await;
}

/// Passes a request for plain HTTP on.
async fn forward(
    request: Request<Incoming>,
    exits: &Exits,
) -> Result<Response<Body>, Response<Body>> {
    let authority = request.uri().authority().cloned();
    let authority = authority.ok_or_else(|| none(NoExit::Said(Outcome::Malformed)))?;
    let destination = match authority.port() {
        Some(_) => authority.to_string(),
        None => format!("{authority}:{HTTP_PORT}"),
    };
    let exit = exits.open(&destination).await.map_err(none)?;
    let (near, far) = tokio::io::duplex(PIPE_BYTES);
    tokio::spawn(async move { exit.carry(tokio::io::split(far)).await });
    let broke = |_| refusal(StatusCode::BAD_GATEWAY, "The server broke off.");
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_buf_size(HEAD_BYTES)
        .preserve_header_case(true)
        .handshake(TokioIo::new(near))
        .await
        .map_err(broke)?;
    tokio::spawn(connection);
    let response = sender
        .send_request(outward(request, authority.as_str()))
        .await;
    let mut response = response.map_err(broke)?;
    strip(response.headers_mut());
    *response.version_mut() = Version::HTTP_11;
    // The connection serves this one request; it ends when the body has been read.
    Ok(response.map(Body::new))
}

/// The request as the origin gets it. `Host` is made of the URL, whatever the client wrote.
fn outward(mut request: Request<Incoming>, authority: &str) -> Request<Incoming> {
    strip(request.headers_mut());
    let path = request
        .uri()
        .path_and_query()
        .map_or("/", |path| path.as_str());
    let path = path
        .parse::<Uri>()
        .unwrap_or_else(|_| Uri::from_static("/"));
    *request.uri_mut() = path;
    *request.version_mut() = Version::HTTP_11;
    if let Ok(host) = HeaderValue::from_str(authority) {
        request.headers_mut().insert(header::HOST, host);
    }
    request
}

fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&HOP) {
        headers.remove(name);
    }
}

fn none(why: NoExit) -> Response<Body> {
    let (status, text) = match why {
        NoExit::Said(Outcome::Refused) => (
            StatusCode::FORBIDDEN,
            "This sandbox may not connect there: the address is not public, or the sandbox's network settings deny it.",
        ),
        NoExit::Said(Outcome::Malformed | Outcome::Connected) => {
            (StatusCode::BAD_REQUEST, "This is no host and port.")
        }
        NoExit::Said(Outcome::Unknown) => (
            StatusCode::BAD_GATEWAY,
            "The name of the server is not known.",
        ),
        NoExit::Said(Outcome::Unreachable) => (
            StatusCode::BAD_GATEWAY,
            "The server refused the connection or cannot be reached.",
        ),
        NoExit::Said(Outcome::Late) => (
            StatusCode::GATEWAY_TIMEOUT,
            "The server did not answer in time.",
        ),
        NoExit::Busy => (
            StatusCode::SERVICE_UNAVAILABLE,
            "This sandbox has as many connections to the outside as it may have.",
        ),
        NoExit::Lost => (
            StatusCode::BAD_GATEWAY,
            "The way out of the sandbox broke off.",
        ),
    };
    refusal(status, text)
}

fn refusal(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(format!("{text}\n")));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response
}
