//! From a specification to a running sandbox: a place in the table, a cell from the pool or
//! the next that becomes ready, the claim.
//!
//! A request that its gateway gives up takes its sandbox with it: nobody would know its id.

use crate::{
    cell::LiveCell,
    error::{NotReady, Refusal},
    journal::Entry,
    node::Node,
    pool::PoolKey,
    templates::Template,
};
use jiff::Timestamp;
use soulbox_protocol::control::{Claim, Limits};
use soulbox_runtime::{
    CellId, Death, Evidence, Reason, SandboxId,
    api::{ErrorCode, SandboxSpec, SandboxStatus, State},
};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// Cells that are tried for one request: a warm one may just have died.
const TRIES: u32 = 3;
/// One claim. The agent sets variables in a running kernel meanwhile.
const CLAIM_TIMEOUT: Duration = Duration::from_secs(15);
/// Names and values of variables of one sandbox, in bytes.
const ENV_BYTES: usize = 256 << 10;

/// Starts a sandbox.
///
/// # Errors
/// A refusal with its code; nothing is left of the sandbox then.
pub async fn create(node: &Arc<Node>, spec: SandboxSpec) -> Result<SandboxStatus, Refusal> {
    check_env(&spec)?;
    if node.closing.load(Ordering::SeqCst) {
        return Err(Refusal::new(
            ErrorCode::Capacity,
            "this node is shutting down",
        ));
    }
    let tier = node.tiers.choose(spec.tier)?;
    let template = node.templates.get(&spec.template)?;
    let key = PoolKey {
        template: spec.template.clone(),
        tier,
    };
    let cancel = node.registry.reserve(SandboxStatus {
        id: spec.id.clone(),
        template: spec.template.clone(),
        tier,
        state: State::Starting,
        started_at: Timestamp::now(),
        expires_at: spec.expires_at,
        limits: template.limits,
        from_pool: false,
        death: None,
    })?;
    // Undoes the reservation on every way out but the good one.
    let _reservation = Reservation {
        node,
        sandbox: &spec.id,
    };
    for _ in 0..TRIES {
        let (cell, from_pool) = acquire(node, &key, &cancel).await?;
        let Some(live) = node.registry.bind(&cell, &spec.id) else {
            continue;
        };
        if live.build != template.build {
            // The template was built anew since this cell was started.
            node.end_cell(&cell, Death::now(Reason::Killed, Evidence::default()));
            continue;
        }
        let image_side = node.options.max_image_side;
        if let Err(error) = hand_over(&live, &spec, &template, image_side, &cancel).await {
            warn!(cell = %live.id, sandbox = %spec.id, %error, "a cell could not be claimed");
            node.end_cell(&cell, Death::now(Reason::AgentLost, Evidence::default()));
            continue;
        }
        let Some(status) = node.registry.run(&spec.id, from_pool) else {
            continue;
        };
        note(node, &live, &status);
        info!(sandbox = %spec.id, cell = %live.id, from_pool, "a sandbox runs");
        return Ok(status);
    }
    if cancel.is_cancelled() {
        return Err(killed());
    }
    Err(Refusal::new(
        ErrorCode::Internal,
        "no cell could be handed over; the node's log has the cause",
    ))
}

/// Takes the sandbox out of the table again, unless it runs.
struct Reservation<'a> {
    node: &'a Arc<Node>,
    sandbox: &'a SandboxId,
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        if let Some(cell) = self.node.registry.unreserve(self.sandbox) {
            self.node
                .end_cell(&cell, Death::now(Reason::Killed, Evidence::default()));
        }
    }
}

async fn acquire(
    node: &Arc<Node>,
    key: &PoolKey,
    cancel: &CancellationToken,
) -> Result<(CellId, bool), Refusal> {
    let line = match node.registry.take_or_wait(key) {
        Ok(cell) => return Ok((cell, true)),
        Err(line) => line,
    };
    let mut line = InLine { node, key, line };
    // Twice the time of a start: a request may wait for others' starts before its own.
    let deadline = node.options.start_timeout * 2;
    let delivery = tokio::select! {
        delivery = &mut line.line => delivery,
        () = cancel.cancelled() => return Err(killed()),
        () = tokio::time::sleep(deadline) => {
            return Err(Refusal::from(NotReady::Late {
                seconds: deadline.as_secs(),
                last: "a free cell",
            }));
        }
    };
    match delivery {
        Ok(Ok(cell)) => Ok((cell, false)),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(Refusal::new(ErrorCode::Internal, "the pool was closed")),
    }
}

/// A place in the line. Whoever leaves it gives back what was delivered in that moment.
struct InLine<'a> {
    node: &'a Node,
    key: &'a PoolKey,
    line: tokio::sync::oneshot::Receiver<crate::pool::Delivery>,
}

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        self.line.close();
        if let Ok(Ok(cell)) = self.line.try_recv() {
            self.node.registry.put_back(self.key, cell);
        }
    }
}

async fn hand_over(
    live: &LiveCell,
    spec: &SandboxSpec,
    template: &Template,
    image_side: u32,
    cancel: &CancellationToken,
) -> Result<(), String> {
    live.gate.set(spec.network.clone());
    let mut env = template.env.clone();
    env.extend(spec.env.clone());
    let claim = Claim {
        sandbox_id: spec.id.to_string(),
        template_id: spec.template.to_string(),
        env,
        default_user: template.user.clone(),
        default_workdir: template.workdir.clone(),
        entropy: crate::random::hex::<32>().map_err(|error| error.to_string())?,
        limits: Some(Limits {
            memory_bytes: template.limits.memory_bytes(),
            cpu_millis: template.limits.cpu_millis,
            disk_bytes: template.limits.disk_bytes(),
        }),
        image_side,
        egress: !spec.network.is_off(),
    };
    tokio::select! {
        claimed = live.agent.claim(&claim, CLAIM_TIMEOUT) => claimed.map_err(|error| error.to_string()),
        () = cancel.cancelled() => Err("the sandbox was killed".to_owned()),
    }
}

fn note(node: &Node, live: &LiveCell, status: &SandboxStatus) {
    let entry = Entry {
        cell: live.id.clone(),
        tier: live.key.tier,
        sandbox: Some(status.clone()),
    };
    if let Err(error) = node.journal.update(&entry) {
        warn!(sandbox = %status.id, %error, "could not note a sandbox");
    }
}

fn killed() -> Refusal {
    Refusal::new(
        ErrorCode::Conflict,
        "the sandbox was killed while it started",
    )
}

fn check_env(spec: &SandboxSpec) -> Result<(), Refusal> {
    let invalid = |why| Err(Refusal::new(ErrorCode::Invalid, why));
    let mut bytes = 0;
    for (name, value) in &spec.env {
        if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
            return invalid(
                "a variable's name is empty or holds `=` or NUL, or its value holds NUL".to_owned(),
            );
        }
        bytes += name.len() + value.len();
    }
    if bytes > ENV_BYTES {
        return invalid(format!(
            "the variables take {bytes} bytes; at most {ENV_BYTES} are allowed"
        ));
    }
    Ok(())
}
