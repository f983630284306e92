//! `/api/kernels` (jupyter-wire.md, section 2.4).

use super::{body::JsonBody, caller::Authenticated, error::JupyterError, model::KernelModel};
use crate::{
    gateway::App,
    kernels::{KernelId, Wish},
};
use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::Value;
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// A start on a busy machine, when the client does not say how long it waits.
const PATIENCE: Duration = Duration::from_secs(120);
const SHORTEST_PATIENCE: f64 = 1.0;
const LONGEST_PATIENCE: f64 = 600.0;
/// All names and values together, well below what `execve` takes.
const ENV_BYTES: usize = 512 << 10;
/// The header that names a live sandbox for a new kernel.
const SANDBOX: &str = "x-soulbox-sandbox";

/// The body of a create; every key is optional.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct NewKernel {
    name: Option<String>,
    env: Option<Value>,
    kernel_id: Option<String>,
    /// Ours: a live sandbox to start it in.
    sandbox: Option<String>,
}

/// Every kernel, those that E2B clients made too.
pub async fn list(State(app): State<Arc<App>>, _: Authenticated) -> Json<Vec<KernelModel>> {
    let list = app.kernels.list().await;
    Json(list.into_iter().map(KernelModel::from).collect())
}

/// Makes one.
pub async fn create(
    State(app): State<Arc<App>>,
    _: Authenticated,
    headers: HeaderMap,
    JsonBody(asked): JsonBody<NewKernel>,
) -> Result<Response, JupyterError> {
    let wish = wish(asked, &headers)?;
    let model = KernelModel::from(app.kernels.create(wish).await?);
    let location = format!(
        "{}/api/kernels/{}",
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

/// One kernel.
pub async fn get(
    State(app): State<Arc<App>>,
    _: Authenticated,
    Path(id): Path<String>,
) -> Result<Json<KernelModel>, JupyterError> {
    Ok(Json(app.kernels.get(&kernel_id(&id)?).await?.into()))
}

/// Ends one. Its clients are told and closed.
pub async fn end(
    State(app): State<Arc<App>>,
    _: Authenticated,
    Path(id): Path<String>,
) -> Result<StatusCode, JupyterError> {
    app.kernels.end(&kernel_id(&id)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Stops what it runs.
pub async fn interrupt(
    State(app): State<Arc<App>>,
    _: Authenticated,
    Path(id): Path<String>,
) -> Result<StatusCode, JupyterError> {
    app.kernels.interrupt(&kernel_id(&id)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Gives it a new process.
pub async fn restart(
    State(app): State<Arc<App>>,
    _: Authenticated,
    Path(id): Path<String>,
) -> Result<Json<KernelModel>, JupyterError> {
    Ok(Json(app.kernels.restart(&kernel_id(&id)?).await?.into()))
}

/// An id in a path. What is no UUID is no kernel.
pub fn kernel_id(text: &str) -> Result<KernelId, JupyterError> {
    KernelId::parse(text)
        .ok_or_else(|| JupyterError::not_found(format!("Kernel does not exist: {text}")))
}

fn wish(asked: NewKernel, headers: &HeaderMap) -> Result<Wish, JupyterError> {
    let env = variables(asked.env)?;
    let id = asked.kernel_id.as_ref().or(env.get("KERNEL_ID"));
    let id = id
        .filter(|text| !text.is_empty())
        .map(|text| {
            KernelId::parse(text).ok_or_else(|| JupyterError::bad("a kernel's id must be a UUID"))
        })
        .transpose()?;
    let header = headers.get(SANDBOX).and_then(|value| value.to_str().ok());
    let wanted = env.get("KERNEL_WORKING_DIR");
    let directory = wanted.filter(|path| path.starts_with('/')).cloned();
    Ok(Wish {
        id,
        directory,
        patience: patience(&env),
        sandbox: asked.sandbox.or(header.map(str::to_owned)),
        name: asked.name.filter(|name| !name.is_empty()),
        env,
    })
}

/// How long the client waits, by its own word.
fn patience(env: &BTreeMap<String, String>) -> Duration {
    let said = env.get("KERNEL_LAUNCH_TIMEOUT");
    let seconds = said
        .and_then(|text| text.parse::<f64>().ok())
        .filter(|seconds| seconds.is_finite());
    seconds.map_or(PATIENCE, |seconds| {
        Duration::from_secs_f64(seconds.clamp(SHORTEST_PATIENCE, LONGEST_PATIENCE))
    })
}

fn variables(env: Option<Value>) -> Result<BTreeMap<String, String>, JupyterError> {
    let pairs = match env {
        None | Some(Value::Null) => return Ok(BTreeMap::new()),
        Some(Value::Object(pairs)) => pairs,
        Some(_) => return Err(JupyterError::bad("env must be an object of texts")),
    };
    let mut env = BTreeMap::new();
    let mut size = 0;
    for (name, value) in pairs {
        // Values are secrets more often than not, so none is repeated in an error.
        let Value::String(value) = value else {
            return Err(JupyterError::bad(format!(
                "env: the value of {name} is no text"
            )));
        };
        if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
            return Err(JupyterError::bad(
                "env: a name is empty or holds '=', or a null character is in a name or value",
            ));
        }
        size += name.len() + value.len();
        env.insert(name, value);
    }
    if size > ENV_BYTES {
        return Err(JupyterError::bad(format!(
            "env holds {size} bytes, more than the {ENV_BYTES} that fit"
        )));
    }
    Ok(env)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn asked(body: Value) -> Result<Wish, JupyterError> {
        wish(
            serde_json::from_value(body).expect("a body"),
            &HeaderMap::new(),
        )
    }

    #[test]
    fn the_variables_of_other_gateways_are_understood() {
        let id = "0b3f5a52-27a0-4ab5-9e9c-bc3f7b8c7f4d";
        let wish = asked(json!({ "name": "python3", "env": {
            "KERNEL_ID": id, "KERNEL_LAUNCH_TIMEOUT": "40", "KERNEL_WORKING_DIR": "/data",
            "KERNEL_EXTRA_X": "a 'b'\n\"c\" $d",
        }}))
        .expect("a wish");
        assert_eq!(wish.id.expect("an id").to_string(), id);
        assert_eq!(wish.patience, Duration::from_secs(40));
        assert_eq!(wish.directory.as_deref(), Some("/data"));
        assert_eq!(wish.env["KERNEL_EXTRA_X"], "a 'b'\n\"c\" $d");
    }

    #[test]
    fn variables_that_can_not_be_set_are_refused_and_not_repeated() {
        for env in [
            json!(["a"]),
            json!({ "a": 1 }),
            json!({ "a": "hush\0hush" }),
            json!({ "a=b": "hush" }),
            json!({ "KERNEL_ID": "hush" }),
        ] {
            let error = asked(json!({ "env": env })).expect_err("refused");
            assert_eq!(error.status(), StatusCode::BAD_REQUEST);
            assert!(!format!("{error:?}").contains("hush"));
        }
    }
}
