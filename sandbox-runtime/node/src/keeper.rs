//! Keeps the pools full and serves the requests that wait: starts what [`Pools::next`] says,
//! a few at a time, because each start takes a core for a while.
//!
//! [`Pools::next`]: crate::pool::Pools::next

use crate::{
    node::Node,
    pool::{Next, PoolKey},
    start,
};
use soulbox_runtime::{Death, Evidence, Reason};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Semaphore;
use tracing::info;

/// How often templates are looked at: one that is built while the node runs gets its pool.
const LOOK: Duration = Duration::from_secs(5);

/// Keeps the pools until the node ends.
pub async fn keep(node: Arc<Node>) {
    let permits = Arc::new(Semaphore::new(
        node.options.start_concurrency.max(1) as usize
    ));
    loop {
        let Ok(permit) = permits.clone().acquire_owned().await else {
            return;
        };
        let wake = match node.registry.next_start(Instant::now()) {
            Next::Start(key) => {
                let node = node.clone();
                node.clone().tasks.spawn(async move {
                    start::start(node, key).await;
                    drop(permit);
                });
                continue;
            }
            Next::Retire(cell) => {
                node.end_cell(&cell, Death::now(Reason::Killed, Evidence::default()));
                continue;
            }
            Next::Wait(wake) => wake,
        };
        drop(permit);
        let pause = wake.map_or(LOOK, |wake| wake.saturating_duration_since(Instant::now()));
        tokio::select! {
            () = node.registry.changed.notified() => {}
            () = tokio::time::sleep(pause.min(LOOK)) => want_templates(&node),
        }
    }
}

/// Sets the size of the pools of all templates that are built.
pub fn want_templates(node: &Node) {
    let tier = node.tiers.default_tier();
    for (template, wanted) in &node.options.pools {
        let key = PoolKey {
            template: template.clone(),
            tier,
        };
        let wanted = if node.templates.get(template).is_ok() {
            *wanted
        } else {
            0
        };
        if node.registry.pool_size(&key).1 != wanted {
            info!(%template, %tier, wanted, "set the size of a pool");
            node.registry.want(key, wanted);
        }
    }
}
