//! `/api/kernelspecs` (jupyter-wire.md, section 2.3).

use super::{caller::Authenticated, error::JupyterError, logos};
use crate::{gateway::App, kernels::Kind};
use axum::{
    Json,
    extract::{Path, State},
};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// All of them, and which one is meant when none is named.
pub async fn list(
    State(app): State<Arc<App>>,
    _: Authenticated,
) -> Result<Json<Value>, JupyterError> {
    let kinds = app.kernels.kinds().await?;
    let default = kinds.first().map(|kind| kind.spec.clone());
    let base = &app.settings.jupyter.base_path;
    let models: Map<String, Value> = kinds
        .iter()
        .map(|kind| (kind.spec.clone(), model(kind, &kind.spec, base)))
        .collect();
    Ok(Json(json!({
        "default": default.unwrap_or_default(),
        "kernelspecs": models,
    })))
}

/// One of them, by any of its names. It answers to the name that was asked for.
pub async fn get(
    State(app): State<Arc<App>>,
    _: Authenticated,
    Path(name): Path<String>,
) -> Result<Json<Value>, JupyterError> {
    let kind = app.kernels.kind(Some(&name)).await?;
    let base = &app.settings.jupyter.base_path;
    Ok(Json(model(&kind, &name, base)))
}

/// Clients know a remote kernelspec by exactly these three keys.
fn model(kind: &Kind, name: &str, base: &str) -> Value {
    let kernel = &kind.kernel;
    let display_name = if kind.shares_its_name() {
        format!("{} ({})", kernel.display_name, kind.template)
    } else {
        kernel.display_name.clone()
    };
    let resources: Map<String, Value> = logos::files()
        .map(|(resource, file)| {
            let path = format!("{base}/kernelspecs/{}/{file}", kind.spec);
            (resource.to_owned(), path.into())
        })
        .collect();
    json!({
        "name": name,
        "spec": {
            "argv": [],
            "env": {},
            "display_name": display_name,
            "language": kernel.language,
            "interrupt_mode": kernel.interrupt_mode,
            "metadata": { "debugger": kernel.debugger },
        },
        "resources": resources,
    })
}
