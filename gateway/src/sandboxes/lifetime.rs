//! Moving the end of a sandbox (e2b-wire.md, section 3.5).

use super::{Level, Sandbox, SandboxError, Sandboxes};
use jiff::{SignedDuration, Timestamp};
use soulbox_runtime::api::EndReason;
use std::sync::Arc;

impl Sandboxes {
    /// Sets the end to `lifetime` from now, sooner or later than it was. Nothing or less
    /// ends the sandbox at once.
    pub async fn set_lifetime(
        self: &Arc<Self>,
        id: &str,
        lifetime: SignedDuration,
    ) -> Result<(), SandboxError> {
        let sandbox = self.changeable(id)?;
        if lifetime <= SignedDuration::ZERO {
            self.end(sandbox, EndReason::Timeout).await;
            return Ok(());
        }
        let _turn = sandbox.moving.lock().await;
        let end_at = self.latest(&sandbox, lifetime)?;
        self.move_end(&sandbox, end_at).await
    }

    /// Makes sure that the sandbox lives for `lifetime` from now; never shortens.
    pub async fn extend(
        self: &Arc<Self>,
        id: &str,
        lifetime: SignedDuration,
    ) -> Result<Arc<Sandbox>, SandboxError> {
        if lifetime > self.longest {
            return Err(SandboxError::TooLong {
                limit_hours: self.longest.as_hours(),
            });
        }
        let sandbox = self.changeable(id)?;
        let turn = sandbox.moving.lock().await;
        let end_at = self.latest(&sandbox, lifetime)?;
        if end_at > sandbox.end_at() {
            self.move_end(&sandbox, end_at).await?;
        }
        drop(turn);
        Ok(sandbox)
    }

    /// `lifetime` from now, clipped to what the server allows in all.
    fn latest(
        &self,
        sandbox: &Sandbox,
        lifetime: SignedDuration,
    ) -> Result<Timestamp, SandboxError> {
        let now = Timestamp::now();
        let last = sandbox.record.started_at + self.longest;
        if now >= last {
            return Err(SandboxError::UsedUp(sandbox.record.id.clone()));
        }
        let wanted = now.saturating_add(lifetime).unwrap_or(last);
        let clipped = wanted.min(last).as_microsecond();
        Ok(Timestamp::from_microsecond(clipped).expect("a clipped timestamp is in range"))
    }

    async fn move_end(&self, sandbox: &Sandbox, end_at: Timestamp) -> Result<(), SandboxError> {
        let id = &sandbox.record.id;
        // The node first: it must never end what the client was told lives on.
        self.node.lease(id, end_at).await?;
        if !sandbox.move_end(end_at) {
            return Err(SandboxError::Ending(id.clone()));
        }
        let fields = vec![("endAt", format!("{end_at:.6}"))];
        sandbox
            .diary
            .note(Level::Info, "sandbox", "the end was moved", fields);
        self.ends_changed.notify_one();
        Ok(self.store.move_end(id.clone(), end_at).await?)
    }
}
