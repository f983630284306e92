//! The one byte stream between the node and this agent, and HTTP/2 on it.
//!
//! The stream arrives as a socket on descriptors 0 and 1. It is moved out of the way at once,
//! so that no child can ever inherit it, and 0 and 1 become harmless. When a stream ends the
//! agent waits for the next one; how that arrives is decided in [`Channel::next`] alone.

use crate::planes::Planes;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::time::Duration;
use tokio::net::UnixStream;

/// Bytes in flight per stream: at 500 MB/s this is 2 ms, more than the channel's round trip.
const STREAM_WINDOW: u32 = 1 << 20;

/// Bytes in flight on the whole connection: the maximum, because a limit here would let one
/// stalled stream stop the others. Streams are bounded by themselves.
const CONNECTION_WINDOW: u32 = (1 << 31) - 1;

/// Requests at a time: those of clients, tunnels to ports, connections to the outside, and
/// some for control. Each costs a task and its window.
const MAX_STREAMS: u32 = 2816;

/// Bytes of one frame that we accept. Large frames save work for file transfers.
const MAX_FRAME: u32 = 64 << 10;

/// Bytes of all headers of a request.
const MAX_HEADERS: u32 = 64 << 10;

/// Answer bytes that are queued per stream before its producer must wait.
const SEND_BUFFER: usize = 512 << 10;

/// Streams that the node gave up and that we have not noticed yet. Clients hang up in bursts.
const MAX_RESET_STREAMS: usize = 4096;

/// Where streams come from.
pub struct Channel {
    first: Option<OwnedFd>,
}

impl Channel {
    /// A channel whose first stream is this socket.
    pub fn new(first: OwnedFd) -> Self {
        Self { first: Some(first) }
    }

    /// Waits for the next stream. Today there is one for the life of the sandbox: restore and
    /// a reconnecting node will deliver further ones here, and nothing else has to change.
    pub async fn next(&mut self) -> io::Result<UnixStream> {
        match self.first.take() {
            Some(descriptor) => {
                let stream = StdUnixStream::from(descriptor);
                // gVisor hands it over non-blocking, others do not; the runtime needs it.
                stream.set_nonblocking(true)?;
                UnixStream::from_std(stream)
            }
            None => std::future::pending().await,
        }
    }
}

/// Serves one stream to its end.
pub async fn serve(stream: UnixStream, planes: Planes) -> Result<(), hyper::Error> {
    let service = hyper::service::service_fn(move |request| {
        let planes = planes.clone();
        async move { Ok::<_, std::convert::Infallible>(planes.answer(request).await) }
    });
    http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(MAX_STREAMS)
        .max_frame_size(MAX_FRAME)
        .max_header_list_size(MAX_HEADERS)
        .max_send_buf_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(MAX_RESET_STREAMS)
        .keep_alive_interval(None::<Duration>)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

/// Moves the channel away from descriptors 0 and 1, and puts `/dev/null` on 0 and the console
/// (standard error) on 1. Called before any thread or child exists.
pub fn take_descriptor() -> io::Result<OwnedFd> {
    // Duplicates above 2 and with close-on-exec.
    let channel = io::stdin().as_fd().try_clone_to_owned()?;
    // Never closed: in gVisor 0 and 1 are two open files on one host socket, and the last
    // close of either shuts the socket down for both.
    std::mem::forget(io::stdout().as_fd().try_clone_to_owned()?);
    let socket = rustix::net::sockopt::socket_type(&channel)?;
    if socket != rustix::net::SocketType::STREAM {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a stream socket",
        ));
    }
    let null = crate::process::spawn::null()?;
    for (from, to) in [(null.as_raw_fd(), 0), (2, 1)] {
        // SAFETY: both are live descriptors; 0 and 1 belong to nobody but this function, since
        // nothing has been started yet.
        if unsafe { libc::dup2(from, to) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(channel)
}
