//! From a kernel's id to its sandbox, and what clients do with a kernel that is there.

use super::{Attachment, Channels, Held, Kernel, KernelError, KernelId, Kernels};
use crate::sandboxes::{Sandbox, SandboxError};
use axum::body::Body;
use http::Response;
use hyper::body::Incoming;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// A client's open way to the channels of a kernel.
pub struct Open {
    /// The kernel's sandbox.
    pub sandbox: Arc<Sandbox>,
    /// Bytes for the client.
    pub answer: Response<Incoming>,
    /// A place among the sandbox's streams.
    _permit: OwnedSemaphorePermit,
    /// The client's place in the count of those who are connected.
    _attachment: Attachment,
}

impl Kernels {
    /// The sandbox of a kernel. Only when every agent has had its say is a kernel unknown.
    pub(super) async fn locate(&self, id: &KernelId) -> Result<Arc<Sandbox>, KernelError> {
        let unknown = || KernelError::Unknown(id.clone());
        let made = self.made.lock().expect("no holder panics").get(id).cloned();
        if let Some(made) = made {
            let sandbox = self.sandboxes.running(made.sandbox.as_str());
            if sandbox.is_none() {
                self.forget(id).await?;
            }
            return sandbox.ok_or_else(unknown);
        }
        if let Some(sandbox) = self.last_seen(id) {
            return Ok(sandbox);
        }
        let list = self.look().await;
        let found = list.kernels.iter().find(|held| held.kernel.id == *id);
        match found {
            Some(held) => self
                .sandboxes
                .running(held.sandbox.as_str())
                .ok_or_else(unknown),
            None if list.whole => Err(unknown()),
            None => Err(KernelError::Away),
        }
    }

    /// Where a kernel was when a list was made last; the oldest sandbox that claims it.
    fn last_seen(&self, id: &KernelId) -> Option<Arc<Sandbox>> {
        let views = self.views.lock().expect("no holder panics").clone();
        let claims = views.iter().filter(|(_, view)| {
            let kernels = view.kernels();
            kernels.iter().any(|kernel| kernel.id == *id)
        });
        claims
            .filter_map(|(sandbox, _)| self.sandboxes.running(sandbox.as_str()))
            .min_by_key(|sandbox| (sandbox.record.started_at, sandbox.record.id.clone()))
    }

    /// One kernel, as it is now.
    pub async fn get(&self, id: &KernelId) -> Result<Held, KernelError> {
        let sandbox = self.locate(id).await?;
        let kernel = settled(id, self.ask_one(&sandbox, id).await)?;
        Ok(self.held(&sandbox, kernel))
    }

    /// Stops what runs in a kernel.
    pub async fn interrupt(&self, id: &KernelId) -> Result<(), KernelError> {
        let sandbox = self.locate(id).await?;
        settled(id, self.ask_interrupt(&sandbox, id).await)
    }

    /// Gives a kernel a new process. When this returns, that one has answered.
    pub async fn restart(&self, id: &KernelId) -> Result<Held, KernelError> {
        let sandbox = self.locate(id).await?;
        let kernel = settled(id, self.ask_restart(&sandbox, id).await)?;
        self.view(&sandbox).outdated();
        Ok(self.held(&sandbox, kernel))
    }

    /// Opens a kernel's channels for a client whose bytes are in `client`.
    pub async fn open_channels(
        &self,
        id: &KernelId,
        channels: Channels,
        client: Body,
    ) -> Result<Open, KernelError> {
        let sandbox = self.locate(id).await?;
        let opened = self.ask_channels(&sandbox, id, channels, client).await;
        let (answer, permit) = settled(id, opened)?;
        let attachment = self.attached.one(&sandbox.record.id);
        Ok(Open {
            sandbox,
            answer,
            _permit: permit,
            _attachment: attachment,
        })
    }

    /// How many clients are connected to kernels.
    pub fn connections(&self) -> usize {
        self.attached.total()
    }
}

/// A kernel whose sandbox is gone is unknown.
pub(super) fn settled<T>(id: &KernelId, asked: Result<T, KernelError>) -> Result<T, KernelError> {
    asked.map_err(|error| match error {
        KernelError::Sandbox(SandboxError::Unknown(_)) => KernelError::Unknown(id.clone()),
        other => other,
    })
}

/// Whether a kernel is one that runs, or will in a moment.
pub(super) fn is_ready(kernel: &Kernel) -> bool {
    use super::State::{Busy, Idle};
    matches!(kernel.state, Idle | Busy)
}
