//! `GET /soulbox/v1/sandboxes/{id}/ports/{port}` with `Upgrade: tcp`: a raw tunnel to a port
//! of a sandbox, for its owner. `soulbox port-forward` uses it.

use crate::{
    dataplane::{self, DataError},
    e2b::{ApiError, Authenticated, SandboxPath},
    gateway::App,
    sandboxes::STREAMS_PER_SANDBOX,
};
use axum::{
    body::Body,
    extract::{Path, Request, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use std::sync::Arc;

/// The word in `Upgrade`.
pub const PROTOCOL: &str = "tcp";

/// Opens the tunnel before it answers, so that a closed port is an answer and no broken one.
pub async fn tunnel(
    State(app): State<Arc<App>>,
    _: Authenticated,
    SandboxPath(id): SandboxPath,
    Path((_, port)): Path<(String, String)>,
    mut request: Request,
) -> Result<Response, ApiError> {
    let port: u16 = port
        .parse()
        .ok()
        .filter(|port| *port > 0)
        .ok_or_else(|| ApiError::bad("a port is a number from 1 to 65535"))?;
    let wanted = request.headers().get(header::UPGRADE);
    if !dataplane::asks_for_upgrade(request.version(), request.headers())
        || wanted.is_none_or(|word| !word.as_bytes().eq_ignore_ascii_case(PROTOCOL.as_bytes()))
    {
        let message = "this route needs HTTP/1.1 with `Connection: Upgrade` and `Upgrade: tcp`";
        return Err(ApiError::new(StatusCode::UPGRADE_REQUIRED, message));
    }
    let sandbox = app
        .sandboxes
        .running(&id)
        .ok_or_else(|| ApiError::no_sandbox(&id))?;
    let Some(permit) = sandbox.stream() else {
        let limit = STREAMS_PER_SANDBOX;
        let id = sandbox.record.id.to_string();
        return Ok(DataError::TooManyStreams { id, limit }.into_response());
    };
    let program = match dataplane::open_tunnel(&app, &sandbox, port).await {
        Ok(program) => program,
        Err(error) => return Ok(error.into_response()),
    };
    let client = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        // Fails only when the client went away before it began.
        if let Ok(client) = client.await {
            dataplane::join(sandbox, client, program).await;
        }
        drop(permit);
    });
    let mut response = Body::empty().into_response();
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static(PROTOCOL));
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    Ok(response)
}
