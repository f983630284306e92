//! `WatchDir`, `CreateWatcher`, `GetWatcherEvents` and `RemoveWatcher` (section 4.5).

use super::event::Event;
use super::{Registration, WatchError, Watcher, is_network_mount};
use crate::connect::envelope;
use crate::connect::fields::or_default;
use crate::connect::request::{CallContext, unary};
use crate::connect::{Code, ConnectError, stream};
use crate::filesystem::Shared;
use crate::filesystem::service::{blocking, missing, resolve};
use crate::process::message::Empty;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::any;
use bytes::Bytes;
use futures_util::Stream;
use http::{Request, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::VecDeque;
use std::fs;

/// The routes.
pub fn service(shared: Shared) -> Router {
    Router::new()
        .route("/filesystem.Filesystem/WatchDir", any(watch_dir))
        .route("/filesystem.Filesystem/CreateWatcher", any(create))
        .route("/filesystem.Filesystem/GetWatcherEvents", any(events))
        .route("/filesystem.Filesystem/RemoveWatcher", any(remove))
        .with_state(shared)
}

#[derive(Deserialize)]
struct WatchRequest {
    #[serde(default, deserialize_with = "or_default")]
    path: String,
    #[serde(default, deserialize_with = "or_default")]
    recursive: bool,
    #[serde(
        default,
        alias = "include_entry",
        rename = "includeEntry",
        deserialize_with = "or_default"
    )]
    include_entry: bool,
    #[serde(
        default,
        alias = "allow_network_mounts",
        rename = "allowNetworkMounts",
        deserialize_with = "or_default"
    )]
    allow_network_mounts: bool,
}

#[derive(Deserialize)]
struct WatcherRequest {
    #[serde(
        default,
        alias = "watcher_id",
        rename = "watcherId",
        deserialize_with = "or_default"
    )]
    watcher_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CreateAnswer {
    watcher_id: String,
}

#[derive(Serialize)]
struct EventsAnswer {
    events: Vec<Event>,
}

async fn create(State(shared): State<Shared>, request: Request<Body>) -> Response<Body> {
    unary(request, |context, message: WatchRequest| async move {
        let registration = register(&shared, &context, message).await?;
        let watcher_id = shared.watchers.keep(registration);
        Ok(CreateAnswer { watcher_id })
    })
    .await
}

async fn events(State(shared): State<Shared>, request: Request<Body>) -> Response<Body> {
    unary(request, |_, message: WatcherRequest| async move {
        let watcher = shared.watchers.find(&message.watcher_id);
        let watcher = watcher.ok_or_else(|| unknown(&message.watcher_id))?;
        blocking(move || {
            shared.watchers.settle();
            let events = watcher.take().ok_or_else(lost)?;
            Ok(EventsAnswer { events })
        })
        .await
    })
    .await
}

async fn remove(State(shared): State<Shared>, request: Request<Body>) -> Response<Body> {
    unary(request, |_, message: WatcherRequest| async move {
        if shared.watchers.forget(&message.watcher_id) {
            return Ok(Empty {});
        }
        Err(unknown(&message.watcher_id))
    })
    .await
}

async fn watch_dir(State(shared): State<Shared>, request: Request<Body>) -> Response<Body> {
    stream::server(request, |context, message: WatchRequest| async move {
        let registration = register(&shared, &context, message).await?;
        Ok(told(registration, context))
    })
    .await
}

async fn register(
    shared: &Shared,
    context: &CallContext,
    message: WatchRequest,
) -> Result<Registration, ConnectError> {
    let (_, path) = resolve(&shared.sandbox, context, &message.path)?;
    let watchers = shared.watchers.clone();
    blocking(move || {
        let shown = path.display();
        let meta = fs::metadata(&path).map_err(|error| missing(&path, &error))?;
        if !meta.is_dir() {
            return Err(ConnectError::invalid(format!(
                "path {shown} is not a directory"
            )));
        }
        if !message.allow_network_mounts && is_network_mount(&path) {
            return Err(ConnectError::invalid(format!(
                "cannot watch path on network filesystem: {shown}"
            )));
        }
        let watcher = Watcher::new(path.clone(), message.recursive, message.include_entry);
        watchers.register(watcher).map_err(|error| match error {
            WatchError::System(error) => missing(&path, &error),
            other => ConnectError::new(Code::ResourceExhausted, other.to_string()),
        })
    })
    .await
}

/// Where a stream of events is.
struct Told {
    registration: Registration,
    waiting: VecDeque<Event>,
    context: CallContext,
    is_over: bool,
}

/// Everything that one stream is told: `start`, events, keepalives.
fn told(
    registration: Registration,
    context: CallContext,
) -> impl Stream<Item = Result<Bytes, ConnectError>> + Send {
    let told = Told {
        registration,
        waiting: VecDeque::new(),
        context,
        is_over: false,
    };
    let start = futures_util::stream::iter([Ok(envelope::message(&json!({"start": {}})))]);
    let rest = futures_util::stream::unfold(told, async |mut told| {
        if told.is_over {
            return None;
        }
        let event = told.next().await;
        told.is_over = event.is_err();
        Some((event, told))
    });
    futures_util::StreamExt::chain(start, rest)
}

impl Told {
    async fn next(&mut self) -> Result<Bytes, ConnectError> {
        let silence = tokio::time::Instant::now() + self.context.keepalive;
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Ok(envelope::message(&json!({"filesystem": event})));
            }
            self.waiting = self.registration.watcher.take().ok_or_else(lost)?.into();
            if !self.waiting.is_empty() {
                continue;
            }
            let arrived = self.registration.watcher.arrived();
            match self.context.deadline {
                Some(deadline) if deadline < silence => {
                    if tokio::time::timeout_at(deadline, arrived).await.is_err() {
                        return Err(ConnectError::deadline());
                    }
                }
                _ => {
                    if tokio::time::timeout_at(silence, arrived).await.is_err() {
                        return Ok(envelope::message(&json!({"keepalive": {}})));
                    }
                }
            }
        }
    }
}

fn unknown(id: &str) -> ConnectError {
    ConnectError::new(Code::NotFound, format!("watcher with id {id} not found"))
}

fn lost() -> ConnectError {
    ConnectError::new(
        Code::DataLoss,
        "events were lost because more happened than could be kept; look at the directory \
         itself, then go on",
    )
}
