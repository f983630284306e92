//! How long a sandbox lives that was made for a kernel: until its kernels have been idle for
//! as long as the operator chose, within the longest life of any sandbox.
//!
//! Its end is always a real moment that lists show; this only moves it. A busy kernel is in
//! use, a connected client too unless the operator says otherwise. E2B's sandboxes keep the
//! end that their owner set (jupyter-wire.md, section 2.7).

use super::{Kernel, Kernels, State};
use crate::sandboxes::{OpenedBy, Sandbox};
use futures_util::{StreamExt as _, stream};
use jiff::{SignedDuration, Timestamp};
use std::{sync::Arc, time::Duration};
use tokio::time::{MissedTickBehavior, interval};

/// Looks within one idle time, so that activity is seen in good time.
const LOOKS: u32 = 5;
const SHORTEST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Sandboxes that are looked at together.
const AT_A_TIME: usize = 32;
/// An end is moved when that gains so much of the idle time, to spare the store.
const WORTH_MOVING: i32 = 20;

impl Kernels {
    /// Runs until it is dropped.
    pub async fn keep_alive_what_is_used(self: Arc<Self>) {
        let pause = (self.policy.idle / LOOKS).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
        let mut ticks = interval(pause);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let mut ours = self.sandboxes.all_running();
            ours.retain(|sandbox| sandbox.record.opened_by == OpenedBy::Jupyter);
            stream::iter(&ours)
                .for_each_concurrent(AT_A_TIME, |sandbox| self.consider(sandbox))
                .await;
        }
    }

    async fn consider(self: &Arc<Self>, sandbox: &Sandbox) {
        let idle = SignedDuration::try_from(self.policy.idle).unwrap_or(SignedDuration::MAX);
        let now = Timestamp::now();
        let connected = self.attached.at(&sandbox.record.id) > 0;
        let used_at = if connected && !self.policy.cull_connected {
            Some(now)
        } else {
            let view = self.view(sandbox);
            self.refresh(sandbox, &view).await;
            last_use(&view.kernels(), now)
        };
        let Some(end) = used_at.and_then(|at| at.checked_add(idle).ok()) else {
            return;
        };
        if end.duration_since(sandbox.end_at()) < idle / WORTH_MOVING {
            return;
        }
        let lifetime = now.duration_until(end).min(self.sandboxes.longest());
        if lifetime > SignedDuration::ZERO {
            // One that has used up its life, or is being ended, is to end.
            let id = sandbox.record.id.as_str();
            if let Err(error) = self.sandboxes.extend(id, lifetime).await {
                tracing::debug!(sandbox = id, %error, "an end was not moved");
            }
        }
    }
}

/// When kernels were used last. Dead ones are of no use.
fn last_use(kernels: &[Kernel], now: Timestamp) -> Option<Timestamp> {
    let uses = kernels.iter().filter_map(|kernel| match kernel.state {
        State::Busy | State::Restarting => Some(now),
        State::Starting | State::Idle | State::Unknown => Some(kernel.last_activity),
        State::Dead => None,
    });
    uses.max()
}
