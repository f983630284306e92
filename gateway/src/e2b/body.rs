//! Request bodies: bounded in size and time, JSON whatever the content type says, and an
//! error that says where it is wrong.

use super::ApiError;
use crate::gateway::{App, discard};
use axum::{
    body::Body,
    extract::{FromRequest, Request},
    http::StatusCode,
};
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

/// A client that needs longer for a few megabytes holds a connection for nothing.
const READ_DEADLINE: Duration = Duration::from_secs(30);

/// A JSON body and the hash of its bytes.
pub struct JsonBody<T> {
    /// What it says.
    pub value: T,
    /// SHA-256 of the bytes as sent.
    pub hash: [u8; 32],
}

impl<T: DeserializeOwned> FromRequest<Arc<App>> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, ApiError> {
        let limit = app.settings.max_body_bytes;
        let bytes = read(request.into_body(), limit).await?;
        // Some clients send nothing where every field is optional.
        let text: &[u8] = if bytes.trim_ascii().is_empty() {
            b"{}"
        } else {
            &bytes
        };
        let value = serde_json::from_slice(text)
            .map_err(|error| ApiError::bad(format!("the request's body can't be read: {error}")))?;
        Ok(Self {
            value,
            hash: Sha256::digest(&bytes).into(),
        })
    }
}

/// Reads a body within a limit.
pub async fn read(mut body: Body, limit: usize) -> Result<Vec<u8>, ApiError> {
    let mut bytes = Vec::new();
    let whole = async {
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| ApiError::bad("the request's body broke off"))?;
            let Ok(data) = frame.into_data() else {
                continue;
            };
            if bytes.len() + data.len() > limit {
                return Ok(false);
            }
            bytes.extend_from_slice(&data);
        }
        Ok(true)
    };
    match timeout(READ_DEADLINE, whole).await {
        Ok(Ok(true)) => Ok(bytes),
        Ok(Ok(false)) => {
            discard(body).await;
            let message = format!("the request's body is larger than {limit} bytes");
            Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, message))
        }
        Ok(Err(error)) => Err(error),
        Err(_) => {
            let message = "the request's body did not arrive in time";
            Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, message))
        }
    }
}
