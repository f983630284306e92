//! What every call carries: deadline, keepalive interval, user; and how its message is read.

use super::envelope::{Decoder, MAX_MESSAGE};
use super::error::{Code, ConnectError};
use axum::body::Body;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;
use tokio::time::Instant;

/// Silence before a keepalive event when the client asks for no other interval (section 4.2).
const KEEPALIVE: Duration = Duration::from_secs(90);

/// A client's deadline has at most ten digits of milliseconds (Connect specification).
const MAX_TIMEOUT_DIGITS: usize = 10;

/// The headers of a call that matter to its handler.
#[derive(Debug, Clone)]
pub struct CallContext {
    /// When the client gives up.
    pub deadline: Option<Instant>,
    /// Silence after which a stream shows that it is alive.
    pub keepalive: Duration,
    /// Name of the user, if the client names one.
    pub user: Option<String>,
}

impl CallContext {
    /// Reads the headers.
    pub fn from_headers(headers: &HeaderMap) -> Result<Self, ConnectError> {
        let deadline = match text(headers, "connect-timeout-ms") {
            None | Some("") => None,
            Some(digits) => {
                let millis = (digits.len() <= MAX_TIMEOUT_DIGITS)
                    .then(|| digits.parse::<u64>().ok())
                    .flatten()
                    .ok_or_else(|| ConnectError::invalid("Connect-Timeout-Ms is not a number"))?;
                (millis > 0).then(|| Instant::now() + Duration::from_millis(millis))
            }
        };
        let keepalive = text(headers, "keepalive-ping-interval")
            .and_then(|seconds| seconds.parse().ok())
            .filter(|seconds| *seconds > 0)
            .map_or(KEEPALIVE, |seconds: u32| {
                Duration::from_secs(seconds.into())
            });
        Ok(Self {
            deadline,
            keepalive,
            user: user(headers)?,
        })
    }

    /// Runs something that must be over by the deadline.
    pub async fn within<T>(
        &self,
        work: impl Future<Output = Result<T, ConnectError>>,
    ) -> Result<T, ConnectError> {
        match self.deadline {
            None => work.await,
            Some(deadline) => tokio::time::timeout_at(deadline, work)
                .await
                .unwrap_or_else(|_| Err(ConnectError::deadline())),
        }
    }
}

/// The user of basic authentication; other schemes are not ours and are passed over.
fn user(headers: &HeaderMap) -> Result<Option<String>, ConnectError> {
    let Some((scheme, rest)) = text(headers, "authorization").and_then(|v| v.split_once(' '))
    else {
        return Ok(None);
    };
    if !scheme.eq_ignore_ascii_case("basic") {
        return Ok(None);
    }
    let malformed = || ConnectError::new(Code::Unauthenticated, "invalid basic authentication");
    let decoded = BASE64_STANDARD
        .decode(rest.trim())
        .map_err(|_| malformed())?;
    let decoded = String::from_utf8(decoded).map_err(|_| malformed())?;
    let name = decoded
        .split_once(':')
        .map_or(decoded.as_str(), |(name, _)| name);
    Ok(Some(name.to_owned()).filter(|name| !name.is_empty()))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .map(str::trim)
}

/// Answers a unary call.
pub async fn unary<Req, Res, Work>(
    request: Request<Body>,
    handler: impl FnOnce(CallContext, Req) -> Work,
) -> Response<Body>
where
    Req: DeserializeOwned,
    Res: Serialize,
    Work: Future<Output = Result<Res, ConnectError>>,
{
    if let Some(refusal) = refuse(&request, "application/json", "content-encoding") {
        return refusal;
    }
    let result = async {
        let context = CallContext::from_headers(request.headers())?;
        let limits = context.clone();
        limits
            .within(async {
                let body = http_body_util::Limited::new(request.into_body(), MAX_MESSAGE);
                let body = body.collect().await.map_err(|error| {
                    ConnectError::new(Code::ResourceExhausted, format!("unreadable body: {error}"))
                })?;
                handler(context, parse(&body.to_bytes())?).await
            })
            .await
    };
    // An answer that can't be said is an error, not an empty answer.
    let said = |answer| {
        serde_json::to_vec(&answer)
            .map_err(|error| ConnectError::new(Code::Internal, error.to_string()))
    };
    match result.await.and_then(said) {
        Ok(body) => {
            let mut response = Response::new(Body::from(body));
            response.headers_mut().insert(
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/json"),
            );
            response
        }
        Err(error) => error.into_response(),
    }
}

/// Messages of a stream's request body.
pub struct Messages {
    body: Body,
    decoder: Decoder,
}

impl Messages {
    /// Reads them from this body.
    pub fn new(body: Body) -> Self {
        Self {
            body,
            decoder: Decoder::default(),
        }
    }

    /// The next one; `None` at the end of the body.
    pub async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, ConnectError> {
        loop {
            if let Some(message) = self.decoder.next_message()? {
                return parse(&message).map(Some);
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        self.decoder.feed(data);
                    }
                }
                Some(Err(_)) => {
                    return Err(ConnectError::new(Code::Unknown, "the request broke off"));
                }
                None if self.decoder.is_partial() => {
                    return Err(ConnectError::invalid("the last message is cut off"));
                }
                None => return Ok(None),
            }
        }
    }
}

/// Says no to what is not this protocol, before anything is read. Missing headers are fine.
pub(super) fn refuse(
    request: &Request<Body>,
    content_type: &str,
    encoding: &str,
) -> Option<Response<Body>> {
    let headers = request.headers();
    if request.method() != Method::POST {
        return Some(plain(StatusCode::METHOD_NOT_ALLOWED));
    }
    let given = text(headers, "content-type").map(|given| given.split(';').next().unwrap_or(given));
    if given.is_some_and(|given| !given.trim().eq_ignore_ascii_case(content_type)) {
        return Some(plain(StatusCode::UNSUPPORTED_MEDIA_TYPE));
    }
    match text(headers, encoding) {
        None | Some("" | "identity") => None,
        Some(_) => Some(
            ConnectError::new(Code::Unimplemented, "compression is not supported").into_response(),
        ),
    }
}

fn parse<T: DeserializeOwned>(json: &Bytes) -> Result<T, ConnectError> {
    // An empty body stands for an empty message in more than one client.
    let json: &[u8] = if json.is_empty() { b"{}" } else { json };
    serde_json::from_slice(json)
        .map_err(|error| ConnectError::invalid(format!("the message is not valid: {error}")))
}

fn plain(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(pairs: &[(&'static str, &str)]) -> Result<CallContext, ConnectError> {
        let headers = pairs.iter().map(|(name, value)| {
            (
                http::HeaderName::from_static(name),
                HeaderValue::from_str(value).unwrap(),
            )
        });
        CallContext::from_headers(&headers.collect())
    }

    #[test]
    fn headers_may_be_missing() {
        let context = context(&[]).unwrap();
        assert_eq!((context.deadline, context.user), (None, None));
        assert_eq!(context.keepalive, KEEPALIVE);
    }

    #[test]
    fn no_timeout_is_zero_and_nonsense_is_refused() {
        assert_eq!(
            context(&[("connect-timeout-ms", "0")]).unwrap().deadline,
            None
        );
        assert!(
            context(&[("connect-timeout-ms", "9999999999")])
                .unwrap()
                .deadline
                .is_some()
        );
        for bad in ["-1", "x", "99999999999"] {
            assert!(context(&[("connect-timeout-ms", bad)]).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_user_is_the_name_of_basic_authentication() {
        let named = |value| context(&[("authorization", value)]).map(|context| context.user);
        assert_eq!(named("Basic cm9vdDo=").unwrap().as_deref(), Some("root"));
        assert_eq!(named("basic cm9vdA==").unwrap().as_deref(), Some("root"));
        assert_eq!(named("Basic Og==").unwrap(), None);
        assert_eq!(named("Bearer x").unwrap(), None);
        assert_eq!(named("Basic ***").unwrap_err().code, Code::Unauthenticated);
    }
}
