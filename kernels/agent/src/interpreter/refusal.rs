//! An answer that is not what was asked for: a status and a plain text, which the vendor's
//! clients show to their users as it is.

use super::context::ContextError;
use crate::execution::registry::Conflict;
use crate::kernel::loss::Loss;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

/// A refusal.
pub struct Refusal(pub StatusCode, pub String);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, self.1).into_response()
    }
}

impl From<ContextError> for Refusal {
    fn from(error: ContextError) -> Self {
        let status = match error {
            ContextError::Unknown(_) => StatusCode::NOT_FOUND,
            ContextError::Language { .. } | ContextError::Directory(_) => StatusCode::BAD_REQUEST,
            ContextError::Taken(_) => StatusCode::CONFLICT,
            ContextError::TooMany | ContextError::Queue | ContextError::Code => {
                StatusCode::TOO_MANY_REQUESTS
            }
            ContextError::Kernel(Loss::Removed) => StatusCode::NOT_FOUND,
            ContextError::Kernel(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self(status, error.to_string())
    }
}

impl From<Conflict> for Refusal {
    fn from(error: Conflict) -> Self {
        Self(StatusCode::CONFLICT, error.to_string())
    }
}

/// The client's request makes no sense.
pub fn bad(why: impl Into<String>) -> Refusal {
    Refusal(StatusCode::BAD_REQUEST, why.into())
}
