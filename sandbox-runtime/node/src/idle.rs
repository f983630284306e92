//! A node that `soulbox serve` started ends by itself when its gateway is gone for good and
//! nobody's sandbox lives here: nobody else would ever end it.

use crate::node::Node;
use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};
use tracing::info;

/// How often it is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Ends the node when it is not needed any more.
pub async fn watch(node: Arc<Node>) {
    if !node.options.attached {
        return;
    }
    let mut needed = Instant::now();
    loop {
        tokio::time::sleep(LOOK).await;
        let connected = node.connections.load(Ordering::Relaxed) > 0;
        if connected || !node.registry.sandboxes().is_empty() {
            needed = Instant::now();
        } else if needed.elapsed() >= node.options.idle_shutdown {
            info!("nobody needs this node any more");
            node.shutdown.cancel();
            return;
        }
    }
}
