//! The end of a kernel: its clients are told by the agent, and a sandbox that was made for
//! kernels ends with the last one that a client asked for.

use super::{KernelError, KernelId, Kernels, locate::settled};
use crate::sandboxes::{OpenedBy, Sandbox};
use std::{sync::Arc, time::Duration};

/// What the clients of a kernel get to hear that it is dead, before its sandbox goes too.
const FAREWELL: Duration = Duration::from_secs(1);

impl Kernels {
    /// Ends a kernel. When this returns its process is gone.
    pub async fn end(self: &Arc<Self>, id: &KernelId) -> Result<(), KernelError> {
        let sandbox = self.locate(id).await?;
        let ended = settled(id, self.ask_end(&sandbox, id).await);
        let own = self.is_made(id) && sandbox.record.opened_by == OpenedBy::Jupyter;
        match ended {
            // The sandbox is ended all the same, which ends the kernel.
            Err(error) if !own => return Err(error),
            _ => {}
        }
        self.forget(id).await?;
        self.view(&sandbox).outdated();
        if own && !self.has_made_in(&sandbox) {
            self.attached.nobody_at(&sandbox.record.id, FAREWELL).await;
            // Whoever else ended it meanwhile did what was asked for.
            let _ = self.sandboxes.kill(sandbox.record.id.as_str()).await;
        }
        Ok(())
    }

    fn is_made(&self, id: &KernelId) -> bool {
        self.made.lock().expect("no holder panics").contains_key(id)
    }

    fn has_made_in(&self, sandbox: &Sandbox) -> bool {
        let made = self.made.lock().expect("no holder panics");
        made.values().any(|made| made.sandbox == sandbox.record.id)
    }
}
