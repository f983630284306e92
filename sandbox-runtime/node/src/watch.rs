//! One task per cell that notices its end: its processes end, its channel ends, or its agent
//! does not answer. What an isolation tool reports as running proves nothing, so the agent is
//! asked.

use crate::{agent::AgentError, cell::LiveCell, hardship, node::Node};
use std::{sync::Arc, time::Duration};
use tracing::warn;

/// Pause between questions.
const PERIOD: Duration = Duration::from_secs(5);
/// One question. Long, because the agent shares its cell's processor time with the client's
/// code and must not be called dead for that.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Questions in a row without an answer.
const MISSES: u32 = 3;

/// Watches a cell until it ends, by itself or by the node.
pub async fn watch(node: Arc<Node>, live: Arc<LiveCell>) {
    tokio::select! {
        end = live.handle.ended() => {
            warn!(cell = %live.id, evidence = ?end.evidence, "the processes of a cell ended");
        }
        () = live.agent.closed() => {}
        () = hardship::tell(&live) => {}
        () = silence(&live) => {
            warn!(cell = %live.id, misses = MISSES, "the agent of a cell does not answer");
        }
    }
    // When the node itself ended the cell it is in no table any more, and there is nothing
    // to name or to end.
    if node.registry.has_cell(&live.id) {
        node.cell_was_lost(&live).await;
    }
}

async fn silence(live: &LiveCell) {
    let mut misses = 0;
    while misses < MISSES {
        tokio::time::sleep(PERIOD).await;
        match live.agent.health(ANSWER_TIMEOUT).await {
            Ok(_) => misses = 0,
            Err(AgentError::Closed) => return,
            Err(_) => misses += 1,
        }
    }
}
