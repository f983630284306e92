//! The clock: ends sandboxes when their time has come.

use super::Sandboxes;
use jiff::Timestamp;
use std::{sync::Arc, time::Duration};
use tokio::time::sleep;

/// The machine's clock may be set while we sleep, so look at it this often at least.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

impl Sandboxes {
    /// Runs until it is dropped.
    pub async fn end_in_time(self: Arc<Self>) {
        loop {
            let changed = self.ends_changed.notified();
            let next = self.end_what_is_due().await;
            let until = next.map_or(LONGEST_SLEEP, |next| {
                let left = Timestamp::now().duration_until(next);
                Duration::try_from(left)
                    .unwrap_or(Duration::ZERO)
                    .min(LONGEST_SLEEP)
            });
            tokio::select! {
                () = changed => {}
                () = sleep(until) => {}
            }
        }
    }
}
