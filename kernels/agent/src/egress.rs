//! The way out: proxies on the sandbox's loopback, for a sandbox that has no network.
//!
//! Programs find them by the usual variables. What wants to leave takes one of the streams
//! that the node holds open for it and names its destination; whether that may be reached,
//! what its name means and the connection itself are the node's. Nothing here decides, so
//! nothing is lost when hostile code takes this over.
//!
//! While the way is closed nothing listens and no variable is set.

mod exits;
mod http;
mod listener;
mod socks;
pub mod variables;

use axum::body::Body;
use axum::extract::State;
use axum::routing::post;
use axum::{Router, response::Response};
use exits::Exits;
use soulbox_protocol::egress::{ACCEPT_PATH, PORT};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Pause before the port is tried again when a program of the sandbox holds it.
const BIND_PAUSE: Duration = Duration::from_secs(1);

/// The proxies of this sandbox.
#[derive(Default)]
pub struct Egress {
    exits: Arc<Exits>,
    /// Ends the listener when it is dropped.
    listening: Mutex<Option<DropGuard>>,
}

impl Egress {
    /// Starts or stops listening. The port is open, or closed, when this returns; unless a
    /// program of the sandbox has taken it, which leaves it to that program.
    pub async fn switch(&self, on: bool) {
        let mut listening = self.listening.lock().await;
        if on == listening.is_some() {
            return;
        }
        if !on {
            *listening = None;
            return;
        }
        let stop = CancellationToken::new();
        let listener = bind().await;
        tokio::spawn(listen(listener, self.exits.clone(), stop.clone()));
        *listening = Some(stop.drop_guard());
    }
}

/// The route on which the node offers ways out. For the control plane.
pub fn routes(egress: &Egress) -> Router {
    Router::new()
        .route(ACCEPT_PATH, post(offer))
        .with_state(egress.exits.clone())
}

async fn offer(State(exits): State<Arc<Exits>>, body: Body) -> Response {
    exits.offer(body).await
}

async fn bind() -> Option<TcpListener> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, PORT));
    match TcpListener::bind(address).await {
        Ok(listener) => Some(listener),
        Err(error) => {
            tracing::warn!(%error, "the port of the proxies cannot be had");
            None
        }
    }
}

async fn listen(first: Option<TcpListener>, exits: Arc<Exits>, stop: CancellationToken) {
    let serving = async {
        let mut ready = first;
        loop {
            match ready.take() {
                Some(listener) => listener::serve(listener, &exits).await,
                None => tokio::time::sleep(BIND_PAUSE).await,
            }
            ready = bind().await;
        }
    };
    tokio::select! {
        () = serving => {}
        () = stop.cancelled() => {}
    }
}
