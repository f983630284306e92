//! The one owner of what clients see of a sandbox: its agreement, its end, its death.
//!
//! Protocols ask here and translate the answer. What truly runs is the node's; the store
//! outlives this process; this module keeps the three in step. A sandbox is in `live` from
//! the moment that a client may use it until it can't be used any more, and nowhere else is
//! that decided.

mod create;
mod diary;
mod end;
mod expiry;
mod follow;
mod history;
mod lifetime;
mod live;
mod names;
mod network;
mod page;
mod record;
mod repeat;

pub use create::Wanted;
pub use diary::{Level, Line};
pub use history::Known;
pub use live::{NetworkSettings, STREAMS_PER_SANDBOX, Sandbox};
pub use page::{Cursor, Order, Selection};
pub use record::{OpenedBy, Record};
pub use repeat::RepeatKey;

use crate::{
    nodeclient::{Control, ControlError},
    store::{Store, StoreError},
};
use jiff::SignedDuration;
use soulbox_runtime::{
    SandboxId, TemplateName,
    api::{ErrorCode, Sample},
};
use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    sync::{Arc, Mutex, RwLock},
};
use thiserror::Error;
use tokio::sync::{Notify, watch};

/// Why a sandbox was not made, found or changed.
#[derive(Debug, Error)]
pub enum SandboxError {
    /// No live sandbox has this id.
    #[error("no live sandbox has the id {0}")]
    Unknown(String),
    /// It is being ended right now.
    #[error("sandbox {0} is being ended")]
    Ending(SandboxId),
    /// A longer lifetime than the server allows.
    #[error("a sandbox may live for {limit_hours} hours at most")]
    TooLong {
        /// The limit.
        limit_hours: i64,
    },
    /// It has had all the lifetime that the server allows.
    #[error("sandbox {0} has used up its lifetime")]
    UsedUp(SandboxId),
    /// The node has no such template.
    #[error("no template is called {0}")]
    TemplateUnknown(TemplateName),
    /// The node has no room.
    #[error("{0}")]
    Capacity(String),
    /// The tier does not work on the node's machine.
    #[error("{0}")]
    TierUnavailable(String),
    /// The node gave up on the start.
    #[error("{0}")]
    StartTimeout(String),
    /// The node found the specification wrong.
    #[error("{0}")]
    Refused(String),
    /// The idempotency key belongs to another request.
    #[error("the idempotency key was used with another request")]
    KeyReused,
    /// The node is not there at the moment.
    #[error("the node can't be reached")]
    NodeAway,
    /// The node failed otherwise.
    #[error(transparent)]
    Node(#[from] ControlError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The task that did the work is gone.
    #[error("the work was broken off")]
    BrokenOff,
}

/// All sandboxes of this gateway.
pub struct Sandboxes {
    store: Store,
    node: Control,
    node_socket: PathBuf,
    longest: SignedDuration,
    live: RwLock<HashMap<SandboxId, Arc<Sandbox>>>,
    /// Asked of the node, but not handed over yet.
    starting: Mutex<HashSet<SandboxId>>,
    repeats: repeat::Repeats,
    ends_changed: Notify,
    archive: diary::Archive,
    /// Incarnation of the node while it can be reached.
    incarnation: watch::Sender<Option<String>>,
}

impl Sandboxes {
    /// Takes up what the store remembers. Call [`Self::follow_node`] next, which finds out
    /// which of them are still there.
    pub async fn open(
        store: Store,
        node_socket: PathBuf,
        longest: SignedDuration,
    ) -> Result<Arc<Self>, StoreError> {
        let live = store
            .live_sandboxes()
            .await?
            .into_iter()
            .map(|row| {
                let sandbox = Sandbox::new(row.record, row.end_at, node_socket.clone());
                (sandbox.record.id.clone(), Arc::new(sandbox))
            })
            .collect();
        Ok(Arc::new(Self {
            store,
            node: Control::new(node_socket.clone()),
            node_socket,
            longest,
            live: RwLock::new(live),
            starting: Mutex::default(),
            repeats: repeat::Repeats::default(),
            ends_changed: Notify::new(),
            archive: diary::Archive::default(),
            incarnation: watch::Sender::new(None),
        }))
    }

    /// The running sandbox with this id. Unknown, dead and ending ones are all the same here.
    pub fn running(&self, id: &str) -> Option<Arc<Sandbox>> {
        let id = SandboxId::new(id).ok()?;
        let live = self.live.read().expect("no holder panics");
        live.get(&id)
            .filter(|sandbox| sandbox.is_running())
            .cloned()
    }

    /// Every running sandbox.
    pub fn all_running(&self) -> Vec<Arc<Sandbox>> {
        let live = self.live.read().expect("no holder panics");
        live.values()
            .filter(|sandbox| sandbox.is_running())
            .cloned()
            .collect()
    }

    /// What a running sandbox used, oldest first, from `start` to `end` in seconds since 1970.
    pub async fn metrics(
        &self,
        sandbox: &Sandbox,
        start: Option<i64>,
        end: Option<i64>,
    ) -> Result<Vec<Sample>, SandboxError> {
        let id = &sandbox.record.id;
        match self.node.metrics(id, start, end).await {
            Err(error) if error.code() == Some(ErrorCode::SandboxUnknown) => {
                Err(SandboxError::Unknown(id.to_string()))
            }
            Err(ControlError::Connection(_)) => Err(SandboxError::NodeAway),
            samples => Ok(samples?),
        }
    }

    /// The longest life that a sandbox may have.
    pub fn longest(&self) -> SignedDuration {
        self.longest
    }

    /// The node, for questions that concern no single sandbox.
    pub fn node(&self) -> &Control {
        &self.node
    }

    /// A sandbox that may be changed: running, and not being ended.
    fn changeable(&self, id: &str) -> Result<Arc<Sandbox>, SandboxError> {
        let unknown = || SandboxError::Unknown(id.to_owned());
        let id = SandboxId::new(id).map_err(|_| unknown())?;
        let live = self.live.read().expect("no holder panics");
        let sandbox = live.get(&id).cloned().ok_or_else(unknown)?;
        if sandbox.is_running() {
            Ok(sandbox)
        } else {
            Err(SandboxError::Ending(id))
        }
    }
}
