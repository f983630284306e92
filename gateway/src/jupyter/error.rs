//! The error form of Jupyter: `{"message", "reason"}`, always JSON, never a traceback
//! (jupyter-wire.md, section 2.6).
//!
//! Clients repeat on 502 to 504 and forget a kernel on 404, so 404 is said only of what is
//! gone for good.

use crate::{
    kernels::{KernelError, SessionError},
    sandboxes::SandboxError,
    store::StoreError,
};
use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use std::borrow::Cow;

/// When a client may try again that found no room, in seconds.
const RETRY_AFTER: u32 = 5;

/// An error as a client sees it.
#[derive(Debug)]
pub struct JupyterError {
    status: StatusCode,
    message: Cow<'static, str>,
    headers: Vec<(header::HeaderName, HeaderValue)>,
}

#[derive(Serialize)]
struct Form<'a> {
    message: &'a str,
    /// What JupyterLab shows in its dialogs.
    short_message: &'a str,
    reason: &'a str,
}

impl JupyterError {
    /// An error with a text of its own.
    pub fn new(status: StatusCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            message: message.into(),
            headers: Vec::new(),
        }
    }

    /// The request makes no sense.
    pub fn bad(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// There is no such thing, and there will be none.
    pub fn not_found(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    /// With a header.
    pub fn with(mut self, name: header::HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The same with another status.
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// What it is about.
    #[cfg(test)]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    fn internal(cause: &dyn std::fmt::Display) -> Self {
        tracing::error!(%cause, "a request failed");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the server failed; its log has the cause",
        )
    }

    fn later(self) -> Self {
        self.with(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER))
    }
}

impl IntoResponse for JupyterError {
    fn into_response(self) -> Response {
        let form = Form {
            message: &self.message,
            short_message: &self.message,
            reason: self.status.canonical_reason().unwrap_or("Error"),
        };
        let mut response = (self.status, Json(form)).into_response();
        response.headers_mut().extend(self.headers);
        response
    }
}

impl From<KernelError> for JupyterError {
    fn from(error: KernelError) -> Self {
        let text = error.to_string();
        match error {
            KernelError::Unknown(_) | KernelError::NoSuchKind(_) => Self::not_found(text),
            KernelError::Taken(_) => Self::new(StatusCode::CONFLICT, text),
            KernelError::TooMany | KernelError::Busy => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, text).later()
            }
            KernelError::Refused => Self::bad(text),
            KernelError::Failed(_) => Self::new(StatusCode::INTERNAL_SERVER_ERROR, text),
            KernelError::Away => Self::new(StatusCode::SERVICE_UNAVAILABLE, text).later(),
            KernelError::Late => Self::new(StatusCode::GATEWAY_TIMEOUT, text),
            KernelError::Sandbox(error) => error.into(),
            KernelError::Store(error) => error.into(),
        }
    }
}

impl From<SandboxError> for JupyterError {
    fn from(error: SandboxError) -> Self {
        let text = error.to_string();
        match error {
            SandboxError::Unknown(_) => Self::not_found(text),
            SandboxError::TemplateUnknown(_) => Self::not_found(text),
            SandboxError::Refused(_) => Self::bad(text),
            SandboxError::Capacity(_) | SandboxError::TierUnavailable(_) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, text).later()
            }
            SandboxError::NodeAway => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "the node that runs the sandboxes can't be reached at the moment",
            )
            .later(),
            SandboxError::StartTimeout(_) => Self::new(StatusCode::GATEWAY_TIMEOUT, text),
            other => Self::internal(&other),
        }
    }
}

impl From<SessionError> for JupyterError {
    fn from(error: SessionError) -> Self {
        let text = error.to_string();
        match error {
            SessionError::Unknown(_) => Self::not_found(text),
            SessionError::TooMany => Self::new(StatusCode::TOO_MANY_REQUESTS, text),
            SessionError::Kernel(error) => error.into(),
            SessionError::Store(error) => error.into(),
        }
    }
}

impl From<StoreError> for JupyterError {
    fn from(error: StoreError) -> Self {
        Self::internal(&error)
    }
}
