//! A kernel and a session as Jupyter clients read them. Some read with fixed patterns: times
//! have six digits and a `Z`, connections are a whole number (jupyter-wire.md, section 2.4).

use crate::kernels::{Held, Session, State};
use serde::Serialize;

/// One kernel.
#[derive(Debug, Serialize)]
pub struct KernelModel {
    id: String,
    name: String,
    last_activity: String,
    execution_state: State,
    connections: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Ours: where the kernel is, for E2B clients.
    sandbox: String,
}

impl KernelModel {
    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl From<Held> for KernelModel {
    fn from(held: Held) -> Self {
        let Held {
            sandbox,
            kernel,
            spec,
        } = held;
        Self {
            id: kernel.id.to_string(),
            name: spec,
            last_activity: format!("{:.6}", kernel.last_activity),
            execution_state: kernel.state,
            connections: kernel.connections,
            reason: kernel.reason,
            sandbox: sandbox.to_string(),
        }
    }
}

/// One session.
#[derive(Debug, Serialize)]
pub struct SessionModel {
    id: String,
    path: String,
    name: String,
    #[serde(rename = "type")]
    kind: String,
    kernel: KernelModel,
    /// The older clients' way to the path.
    #[serde(skip_serializing_if = "Option::is_none")]
    notebook: Option<Notebook>,
}

#[derive(Debug, Serialize)]
struct Notebook {
    path: String,
    name: String,
}

impl SessionModel {
    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl From<(Session, Held)> for SessionModel {
    fn from((session, held): (Session, Held)) -> Self {
        let is_notebook = session.kind == "notebook";
        let notebook = is_notebook.then(|| Notebook {
            path: session.path.clone(),
            name: session.name.clone(),
        });
        Self {
            id: session.id.to_string(),
            path: session.path,
            name: session.name,
            kind: session.kind,
            kernel: held.into(),
            notebook,
        }
    }
}
