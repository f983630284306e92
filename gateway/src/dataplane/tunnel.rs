//! The way to a port of a sandbox, opened once somebody listens there.
//!
//! A client often asks for a page a moment before the server that it has just started
//! listens, so a closed port is tried again for a short while (e2b-wire.md, section 1.3).

use super::{errors::DataError, forward};
use crate::{gateway::App, nodeclient::AgentError, sandboxes::Sandbox};
use hyper::upgrade::Upgraded;
use soulbox_runtime::api::ErrorCode;
use std::time::Duration;
use tokio::time::sleep;

/// Pauses between the tries, so one fewer than tries: five within 0.9 s.
const PAUSES: [Duration; 4] = [
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(300),
    Duration::from_millis(300),
];

/// Opens a tunnel, or says why there is none. Ends at once when the sandbox does.
pub async fn open(app: &App, sandbox: &Sandbox, port: u16) -> Result<Upgraded, DataError> {
    let id = || sandbox.record.id.to_string();
    tokio::select! {
        biased;
        () = sandbox.cut.cancelled() => Err(DataError::NotFound { id: id() }),
        opened = patiently(sandbox, port) => match opened {
            Ok(tunnel) => Ok(tunnel),
            Err(AgentError::Refused(ErrorCode::PortClosed)) => {
                Err(DataError::PortClosed { id: id(), port })
            }
            Err(error) => Err(forward::failure(app, sandbox, error).await),
        },
    }
}

async fn patiently(sandbox: &Sandbox, port: u16) -> Result<Upgraded, AgentError> {
    for pause in PAUSES {
        match sandbox.link.tunnel(port).await {
            Err(AgentError::Refused(ErrorCode::PortClosed)) => sleep(pause).await,
            other => return other,
        }
    }
    sandbox.link.tunnel(port).await
}
