//! `/api/kernels/{id}/channels`: the handshake is made here, once the agent has said yes, so
//! that every refusal is an HTTP status; then bytes go both ways (jupyter-wire.md, section 4).

use super::{
    caller::Authenticated, error::JupyterError, handshake::Handshake, kernels::kernel_id, pipe,
};
use crate::{gateway::App, kernels::Channels};
use axum::{
    body::Body,
    extract::{Path, Request, State},
    http::{Response, header},
};
use std::sync::Arc;

/// Longest name that a client may give its connection.
const SESSION_BYTES: usize = 256;

/// Opens the channels of a kernel.
pub async fn open(
    State(app): State<Arc<App>>,
    _: Authenticated,
    Path(id): Path<String>,
    mut request: Request,
) -> Result<Response<Body>, JupyterError> {
    let id = kernel_id(&id)?;
    let handshake = Handshake::read(request.version(), request.headers());
    let handshake = match handshake {
        Ok(handshake) => handshake,
        // That there is no such kernel is said first.
        Err(error) => {
            app.kernels.get(&id).await?;
            return Err(error);
        }
    };
    let channels = Channels {
        subprotocol: handshake.subprotocol,
        session: session(request.uri().query().unwrap_or_default())?,
        user_agent: request.headers().get(header::USER_AGENT).cloned(),
    };
    let (sender, body) = pipe::body();
    let open = app.kernels.open_channels(&id, channels, body).await?;
    let client = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        // Fails only when the client went away before it began.
        if let Ok(client) = client.await {
            pipe::join(client, sender, open).await;
        }
    });
    Ok(handshake.switch())
}

fn session(query: &str) -> Result<Option<String>, JupyterError> {
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    let found = pairs.find_map(|(name, value)| (name == "session_id").then_some(value));
    match found {
        Some(text) if text.len() > SESSION_BYTES => Err(JupyterError::bad(format!(
            "session_id may have {SESSION_BYTES} bytes"
        ))),
        Some(text) if !text.is_empty() => Ok(Some(text.into_owned())),
        _ => Ok(None),
    }
}
