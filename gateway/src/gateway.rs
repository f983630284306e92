//! The gateway itself: an ordinary user's process that owns no sandbox.
//!
//! It is started with its socket already bound. Everything that must outlive it is in the
//! store or on the node, so it may be killed at any time.

mod client_stream;
mod doors;
mod handshake;
mod server;
mod unread;
mod welcome;

pub use doors::Doors;
pub use unread::discard;

use crate::{
    auth::Keys,
    config::Settings,
    e2b, jupyter,
    kernels::{Kernels, Policy, Sessions},
    native,
    sandboxes::Sandboxes,
    store::{Store, StoreError},
};
use axum::Router;
use doors::TlsDoor;
use jiff::{SignedDuration, Timestamp};
use rustix::fs::{FlockOperation, flock};
use server::Door;
use std::{
    fs::File,
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};
use thiserror::Error;
use tokio::{net::TcpListener, time::timeout};

/// A predecessor that was killed lets go of the store within this.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);
const LOCK_INTERVAL: Duration = Duration::from_millis(50);
/// Clients wait in the listener's queue while we find out what is still there.
const FIRST_LOOK: Duration = Duration::from_secs(10);

/// What every request needs.
pub struct App {
    /// The settings.
    pub settings: Settings,
    /// All sandboxes.
    pub sandboxes: Arc<Sandboxes>,
    /// All kernels, as Jupyter clients see them.
    pub kernels: Arc<Kernels>,
    /// Jupyter's sessions.
    pub sessions: Sessions,
    /// When this gateway was started.
    pub started_at: Timestamp,
    /// All API keys.
    pub keys: Keys,
    /// What clients are to have in `E2B_DOMAIN`, unless they wrote it in another way.
    pub domain: Option<String>,
}

/// Why the gateway did not start.
#[derive(Debug, Error)]
pub enum GatewayError {
    /// The store can't be used.
    #[error("{path}: {cause}")]
    Store {
        /// Its file.
        path: PathBuf,
        /// What is wrong.
        cause: StoreError,
    },
    /// Somebody else uses the data directory.
    #[error("{0} is in use by another `soulbox serve`")]
    InUse(PathBuf),
    /// The operating system refused something.
    #[error("could not {what}: {cause}")]
    System {
        /// What was tried.
        what: &'static str,
        /// Why not.
        cause: io::Error,
    },
}

/// Serves until a signal comes, and then until running requests are done.
pub async fn run(settings: Settings, doors: Doors) -> Result<(), GatewayError> {
    let signals = server::Signals::listen().map_err(system("listen for signals"))?;
    let directory = settings.gateway_dir();
    let _lock = take(directory.join("worker.lock")).await?;
    let path = directory.join("soulbox.db");
    let unusable = |cause| GatewayError::Store {
        path: path.clone(),
        cause,
    };
    let store = Store::open(&path).map_err(unusable)?;
    let longest = SignedDuration::from_hours(settings.max_lifetime_hours.into());
    let sandboxes = Sandboxes::open(store.clone(), settings.node_socket(), longest)
        .await
        .map_err(unusable)?;
    let policy = Policy {
        template: settings.jupyter.template.clone(),
        idle: Duration::from_secs(settings.jupyter.cull_idle_seconds.into()),
        cull_connected: settings.jupyter.cull_connected,
    };
    let kernels = Kernels::open(store.clone(), Arc::clone(&sandboxes), policy)
        .await
        .map_err(unusable)?;
    let sessions = Sessions::open(store.clone(), Arc::clone(&kernels))
        .await
        .map_err(unusable)?;
    let keys = Keys::new(store);
    let first = keys.create_first().await.map_err(unusable)?;
    tokio::spawn(Arc::clone(&sandboxes).follow_node());
    if timeout(FIRST_LOOK, sandboxes.in_step()).await.is_err() {
        tracing::warn!("the node does not answer yet");
    }
    tokio::spawn(Arc::clone(&sandboxes).end_in_time());
    tokio::spawn(Arc::clone(&kernels).keep_alive_what_is_used());
    let (plain, address) = open(doors.plain)?;
    let mut opened = vec![Door {
        listener: plain,
        tls: None,
    }];
    let mut tls_port = None;
    if let Some(TlsDoor { listener, config }) = doors.tls {
        let (listener, address) = open(listener)?;
        tls_port = Some(address.port());
        opened.push(Door {
            listener,
            tls: Some(config),
        });
    }
    let domain = settings.domain.as_ref();
    let domain = domain.map(|domain| domain.with_port(tls_port));
    let app = Arc::new(App {
        settings,
        sandboxes,
        kernels,
        sessions,
        started_at: Timestamp::now(),
        keys,
        domain,
    });
    welcome::say(
        &app,
        address,
        tls_port,
        first.map(|key| key.secret).as_ref(),
    );
    server::serve(app, opened, signals).await;
    Ok(())
}

fn open(listener: std::net::TcpListener) -> Result<(TcpListener, SocketAddr), GatewayError> {
    let address = listener
        .local_addr()
        .map_err(system("ask the socket for its address"))?;
    listener
        .set_nonblocking(true)
        .map_err(system("prepare the socket"))?;
    let listener = TcpListener::from_std(listener).map_err(system("use the socket"))?;
    Ok((listener, address))
}

/// The routers, cheap to clone.
#[derive(Clone)]
struct Routes {
    /// The control plane, ours and E2B's.
    api: Router,
    /// Jupyter's.
    jupyter: Router,
}

fn routes(app: Arc<App>) -> Routes {
    Routes {
        jupyter: jupyter::routes(&app),
        api: api(app),
    }
}

fn api(app: Arc<App>) -> Router {
    e2b::routes()
        .merge(native::routes())
        .fallback(e2b::unknown_route)
        .method_not_allowed_fallback(e2b::unknown_method)
        .with_state(app)
}

async fn take(path: PathBuf) -> Result<File, GatewayError> {
    let file = File::create(&path).map_err(system("make the lock file"))?;
    let started = Instant::now();
    while flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        if started.elapsed() > LOCK_PATIENCE {
            return Err(GatewayError::InUse(path));
        }
        tokio::time::sleep(LOCK_INTERVAL).await;
    }
    Ok(file)
}

fn system(what: &'static str) -> impl FnOnce(io::Error) -> GatewayError {
    move |cause| GatewayError::System { what, cause }
}
