//! The Unix socket and its connections.
//!
//! The socket belongs to the gateway's user and nobody else may open it; who connects is
//! checked again by the kernel's word for it. A gateway opens one connection per sandbox, so
//! that a client that does not read fills the windows of its own sandbox and of no other.

use crate::{
    agent::{CONNECTION_WINDOW, HEADER_BYTES, SEND_BUFFER, STREAM_WINDOW},
    api::router,
    error::NodeError,
    node::Node,
    options::NodeOptions,
};
use hyper::{server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::{
    convert::Infallible,
    fs, io,
    os::unix::fs::{PermissionsExt, chown},
    path::Path,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// Streams of one connection at one time: the bound of one sandbox and some for control.
const STREAMS: u32 = 2560;
/// Connections at one time: one per sandbox, and several gateways.
const CONNECTIONS: usize = 4096;
/// Streams that a peer has reset and that are not yet forgotten. Clients that hang up are no
/// attack, so this is above what hyper allows by itself.
const RESET_STREAMS: usize = 4096;
/// Pause after an accept that failed, e.g. for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Opens the socket. Whoever is not its owner never sees it with other rights: it is made
/// under another name.
///
/// # Errors
/// [`NodeError::SocketTaken`] when somebody answers there; system errors.
pub async fn bind(options: &NodeOptions) -> Result<UnixListener, NodeError> {
    let path = &options.socket;
    if UnixStream::connect(path).await.is_ok() {
        return Err(NodeError::SocketTaken(path.clone()));
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(NodeError::io(format!("make {}", parent.display())))?;
    }
    let new = path.with_extension("new");
    open(&new, path, options.socket_owner)
        .map_err(NodeError::io(format!("open the socket {}", path.display())))
}

fn open(new: &Path, path: &Path, owner: u32) -> io::Result<UnixListener> {
    match fs::remove_file(new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let old_mask = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o177));
    let listener = UnixListener::bind(new);
    rustix::process::umask(old_mask);
    let listener = listener?;
    fs::set_permissions(new, fs::Permissions::from_mode(0o600))?;
    chown(new, Some(owner), None)?;
    fs::rename(new, path)?;
    Ok(listener)
}

/// Serves until `stop`; then the listener is closed and connections are let go.
pub async fn serve(node: Arc<Node>, listener: UnixListener, stop: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) if is_allowed(&node, &stream) => {
                tokio::spawn(connection(node.clone(), stream, stop.clone()));
            }
            Ok(_) => {}
            Err(error) => {
                warn!(%error, "could not accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn is_allowed(node: &Node, stream: &UnixStream) -> bool {
    let uid = stream.peer_cred().map(|peer| peer.uid());
    let known = matches!(uid, Ok(uid) if uid == 0 || uid == node.options.socket_owner);
    if !known {
        warn!(?uid, "refused a connection of another user");
    }
    let room = node.connections.load(Ordering::Relaxed) < CONNECTIONS;
    if !room {
        warn!(CONNECTIONS, "refused a connection: too many");
    }
    known && room
}

async fn connection(node: Arc<Node>, stream: UnixStream, stop: CancellationToken) {
    let _count = Counted::new(&node);
    let service = service_fn(|request| {
        let node = node.clone();
        async move { Ok::<_, Infallible>(router::answer(node, request).await) }
    });
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEADER_BYTES)
        .max_send_buf_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(RESET_STREAMS)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            // Requests that are under way end with the node's clearing; the caller bounds it.
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!(%error, "a gateway's connection broke");
    }
}

/// Counts a connection as long as it lives.
struct Counted<'a>(&'a Node);

impl<'a> Counted<'a> {
    fn new(node: &'a Node) -> Self {
        node.connections.fetch_add(1, Ordering::Relaxed);
        Self(node)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}
