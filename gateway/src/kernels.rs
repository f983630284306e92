//! The one owner of what Jupyter clients see of kernels: which there are, in which sandbox
//! each of them is, and how long a sandbox lives that was made for one.
//!
//! The kernels themselves are the agents'. An agent lives with hostile code, so what it says
//! of its kernels is read within bounds, believed about its own sandbox only, and a kernel
//! that a client asked for here stays where it was made, whoever else claims its id.

mod agent;
mod attached;
mod catalogue;
mod create;
mod end;
mod lease;
mod locate;
mod model;
mod sessions;
mod view;

pub use agent::Channels;
pub use attached::Attachment;
pub use catalogue::Kind;
pub use create::Wish;
pub use locate::Open;
pub use model::{Kernel, KernelId, State};
pub use sessions::{Change, Session, SessionError, Sessions, Wanted as WantedKernel};

use crate::{
    sandboxes::{SandboxError, Sandboxes},
    store::{KernelRow, Store, StoreError},
};
use soulbox_runtime::{SandboxId, TemplateName};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use thiserror::Error;

/// Why a kernel was not made, found or changed.
#[derive(Debug, Error)]
pub enum KernelError {
    /// No kernel has this id.
    #[error("Kernel does not exist: {0}")]
    Unknown(KernelId),
    /// No kernelspec has this name.
    #[error("No such kernel: {0}")]
    NoSuchKind(String),
    /// The id belongs to another kernel.
    #[error("A kernel with this id exists already: {0}")]
    Taken(KernelId),
    /// The sandbox holds as many kernels as it may.
    #[error("This sandbox has as many kernels as it may; remove one first")]
    TooMany,
    /// The agent found the request wrong.
    #[error("The kernel's settings were not accepted")]
    Refused,
    /// The kernel did not do what it was told, or did not start.
    #[error("The kernel did not {0}")]
    Failed(&'static str),
    /// The sandbox does not answer at the moment.
    #[error("The kernel's sandbox can't be reached at the moment")]
    Away,
    /// It took too long.
    #[error("The kernel's sandbox did not answer in time")]
    Late,
    /// Too many connections to one sandbox.
    #[error("Too many connections to this kernel's sandbox")]
    Busy,
    /// The sandbox was not made or found.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What the operator chose.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The template whose kernels go by their plain names.
    pub template: TemplateName,
    /// How long the kernels of a sandbox may be idle before it ends.
    pub idle: Duration,
    /// Whether a connected client does not keep an idle kernel alive.
    pub cull_connected: bool,
}

/// All kernels of this gateway.
pub struct Kernels {
    sandboxes: Arc<Sandboxes>,
    store: Store,
    policy: Policy,
    catalogue: catalogue::Catalogue,
    views: Mutex<HashMap<SandboxId, Arc<view::View>>>,
    /// The kernels that clients asked for here: where they are, and what they are.
    made: Mutex<HashMap<KernelId, Made>>,
    attached: attached::Attached,
}

/// A kernel that a client asked for here.
#[derive(Debug, Clone)]
struct Made {
    sandbox: SandboxId,
    name: String,
}

/// A kernel and its sandbox.
#[derive(Debug, Clone)]
pub struct Held {
    /// The sandbox.
    pub sandbox: SandboxId,
    /// The kernel as its agent describes it.
    pub kernel: Kernel,
    /// The name of its kernelspec, as clients know it.
    pub spec: String,
}

impl Kernels {
    /// Takes up what the store remembers.
    pub async fn open(
        store: Store,
        sandboxes: Arc<Sandboxes>,
        policy: Policy,
    ) -> Result<Arc<Self>, StoreError> {
        let rows = store.kernels().await?;
        let made = rows.into_iter().filter_map(|row| {
            let made = Made {
                sandbox: SandboxId::new(row.sandbox).ok()?,
                name: row.name,
            };
            Some((KernelId::parse(&row.id)?, made))
        });
        Ok(Arc::new(Self {
            made: Mutex::new(made.collect()),
            sandboxes,
            store,
            policy,
            catalogue: catalogue::Catalogue::default(),
            views: Mutex::default(),
            attached: attached::Attached::default(),
        }))
    }

    /// Writes down that a client asked for a kernel here.
    async fn remember(
        &self,
        id: &KernelId,
        sandbox: &SandboxId,
        name: &str,
    ) -> Result<(), StoreError> {
        let row = KernelRow {
            id: id.to_string(),
            sandbox: sandbox.to_string(),
            name: name.to_owned(),
        };
        self.store.add_kernel(row).await?;
        let made = Made {
            sandbox: sandbox.clone(),
            name: name.to_owned(),
        };
        self.made
            .lock()
            .expect("no holder panics")
            .insert(id.clone(), made);
        Ok(())
    }

    async fn forget(&self, id: &KernelId) -> Result<(), StoreError> {
        self.made.lock().expect("no holder panics").remove(id);
        self.store.remove_kernel(id.to_string()).await
    }
}
