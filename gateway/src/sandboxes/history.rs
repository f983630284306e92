//! What became of a sandbox: the answer to "why is it gone?".

use super::{Record, SandboxError, Sandboxes};
use jiff::Timestamp;
use soulbox_runtime::Death;

/// Everything that is known of one sandbox, dead or alive.
#[derive(Debug, Clone)]
pub struct Known {
    /// What was agreed.
    pub record: Record,
    /// When it ends, or would have ended.
    pub end_at: Timestamp,
    /// How it died, if it did.
    pub death: Option<Death>,
}

impl Sandboxes {
    /// Looks among the living first, then among the dead that are still remembered.
    pub async fn known(&self, id: &str) -> Result<Known, SandboxError> {
        if let Some(sandbox) = self.running(id) {
            return Ok(Known {
                record: sandbox.record.clone(),
                end_at: sandbox.end_at(),
                death: None,
            });
        }
        let row = self.store.sandbox(id.to_owned()).await?;
        let row = row.ok_or_else(|| SandboxError::Unknown(id.to_owned()))?;
        Ok(Known {
            record: row.record,
            end_at: row.end_at,
            death: row.death,
        })
    }
}
