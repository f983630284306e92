//! `/executions`: executions as objects that outlive their request. Our own routes, described
//! by `kernels/protocol/openapi/executions.json`.
//!
//! Started detached they run on whoever listens; their events are read from any number, as
//! often as wanted. Errors are JSON with a `message`.

use super::Interpreter;
use super::events::{self, Form};
use super::refusal::{Refusal, bad};
use super::routes::{body, context};
use crate::execution::registry::Digest;
use crate::execution::run::Run;
use crate::execution::{Execution, Stop};
use crate::kernel::Life;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use soulbox_protocol::execution::{Origin, Page, Shown, Start, StateName};
use std::sync::Arc;

/// Names the execution that an answer is of.
pub const EXECUTION_ID: HeaderName = HeaderName::from_static("x-soulbox-execution-id");

/// A client's own name for its request.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The last event that a browser has seen before its connection broke.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Longest idempotency key, in bytes.
const KEY_BYTES: usize = 256;

/// Longest deadline, in seconds: a day.
const MOST_DEADLINE: u64 = 24 * 60 * 60;

/// Executions of a page, when nothing is said.
const PAGE: usize = 100;

/// Most executions of a page.
const MOST_PAGE: usize = 1000;

/// A refusal as JSON.
struct Refused(Refusal);

impl<E: Into<Refusal>> From<E> for Refused {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let Self(Refusal(status, message)) = self;
        let body = json!({"code": status.as_u16(), "message": message});
        (status, Json(body)).into_response()
    }
}

impl From<QueryRejection> for Refusal {
    fn from(error: QueryRejection) -> Self {
        bad(error.body_text())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    limit: Option<usize>,
    before: Option<String>,
    context_id: Option<String>,
    state: Option<StateName>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    from: Option<u64>,
    follow: Option<bool>,
}

/// The routes.
pub fn router() -> Router<Arc<Interpreter>> {
    Router::new()
        .route("/executions", get(list).post(start))
        .route("/executions/{id}", get(one))
        .route("/executions/{id}/events", get(follow))
        .route("/executions/{id}/interrupt", post(interrupt))
}

async fn start(
    State(interpreter): State<Arc<Interpreter>>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Refused> {
    let mut asked: Start = body(request).await?;
    let key = key(&headers, asked.idempotency_key.take())?;
    if asked
        .deadline_seconds
        .is_some_and(|seconds| seconds == 0 || seconds > MOST_DEADLINE)
    {
        let text = format!("deadline_seconds is a number from 1 to {MOST_DEADLINE}");
        return Err(bad(text).into());
    }
    let attach = std::mem::take(&mut asked.attach);
    let key = key.map(|key| (key, digest(&asked)));
    // First of all, since the context of the earlier request may be gone or full by now.
    let earlier = match &key {
        Some((key, digest)) => interpreter.executions.repeated(key, digest)?,
        None => None,
    };
    let (execution, status) = match earlier {
        Some(execution) => (execution, StatusCode::OK),
        None => begin(&interpreter, asked, key)?,
    };
    if attach {
        return Ok(streamed(execution, 1, &headers, true));
    }
    let headers = [
        (header::LOCATION, format!("/executions/{}", execution.id())),
        (EXECUTION_ID, execution.id().to_owned()),
    ];
    Ok((status, headers, Json(execution.shown())).into_response())
}

/// Starts a new execution, or finds that of another request that came at the same time.
fn begin(
    interpreter: &Interpreter,
    asked: Start,
    key: Option<(String, Digest)>,
) -> Result<(Arc<Execution>, StatusCode), Refusal> {
    let env = asked.env_vars.unwrap_or_default();
    let context = context(
        &interpreter.contexts,
        asked.context_id.as_deref(),
        asked.language.as_deref(),
        &env,
    )?;
    let ticket = context.enqueue(asked.code.len())?;
    let birth = context.birth(Origin::Executions, asked.deadline_seconds);
    let (execution, duty) = interpreter.executions.add(birth, key)?;
    let Some(duty) = duty else {
        return Ok((execution, StatusCode::OK));
    };
    let code = asked.code;
    tokio::spawn(ticket.run(Run { code, env }, duty));
    Ok((execution, StatusCode::CREATED))
}

/// The client's key, from the header or the body.
fn key(headers: &HeaderMap, field: Option<String>) -> Result<Option<String>, Refusal> {
    let header = match headers.get(IDEMPOTENCY_KEY) {
        Some(value) => Some(
            value
                .to_str()
                .map_err(|_| bad("Idempotency-Key is not a text"))?
                .to_owned(),
        ),
        None => None,
    };
    if let (Some(header), Some(field)) = (&header, &field)
        && header != field
    {
        return Err(bad("Idempotency-Key and idempotency_key differ"));
    }
    let key = header.or(field);
    if key
        .as_ref()
        .is_some_and(|key| key.is_empty() || key.len() > KEY_BYTES)
    {
        let text = format!("An idempotency key has 1 to {KEY_BYTES} bytes");
        return Err(bad(text));
    }
    Ok(key)
}

fn digest(asked: &Start) -> Digest {
    let text = serde_json::to_vec(asked).expect("this type always has a JSON form");
    Sha256::digest(text).into()
}

async fn list(
    State(interpreter): State<Arc<Interpreter>>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<Page>, Refused> {
    let Query(wanted) = wanted?;
    let limit = wanted.limit.unwrap_or(PAGE);
    if !(1..=MOST_PAGE).contains(&limit) {
        return Err(bad(format!("limit is a number from 1 to {MOST_PAGE}")).into());
    }
    let is_wanted = |execution: &Execution| {
        let context = wanted.context_id.as_ref();
        context.is_none_or(|id| *id == execution.birth().context_id)
            && wanted
                .state
                .is_none_or(|state| state == execution.state_name())
    };
    let before = wanted.before.as_deref();
    let page = interpreter.executions.page(before, limit, is_wanted);
    let (found, more) =
        page.ok_or_else(|| bad("The execution named by `before` is not known (any more)"))?;
    let executions: Vec<Shown> = found.iter().map(|execution| execution.shown()).collect();
    let next = executions
        .last()
        .filter(|_| more)
        .map(|last| last.id.clone());
    Ok(Json(Page { executions, next }))
}

fn known(interpreter: &Interpreter, id: &str) -> Result<Arc<Execution>, Refusal> {
    let unknown = || Refusal(StatusCode::NOT_FOUND, format!("Execution {id} not found"));
    interpreter.executions.get(id).ok_or_else(unknown)
}

async fn one(
    State(interpreter): State<Arc<Interpreter>>,
    Path(id): Path<String>,
) -> Result<Json<Shown>, Refused> {
    Ok(Json(known(&interpreter, &id)?.shown()))
}

async fn follow(
    State(interpreter): State<Arc<Interpreter>>,
    Path(id): Path<String>,
    asked: Result<Query<Place>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let Query(asked) = asked?;
    let execution = known(&interpreter, &id)?;
    let last = match headers.get(LAST_EVENT_ID) {
        Some(value) => {
            let number = value
                .to_str()
                .ok()
                .and_then(|text| text.parse::<u64>().ok());
            Some(number.ok_or_else(|| bad("Last-Event-ID is not a number"))?)
        }
        None => None,
    };
    // A browser repeats its request as it was, and says what it has seen in the header.
    let from = last
        .map(|last| last.saturating_add(1))
        .or(asked.from)
        .unwrap_or(1);
    let follow = asked.follow.unwrap_or(true);
    Ok(streamed(execution, from, &headers, follow))
}

fn streamed(execution: Arc<Execution>, from: u64, headers: &HeaderMap, live: bool) -> Response {
    let accepted = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok());
    let form = match accepted {
        Some(accepted) if accepted.contains(Form::Stream.content_type()) => Form::Stream,
        _ => Form::Lines,
    };
    let headers = [
        (header::CONTENT_TYPE, form.content_type().to_owned()),
        (header::CACHE_CONTROL, "no-store".to_owned()),
        (EXECUTION_ID, execution.id().to_owned()),
    ];
    (headers, events::body(execution, from, form, live)).into_response()
}

async fn interrupt(
    State(interpreter): State<Arc<Interpreter>>,
    Path(id): Path<String>,
) -> Result<Response, Refused> {
    let execution = known(&interpreter, &id)?;
    if execution.end().is_none() {
        match execution.birth().origin {
            // Nobody waits for it here: its client decides what comes next.
            Origin::Jupyter => {
                let context = interpreter.contexts.get(&execution.birth().context_id)?;
                if let Life::Live(link) = context.kernel().life() {
                    link.interrupt().await;
                }
            }
            Origin::E2b | Origin::Executions => execution.stop(Stop::Interrupt),
        }
    }
    Ok((StatusCode::ACCEPTED, Json(execution.shown())).into_response())
}
