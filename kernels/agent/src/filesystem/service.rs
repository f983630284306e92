//! `filesystem.Filesystem` (section 4.5 of the contract): its calls on paths.
//!
//! Everything that touches the disk runs on a thread that may block.

use super::entry::{Entry, Names};
use super::listing::{self, ListError};
use super::{Shared, directories, path, relocate};
use crate::connect::fields::{Uint32, or_default};
use crate::connect::request::{CallContext, unary};
use crate::connect::{Code, ConnectError};
use crate::process::environment;
use crate::process::message::Empty;
use crate::process::user::User;
use crate::sandbox::Sandbox;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::any;
use http::{Request, Response};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The routes.
pub fn service(shared: Shared) -> Router {
    Router::new()
        .route("/filesystem.Filesystem/Stat", any(stat))
        .route("/filesystem.Filesystem/MakeDir", any(make_dir))
        .route("/filesystem.Filesystem/Move", any(move_entry))
        .route("/filesystem.Filesystem/ListDir", any(list_dir))
        .route("/filesystem.Filesystem/Remove", any(remove))
        .with_state(shared)
}

#[derive(Deserialize)]
struct PathRequest {
    #[serde(default, deserialize_with = "or_default")]
    path: String,
}

#[derive(Deserialize)]
struct MoveRequest {
    #[serde(default, deserialize_with = "or_default")]
    source: String,
    #[serde(default, deserialize_with = "or_default")]
    destination: String,
}

#[derive(Deserialize)]
struct ListRequest {
    #[serde(default, deserialize_with = "or_default")]
    path: String,
    #[serde(default, deserialize_with = "or_default")]
    depth: Uint32,
}

#[derive(Serialize)]
struct EntryAnswer {
    entry: Entry,
}

#[derive(Serialize)]
struct ListAnswer {
    entries: Vec<Entry>,
}

async fn stat(State(shared): State<Shared>, request: Request<Body>) -> Response<Body> {
    unary(request, |context, message: PathRequest| async move {
        let (_, path) = resolve(&shared.sandbox, &context, &message.path)?;
        blocking(move || look(&path)).await
    })
    .await
}

async fn make_dir(State(shared): State<Shared>, request: Request<Body>) -> Response<Body> {
    unary(request, |context, message: PathRequest| async move {
        let (user, path) = resolve(&shared.sandbox, &context, &message.path)?;
        blocking(move || {
            let shown = path.display();
            match fs::metadata(&path) {
                Ok(meta) if meta.is_dir() => {
                    return Err(ConnectError::new(
                        Code::AlreadyExists,
                        format!("directory already exists: {shown}"),
                    ));
                }
                Ok(_) => {
                    return Err(ConnectError::invalid(format!(
                        "path already exists but it is not a directory: {shown}"
                    )));
                }
                Err(_) => {}
            }
            directories::make_all(&path, &user, &shared.watchers).map_err(|error| {
                ConnectError::internal(format!("error creating directory {shown}: {error}"))
            })?;
            look(&path)
        })
        .await
    })
    .await
}

async fn move_entry(State(shared): State<Shared>, request: Request<Body>) -> Response<Body> {
    unary(request, |context, message: MoveRequest| async move {
        let (user, source) = resolve(&shared.sandbox, &context, &message.source)?;
        let (_, destination) = resolve(&shared.sandbox, &context, &message.destination)?;
        blocking(move || {
            fs::symlink_metadata(&source).map_err(|error| missing(&source, &error))?;
            let failed = |error: io::Error| {
                ConnectError::internal(format!(
                    "error moving {} to {}: {error}",
                    source.display(),
                    destination.display()
                ))
            };
            if let Some(parent) = destination.parent() {
                directories::make_all(parent, &user, &shared.watchers).map_err(failed)?;
            }
            relocate::relocate(&source, &destination).map_err(failed)?;
            look(&destination)
        })
        .await
    })
    .await
}

async fn list_dir(State(shared): State<Shared>, request: Request<Body>) -> Response<Body> {
    unary(request, |context, message: ListRequest| async move {
        let (_, path) = resolve(&shared.sandbox, &context, &message.path)?;
        blocking(move || {
            let meta = fs::metadata(&path).map_err(|error| missing(&path, &error))?;
            if !meta.is_dir() {
                let shown = path.display();
                return Err(ConnectError::invalid(format!(
                    "path is not a directory: {shown}"
                )));
            }
            let entries = listing::list(&path, message.depth.0).map_err(|error| match error {
                ListError::System(error) => missing(&path, &error),
                ListError::TooMany => ConnectError::new(Code::ResourceExhausted, error.to_string()),
            })?;
            Ok(ListAnswer { entries })
        })
        .await
    })
    .await
}

async fn remove(State(shared): State<Shared>, request: Request<Body>) -> Response<Body> {
    unary(request, |context, message: PathRequest| async move {
        let (_, path) = resolve(&shared.sandbox, &context, &message.path)?;
        blocking(move || {
            let removed = match fs::symlink_metadata(&path) {
                Ok(meta) if meta.is_dir() => fs::remove_dir_all(&path),
                Ok(_) => fs::remove_file(&path),
                Err(error) => Err(error),
            };
            match removed {
                Err(error) if !is_missing(&error) => Err(ConnectError::internal(format!(
                    "error removing {}: {error}",
                    path.display()
                ))),
                _ => Ok(Empty {}),
            }
        })
        .await
    })
    .await
}

/// Whose path it is, and which.
pub(super) fn resolve(
    sandbox: &Sandbox,
    context: &CallContext,
    path: &str,
) -> Result<(User, PathBuf), ConnectError> {
    let identity = sandbox.identity();
    let user = environment::user(&identity, context.user.as_deref())?;
    let path = path::resolve(path, &user, identity.default_workdir.as_deref())
        .map_err(|error| ConnectError::invalid(error.to_string()))?;
    Ok((user, path))
}

fn look(path: &Path) -> Result<EntryAnswer, ConnectError> {
    let entry = Entry::of(path, &mut Names::default()).map_err(|error| missing(path, &error))?;
    Ok(EntryAnswer { entry })
}

fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// What could not be looked at, in the words of the contract.
pub(super) fn missing(path: &Path, error: &io::Error) -> ConnectError {
    let shown = path.display();
    if is_missing(error) {
        ConnectError::new(Code::NotFound, format!("path not found: {shown}"))
    } else {
        ConnectError::internal(format!("error reading {shown}: {error}"))
    }
}

/// Runs what may wait for the disk.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ConnectError> + Send + 'static,
) -> Result<T, ConnectError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(ConnectError::internal(error.to_string())),
    }
}
