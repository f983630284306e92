//! The listeners, one plain and perhaps one with TLS: HTTP/1.1 and HTTP/2, for control plane
//! and data plane. Which of them a request is for is decided per request, before anything else.

use super::{App, Routes, client_stream::ClientStream, handshake::shake, unread::read_on};
use crate::{
    dataplane::{self, HangUp, Route},
    jupyter,
};
use axum::body::Body;
use http::{HeaderValue, Request, Response, StatusCode, Version, header};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use rustix::net::sockopt;
use rustls::ServerConfig;
use std::{convert::Infallible, io, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    signal::unix::{Signal, SignalKind, signal},
    sync::{Semaphore, watch},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

/// Connections at one time. Beyond it newcomers wait in the listener's queue.
const CONNECTIONS: usize = 16_384;
/// How long a connection may be idle, or take for its request's head. Clients keep idle
/// connections for minutes (e2b-wire.md, section 1.7).
const IDLE: Duration = Duration::from_secs(15 * 60);
/// How long a new connection may take for its first request. Without this, one that says
/// nothing, or only half of what HTTP/2 begins with, would keep its place for ever.
const FIRST_REQUEST: Duration = Duration::from_secs(60);
/// Requests of one HTTP/2 connection at the same time.
const STREAMS: u32 = 1024;
/// What one HTTP/2 stream may send before we read it.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
/// What all streams of a connection may, so that some stalled ones do not hold up the rest.
const CONNECTION_WINDOW_BYTES: u32 = 64 << 20;
/// What an HTTP/1.1 connection may have read and written ahead.
const BUFFER_BYTES: usize = 256 << 10;
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_DEADLINE: Duration = Duration::from_secs(60);
/// An idle connection is probed after this, then this often, and is dead after so many.
const PROBE_AFTER: Duration = Duration::from_secs(60);
const PROBE_INTERVAL: Duration = Duration::from_secs(15);
const PROBES: u32 = 4;
/// After accept failed for want of something, e.g. file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// What running requests get when the server is asked to end.
const FAREWELL: Duration = Duration::from_secs(10);

/// The signals that end the server.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// From now on they do not end the process by themselves.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// A socket to serve on; with TLS when there is something to serve it with.
pub struct Door {
    /// The socket.
    pub listener: TcpListener,
    /// What the next connection is accepted with.
    pub tls: Option<watch::Receiver<Arc<ServerConfig>>>,
}

/// What all connections share.
#[derive(Clone)]
struct House {
    app: Arc<App>,
    routes: Routes,
    places: Arc<Semaphore>,
    connections: TaskTracker,
    stop: CancellationToken,
}

/// Serves until a signal comes. Running requests then have a short time, or until a second
/// signal.
pub async fn serve(app: Arc<App>, doors: Vec<Door>, mut signals: Signals) {
    let house = House {
        routes: super::routes(Arc::clone(&app)),
        app,
        places: Arc::new(Semaphore::new(CONNECTIONS)),
        connections: TaskTracker::new(),
        stop: CancellationToken::new(),
    };
    let accepting = doors.into_iter().map(|door| house.clone().accept(door));
    tokio::select! {
        _ = futures_util::future::join_all(accepting) => {}
        () = signals.next() => {}
    }
    let connections = &house.connections;
    house.stop.cancel();
    connections.close();
    tracing::info!(
        connections = connections.len(),
        "ending; running requests may finish"
    );
    tokio::select! {
        _ = timeout(FAREWELL, connections.wait()) => {}
        () = signals.next() => {}
    }
}

impl House {
    async fn accept(self, door: Door) {
        loop {
            let Ok(place) = Arc::clone(&self.places).acquire_owned().await else {
                return;
            };
            let stream = match door.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "a connection was not accepted");
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let config = door.tls.as_ref().map(|config| config.borrow().clone());
            let (house, connections) = (self.clone(), &self.connections);
            connections.spawn(async move {
                house.receive(stream, config).await;
                drop(place);
            });
        }
    }

    async fn receive(self, stream: TcpStream, config: Option<Arc<ServerConfig>>) {
        // Answers are small and wanted at once.
        let _ = stream.set_nodelay(true);
        notice_death(&stream);
        let hang_up = HangUp::default();
        let wrap = |stream| ClientStream::new(stream, hang_up.clone());
        let Some(config) = config else {
            return self.converse(wrap(stream), hang_up.clone()).await;
        };
        let stop = self.stop.clone();
        let shaken = tokio::select! {
            shaken = shake(stream, config, wrap) => shaken,
            () = stop.cancelled() => None,
        };
        if let Some(stream) = shaken {
            self.converse(stream, hang_up.clone()).await;
        }
    }

    async fn converse<S>(self, stream: S, hang_up: HangUp)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Self {
            app, routes, stop, ..
        } = self;
        let asked_to = hang_up.clone();
        let first = CancellationToken::new();
        let begun = first.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            begun.cancel();
            let (app, routes) = (Arc::clone(&app), routes.clone());
            let mut request = request.map(|body| read_on(Body::new(body)));
            // Other streams of an HTTP/2 connection must not suffer.
            if request.version() < Version::HTTP_2 {
                request.extensions_mut().insert(asked_to.clone());
            }
            async move { Ok::<_, Infallible>(answer(&app, routes, request).await) }
        });
        let builder = protocols();
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = hang_up.asked() => return,
            () = silent(first) => return,
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a client's connection ended");
        }
    }
}

fn protocols() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .max_buf_size(BUFFER_BYTES)
        // For programs on ports, which may look at the letters.
        .preserve_header_case(true);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_DEADLINE);
    builder
}

/// A peer whose machine is gone without a word is noticed, however idle the connection. What
/// can't be set is done without.
fn notice_death(stream: &TcpStream) {
    let _ = sockopt::set_socket_keepalive(stream, true);
    let _ = sockopt::set_tcp_keepidle(stream, PROBE_AFTER);
    let _ = sockopt::set_tcp_keepintvl(stream, PROBE_INTERVAL);
    let _ = sockopt::set_tcp_keepcnt(stream, PROBES);
}

/// Returns when a connection's first request does not come in time, and else never.
async fn silent(first: CancellationToken) {
    if timeout(FIRST_REQUEST, first.cancelled()).await.is_ok() {
        std::future::pending::<()>().await;
    }
}

async fn answer(app: &App, routes: Routes, mut request: Request<Body>) -> Response<Body> {
    let route = dataplane::route(request.uri(), request.headers());
    if route == Route::Api && jupyter::enter(&app.settings.jupyter, &mut request) {
        let Ok(response) = routes.jupyter.oneshot(request).await;
        return response;
    }
    if dataplane::is_preflight(&request) && !dataplane::is_for_program(&route) {
        return dataplane::preflight(&request);
    }
    match route {
        Route::Sandbox { id, port } => dataplane::serve(app, &id, port, request).await,
        Route::SignedFile => dataplane::serve_signed(app, request).await,
        Route::Api => {
            let Ok(response) = routes.api.oneshot(request).await;
            response
        }
        Route::Invalid(why) => {
            let mut response = Response::new(Body::from(why));
            *response.status_mut() = StatusCode::BAD_REQUEST;
            let kind = HeaderValue::from_static("text/plain; charset=utf-8");
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
            response
        }
    }
}
