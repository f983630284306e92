//! Requests of clients, carried to a sandbox's agent as they are.
//!
//! Nothing is read, nothing is kept: both bodies stream with the back-pressure of HTTP/2 from
//! end to end, a reset on one side becomes a reset on the other, and a kill breaks what is
//! under way. What an agent answers comes from hostile code, so the node's own mark
//! for errors and everything that belongs to one connection only is taken off.

use crate::{
    agent::{AgentError, HEADER_BYTES},
    api::answer::Answer,
    body::{self, UntilClosed, Whole},
    error::Refusal,
    node::Node,
};
use http::{HeaderMap, HeaderName, Request, StatusCode, Uri, header};
use hyper::body::Incoming;
use soulbox_runtime::{
    SandboxId,
    api::{ERROR_HEADER, ErrorCode, Plane},
};

/// Headers of one request.
const HEADERS: usize = 128;

/// Headers that belong to one connection (RFC 9110, section 7.6.1) or that HTTP/2 replaces.
const CONNECTION_HEADERS: [HeaderName; 8] = [
    header::CONNECTION,
    header::HOST,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
];

/// Where a request is to go: parsed from `/v1/sandboxes/{id}/agent/{plane}/{path}?{query}`.
#[derive(Debug, PartialEq, Eq)]
pub struct Target {
    /// Which sandbox.
    pub sandbox: SandboxId,
    /// Which service of its agent.
    pub plane: Plane,
    /// Path and query, as the client wrote them.
    pub path_and_query: String,
}

impl Target {
    /// `None` when the path is no forwarded one.
    pub fn parse(uri: &Uri) -> Option<Self> {
        let rest = uri.path().strip_prefix("/v1/sandboxes/")?;
        let (sandbox, rest) = rest.split_once("/agent/")?;
        let (plane, path) = rest.split_once('/')?;
        let sandbox = SandboxId::new(sandbox).ok()?;
        let plane = [Plane::Envd, Plane::Interpreter]
            .into_iter()
            .find(|p| p.as_str() == plane)?;
        let path_and_query = match uri.query() {
            Some(query) => format!("/{path}?{query}"),
            None => format!("/{path}"),
        };
        Some(Self {
            sandbox,
            plane,
            path_and_query,
        })
    }
}

/// Carries one request.
///
/// # Errors
/// When the sandbox is not there or its agent does not answer.
pub async fn forward(node: &Node, target: Target, request: Request<Incoming>) -> Answer {
    let live = node.registry.running(&target.sandbox).ok_or_else(|| {
        Refusal::new(
            ErrorCode::SandboxUnknown,
            "there is no such running sandbox on this node",
        )
    })?;
    let (mut head, incoming) = request.into_parts();
    if head.headers.len() > HEADERS || size(&head.headers) > HEADER_BYTES as usize {
        return Err(Refusal::new(
            ErrorCode::Invalid,
            "the request has too many or too long headers",
        ));
    }
    head.uri = Uri::builder()
        .scheme("http")
        .authority(target.plane.as_str())
        .path_and_query(target.path_and_query)
        .build()
        .map_err(|_| Refusal::new(ErrorCode::Invalid, "the path can't be forwarded"))?;
    head.version = http::Version::HTTP_2;
    head.extensions.clear();
    strip(&mut head.headers);
    let request = Request::from_parts(head, body::boxed(Whole(incoming)));
    let closed = live.agent.closed_token();
    let (answer, permit) = live.agent.forward(request).await.map_err(refusal)?;
    let (mut head, incoming) = answer.into_parts();
    // 1xx never gets here, and a CONNECT's 200 has no business on this route.
    if head.status.as_u16() < 200 || head.status.as_u16() > 599 {
        head.status = StatusCode::BAD_GATEWAY;
    }
    head.extensions.clear();
    strip(&mut head.headers);
    head.headers.remove(ERROR_HEADER);
    let body = UntilClosed::new(incoming, closed, permit);
    Ok(http::Response::from_parts(head, body::boxed(body)))
}

/// What a gateway is told when an agent failed.
pub fn refusal(error: AgentError) -> Refusal {
    let code = match error {
        AgentError::Busy => ErrorCode::Capacity,
        AgentError::Closed => ErrorCode::AgentLost,
        AgentError::PortClosed => ErrorCode::PortClosed,
        AgentError::TooManyTunnels => ErrorCode::TooManyTunnels,
        // The sandbox lives; only this request failed.
        AgentError::Late | AgentError::Answer(_) => ErrorCode::Internal,
    };
    Refusal::new(code, error.to_string())
}

fn strip(headers: &mut HeaderMap) {
    // The sender names further headers of its connection in `connection`.
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::try_from(name.trim()).ok())
        .collect();
    for name in named.iter().chain(&CONNECTION_HEADERS) {
        headers.remove(name);
    }
    if headers.get(header::TE).is_some_and(|te| te != "trailers") {
        headers.remove(header::TE);
    }
}

fn size(headers: &HeaderMap) -> usize {
    // 32 per header, as HTTP/2 counts (RFC 9113, section 6.5.2).
    headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 32)
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<Target> {
        Target::parse(&text.parse().expect("a URI"))
    }

    #[test]
    fn path_and_query_are_passed_on_as_they_were_written() {
        let target =
            parse("/v1/sandboxes/i0123456789abcdefghij/agent/envd/files?path=%2Fa%20b&username=")
                .expect("a target");
        assert_eq!(target.plane, Plane::Envd);
        assert_eq!(target.path_and_query, "/files?path=%2Fa%20b&username=");
        let odd = parse("/v1/sandboxes/i0123456789abcdefghij/agent/interpreter//a/agent/b")
            .expect("a target");
        assert_eq!(odd.path_and_query, "//a/agent/b");
    }

    #[test]
    fn the_control_plane_cannot_be_reached() {
        for path in [
            "/v1/sandboxes/i0123456789abcdefghij/agent/control/claim",
            "/v1/sandboxes/i0123456789abcdefghij/agent/envd",
            "/v1/sandboxes/../agent/envd/",
            "/v1/sandboxes//agent/envd/",
        ] {
            assert_eq!(parse(path), None, "{path}");
        }
    }

    #[test]
    fn headers_of_one_connection_stay_on_it() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "x-one, close"),
            ("x-one", "1"),
            ("x-two", "2"),
            ("te", "gzip"),
            ("host", "a"),
            ("upgrade", "websocket"),
        ] {
            headers.insert(name, value.parse().expect("a value"));
        }
        strip(&mut headers);
        assert_eq!(headers.len(), 1);
        assert!(headers.contains_key("x-two"));
    }
}
