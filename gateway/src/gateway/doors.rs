//! The sockets that the launcher handed over, and the certificate that it may hand over anew.

use crate::{
    handover::{Channel, Handover},
    tls::TlsError,
};
use rustls::ServerConfig;
use std::{io, net::TcpListener, sync::Arc, thread};
use thiserror::Error;
use tokio::sync::watch;

/// What the gateway serves on.
pub struct Doors {
    /// Without encryption.
    pub plain: TcpListener,
    /// With.
    pub tls: Option<TlsDoor>,
}

/// HTTPS.
pub struct TlsDoor {
    /// The socket.
    pub listener: TcpListener,
    /// What the next connection is accepted with.
    pub config: watch::Receiver<Arc<ServerConfig>>,
}

/// Why nothing was handed over.
#[derive(Debug, Error)]
pub enum DoorError {
    /// The launcher is gone, or does not speak like one.
    #[error("the launcher handed nothing over: {0}")]
    Launcher(#[from] io::Error),
    /// It handed over a certificate that can't be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl Doors {
    /// Waits for what the launcher hands over. Blocks.
    pub fn receive(launcher: Channel) -> Result<Self, DoorError> {
        let (Handover { identity }, sockets) = launcher
            .receive()?
            .ok_or_else(|| io::Error::other("it is gone"))?;
        let mut sockets = sockets.into_iter().map(TcpListener::from);
        let plain = sockets
            .next()
            .ok_or_else(|| io::Error::other("a socket is missing"))?;
        let tls = match (identity, sockets.next()) {
            (Some(identity), Some(listener)) => {
                let (renewed, config) = watch::channel(identity.config()?);
                thread::Builder::new()
                    .name("certificates".into())
                    .spawn(move || take_renewals(&launcher, &renewed))?;
                Some(TlsDoor { listener, config })
            }
            _ => None,
        };
        Ok(Self { plain, tls })
    }
}

/// Takes renewed certificates until the launcher is gone.
fn take_renewals(launcher: &Channel, renewed: &watch::Sender<Arc<ServerConfig>>) {
    while let Ok(Some((message, _))) = launcher.receive() {
        match message.identity.map(|identity| identity.config()) {
            Some(Ok(config)) => {
                renewed.send_replace(config);
                tracing::info!("took up a new TLS certificate");
            }
            Some(Err(error)) => tracing::warn!(%error, "a new TLS certificate was not taken"),
            None => {}
        }
    }
}
