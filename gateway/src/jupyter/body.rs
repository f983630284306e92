//! Request bodies: bounded by the control plane's limits, JSON whatever the content type says,
//! nothing at all where every field is optional.

use super::error::JupyterError;
use crate::{
    e2b::{ApiError, read_body},
    gateway::App,
};
use axum::extract::{FromRequest, Request};
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// A JSON body.
pub struct JsonBody<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Arc<App>> for JsonBody<T> {
    type Rejection = JupyterError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, JupyterError> {
        let read = read_body(request.into_body(), app.settings.max_body_bytes).await;
        let bytes = read.map_err(translated)?;
        let text: &[u8] = if bytes.trim_ascii().is_empty() {
            b"{}"
        } else {
            &bytes
        };
        serde_json::from_slice(text)
            .map(Self)
            .map_err(|error| JupyterError::bad(format!("Invalid JSON in body of request: {error}")))
    }
}

/// The same words in the other form.
fn translated(error: ApiError) -> JupyterError {
    let (status, message) = error.into_parts();
    JupyterError::new(status, message)
}
