//! Which sandboxes have clients connected to their kernels right now, by the gateway's own
//! count: an agent's word would let hostile code keep itself alive.

use soulbox_runtime::SandboxId;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{sync::Notify, time::timeout};

/// The counts.
#[derive(Debug, Default)]
pub struct Attached(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    counts: Mutex<HashMap<SandboxId, usize>>,
    left: Notify,
}

/// One connected client, as long as it lives.
#[derive(Debug)]
pub struct Attachment {
    inner: Arc<Inner>,
    sandbox: SandboxId,
}

impl Attached {
    /// Counts one more.
    pub fn one(&self, sandbox: &SandboxId) -> Attachment {
        let mut counts = self.0.counts.lock().expect("no holder panics");
        *counts.entry(sandbox.clone()).or_default() += 1;
        Attachment {
            inner: Arc::clone(&self.0),
            sandbox: sandbox.clone(),
        }
    }

    /// How many there are at a sandbox.
    pub fn at(&self, sandbox: &SandboxId) -> usize {
        let counts = self.0.counts.lock().expect("no holder panics");
        counts.get(sandbox).copied().unwrap_or_default()
    }

    /// How many there are in all.
    pub fn total(&self) -> usize {
        let counts = self.0.counts.lock().expect("no holder panics");
        counts.values().sum()
    }

    /// Waits until nobody is connected to a sandbox, or until time is up.
    pub async fn nobody_at(&self, sandbox: &SandboxId, patience: Duration) {
        let leaving = async {
            loop {
                let left = self.0.left.notified();
                if self.at(sandbox) == 0 {
                    return;
                }
                left.await;
            }
        };
        // Whoever is still there then is cut off.
        let _ = timeout(patience, leaving).await;
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        let mut counts = self.inner.counts.lock().expect("no holder panics");
        if let Some(count) = counts.get_mut(&self.sandbox) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.sandbox);
            }
        }
        drop(counts);
        self.inner.left.notify_waiters();
    }
}
