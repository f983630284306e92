//! The control plane: health, claim, the way out, and what the host counts. Only the node
//! speaks here.

use crate::egress::{self, Egress};
use crate::interpreter::Interpreter;
use crate::sandbox::Sandbox;
use axum::body::Body;
use axum::extract::State;
use axum::routing::{get, post, put};
use axum::{Json, Router};
use http::StatusCode;
use soulbox_protocol::control::{Claim, Hardship, Health};
use soulbox_protocol::egress::{SWITCH_PATH, Switch};
use std::sync::Arc;
use std::time::Duration;

/// How long a change of the variables may take to reach kernels that run. A kernel that
/// does not take it in time has it with its next change.
const RENEW: Duration = Duration::from_secs(5);

#[derive(Clone)]
struct Control {
    sandbox: Arc<Sandbox>,
    interpreter: Arc<Interpreter>,
    egress: Arc<Egress>,
}

/// The routes of the `control` authority.
pub fn service(sandbox: Arc<Sandbox>, interpreter: Arc<Interpreter>) -> Router {
    let egress = Arc::new(Egress::default());
    Router::new()
        .route("/health", get(health))
        .route("/claim", post(claim))
        .route(SWITCH_PATH, put(switch))
        .route("/questions", get(questions))
        .route("/hardship", post(hardship))
        .with_state(Control {
            sandbox,
            interpreter,
            egress: egress.clone(),
        })
        .merge(egress::routes(&egress))
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
    control.egress.switch(claim.egress).await;
    control.interpreter.claim(&claim).await;
    StatusCode::NO_CONTENT
}

/// Opens or closes the way out of a sandbox that is somebody's.
async fn switch(State(control): State<Control>, Json(wanted): Json<Switch>) -> StatusCode {
    control.egress.switch(wanted.on).await;
    control.sandbox.switch_egress(wanted.on);
    let renewed = tokio::time::timeout(RENEW, control.interpreter.renew(None)).await;
    if renewed.is_err() {
        tracing::warn!("a kernel did not take its new variables in time");
    }
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
