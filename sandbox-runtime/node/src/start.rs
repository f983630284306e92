//! Starts one cell and brings it to where a client can use it: journal entry, directory,
//! the tier's start, HTTP/2 on the channel, the agent's and the kernel's readiness.
//!
//! What fails half-way is undone in the background, never left: the journal entry goes last.

use crate::{
    agent::AgentClient,
    cell::LiveCell,
    egress::{self, Gate},
    error::NotReady,
    journal::Entry,
    memory,
    node::{Node, agent_command},
    pool::PoolKey,
    sampler::Meter,
    templates::Template,
    watch,
};
use soulbox_protocol::control::KernelHealth;
use soulbox_runtime::{Cell, CellId, CellSpec, StartedCell};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;
use tracing::{info, warn};

/// Pause between questions whether the kernel is ready. A question costs half a
/// millisecond; a start takes a second.
const READY_POLL: Duration = Duration::from_millis(20);
/// One question.
const READY_TIMEOUT: Duration = Duration::from_secs(10);
/// A cell whose agent is gone ends within this, if it ends.
const END_PASSES: Duration = Duration::from_millis(500);
/// Host name inside every sandbox.
const HOSTNAME: &str = "sandbox";

/// Starts a cell and puts it into the registry, or tells there that it failed.
pub async fn start(node: Arc<Node>, key: PoolKey) {
    let begun = Instant::now();
    match try_start(&node, &key).await {
        Ok(live) => {
            let took_ms = begun.elapsed().as_millis();
            info!(cell = %live.id, template = %key.template, tier = %key.tier, took_ms, "a cell is ready");
            node.registry.started(live.clone());
            tokio::spawn(watch::watch(node, live));
        }
        Err(error) => {
            warn!(template = %key.template, tier = %key.tier, %error, "a cell did not start");
            node.registry.start_failed(&key, &error);
        }
    }
}

async fn try_start(node: &Arc<Node>, key: &PoolKey) -> Result<Arc<LiveCell>, NotReady> {
    let deadline = Instant::now() + node.options.start_timeout;
    let template = node.templates.get(&key.template)?;
    memory::check(&template.limits)?;
    let cell = new_cell_id()?;
    let entry = Entry {
        cell: cell.clone(),
        tier: key.tier,
        sandbox: None,
    };
    begin(node, &entry).await?;
    let live = match start_cell(node, key, &template, &cell, deadline).await {
        Ok(live) => live,
        Err(Started::Nothing(error)) => {
            node.forget(&cell);
            return Err(error);
        }
        Err(Started::Unknown(error)) => return Err(error),
    };
    match wait_ready(node, &live, template.interpreter, deadline).await {
        Ok(()) => {
            let (agent, gate) = (live.agent.clone(), live.gate.clone());
            tokio::spawn(egress::keep(agent, gate, node.dialler.clone()));
            Ok(live)
        }
        Err(error) => {
            tell_end(&live.id, &*live.handle).await;
            node.dispose(live);
            Err(error)
        }
    }
}

/// How far a failed start came.
enum Started {
    /// Nothing is left of it.
    Nothing(NotReady),
    /// Somebody else undoes it.
    Unknown(NotReady),
}

async fn start_cell(
    node: &Arc<Node>,
    key: &PoolKey,
    template: &Template,
    cell: &CellId,
    deadline: Instant,
) -> Result<Arc<LiveCell>, Started> {
    let tier = node.tiers.get(key.tier).map_err(Started::Nothing)?;
    let ids = node.host_ids.take().ok_or_else(|| {
        Started::Nothing(NotReady::NoRoom(
            "all ranges of host ids are in use".to_owned(),
        ))
    })?;
    let spec = CellSpec {
        id: cell.clone(),
        layers: template.layers.clone(),
        scratch: node.scratch(cell),
        guest_files: node.guest_files.clone(),
        command: agent_command(),
        hostname: HOSTNAME.to_owned(),
        limits: template.limits,
        first_host_id: ids.first(),
    };
    // A start that is dropped half-way would leave things behind, so it runs to its end in a
    // task of its own, also when nobody waits for it any more.
    let mut starting = tokio::spawn(async move { tier.start(spec).await });
    let started = match tokio::time::timeout_at(deadline, &mut starting).await {
        Ok(Ok(Ok(started))) => started,
        Ok(Ok(Err(error))) => {
            // The cause names steps of the tier and paths of the node, no user data.
            warn!(%cell, %error, "the tier could not start a cell");
            return Err(Started::Nothing(error.into()));
        }
        Ok(Err(error)) => {
            let error = NotReady::Failed(format!("the start of the cell broke: {error}"));
            return Err(Started::Unknown(error));
        }
        Err(_) => {
            let (node, cell) = (node.clone(), cell.clone());
            let late = late(&node, "the tier's start");
            node.clone().tasks.spawn(async move {
                let _ids = ids;
                if let Ok(Ok(StartedCell { cell: handle, .. })) = starting.await
                    && !give_back(handle).await
                {
                    return;
                }
                node.forget(&cell);
            });
            return Err(Started::Unknown(late));
        }
    };
    let StartedCell {
        cell: handle,
        channel,
    } = started;
    let connected = tokio::time::timeout_at(deadline, AgentClient::connect(channel)).await;
    match connected {
        Ok(Ok(agent)) => Ok(Arc::new(LiveCell {
            id: cell.clone(),
            key: key.clone(),
            build: template.build.clone(),
            limits: template.limits,
            handle,
            agent,
            gate: Gate::closed(),
            meter: Meter::default(),
            _ids: ids,
        })),
        failed => {
            let error = match failed {
                Ok(Err(error)) => NotReady::Failed(format!("no connection to the agent: {error}")),
                _ => late(node, "the agent's first word"),
            };
            tell_end(cell, &*handle).await;
            let (node, cell) = (node.clone(), cell.clone());
            node.clone().tasks.spawn(async move {
                let _ids = ids;
                if give_back(handle).await {
                    node.forget(&cell);
                }
            });
            Err(Started::Unknown(error))
        }
    }
}

async fn give_back(handle: Box<dyn Cell>) -> bool {
    handle.kill().await;
    match handle.clear().await {
        Ok(()) => true,
        Err(error) => {
            warn!(%error, "could not clear a cell that did not start");
            false
        }
    }
}

async fn wait_ready(
    node: &Node,
    live: &LiveCell,
    interpreter: bool,
    deadline: Instant,
) -> Result<(), NotReady> {
    let mut waits_for = "the agent";
    loop {
        let asked = tokio::select! {
            asked = live.agent.health(READY_TIMEOUT) => asked,
            () = live.agent.closed() => {
                return Err(NotReady::Failed("the agent ended while it started".to_owned()));
            }
        };
        if let Ok(health) = asked {
            match health.kernel {
                KernelHealth::Ready => return Ok(()),
                KernelHealth::None if !interpreter => return Ok(()),
                KernelHealth::None => {
                    let message = "the template should have a kernel and has none";
                    return Err(NotReady::Failed(message.to_owned()));
                }
                KernelHealth::Failed if interpreter => {
                    return Err(NotReady::Failed("the kernel did not start".to_owned()));
                }
                // The agent may try a kernel in a template that promises none.
                KernelHealth::Failed => return Ok(()),
                KernelHealth::Starting if !interpreter => return Ok(()),
                KernelHealth::Starting => waits_for = "the kernel",
            }
        }
        if Instant::now() >= deadline {
            return Err(late(node, waits_for));
        }
        tokio::time::sleep(READY_POLL).await;
    }
}

/// A cell that ended while it started has something to tell: its status, the tier's console.
async fn tell_end(cell: &CellId, handle: &dyn Cell) {
    if let Ok(end) = tokio::time::timeout(END_PASSES, handle.ended()).await {
        warn!(%cell, evidence = ?end.evidence, "a cell ended while it started");
    }
}

async fn begin(node: &Arc<Node>, entry: &Entry) -> Result<(), NotReady> {
    let (shared, entry) = (node.clone(), entry.clone());
    let scratch = node.scratch(&entry.cell);
    let written = tokio::task::spawn_blocking(move || {
        shared.journal.begin(&entry)?;
        std::fs::create_dir(&scratch)
    });
    match written.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(NotReady::Failed(format!("note a new cell: {error}"))),
        Err(error) => Err(NotReady::Failed(format!("note a new cell: {error}"))),
    }
}

fn late(node: &Node, last: &'static str) -> NotReady {
    NotReady::Late {
        seconds: node.options.start_timeout.as_secs(),
        last,
    }
}

fn new_cell_id() -> Result<CellId, NotReady> {
    crate::random::hex::<8>()
        .map_err(|error| NotReady::Failed(format!("random numbers: {error}")))
        .and_then(|hex| {
            CellId::new(format!("c{hex}")).map_err(|error| NotReady::Failed(error.to_string()))
        })
}
