//! Jupyter clients: the REST of kernels and their WebSocket channels (sections 2 and 4 of the
//! Jupyter wire contract), on the same kernels as the code interpreter's contexts.
//!
//! The gateway shakes hands with WebSocket clients and passes bytes on; the frames are spoken
//! here, so nothing outside of the sandbox reads what a kernel says. A client is a
//! [`Place`](crate::kernel::audience::Place) in a kernel's audience, which keeps its messages;
//! this half knows sockets and forms of messages, and nothing of processes.

mod framing;
mod model;
mod protection;
mod routes;
mod socket;
mod websocket;

use crate::interpreter::Interpreter;
use std::sync::Arc;

/// The routes of the `interpreter` authority under `/kernels`.
pub fn service(interpreter: Arc<Interpreter>) -> axum::Router {
    routes::router(interpreter)
}
