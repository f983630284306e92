//! Answers in JSON, and errors that are marked as the node's own.

use crate::{
    body::{self, OutBody},
    error::Refusal,
};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Empty, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde::{Serialize, de::DeserializeOwned};
use soulbox_runtime::api::{ERROR_HEADER, ErrorBody, ErrorCode};

/// The body of one request to the node itself.
const REQUEST_BYTES: usize = 1 << 20;

/// What every handler gives.
pub type Answer = Result<Response<OutBody>, Refusal>;

/// An answer with a value.
pub fn json<T: Serialize>(status: StatusCode, value: &T) -> Answer {
    let text = serde_json::to_vec(value)
        .map_err(|error| Refusal::new(ErrorCode::Internal, error.to_string()))?;
    let mut response = Response::new(body::boxed(Full::new(Bytes::from(text))));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

/// An answer without a body.
pub fn empty(status: StatusCode) -> Answer {
    let mut response = Response::new(body::boxed(Empty::new()));
    *response.status_mut() = status;
    Ok(response)
}

/// The answer for a refusal.
pub fn refusal(refusal: &Refusal) -> Response<OutBody> {
    let ErrorBody { code, message } = refusal.body();
    let text = serde_json::to_vec(&ErrorBody { code, message }).unwrap_or_default();
    let mut response = Response::new(body::boxed(Full::new(Bytes::from(text))));
    *response.status_mut() =
        StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ERROR_HEADER, word(code));
    response
}

/// Reads a request's body as JSON.
///
/// # Errors
/// When it is too long or makes no sense.
pub async fn read<T: DeserializeOwned>(request: Request<Incoming>) -> Result<T, Refusal> {
    let body = Limited::new(request.into_body(), REQUEST_BYTES)
        .collect()
        .await
        .map_err(|error| {
            let why = if error.is::<LengthLimitError>() {
                format!("the body is longer than {REQUEST_BYTES} bytes")
            } else {
                "the body broke off".to_owned()
            };
            Refusal::new(ErrorCode::Invalid, why)
        })?;
    // The parser's words may repeat a piece of the input, so only the place is told.
    serde_json::from_slice(&body.to_bytes()).map_err(|error| {
        let message = format!(
            "the body is not what this route takes (line {}, column {})",
            error.line(),
            error.column()
        );
        Refusal::new(ErrorCode::Invalid, message)
    })
}

/// The code as it appears in JSON.
fn word(code: ErrorCode) -> HeaderValue {
    serde_json::to_value(code)
        .ok()
        .and_then(|value| HeaderValue::from_str(value.as_str()?).ok())
        .unwrap_or(HeaderValue::from_static("internal"))
}
