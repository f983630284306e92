//! Keeping in step with the node: what it reports, and what became of things while nobody
//! listened.
//!
//! A node that was restarted has another incarnation, and the sandboxes of the old one are
//! lost. A sandbox that runs on the node and that nobody here knows is ended: its creation
//! was broken off before a client heard of it.

use super::Sandboxes;
use crate::nodeclient::{ControlError, Events};
use soulbox_runtime::{
    Death, Evidence, Reason, SandboxId,
    api::{EndReason, SandboxStatus, State},
};
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::sleep;

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// The node looks at what a dead cell left before it names the reason. Shorter than the 5 s
/// that clients give a health check (e2b-wire.md, section 7).
const VERDICT_PATIENCE: Duration = Duration::from_secs(3);
const VERDICT_INTERVAL: Duration = Duration::from_millis(20);

impl Sandboxes {
    /// Follows the node, again and again. Runs until it is dropped.
    pub async fn follow_node(self: Arc<Self>) {
        let mut pause = FIRST_PAUSE;
        let mut told = false;
        loop {
            match self.follow_once().await {
                Ok(()) => {
                    tracing::warn!("the node went away");
                    (pause, told) = (FIRST_PAUSE, false);
                }
                Err(error) if !told => {
                    tracing::warn!(%error, "the node can't be followed; trying again");
                    told = true;
                }
                Err(_) => {}
            }
            self.incarnation.send_replace(None);
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Waits until the node was seen for the first time.
    pub async fn in_step(&self) {
        let _ = self.incarnation.subscribe().wait_for(Option::is_some).await;
    }

    /// Follows one connection to its end.
    async fn follow_once(self: &Arc<Self>) -> Result<(), ControlError> {
        let mut events = Events::open(&self.node).await?;
        self.compare().await?;
        while let Some(event) = events.next().await {
            if event.missed > 0 {
                self.compare().await?;
            }
            if let Some(status) = event.sandbox {
                self.died(death_of(status).into_iter().collect()).await;
            }
        }
        Ok(())
    }

    /// Compares what is known here with what the node has, and settles every difference.
    async fn compare(self: &Arc<Self>) -> Result<(), ControlError> {
        // In this order: a sandbox that is handed over in between is in the node's list.
        let known = self.all_running();
        let incarnation = self.node.node().await?.incarnation;
        let found = self.node.sandboxes().await?;
        let mut there: HashMap<SandboxId, SandboxStatus> = found
            .into_iter()
            .map(|status| (status.id.clone(), status))
            .collect();
        let mut deaths = Vec::new();
        for sandbox in &known {
            let id = sandbox.record.id.clone();
            let same_life = sandbox.record.incarnation == incarnation;
            match there.remove(&id) {
                Some(status) if status.state != State::Dead => {}
                Some(status) => deaths.extend(death_of(status)),
                None if same_life => deaths.push((id, unseen(Reason::AgentLost))),
                None => deaths.push((id, unseen(Reason::NodeLost))),
            }
        }
        self.died(deaths).await;
        for (id, status) in there {
            if status.state != State::Dead && !self.expects(&id) {
                tracing::warn!(sandbox = %id, "the node has a sandbox that nobody asked for");
                self.node.delete(&id, EndReason::Killed).await?;
            }
        }
        self.incarnation.send_replace(Some(incarnation));
        if let Err(error) = self.store.forget_old_deaths().await {
            tracing::warn!(%error, "old deaths were not forgotten");
        }
        Ok(())
    }

    /// Asks the node about a sandbox whose agent is gone, until it has found out why. True
    /// when the sandbox is dead, and its death is written down.
    pub async fn doubt(&self, id: &SandboxId) -> bool {
        let asked = Instant::now();
        while asked.elapsed() < VERDICT_PATIENCE {
            let death = match self.node.sandbox(id).await {
                Ok(status) => death_of(status),
                Err(error) if error.code().is_some() => {
                    Some((id.clone(), unseen(Reason::AgentLost)))
                }
                Err(_) => return false,
            };
            if let Some(death) = death {
                self.died(vec![death]).await;
            }
            if !self.live.read().expect("no holder panics").contains_key(id) {
                return true;
            }
            sleep(VERDICT_INTERVAL).await;
        }
        false
    }

    fn expects(&self, id: &SandboxId) -> bool {
        self.starting.lock().expect("no holder panics").contains(id)
            || self.live.read().expect("no holder panics").contains_key(id)
    }
}

fn death_of(status: SandboxStatus) -> Option<(SandboxId, Death)> {
    if status.state != State::Dead {
        return None;
    }
    let death = status.death.unwrap_or_else(|| unseen(Reason::AgentLost));
    Some((status.id, death))
}

fn unseen(reason: Reason) -> Death {
    Death::now(reason, Evidence::default())
}
