//! Who may pass (e2b-wire.md, section 4.6). The agent checks nothing: it trusts its channel.

use super::{
    errors::DataError,
    signature::{Claim, Fault},
};
use crate::sandboxes::Record;
use axum::body::Body;
use http::{HeaderValue, Method, Request};
use jiff::Timestamp;

const ACCESS_TOKEN: &str = "x-access-token";
const NO_TOKEN: &str =
    "unauthorized access, please provide a valid access token or method signing if supported";
const WRONG_TOKEN: &str = "access token present in header but does not match";

/// Processes and files: every route needs the token, but for the health check and for signed
/// requests to `/files`.
pub fn envd(record: &Record, request: &Request<Body>) -> Result<(), DataError> {
    let Some(token) = &record.envd_token else {
        return Ok(());
    };
    let (method, path) = (request.method(), request.uri().path());
    if path == "/health" && [Method::GET, Method::HEAD].contains(method) {
        return Ok(());
    }
    let files = path == "/files" && [Method::GET, Method::POST].contains(method);
    match presented(request) {
        Some(text) if token.is(text) => Ok(()),
        Some(_) if files => Err(DataError::Unauthorized(WRONG_TOKEN)),
        None if files => {
            let claim = Claim::parse(request.uri().query().unwrap_or_default());
            let now = Timestamp::now().as_second();
            let checked = claim.check(method, token, now);
            checked.map_err(|fault: Fault| DataError::Unauthorized(fault.text()))
        }
        _ => Err(DataError::Unauthorized(NO_TOKEN)),
    }
}

/// The interpreter: clients send no token with their context calls, so none may be demanded
/// (section 1.6). One that is sent must be right.
pub fn interpreter(record: &Record, request: &Request<Body>) -> Result<(), DataError> {
    match (&record.envd_token, presented(request)) {
        (Some(token), Some(text)) if !token.is(text) => Err(DataError::Unauthorized(NO_TOKEN)),
        _ => Ok(()),
    }
}

fn presented(request: &Request<Body>) -> Option<&[u8]> {
    let value = request
        .headers()
        .get(ACCESS_TOKEN)
        .map(HeaderValue::as_bytes);
    value.filter(|text| !text.is_empty())
}
