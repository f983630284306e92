//! The HTTP face of the interpreter (section 5 of the contract).
//!
//! Errors are plain text, as the vendor's clients show them to their users as they are.

use super::answer::answer;
use super::context::{Context, DEFAULT_CWD, DEFAULT_LANGUAGE, Shown};
use super::executions::{self, EXECUTION_ID};
use super::refusal::{Refusal, bad};
use super::{Contexts, Interpreter};
use crate::execution::run::Run;
use axum::Json;
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use soulbox_protocol::execution::Origin;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Largest body of a request. Code and variables, which have to fit into one message.
const BODY_BYTES: usize = 64 << 20;

/// Longest wait for the body of a request.
const BODY_DEADLINE: Duration = Duration::from_secs(120);

/// What any web page may do, since the contract has these routes open.
const OPEN: [(HeaderName, HeaderValue); 3] = [
    (
        header::ACCESS_CONTROL_ALLOW_ORIGIN,
        HeaderValue::from_static("*"),
    ),
    (
        header::ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("*"),
    ),
    (
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static("*"),
    ),
];

#[derive(Deserialize)]
struct Execute {
    code: String,
    context_id: Option<String>,
    language: Option<String>,
    env_vars: Option<BTreeMap<String, String>>,
}

#[derive(Default, Deserialize)]
struct Create {
    language: Option<String>,
    cwd: Option<String>,
}

/// The routes of the `interpreter` authority.
pub fn router(interpreter: Arc<Interpreter>) -> Router {
    Router::new()
        .route("/health", get(async || Json("OK")))
        .route("/execute", post(execute))
        .route("/contexts", get(list).post(create))
        .route("/contexts/{id}", axum::routing::delete(remove))
        .route("/contexts/{id}/restart", post(restart))
        .merge(executions::router())
        .layer(middleware::from_fn(open))
        .with_state(interpreter)
}

/// Answers the questions of browsers, and tells them that the answer is theirs.
async fn open(request: Request, next: Next) -> Response {
    let preflight = request.method() == Method::OPTIONS;
    let mut response = if preflight {
        StatusCode::OK.into_response()
    } else {
        next.run(request).await
    };
    response.headers_mut().extend(OPEN);
    response
}

async fn execute(
    State(interpreter): State<Arc<Interpreter>>,
    request: Request,
) -> Result<Response, Refusal> {
    let asked: Execute = body(request).await?;
    let env = asked.env_vars.unwrap_or_default();
    let context = context(
        &interpreter.contexts,
        asked.context_id.as_deref(),
        asked.language.as_deref(),
        &env,
    )?;
    let ticket = context.enqueue(asked.code.len())?;
    let birth = context.birth(Origin::E2b, None);
    let (execution, duty) = interpreter.executions.add(birth, None)?;
    let id = execution.id().to_owned();
    // Before it runs, so that nothing can be gone before it is read.
    let body = answer(execution);
    let code = asked.code;
    // Without a key there always is a duty.
    if let Some(duty) = duty {
        tokio::spawn(ticket.run(Run { code, env }, duty));
    }
    let headers = [
        (header::CONTENT_TYPE, "application/json".to_owned()),
        (EXECUTION_ID, id),
    ];
    Ok((headers, body).into_response())
}

/// The context that a request means, if it can have what the request asks for.
pub(super) fn context(
    contexts: &Contexts,
    id: Option<&str>,
    language: Option<&str>,
    env: &BTreeMap<String, String>,
) -> Result<Arc<Context>, Refusal> {
    if env
        .iter()
        .any(|(name, value)| name.is_empty() || name.contains(['=', '\0']) || value.contains('\0'))
    {
        return Err(bad(
            "A variable's name is empty or holds '=', or a NUL character is in a name or value",
        ));
    }
    let context = match (id, language) {
        (Some(_), Some(_)) => {
            return Err(bad("Only one of context_id or language can be provided"));
        }
        (Some(id), None) => contexts.get(id)?,
        (None, language) => contexts.default_of(language.unwrap_or(DEFAULT_LANGUAGE))?,
    };
    if !env.is_empty() && !context.kernel().spec().beyond.execute_env {
        return Err(bad(
            "Kernels of this language do not take variables of a single execution",
        ));
    }
    Ok(context)
}

async fn list(State(interpreter): State<Arc<Interpreter>>) -> Json<Vec<Shown>> {
    Json(interpreter.contexts.shown())
}

async fn create(
    State(interpreter): State<Arc<Interpreter>>,
    request: Request,
) -> Result<Json<Shown>, Refusal> {
    let asked: Create = body(request).await?;
    let language = asked.language.as_deref().unwrap_or(DEFAULT_LANGUAGE);
    let cwd = asked.cwd.as_deref().unwrap_or(DEFAULT_CWD);
    Ok(Json(
        interpreter.contexts.create(language, cwd).await?.shown(),
    ))
}

async fn restart(
    State(interpreter): State<Arc<Interpreter>>,
    Path(id): Path<String>,
) -> Result<Json<()>, Refusal> {
    Ok(Json(interpreter.contexts.restart(&id).await?))
}

async fn remove(
    State(interpreter): State<Arc<Interpreter>>,
    Path(id): Path<String>,
) -> Result<Json<()>, Refusal> {
    Ok(Json(interpreter.contexts.remove(&id).await?))
}

/// Reads a JSON body within its bounds; an empty one is an empty object.
pub(super) async fn body<T: DeserializeOwned>(request: Request) -> Result<T, Refusal> {
    let limited = Limited::new(request.into_body(), BODY_BYTES);
    let bytes = match tokio::time::timeout(BODY_DEADLINE, Body::new(limited).collect()).await {
        Err(_) => {
            return Err(Refusal(
                StatusCode::REQUEST_TIMEOUT,
                "The request body did not arrive in time".into(),
            ));
        }
        Ok(Ok(collected)) => collected.to_bytes(),
        Ok(Err(error)) => {
            let cause = std::error::Error::source(&error);
            return Err(
                if cause.is_some_and(|cause| cause.is::<LengthLimitError>()) {
                    let text = format!("The request body is larger than {} MiB", BODY_BYTES >> 20);
                    Refusal(StatusCode::PAYLOAD_TOO_LARGE, text)
                } else {
                    bad("The request body broke off")
                },
            );
        }
    };
    let text = std::str::from_utf8(&bytes).map_err(|_| bad("The request body is not UTF-8"))?;
    let text = if text.trim().is_empty() { "{}" } else { text };
    serde_json::from_str(text).map_err(|error| {
        bad(format!(
            "The request body is not what this route takes: {error}"
        ))
    })
}
