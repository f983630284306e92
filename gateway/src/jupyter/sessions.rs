//! `/api/sessions` (jupyter-wire.md, section 2.5).

use super::{
    body::JsonBody, caller::Authenticated, error::JupyterError, kernels::kernel_id,
    model::SessionModel,
};
use crate::{
    gateway::App,
    kernels::{Change, KernelError, SessionError, WantedKernel, Wish},
};
use axum::{
    Json,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use std::{sync::Arc, time::Duration};

/// A start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// Longest path, name and type. They are shown in lists.
const TEXT_BYTES: usize = 4096;

/// The body of a create or a change; what is needed differs.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Body {
    path: Option<String>,
    name: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    kernel: Option<WantedBody>,
    /// Where older clients have the path.
    notebook: Option<Notebook>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct WantedBody {
    id: Option<String>,
    name: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Notebook {
    path: Option<String>,
    name: Option<String>,
}

/// Every session whose kernel lives.
pub async fn list(
    State(app): State<Arc<App>>,
    _: Authenticated,
) -> Result<Json<Vec<SessionModel>>, JupyterError> {
    let list = app.sessions.list().await?;
    Ok(Json(list.into_iter().map(SessionModel::from).collect()))
}

/// Makes one, or gives the one that the path has already.
pub async fn create(
    State(app): State<Arc<App>>,
    _: Authenticated,
    JsonBody(mut asked): JsonBody<Body>,
) -> Result<Response, JupyterError> {
    if let Some(notebook) = asked.notebook.take() {
        asked.path = asked.path.or(notebook.path);
        asked.name = asked.name.or(notebook.name);
        asked.kind = asked.kind.or_else(|| Some("notebook".to_owned()));
    }
    check(&asked)?;
    let missing = |field| JupyterError::bad(format!("Missing field in JSON data: {field}"));
    let path = asked.path.ok_or_else(|| missing("path"))?;
    let kind = asked.kind.ok_or_else(|| missing("type"))?;
    let kernel = wanted(asked.kernel.unwrap_or_default())?;
    let name = asked.name.unwrap_or_default();
    let made = app.sessions.create(path, name, kind, kernel).await;
    let model = SessionModel::from(made.map_err(no_kind)?);
    let location = format!(
        "{}/api/sessions/{}",
        app.settings.jupyter.base_path,
        model.id()
    );
    Ok((
        StatusCode::CREATED,
        [(header::LOCATION, location)],
        Json(model),
    )
        .into_response())
}

/// One session.
pub async fn get(
    State(app): State<Arc<App>>,
    _: Authenticated,
    Path(id): Path<String>,
) -> Result<Json<SessionModel>, JupyterError> {
    Ok(Json(app.sessions.get(&id).await?.into()))
}

/// Renames one, or gives it another kernel.
pub async fn change(
    State(app): State<Arc<App>>,
    _: Authenticated,
    Path(id): Path<String>,
    JsonBody(asked): JsonBody<Body>,
) -> Result<Json<SessionModel>, JupyterError> {
    check(&asked)?;
    let kernel = match asked.kernel {
        Some(WantedBody {
            id: None,
            name: None,
        })
        | None => None,
        Some(kernel) => Some(wanted(kernel)?),
    };
    let existing = matches!(kernel, Some(WantedKernel::Existing(_)));
    let change = Change {
        path: asked.path,
        name: asked.name,
        kind: asked.kind,
        kernel,
    };
    let changed = app.sessions.change(&id, change).await;
    let changed = changed.map_err(|error| match error {
        SessionError::Kernel(KernelError::Unknown(id)) if existing => {
            JupyterError::bad(format!("No such kernel: {id}"))
        }
        other => no_kind(other),
    });
    Ok(Json(changed?.into()))
}

/// Ends one, and its kernel.
pub async fn end(
    State(app): State<Arc<App>>,
    _: Authenticated,
    Path(id): Path<String>,
) -> Result<StatusCode, JupyterError> {
    app.sessions.end(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A live kernel wins over a name.
fn wanted(kernel: WantedBody) -> Result<WantedKernel, JupyterError> {
    Ok(match kernel.id {
        Some(id) => WantedKernel::Existing(kernel_id(&id)?),
        None => WantedKernel::New(Wish {
            name: kernel.name.filter(|name| !name.is_empty()),
            patience: PATIENCE,
            ..Wish::default()
        }),
    })
}

fn check(asked: &Body) -> Result<(), JupyterError> {
    let texts = [&asked.path, &asked.name, &asked.kind];
    if texts
        .into_iter()
        .flatten()
        .any(|text| text.len() > TEXT_BYTES)
    {
        let message = format!("path, name and type may have {TEXT_BYTES} bytes each");
        return Err(JupyterError::bad(message));
    }
    Ok(())
}

/// JupyterLab has words of its own for a kernel that is not there.
fn no_kind(error: SessionError) -> JupyterError {
    let unknown = matches!(&error, SessionError::Kernel(KernelError::NoSuchKind(_)));
    let error = JupyterError::from(error);
    if unknown {
        error.with_status(StatusCode::NOT_IMPLEMENTED)
    } else {
        error
    }
}
