//! Changing what leaves a sandbox while it runs (e2b-wire.md, section 3.9).

use super::{NetworkSettings, Record, SandboxError, Sandboxes};
use soulbox_runtime::{Network, api::ErrorCode};

impl Sandboxes {
    /// Replaces the rules, which hold when this returns. `shown` makes the settings that are
    /// shown from now on out of those before.
    pub async fn set_network(
        &self,
        id: &str,
        rules: &Network,
        shown: impl FnOnce(NetworkSettings) -> NetworkSettings,
    ) -> Result<(), SandboxError> {
        let sandbox = self.changeable(id)?;
        // Changes reach the node and the store in one order.
        let _turn = sandbox.moving.lock().await;
        let id = &sandbox.record.id;
        // The node first: what is shown to be forbidden must be.
        let set = self.node.network(id, rules).await;
        set.map_err(|error| match error.code() {
            Some(ErrorCode::SandboxUnknown) => SandboxError::Unknown(id.to_string()),
            _ => SandboxError::Node(error),
        })?;
        let settings = shown(sandbox.network_settings());
        let record = Record {
            allow_internet: settings.allow_internet,
            network: settings.network.clone(),
            ..sandbox.record.clone()
        };
        sandbox.set_network_settings(settings);
        Ok(self.store.update_record(record).await?)
    }
}
