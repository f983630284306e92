//! `GET` and `POST /files`: what both have in common (section 4.7 of the contract).

use super::watch::Watchers;
use super::{Shared, compose, download, path, upload};
use crate::process::user::{self, User};
use axum::Router;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::{Request, StatusCode, header};
use serde::Deserialize;
use std::path::PathBuf;
use std::sync::Arc;

/// The routes.
pub fn service(shared: Shared) -> Router {
    Router::new()
        .route("/files", get(read).post(write))
        .route("/files/compose", post(compose::answer))
        .with_state(shared)
}

/// An answer of `/files` that is not the file: `{"code": status, "message": text}`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FilesError {
    /// The HTTP status, also in the body.
    pub status: StatusCode,
    /// What clients show.
    pub message: String,
}

impl FilesError {
    /// An error with this text.
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
        }
    }

    /// 400.
    pub fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// 500.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, message)
    }
}

impl IntoResponse for FilesError {
    fn into_response(self) -> Response {
        let body = serde_json::json!({"code": self.status.as_u16(), "message": self.message});
        let kind = [(header::CONTENT_TYPE, "application/json; charset=utf-8")];
        (self.status, kind, body.to_string()).into_response()
    }
}

#[derive(Debug, Default, Deserialize)]
struct FilesQuery {
    path: Option<String>,
    username: Option<String>,
}

/// Who asks, and where relative paths begin.
pub struct Caller {
    /// The user.
    pub user: User,
    /// The sandbox's default directory.
    pub workdir: Option<String>,
    /// Who must see what is made for the caller.
    pub watchers: Arc<Watchers>,
}

impl Caller {
    /// Looks the user up.
    pub fn new(shared: &Shared, username: Option<&str>) -> Result<Self, FilesError> {
        let identity = shared.sandbox.identity();
        let name = username
            .filter(|name| !name.is_empty())
            .unwrap_or(&identity.default_user);
        match user::find(name) {
            Ok(Some(user)) => Ok(Self {
                user,
                workdir: identity.default_workdir.clone(),
                watchers: shared.watchers.clone(),
            }),
            Ok(None) => Err(FilesError::new(
                StatusCode::UNAUTHORIZED,
                format!("error looking up user '{name}': user: unknown user {name}"),
            )),
            Err(error) => Err(FilesError::internal(format!(
                "error looking up user '{name}': {error}"
            ))),
        }
    }

    /// Makes a path absolute.
    pub fn resolve(&self, path: &str) -> Result<PathBuf, FilesError> {
        path::resolve(path, &self.user, self.workdir.as_deref())
            .map_err(|error| FilesError::bad(error.to_string()))
    }
}

type Parameters = Result<Query<FilesQuery>, axum::extract::rejection::QueryRejection>;

fn parameters(query: Parameters) -> Result<FilesQuery, FilesError> {
    match query {
        Ok(Query(query)) => Ok(query),
        Err(error) => Err(FilesError::bad(format!("invalid query: {error}"))),
    }
}

async fn read(
    State(shared): State<Shared>,
    query: Parameters,
    request: Request<Body>,
) -> Result<Response, FilesError> {
    let query = parameters(query)?;
    let caller = Caller::new(&shared, query.username.as_deref())?;
    let path = caller.resolve(&query.path.unwrap_or_default())?;
    download::answer(path, request.headers()).await
}

async fn write(
    State(shared): State<Shared>,
    query: Parameters,
    request: Request<Body>,
) -> Result<Response, FilesError> {
    let query = parameters(query)?;
    let caller = Caller::new(&shared, query.username.as_deref())?;
    upload::answer(&caller, query.path.filter(|path| !path.is_empty()), request).await
}
