//! Who sends a request: our API keys, in the places where Jupyter clients put tokens
//! (jupyter-wire.md, section 2.2).
//!
//! Only what a page or program must know by itself counts, never a cookie. So a page of
//! another origin that shows a key may go on, and one that does not is refused like anybody.

use super::{entrance::PathKey, error::JupyterError};
use crate::{auth::Caller, gateway::App};
use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
};
use std::{borrow::Cow, sync::Arc};

/// Schemes of `Authorization` that carry a token.
const SCHEMES: [&str; 2] = ["token", "bearer"];

/// Headers in which E2B clients have their key.
const E2B: [&str; 2] = ["x-api-key", "x-access-token"];

/// Extracts the caller of a request; a handler that takes it can't be reached without a key.
pub struct Authenticated(pub Caller);

impl FromRequestParts<Arc<App>> for Authenticated {
    type Rejection = JupyterError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, JupyterError> {
        let path = parts.extensions.get::<PathKey>();
        let presented = path
            .map(|key| Cow::Borrowed(key.0.as_str()))
            .or_else(|| in_query(parts.uri.query().unwrap_or_default()))
            .or_else(|| in_headers(&parts.headers).map(Cow::Borrowed));
        let Some(presented) = presented else {
            return Err(unauthorized(
                "an API key is needed: as token in the query or in the header Authorization",
            ));
        };
        let caller = app.keys.caller(&presented).await?;
        caller.map(Self).ok_or_else(|| {
            unauthorized(
                "the token is not an API key of this server: `soulbox key create` makes one",
            )
        })
    }
}

fn unauthorized(message: &'static str) -> JupyterError {
    let scheme = HeaderValue::from_static("Bearer");
    JupyterError::new(StatusCode::UNAUTHORIZED, message).with(header::WWW_AUTHENTICATE, scheme)
}

fn in_query(query: &str) -> Option<Cow<'_, str>> {
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    let token = pairs.find_map(|(name, value)| (name == "token").then_some(value));
    token.filter(|token| !token.is_empty())
}

fn in_headers(headers: &HeaderMap) -> Option<&str> {
    let text = |name| {
        headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    let authorization = text(header::AUTHORIZATION.as_str()).and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        let known = SCHEMES.iter().any(|word| scheme.eq_ignore_ascii_case(word));
        Some(token.trim()).filter(|token| known && !token.is_empty())
    });
    let mut of_e2b = E2B.iter().filter_map(|name| text(name));
    authorization.or_else(|| of_e2b.next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_found_where_clients_put_them() {
        let asked = |name: &'static str, value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static(value));
            in_headers(&headers).map(str::to_owned)
        };
        for value in ["token abc", "Token abc", "Bearer abc", "bearer  abc"] {
            assert_eq!(
                asked("authorization", value).as_deref(),
                Some("abc"),
                "{value}"
            );
        }
        for name in E2B {
            assert_eq!(asked(name, "abc").as_deref(), Some("abc"), "{name}");
        }
        for value in ["token ", "token", "Basic abc", ""] {
            assert_eq!(asked("authorization", value), None, "{value}");
        }
        assert_eq!(in_query("a=1&token=x%2By").as_deref(), Some("x+y"));
        assert_eq!(in_query("token="), None);
    }
}
