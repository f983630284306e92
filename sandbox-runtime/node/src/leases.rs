//! The last resort against sandboxes that nobody ends: the node ends them itself, a while
//! after a gateway should have.

use crate::node::Node;
use jiff::{SignedDuration, Timestamp};
use soulbox_runtime::Reason;
use std::{sync::Arc, time::Duration};
use tracing::warn;

/// How often leases are looked at.
const PERIOD: Duration = Duration::from_secs(1);

/// Ends what is over, until the node ends.
pub async fn keep(node: Arc<Node>) {
    let grace = SignedDuration::try_from(node.options.lease_grace).unwrap_or(SignedDuration::MAX);
    loop {
        tokio::time::sleep(PERIOD).await;
        let Ok(moment) = Timestamp::now().checked_sub(grace) else {
            continue;
        };
        for sandbox in node.registry.expired(moment) {
            warn!(%sandbox, "no gateway ended a sandbox in time");
            node.end_sandbox(&sandbox, Reason::Timeout);
        }
    }
}
