//! What the start of a cell has in common in every tier: it is done whole or undone whole.
//!
//! The steps run in a task of their own, so a caller that loses patience and drops the call
//! stops nothing half-way: a cell that nobody takes any more is ended and cleared.

use crate::{Holdings, HostError, Root, RootSpec, Step};
use soulbox_runtime::{CellSpec, StartError, StartedCell};
use tokio::{sync::oneshot, task::spawn_blocking};

/// Runs a tier's own steps, and clears `holdings` when they fail or when nobody waits for
/// the cell any more.
pub async fn to_the_end(
    holdings: Holdings,
    steps: impl Future<Output = Result<StartedCell, HostError>> + Send + 'static,
) -> Result<StartedCell, StartError> {
    let (give, take) = oneshot::channel();
    tokio::spawn(async move {
        let started = steps.await;
        if started.is_err() {
            undo(&holdings).await;
        }
        if let Err(Ok(unwanted)) = give.send(started) {
            unwanted.cell.kill().await;
            undo(&holdings).await;
        }
    });
    let lost = |_| HostError {
        step: "start the cell",
        why: "the node is stopping".into(),
    };
    Ok(take.await.map_err(lost)??)
}

async fn undo(holdings: &Holdings) {
    if let Err(error) = holdings.clear().await {
        tracing::error!(%error, "what a failed start left could not be cleared");
    }
}

/// Assembles the root file system of a cell; mounts block, so this runs on a thread of its own.
pub async fn root_of(spec: &CellSpec) -> Result<Root, HostError> {
    let spec = spec.clone();
    let made = spawn_blocking(move || {
        Root::assemble(&RootSpec {
            layers: &spec.layers,
            scratch: &spec.scratch,
            guest_files: &spec.guest_files,
            disk_bytes: spec.limits.disk_bytes(),
            first_host_id: spec.first_host_id,
        })
    });
    made.await.step("assemble the root file system")?
}
