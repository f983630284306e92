//! The error form of the control plane: `{"code", "message", "error_code"?}`, with `code`
//! equal to the status (e2b-wire.md, section 2). Codes and texts are given here and nowhere
//! else; a cause that may hold internals is logged and not sent.

use crate::{sandboxes::SandboxError, store::StoreError};
use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use std::borrow::Cow;

/// An error as a client sees it.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    message: Cow<'static, str>,
    slug: Option<&'static str>,
    retry: Retry,
}

/// What the newer clients, which repeat on 429, 502, 503 and 504, are told about repeating.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Retry {
    /// Nothing: the status says it all.
    Unsaid,
    /// It would lead to the same answer.
    Never,
    /// It is likely to help after this many seconds.
    After(u32),
}

#[derive(Serialize)]
struct Form<'a> {
    code: u16,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<&'static str>,
}

impl ApiError {
    /// An error with a text of its own.
    pub fn new(status: StatusCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            message: message.into(),
            slug: None,
            retry: Retry::Unsaid,
        }
    }

    /// The request makes no sense.
    pub fn bad(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// What every route about one sandbox says when there is none.
    pub fn no_sandbox(id: &str) -> Self {
        let message = format!("Sandbox \"{id}\" doesn't exist or you don't have access to it");
        Self::new(StatusCode::NOT_FOUND, message)
    }

    /// Something broke here; the log has the cause.
    pub fn internal(cause: &dyn std::fmt::Display) -> Self {
        tracing::error!(%cause, "a request failed");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the server failed; its log has the cause",
        )
    }

    /// Its status and text, for another protocol's form.
    pub fn into_parts(self) -> (StatusCode, Cow<'static, str>) {
        (self.status, self.message)
    }

    fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    fn slug(mut self, slug: &'static str) -> Self {
        self.slug = Some(slug);
        self
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let form = Form {
            code: self.status.as_u16(),
            message: &self.message,
            error_code: self.slug,
        };
        let mut response = (self.status, Json(form)).into_response();
        let headers = response.headers_mut();
        match self.retry {
            Retry::Unsaid => {}
            Retry::Never => {
                headers.insert("should-retry", HeaderValue::from_static("false"));
            }
            Retry::After(seconds) => {
                headers.insert("should-retry", HeaderValue::from_static("true"));
                headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            }
        }
        response
    }
}

impl From<SandboxError> for ApiError {
    fn from(error: SandboxError) -> Self {
        match error {
            SandboxError::Unknown(id) => Self::no_sandbox(&id),
            SandboxError::Ending(_) => Self::new(StatusCode::CONFLICT, error.to_string()),
            SandboxError::TooLong { limit_hours } => Self::bad(format!(
                "Timeout cannot be greater than {limit_hours} hours"
            )),
            SandboxError::UsedUp(_) => Self::bad("Max instance length exceeded"),
            SandboxError::TemplateUnknown(name) => Self::new(
                StatusCode::NOT_FOUND,
                format!(
                    "template '{name}' not found: `soulbox template list` shows what was built"
                ),
            ),
            SandboxError::KeyReused => Self::new(StatusCode::CONFLICT, error.to_string()),
            SandboxError::Refused(message) => Self::bad(message),
            SandboxError::Capacity(message) => Self::new(StatusCode::SERVICE_UNAVAILABLE, message)
                .slug("sandbox_capacity_unavailable")
                .retry(Retry::Never),
            SandboxError::TierUnavailable(message) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, message).retry(Retry::Never)
            }
            SandboxError::StartTimeout(message) => {
                Self::new(StatusCode::GATEWAY_TIMEOUT, message).retry(Retry::Never)
            }
            SandboxError::NodeAway => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "the node that runs the sandboxes can't be reached at the moment",
            )
            .retry(Retry::After(1)),
            SandboxError::Node(cause) => Self::internal(&cause),
            SandboxError::Store(cause) => cause.into(),
            SandboxError::BrokenOff => Self::internal(&error),
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(cause: StoreError) -> Self {
        Self::internal(&cause)
    }
}
