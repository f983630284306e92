//! The control plane: health, claim, and what the host counts. Only the node speaks here.

use crate::interpreter::Interpreter;
use crate::sandbox::Sandbox;
use axum::body::Body;
use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use soulbox_protocol::control::{Claim, Hardship, Health};
use std::sync::Arc;

#[derive(Clone)]
struct Control {
    sandbox: Arc<Sandbox>,
    interpreter: Arc<Interpreter>,
}

/// The routes of the `control` authority.
pub fn service(sandbox: Arc<Sandbox>, interpreter: Arc<Interpreter>) -> Router {
    Router::new()
        .route("/health", get(health))
        .route("/claim", post(claim))
        .route("/questions", get(questions))
        .route("/hardship", post(hardship))
        .with_state(Control {
            sandbox,
            interpreter,
        })
}

async fn health(State(control): State<Control>) -> Json<Health> {
    Json(Health {
        version: env!("CARGO_PKG_VERSION").into(),
        kernel: control.interpreter.kernel_health(),
    })
}

/// Answers when processes and kernels see the variables.
async fn claim(State(control): State<Control>, Json(claim): Json<Claim>) -> StatusCode {
    control.sandbox.claim(&claim);
    control.interpreter.claim(&claim).await;
    StatusCode::NO_CONTENT
}

/// A line for each time that the host's counters are needed. Never ends.
async fn questions(State(control): State<Control>) -> Body {
    Body::from_stream(control.interpreter.desk().questions())
}

async fn hardship(State(control): State<Control>, Json(told): Json<Hardship>) -> StatusCode {
    control.interpreter.desk().tell(&told);
    StatusCode::NO_CONTENT
}
