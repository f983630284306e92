//! The HTTP face: kernels as a list, and the way to their channels.
//!
//! A context of the interpreter and a kernel are the same thing under the same id. Errors are
//! JSON with `message` and `reason`, as Jupyter clients show them.

use super::framing::{Framing, V1};
use super::model::Model;
use super::protection::Protection;
use super::socket::{self, Socket};
use crate::interpreter::Interpreter;
use crate::interpreter::context::{Asked, Context, ContextError};
use crate::kernel::Life;
use crate::kernel::loss::Loss;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http_body_util::{BodyExt as _, Limited};
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Largest body of a request, in bytes: variables, which an operating system bounds anyway.
const BODY_BYTES: usize = 4 << 20;

/// Longest wait for the body of a request.
const BODY_DEADLINE: Duration = Duration::from_secs(30);

/// Variables of one kernel.
const MOST_VARIABLES: usize = 4096;

/// Longest name of a session, in bytes. Clients use a UUID.
const SESSION_BYTES: usize = 256;

/// Header in which the gateway passes on the subprotocol that it has agreed on.
const SUBPROTOCOL: &str = "x-soulbox-subprotocol";

/// Header that switches the protection of a proxying server: `on` or `off`. Without it the
/// client's name decides.
const PROTECTION: &str = "x-soulbox-proxy-protection";

/// How the client of the proxying server begins its name.
const PROXY: &str = "Tornado/";

/// Variables of a start that have a meaning here (section 2.4).
const KERNEL_ID: &str = "KERNEL_ID";
const KERNEL_WORKING_DIR: &str = "KERNEL_WORKING_DIR";

/// An answer that is not what was asked for.
struct Refusal(StatusCode, String);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let reason = self.0.canonical_reason().unwrap_or_default();
        (self.0, Json(json!({"message": self.1, "reason": reason}))).into_response()
    }
}

impl From<ContextError> for Refusal {
    fn from(error: ContextError) -> Self {
        let status = match &error {
            ContextError::Unknown(id) => {
                return Self(
                    StatusCode::NOT_FOUND,
                    format!("Kernel does not exist: {id}"),
                );
            }
            ContextError::Kernel(Loss::Removed) | ContextError::Language { .. } => {
                StatusCode::NOT_FOUND
            }
            ContextError::Taken(_) => StatusCode::CONFLICT,
            ContextError::TooMany | ContextError::Queue | ContextError::Code => {
                StatusCode::TOO_MANY_REQUESTS
            }
            ContextError::Directory(_) => StatusCode::BAD_REQUEST,
            ContextError::Kernel(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self(status, error.to_string())
    }
}

#[derive(Default, Deserialize)]
struct Create {
    name: Option<String>,
    kernel_id: Option<String>,
    cwd: Option<String>,
    env: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct Channels {
    session_id: Option<String>,
}

/// The routes under `/kernels`.
pub fn router(interpreter: Arc<Interpreter>) -> Router {
    Router::new()
        .route("/kernels", get(list).post(create))
        .route("/kernels/{id}", get(show).delete(remove))
        .route("/kernels/{id}/interrupt", post(interrupt))
        .route("/kernels/{id}/restart", post(restart))
        .route("/kernels/{id}/channels", post(channels))
        .with_state(interpreter)
}

fn bad(why: impl Into<String>) -> Refusal {
    Refusal(StatusCode::BAD_REQUEST, why.into())
}

/// Kernels that were ever started: a context that nobody has used has none yet.
async fn list(State(interpreter): State<Arc<Interpreter>>) -> Json<Vec<Model>> {
    let contexts = interpreter.contexts().all();
    let started = contexts
        .iter()
        .filter(|context| !matches!(context.kernel().life(), Life::Unstarted));
    Json(started.map(|context| Model::of(context)).collect())
}

async fn create(
    State(interpreter): State<Arc<Interpreter>>,
    request: Request,
) -> Result<(StatusCode, Json<Model>), Refusal> {
    let asked: Create = body(request).await?;
    let env = asked.env.unwrap_or_default();
    if env.len() > MOST_VARIABLES
        || env.iter().any(|(name, value)| {
            name.is_empty() || name.contains(['=', '\0']) || value.contains('\0')
        })
    {
        return Err(bad(
            "There are too many variables, a name is empty or holds '=', or a NUL character is in one",
        ));
    }
    let id = match asked.kernel_id.as_ref().or(env.get(KERNEL_ID)) {
        Some(id) => {
            let id = uuid::Uuid::try_parse(id).map_err(|_| bad("The kernel's id is no UUID"))?;
            Some(id.to_string())
        }
        None => None,
    };
    let cwd = asked.cwd.or_else(|| env.get(KERNEL_WORKING_DIR).cloned());
    let context = interpreter.contexts().open(Asked {
        language: asked.name,
        id,
        // The directory of a notebook on somebody's own machine need not be here.
        cwd: cwd.filter(|cwd| std::path::Path::new(cwd).is_dir()),
        env,
    })?;
    Ok((StatusCode::CREATED, Json(Model::of(&context))))
}

async fn show(
    State(interpreter): State<Arc<Interpreter>>,
    Path(id): Path<String>,
) -> Result<Json<Model>, Refusal> {
    Ok(Json(Model::of(&*interpreter.contexts().get(&id)?)))
}

async fn remove(
    State(interpreter): State<Arc<Interpreter>>,
    Path(id): Path<String>,
) -> Result<StatusCode, Refusal> {
    interpreter.contexts().remove(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Answers at once; the effect follows.
async fn interrupt(
    State(interpreter): State<Arc<Interpreter>>,
    Path(id): Path<String>,
) -> Result<StatusCode, Refusal> {
    let context = interpreter.contexts().get(&id)?;
    if let Life::Live(link) = context.kernel().life() {
        link.interrupt().await;
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn restart(
    State(interpreter): State<Arc<Interpreter>>,
    Path(id): Path<String>,
) -> Result<Json<Model>, Refusal> {
    interpreter.contexts().restart(&id).await?;
    Ok(Json(Model::of(&*interpreter.contexts().get(&id)?)))
}

async fn channels(
    State(interpreter): State<Arc<Interpreter>>,
    Path(id): Path<String>,
    Query(channels): Query<Channels>,
    request: Request,
) -> Result<Response, Refusal> {
    let context: Arc<Context> = interpreter.contexts().get(&id)?;
    let headers = request.headers();
    let framing = match headers.get(SUBPROTOCOL).map(|value| value.as_bytes()) {
        None | Some(b"") => Framing::Default,
        Some(name) if name == V1.as_bytes() => Framing::V1,
        Some(_) => return Err(bad("There is no such subprotocol")),
    };
    let protection = Protection::new(framing == Framing::Default && is_proxy(headers));
    let session = channels.session_id.filter(|session| !session.is_empty());
    if session
        .as_ref()
        .is_some_and(|name| name.len() > SESSION_BYTES)
    {
        return Err(bad("The name of the session is too long"));
    }
    let kernel = context.kernel();
    let place = kernel.audience().join(session.as_deref());
    let place = place.ok_or_else(|| {
        let text = "This kernel has too many connections".to_owned();
        Refusal(StatusCode::TOO_MANY_REQUESTS, text)
    })?;
    match kernel.life() {
        Life::Dead(loss @ Loss::Removed) => return Err(ContextError::Kernel(loss).into()),
        Life::Unstarted | Life::Dead(_) => kernel.start(),
        Life::Starting | Life::Live(_) | Life::Restarting => {}
    }
    let socket = Socket {
        framing,
        protection,
        context,
        place,
    };
    Ok(socket::open(socket, request.into_body()).into_response())
}

fn is_proxy(headers: &HeaderMap) -> bool {
    match headers.get(PROTECTION).map(|value| value.as_bytes()) {
        Some(b"on") => true,
        Some(b"off") => false,
        _ => headers
            .get(header::USER_AGENT)
            .is_some_and(|agent| agent.as_bytes().starts_with(PROXY.as_bytes())),
    }
}

/// Reads a JSON body within its bounds; an empty one is an empty object.
async fn body(request: Request) -> Result<Create, Refusal> {
    let limited = Limited::new(request.into_body(), BODY_BYTES).collect();
    let bytes = match tokio::time::timeout(BODY_DEADLINE, limited).await {
        Ok(Ok(collected)) => collected.to_bytes(),
        Ok(Err(_)) => return Err(bad("The request body broke off or is too large")),
        Err(_) => {
            let text = "The request body did not arrive in time".to_owned();
            return Err(Refusal(StatusCode::REQUEST_TIMEOUT, text));
        }
    };
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(Create::default());
    }
    serde_json::from_slice(&bytes).map_err(|error| {
        // Its text could quote a variable.
        let (line, column) = (error.line(), error.column());
        bad(format!(
            "The request body is not what this route takes, at line {line}, column {column}"
        ))
    })
}
