//! Clears what a node left that died: its cells by the journal, then directories without one.
//! Its sandboxes are remembered as dead, so that their owners learn what happened.

use crate::node::Node;
use std::sync::Arc;
use tracing::{error, info, warn};

/// Clears everything before the first request is served. What cannot be cleared is told and
/// stays in the journal; it does not keep the node from serving.
pub async fn clear(node: &Arc<Node>) {
    let entries = match node.journal.entries() {
        Ok(entries) => entries,
        Err(error) => {
            error!(%error, "could not read the journal");
            return;
        }
    };
    let mut kept = Vec::new();
    for entry in entries {
        let cell = entry.cell;
        if let Some(sandbox) = entry.sandbox {
            warn!(sandbox = %sandbox.id, %cell, "a sandbox was lost with the node before this one");
            node.registry.lost(sandbox);
        }
        let cleared = match node.tiers.get(entry.tier) {
            Ok(tier) => tier
                .clear_leftover(&cell, &node.scratch(&cell))
                .await
                .map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match cleared {
            Ok(()) => {
                node.forget(&cell);
                info!(%cell, tier = %entry.tier, "cleared what was left of a cell");
            }
            Err(why) => {
                error!(%cell, tier = %entry.tier, %why, "could not clear what is left of a cell");
                kept.push(cell.to_string());
            }
        }
    }
    remove_unknown(node, &kept);
}

/// A directory without a journal entry is from a start that was not begun: it holds nothing.
fn remove_unknown(node: &Node, kept: &[String]) {
    let scratch = crate::node::scratch_dir(&node.options);
    let Ok(directories) = std::fs::read_dir(scratch) else {
        return;
    };
    for directory in directories.flatten() {
        let name = directory.file_name().to_string_lossy().into_owned();
        if !kept.contains(&name)
            && let Err(error) = std::fs::remove_dir_all(directory.path())
        {
            warn!(%name, %error, "could not remove an unknown directory");
        }
    }
}
