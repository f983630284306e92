//! A cell that has started: its handle, the way to its agent, and what must be given back.

use crate::{agent::AgentClient, egress::Gate, host_ids::IdRange, pool::PoolKey, sampler::Meter};
use soulbox_runtime::{Cell, CellId, Limits};

/// A started cell. Whoever drops it must have ended it before.
pub struct LiveCell {
    /// Its name.
    pub id: CellId,
    /// What it can stand in for.
    pub key: PoolKey,
    /// The build of the template that it was started from.
    pub build: String,
    /// What it may use.
    pub limits: Limits,
    /// The tier's handle.
    pub handle: Box<dyn Cell>,
    /// The way in.
    pub agent: AgentClient,
    /// The way out.
    pub gate: Gate,
    /// What it used since it was handed over.
    pub meter: Meter,
    /// The host ids that its users have; free again when this is dropped.
    pub _ids: IdRange,
}

impl std::fmt::Debug for LiveCell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LiveCell")
            .field("id", &self.id)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}
