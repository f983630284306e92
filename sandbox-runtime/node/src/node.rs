//! Everything that the parts of a running node share, and the one way in which a cell ends.

use crate::{
    cell::LiveCell, death_cause, egress::Dialler, guest_files, host_ids::HostIds, journal::Journal,
    options::NodeOptions, registry::Registry, templates::Templates, tiers::Tiers,
};
use soulbox_runtime::{CellId, Death, Evidence, Reason, SandboxId};
use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{error, info, warn};

/// A kill or a clear that takes longer is given up until the next start of a node.
const CLEAR_TIMEOUT: Duration = Duration::from_secs(60);
/// A mount may be busy for a moment after its last process is gone.
const CLEAR_TRIES: u32 = 3;
/// Pause between tries.
const CLEAR_PAUSE: Duration = Duration::from_secs(1);
/// After its channel is gone, a cell's processes end within this, if they end.
const END_AFTER_CHANNEL: Duration = Duration::from_secs(2);

/// One running node.
#[derive(Debug)]
pub struct Node {
    /// What its owner set.
    pub options: NodeOptions,
    /// Changes with every start.
    pub incarnation: String,
    /// What runs.
    pub registry: Registry,
    /// How to isolate.
    pub tiers: Tiers,
    /// What to start from.
    pub templates: Templates,
    /// Connects for sandboxes.
    pub dialler: Arc<Dialler>,
    /// What a later node must know.
    pub journal: Journal,
    /// Users of cells on the host.
    pub host_ids: Arc<HostIds>,
    /// The directory that cells see at `/opt/soulbox`.
    pub guest_files: PathBuf,
    /// Starts and clearings that are under way; joined before the node ends.
    pub tasks: TaskTracker,
    /// The wish to end.
    pub shutdown: CancellationToken,
    /// Connections of gateways now.
    pub connections: AtomicUsize,
    /// Whether starts are refused, because the node ends.
    pub closing: AtomicBool,
}

impl Node {
    /// Where a cell's own directory is.
    pub fn scratch(&self, cell: &CellId) -> PathBuf {
        scratch_dir(&self.options).join(cell.as_str())
    }

    /// Ends a sandbox. It is unreachable when this returns; its processes, mounts and files go
    /// in the background. False when there is no such live sandbox.
    pub fn end_sandbox(self: &Arc<Self>, sandbox: &SandboxId, reason: Reason) -> bool {
        let evidence = self
            .registry
            .running(sandbox)
            .map(|live| live.handle.hardship())
            .unwrap_or_default();
        let death = Death::now(reason, evidence);
        match self.registry.end_sandbox(sandbox, death.clone()) {
            None => false,
            Some(cell) => {
                info!(%sandbox, %reason, "ended a sandbox");
                if let Some(cell) = cell {
                    self.end_cell(&cell, death);
                }
                true
            }
        }
    }

    /// Ends a cell and whatever runs on it.
    pub fn end_cell(self: &Arc<Self>, cell: &CellId, death: Death) {
        if let Some(live) = self.registry.end_cell(cell, death) {
            self.dispose(live);
        }
    }

    /// Ends a cell for which nobody asked to, and names its death by what was counted.
    pub async fn cell_was_lost(self: &Arc<Self>, live: &Arc<LiveCell>) {
        let before = live.handle.hardship();
        let usage = live.handle.usage();
        let end = tokio::time::timeout(END_AFTER_CHANNEL, live.handle.ended()).await;
        let evidence = death_cause::join(before, end.map(|end| end.evidence).unwrap_or_default());
        let reason = death_cause::name(&evidence, &usage);
        warn!(cell = %live.id, %reason, ?evidence, "lost a cell");
        self.end_cell(&live.id, Death::now(reason, evidence));
    }

    /// Kills a cell that is in no table any more and gives back what it held.
    pub fn dispose(self: &Arc<Self>, live: Arc<LiveCell>) {
        live.agent.close();
        let node = self.clone();
        self.tasks.spawn(async move {
            let cleared = tokio::time::timeout(CLEAR_TIMEOUT, clear(&live)).await;
            let why = match cleared {
                Ok(Ok(())) => {
                    node.forget(&live.id);
                    return;
                }
                Ok(Err(why)) => why,
                Err(_) => "it took too long".to_owned(),
            };
            error!(cell = %live.id, %why, "could not clear a cell; the next node tries again");
            // What is left may still belong to its host ids, so nobody else gets them.
            std::mem::forget(live);
        });
    }

    /// Ends every sandbox and every warm cell and waits for the clearing.
    pub async fn end_all(self: &Arc<Self>) {
        self.closing.store(true, Ordering::SeqCst);
        for sandbox in self.registry.sandboxes() {
            self.end_sandbox(&sandbox, Reason::NodeLost);
        }
        // A start that was under way may still bring a cell.
        loop {
            for cell in self.registry.cells() {
                self.end_cell(&cell, Death::now(Reason::NodeLost, Evidence::default()));
            }
            if self.tasks.is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Removes a cell's directory and its journal entry, once nothing else is left of it.
    pub fn forget(&self, cell: &CellId) {
        let scratch = self.scratch(cell);
        match std::fs::remove_dir_all(&scratch) {
            Ok(()) => self.journal.end(cell),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => self.journal.end(cell),
            Err(error) => error!(%cell, %error, "could not remove a cell's directory"),
        }
    }
}

/// The parent of all cells' directories.
pub fn scratch_dir(options: &NodeOptions) -> PathBuf {
    options.run_dir().join("scratch")
}

/// The agent's command line inside a cell.
pub fn agent_command() -> Vec<String> {
    vec![guest_files::AGENT_IN_GUEST.to_owned()]
}

async fn clear(live: &LiveCell) -> Result<(), String> {
    live.handle.kill().await;
    let mut tries = 1;
    loop {
        match live.handle.clear().await {
            Ok(()) => return Ok(()),
            Err(error) if tries == CLEAR_TRIES => return Err(error.to_string()),
            Err(_) => {}
        }
        tries += 1;
        tokio::time::sleep(CLEAR_PAUSE).await;
    }
}
