//! How sandboxes end: by their owner, by the clock, or by what the node reports.

use super::{Sandbox, SandboxError, Sandboxes};
use crate::store::SavedDeath;
use jiff::Timestamp;
use soulbox_runtime::{Death, Evidence, Reason, SandboxId, api::EndReason};
use std::sync::Arc;

impl Sandboxes {
    /// The owner ends a sandbox. When this returns it is not listed, its data plane refuses,
    /// its streams are cut and its processes are gone.
    pub async fn kill(self: &Arc<Self>, id: &str) -> Result<(), SandboxError> {
        let unknown = || SandboxError::Unknown(id.to_owned());
        let sandbox = self.running(id).ok_or_else(unknown)?;
        if self.end(sandbox, EndReason::Killed).await {
            Ok(())
        } else {
            Err(unknown())
        }
    }

    /// Ends a sandbox, to the end even if the caller goes away. False when somebody else was
    /// first.
    pub(super) async fn end(self: &Arc<Self>, sandbox: Arc<Sandbox>, reason: EndReason) -> bool {
        if !sandbox.close() {
            return false;
        }
        let sandboxes = Arc::clone(self);
        let work = tokio::spawn(async move { sandboxes.see_through(&sandbox, reason).await });
        if let Err(error) = work.await {
            tracing::error!(%error, "ending a sandbox broke off");
        }
        true
    }

    async fn see_through(&self, sandbox: &Sandbox, reason: EndReason) {
        let id = &sandbox.record.id;
        if let Err(error) = self.node.delete(id, reason).await {
            // The node ends what its gateway does not know as soon as they speak again.
            tracing::warn!(sandbox = %id, %error, "the node did not end this sandbox yet");
        }
        let reason = match reason {
            EndReason::Killed => Reason::Killed,
            EndReason::Timeout => Reason::Timeout,
        };
        self.bury(vec![(id.clone(), Death::now(reason, Evidence::default()))])
            .await;
    }

    /// The node says that these are dead. Those that somebody is ending already are left to
    /// them: their reason is the true one.
    pub(super) async fn died(&self, deaths: Vec<(SandboxId, Death)>) {
        let mut news = Vec::new();
        for (id, death) in deaths {
            let sandbox = self
                .live
                .read()
                .expect("no holder panics")
                .get(&id)
                .cloned();
            if sandbox.is_some_and(|sandbox| sandbox.close()) {
                news.push((id, death));
            }
        }
        if !news.is_empty() {
            self.bury(news).await;
        }
    }

    async fn bury(&self, deaths: Vec<(SandboxId, Death)>) {
        let mut rows = Vec::with_capacity(deaths.len());
        for (id, death) in deaths {
            tracing::info!(sandbox = %id, reason = %death.reason, "a sandbox ended");
            rows.push(SavedDeath { id, death });
        }
        let ids: Vec<_> = rows.iter().map(|row| row.id.clone()).collect();
        if let Err(error) = self.store.bury(rows).await {
            // The next start finds them missing on the node, and buries them then.
            tracing::error!(%error, "deaths were not written down");
        }
        let mut live = self.live.write().expect("no holder panics");
        for id in ids {
            if let Some(sandbox) = live.remove(&id) {
                self.archive.keep(&sandbox);
            }
        }
    }

    /// Ends every sandbox whose time has come. Gives the next end.
    pub(super) async fn end_what_is_due(self: &Arc<Self>) -> Option<Timestamp> {
        let now = Timestamp::now();
        let (due, later): (Vec<_>, Vec<_>) = self
            .all_running()
            .into_iter()
            .partition(|sandbox| sandbox.end_at() <= now);
        for sandbox in due {
            let sandboxes = Arc::clone(self);
            // Each on its own: one that takes long must not let another live on.
            tokio::spawn(async move { sandboxes.end(sandbox, EndReason::Timeout).await });
        }
        later.iter().map(|sandbox| sandbox.end_at()).min()
    }
}
