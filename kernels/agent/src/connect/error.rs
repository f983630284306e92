//! Errors of the Connect protocol: a code, and a message that clients show.

use axum::body::Body;
use http::{HeaderValue, Response, StatusCode, header};
use serde::Serialize;

/// The codes that we answer with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// What went wrong is none of the below.
    Unknown,
    /// The request makes no sense.
    InvalidArgument,
    /// `Connect-Timeout-Ms` is over.
    DeadlineExceeded,
    /// No such process, file or watcher.
    NotFound,
    /// The directory is already there.
    AlreadyExists,
    /// A bound of this sandbox is reached.
    ResourceExhausted,
    /// No such method, or an option of it that we do not have.
    Unimplemented,
    /// The system refused something that was asked for properly.
    Internal,
    /// No such user.
    Unauthenticated,
    /// Something that should have been told cannot be told any more.
    DataLoss,
}

impl Code {
    /// The HTTP status of a unary error.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Unknown | Self::Internal | Self::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
            Self::InvalidArgument => StatusCode::BAD_REQUEST,
            Self::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::AlreadyExists => StatusCode::CONFLICT,
            Self::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
            Self::Unimplemented => StatusCode::NOT_IMPLEMENTED,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
        }
    }
}

/// What a call ends with when it fails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{message}")]
pub struct ConnectError {
    /// Decides which exception the client raises.
    pub code: Code,
    /// What the client shows.
    pub message: String,
}

impl ConnectError {
    /// An error with this text.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// The request makes no sense.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidArgument, message)
    }

    /// The system refused.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(Code::Internal, message)
    }

    /// The deadline is over.
    pub fn deadline() -> Self {
        Self::new(
            Code::DeadlineExceeded,
            "the deadline of the request is over",
        )
    }

    /// The answer of a unary call.
    pub fn into_response(self) -> Response<Body> {
        let body = serde_json::to_vec(&self).unwrap_or_else(|_| b"{}".to_vec());
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.code.status();
        response.headers_mut().insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        response
    }
}
