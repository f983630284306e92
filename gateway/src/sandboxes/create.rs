//! From a client's wish to a sandbox that it may use.

use super::{OpenedBy, Record, RepeatKey, Sandbox, SandboxError, Sandboxes, names};
use crate::{
    nodeclient::ControlError,
    store::{SandboxRow, SavedAnswer},
};
use jiff::{SignedDuration, Timestamp};
use soulbox_runtime::{
    Network, SandboxId, TemplateName,
    api::{EndReason, ErrorCode, SandboxSpec, SandboxStatus},
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::{sync::oneshot, time::timeout};

/// A node that is being restarted is back within this, or something is wrong with it.
const NODE_PATIENCE: Duration = Duration::from_secs(10);

/// What a client wants.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// What to start from.
    pub template: TemplateName,
    /// How long it shall live.
    pub lifetime: SignedDuration,
    /// The client's own words about it.
    pub metadata: BTreeMap<String, String>,
    /// Variables of the whole sandbox.
    pub env: BTreeMap<String, String>,
    /// Whether processes and files need a token.
    pub secure: bool,
    /// Whether the other ports need none.
    pub public_traffic: bool,
    /// Who asks.
    pub opened_by: OpenedBy,
    /// What it said about internet access.
    pub allow_internet: Option<bool>,
    /// Its network settings, to be shown again.
    pub network: Option<serde_json::Value>,
    /// What these say about connections out of it.
    pub egress: Network,
    /// Set when the request may be a repetition.
    pub repeat: Option<RepeatKey>,
}

impl Sandboxes {
    /// Makes a sandbox and returns when it can be used. A caller who goes away meanwhile
    /// leaves nothing behind, unless it gave a key by which it can ask again.
    pub async fn create(self: &Arc<Self>, wanted: Wanted) -> Result<Record, SandboxError> {
        if wanted.lifetime > self.longest {
            return Err(SandboxError::TooLong {
                limit_hours: self.longest.as_hours(),
            });
        }
        let (answer, result) = oneshot::channel();
        let sandboxes = Arc::clone(self);
        tokio::spawn(async move {
            let keep = wanted.repeat.is_some();
            let made = sandboxes.create_once(wanted).await;
            let Err(Ok(record)) = answer.send(made) else {
                return;
            };
            if !keep {
                tracing::info!(sandbox = %record.id, "nobody waits for this sandbox any more");
                let _ = sandboxes.kill(record.id.as_str()).await;
            }
        });
        result.await.map_err(|_| SandboxError::BrokenOff)?
    }

    async fn create_once(&self, wanted: Wanted) -> Result<Record, SandboxError> {
        let Some(repeat) = wanted.repeat.clone() else {
            return self.start(wanted).await;
        };
        let _turn = self.repeats.turn(&repeat).await;
        if let Some(earlier) = self.store.answer(repeat.owner, repeat.key.clone()).await? {
            if earlier.request != repeat.request {
                return Err(SandboxError::KeyReused);
            }
            let row = self.store.sandbox(earlier.sandbox.to_string()).await?;
            return row
                .map(|row| row.record)
                .ok_or_else(|| SandboxError::Unknown(earlier.sandbox.to_string()));
        }
        let record = self.start(wanted).await?;
        let answer = SavedAnswer {
            request: repeat.request,
            sandbox: record.id.clone(),
        };
        self.store
            .save_answer(repeat.owner, repeat.key, answer)
            .await?;
        Ok(record)
    }

    async fn start(&self, wanted: Wanted) -> Result<Record, SandboxError> {
        let incarnation = self.present_node().await?;
        let id = names::sandbox_id();
        let asked_at = Timestamp::now();
        self.starting
            .lock()
            .expect("no holder panics")
            .insert(id.clone());
        let made = self.hand_over(&id, wanted, incarnation).await;
        self.starting.lock().expect("no holder panics").remove(&id);
        let took_ms = asked_at.duration_until(Timestamp::now()).as_millis();
        match &made {
            Ok(record) => {
                tracing::info!(sandbox = %id, template = %record.template, tier = %record.tier,
                    from_pool = record.from_pool, took_ms, "handed over a sandbox");
            }
            Err(error) => tracing::warn!(sandbox = %id, took_ms, %error, "no sandbox was started"),
        }
        made
    }

    async fn hand_over(
        &self,
        id: &SandboxId,
        wanted: Wanted,
        incarnation: String,
    ) -> Result<Record, SandboxError> {
        let spec = SandboxSpec {
            id: id.clone(),
            template: wanted.template.clone(),
            tier: None,
            env: wanted.env.clone(),
            network: wanted.egress.clone(),
            expires_at: Timestamp::now() + wanted.lifetime,
        };
        let status = match self.node.create(&spec).await {
            Ok(status) => status,
            Err(error) => {
                // Whether the node made it is not known when the connection broke.
                if matches!(error, ControlError::Connection(_)) {
                    let _ = self.node.delete(id, EndReason::Killed).await;
                }
                return Err(refusal(error, wanted.template));
            }
        };
        let record = agreement(status, wanted.clone(), incarnation.clone());
        let end_at = record.started_at + wanted.lifetime;
        let row = SandboxRow {
            record: record.clone(),
            end_at,
            death: None,
        };
        let stored = self.store.add_sandbox(row).await;
        let same_node = self.incarnation.borrow().as_ref() == Some(&incarnation);
        if stored.is_err() || !same_node {
            let _ = self.node.delete(id, EndReason::Killed).await;
            stored?;
            return Err(SandboxError::NodeAway);
        }
        let sandbox = Sandbox::new(record.clone(), end_at, self.node_socket.clone());
        self.live
            .write()
            .expect("no holder panics")
            .insert(id.clone(), Arc::new(sandbox));
        self.ends_changed.notify_one();
        // A cold start took some of the lifetime that the node was told.
        if end_at.duration_since(spec.expires_at) > SignedDuration::from_secs(1) {
            self.node.lease(id, end_at).await?;
        }
        Ok(record)
    }

    /// The node's incarnation, waiting a moment for a node that is being restarted.
    async fn present_node(&self) -> Result<String, SandboxError> {
        let mut seen = self.incarnation.subscribe();
        let present = timeout(NODE_PATIENCE, seen.wait_for(Option::is_some)).await;
        match present {
            Ok(Ok(incarnation)) => incarnation.clone().ok_or(SandboxError::NodeAway),
            _ => Err(SandboxError::NodeAway),
        }
    }
}

fn agreement(status: SandboxStatus, wanted: Wanted, incarnation: String) -> Record {
    // Clients compare start times at microsecond precision (e2b-wire.md, section 3.2).
    let started_at = Timestamp::from_microsecond(status.started_at.as_microsecond())
        .expect("a timestamp in whole microseconds is in range");
    Record {
        id: status.id,
        template: status.template,
        tier: status.tier,
        from_pool: status.from_pool,
        limits: status.limits,
        incarnation,
        started_at,
        metadata: wanted.metadata,
        envd_token: wanted.secure.then(names::token),
        traffic_token: (!wanted.public_traffic).then(names::token),
        opened_by: wanted.opened_by,
        allow_internet: wanted.allow_internet,
        network: wanted.network,
    }
}

fn refusal(error: ControlError, template: TemplateName) -> SandboxError {
    let ControlError::Refused(body) = error else {
        return match error {
            ControlError::Connection(_) => SandboxError::NodeAway,
            other => SandboxError::Node(other),
        };
    };
    match body.code {
        ErrorCode::TemplateUnknown => SandboxError::TemplateUnknown(template),
        ErrorCode::Capacity => SandboxError::Capacity(body.message),
        ErrorCode::TierUnavailable => SandboxError::TierUnavailable(body.message),
        ErrorCode::StartTimeout => SandboxError::StartTimeout(body.message),
        ErrorCode::Invalid => SandboxError::Refused(body.message),
        _ => SandboxError::Node(ControlError::Refused(body)),
    }
}
