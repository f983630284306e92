//! The two ports of the contract inside the sandbox: programs there reach the interpreter on
//! `http://0.0.0.0:49999` (section 5), and processes and files on 49983, as in the vendor's
//! sandboxes.
//!
//! Whoever is in here may become root by `sudo`, so nothing is asked for. From outside only the
//! holder of an API key comes this way, by a forwarded port: the gateway sends requests for these
//! ports through the channel, with its own checks before it.

use crate::planes::Planes;
use axum::Router;
use axum::body::Body;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tower::ServiceExt as _;

/// Processes and files.
const ENVD_PORT: u16 = 49983;

/// The code interpreter.
const INTERPRETER_PORT: u16 = 49999;

/// Connections to one of the ports at a time. More wait in the system's own queue.
const CONNECTIONS: usize = 128;

/// How long a connection may be silent before its next request.
const IDLE: Duration = Duration::from_secs(15 * 60);

/// Pause after an accept that failed, e.g. for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Opens both ports, that of the interpreter only where there is one. Outside of a sandbox, in
/// tests, the ports are other people's.
pub fn open(planes: &Planes, has_interpreter: bool) {
    if std::process::id() != 1 {
        return;
    }
    tokio::spawn(serve(ENVD_PORT, planes.envd()));
    if has_interpreter {
        tokio::spawn(serve(INTERPRETER_PORT, planes.interpreter()));
    }
}

async fn serve(port: u16, router: Router) {
    let listener = match TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await {
        Ok(listener) => listener,
        Err(error) => return tracing::warn!(%error, port, "a port inside was not opened"),
    };
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    while let Ok(place) = places.clone().acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                let router = router.clone();
                tokio::spawn(async move {
                    converse(stream, router).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, port, "a connection inside was not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn converse(stream: TcpStream, router: Router) {
    // Answers are small and wanted at once.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
        router.clone().oneshot(request.map(Body::new))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a connection inside ended");
    }
}
