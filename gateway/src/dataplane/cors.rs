//! Any web page may call the data plane: tokens travel in headers that a page must know, and
//! there are no cookies (e2b-wire.md, section 1.7).

use axum::body::Body;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};

/// A browser asks again after this, in seconds: the longest that browsers accept.
const PREFLIGHT_SECONDS: &str = "7200";
const ANY: HeaderValue = HeaderValue::from_static("*");
const METHODS: HeaderValue =
    HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "Location, Cache-Control, Content-Encoding, Content-Disposition, \
     Connect-Content-Encoding, Connect-Accept-Encoding, Connect-Protocol-Version, \
     Grpc-Status, Grpc-Message, Grpc-Status-Details-Bin, X-Content-Type-Options",
);

/// A browser's question before the request. It carries no routing headers, so it can't be
/// told whose it is; the answer is the same for all.
pub fn is_preflight(request: &Request<Body>) -> bool {
    let headers = request.headers();
    request.method() == Method::OPTIONS
        && headers.contains_key(header::ORIGIN)
        && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// Yes to everything that was asked.
pub fn preflight(request: &Request<Body>) -> Response<Body> {
    let asked = request
        .headers()
        .get(header::ACCESS_CONTROL_REQUEST_HEADERS);
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, ANY);
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    // `*` does not cover Authorization, so what was asked for is repeated.
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        asked.cloned().unwrap_or(ANY),
    );
    headers.insert(
        header::ACCESS_CONTROL_MAX_AGE,
        HeaderValue::from_static(PREFLIGHT_SECONDS),
    );
    response
}

/// Lets a page read this answer.
pub fn open(headers: &mut HeaderMap) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, ANY);
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
}
