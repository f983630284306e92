//! The one owner of what runs on this node: cells, sandboxes, the recent dead.
//!
//! One lock over all tables, held for a few map operations and never across a wait, so the
//! tables always agree: a cell that is handed over is in no pool, a sandbox that is listed as
//! running has a cell. Nobody outside changes a state; every change is told as an event here.

use crate::{
    cell::LiveCell,
    error::{NotReady, Refusal},
    pool::{Delivery, Next, PoolKey, Pools},
};
use jiff::Timestamp;
use soulbox_runtime::{
    CellId, Death, Reason, SandboxId,
    api::{ErrorCode, Event, SandboxStatus, State},
    life::{Lease, Life},
};
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};
use tokio::sync::{Notify, broadcast, oneshot};
use tokio_util::sync::CancellationToken;

/// The dead that are remembered, so that a gateway that was away learns what happened.
const DEAD: usize = 1000;
/// Events that a slow reader may be behind before it must list again.
const EVENTS: usize = 1024;

/// The tables and their events.
#[derive(Debug)]
pub struct Registry {
    tables: Mutex<Tables>,
    events: broadcast::Sender<Event>,
    /// Wakes the keeper of the pools.
    pub changed: Notify,
    max_sandboxes: usize,
}

#[derive(Debug, Default)]
struct Tables {
    cells: HashMap<CellId, CellEntry>,
    sandboxes: HashMap<SandboxId, SandboxEntry>,
    dead: VecDeque<SandboxStatus>,
    pools: Pools,
}

#[derive(Debug)]
struct CellEntry {
    key: PoolKey,
    life: Life<Arc<LiveCell>>,
}

#[derive(Debug)]
struct SandboxEntry {
    status: SandboxStatus,
    cell: Option<CellId>,
    cancel: CancellationToken,
}

impl Registry {
    /// Empty tables.
    pub fn new(max_sandboxes: u32) -> Self {
        Self {
            tables: Mutex::default(),
            events: broadcast::channel(EVENTS).0,
            changed: Notify::new(),
            max_sandboxes: max_sandboxes as usize,
        }
    }

    /// Events from now on.
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    /// Notes a sandbox that is to be started, and gives the token that tells its end.
    ///
    /// # Errors
    /// When the id is in use or was, or when the node is full.
    pub fn reserve(&self, status: SandboxStatus) -> Result<CancellationToken, Refusal> {
        let mut tables = self.lock();
        if tables.sandboxes.contains_key(&status.id) || tables.find_dead(&status.id).is_some() {
            let message = format!("sandbox id `{}` is in use on this node", status.id);
            return Err(Refusal::new(ErrorCode::Conflict, message));
        }
        if tables.sandboxes.len() >= self.max_sandboxes {
            let message = format!(
                "this node holds its {} sandboxes; end one, or raise --max-sandboxes",
                self.max_sandboxes
            );
            return Err(Refusal::new(ErrorCode::Capacity, message));
        }
        let cancel = CancellationToken::new();
        let entry = SandboxEntry {
            status: status.clone(),
            cell: None,
            cancel: cancel.clone(),
        };
        tables.sandboxes.insert(status.id.clone(), entry);
        self.tell(status);
        Ok(cancel)
    }

    /// Forgets a sandbox that did not start. Gives the cell that it may have been given.
    pub fn unreserve(&self, sandbox: &SandboxId) -> Option<CellId> {
        let mut tables = self.lock();
        let starting = tables.sandboxes.get(sandbox)?.status.state == State::Starting;
        starting
            .then(|| tables.sandboxes.remove(sandbox))
            .flatten()
            .and_then(|entry| entry.cell)
    }

    /// A warm cell, or a place in the line for the next.
    pub fn take_or_wait(&self, key: &PoolKey) -> Result<CellId, oneshot::Receiver<Delivery>> {
        let mut tables = self.lock();
        let taken = tables.pools.take(key).ok_or_else(|| tables.pools.wait(key));
        drop(tables);
        self.changed.notify_one();
        taken
    }

    /// Gives back a cell that was taken and not bound.
    pub fn put_back(&self, key: &PoolKey, cell: CellId) {
        let mut tables = self.lock();
        if tables.cells.contains_key(&cell) {
            tables.pools.put_back(key, cell);
        }
        drop(tables);
        self.changed.notify_one();
    }

    /// Gives a warm cell to a sandbox, which stays `starting` until [`Registry::run`].
    /// Nothing when the cell or the sandbox died in the meantime.
    pub fn bind(&self, cell: &CellId, sandbox: &SandboxId) -> Option<Arc<LiveCell>> {
        let mut tables = self.lock();
        let tables = &mut *tables;
        let owner = tables.sandboxes.get_mut(sandbox)?;
        let CellEntry { key, life } = tables.cells.remove(cell)?;
        let lease = Lease {
            sandbox: sandbox.clone(),
            expires_at: owner.status.expires_at,
        };
        let (life, live) = match life.claim(lease) {
            Ok(Life::Running(live, lease)) => {
                owner.cell = Some(cell.clone());
                owner.status.limits = live.limits;
                (Life::Running(live.clone(), lease), Some(live))
            }
            Ok(other) | Err((other, _)) => (other, None),
        };
        tables.cells.insert(cell.clone(), CellEntry { key, life });
        live
    }

    /// A sandbox is its client's from now on. Nothing when it died in the meantime.
    pub fn run(&self, sandbox: &SandboxId, from_pool: bool) -> Option<SandboxStatus> {
        let mut tables = self.lock();
        let entry = tables.sandboxes.get_mut(sandbox)?;
        entry.cell.as_ref()?;
        entry.status.state = State::Running;
        entry.status.started_at = Timestamp::now();
        entry.status.from_pool = from_pool;
        let status = entry.status.clone();
        self.tell(status.clone());
        Some(status)
    }

    /// Moves the end of a sandbox. Nothing when there is no such live sandbox.
    pub fn extend(&self, sandbox: &SandboxId, expires_at: Timestamp) -> Option<SandboxStatus> {
        let mut tables = self.lock();
        let tables = &mut *tables;
        let entry = tables.sandboxes.get_mut(sandbox)?;
        entry.status.expires_at = expires_at;
        let status = entry.status.clone();
        if let Some(CellEntry {
            life: Life::Running(_, lease),
            ..
        }) = entry
            .cell
            .as_ref()
            .and_then(|cell| tables.cells.get_mut(cell))
        {
            lease.expires_at = expires_at;
        }
        Some(status)
    }

    /// Live sandboxes that ended before `moment`.
    pub fn expired(&self, moment: Timestamp) -> Vec<SandboxId> {
        let tables = self.lock();
        let late = |entry: &&SandboxEntry| entry.status.expires_at < moment;
        tables
            .sandboxes
            .values()
            .filter(late)
            .map(|entry| entry.status.id.clone())
            .collect()
    }

    /// The cell of a running sandbox.
    pub fn running(&self, sandbox: &SandboxId) -> Option<Arc<LiveCell>> {
        let tables = self.lock();
        let entry = tables.sandboxes.get(sandbox)?;
        if entry.status.state != State::Running {
            return None;
        }
        match &tables.cells.get(entry.cell.as_ref()?)?.life {
            Life::Running(live, _) => Some(live.clone()),
            _ => None,
        }
    }

    /// The cells of all running sandboxes.
    pub fn all_running(&self) -> Vec<Arc<LiveCell>> {
        let tables = self.lock();
        let running = tables.cells.values().filter_map(|entry| match &entry.life {
            Life::Running(live, _) => Some(live.clone()),
            _ => None,
        });
        running.collect()
    }

    /// What is known of one sandbox, living or dead.
    pub fn status(&self, sandbox: &SandboxId) -> Option<SandboxStatus> {
        let tables = self.lock();
        let live = tables.sandboxes.get(sandbox).map(|entry| &entry.status);
        live.or_else(|| tables.find_dead(sandbox)).cloned()
    }

    /// All living sandboxes and the remembered dead.
    pub fn list(&self) -> Vec<SandboxStatus> {
        let tables = self.lock();
        let live = tables.sandboxes.values().map(|entry| &entry.status);
        live.chain(&tables.dead).cloned().collect()
    }

    /// Sandboxes that live.
    pub fn sandboxes(&self) -> Vec<SandboxId> {
        self.lock().sandboxes.keys().cloned().collect()
    }

    /// Cells that live.
    pub fn cells(&self) -> Vec<CellId> {
        self.lock().cells.keys().cloned().collect()
    }

    /// Whether a cell lives.
    pub fn has_cell(&self, cell: &CellId) -> bool {
        self.lock().cells.contains_key(cell)
    }

    /// Ends a sandbox. Gives its cell, which must be ended too; the outer `None` says that
    /// there is no such live sandbox.
    pub fn end_sandbox(&self, sandbox: &SandboxId, death: Death) -> Option<Option<CellId>> {
        let mut tables = self.lock();
        let entry = tables.sandboxes.remove(sandbox)?;
        entry.cancel.cancel();
        let cell = entry.cell.clone();
        self.record(&mut tables, entry.status, death);
        Some(cell)
    }

    /// Ends a cell, and the sandbox that runs on it. Gives the cell to whoever ends it
    /// first: that one must kill and clear it.
    pub fn end_cell(&self, cell: &CellId, death: Death) -> Option<Arc<LiveCell>> {
        let mut tables = self.lock();
        let CellEntry { key, life } = tables.cells.remove(cell)?;
        tables.pools.remove(&key, cell);
        let owner = match &life {
            Life::Running(_, lease) => Some(lease.sandbox.clone()),
            _ => None,
        };
        let (_, live) = life.die(death.clone());
        if let Some(sandbox) = owner
            && let Some(entry) = tables.sandboxes.get_mut(&sandbox)
            && entry.cell.as_ref() == Some(cell)
        {
            entry.cell = None;
            // A sandbox that is still starting gets another cell.
            if entry.status.state == State::Running
                && let Some(entry) = tables.sandboxes.remove(&sandbox)
            {
                entry.cancel.cancel();
                self.record(&mut tables, entry.status, death);
            }
        }
        drop(tables);
        self.changed.notify_one();
        live
    }

    /// Remembers a sandbox that died with the node that was here before.
    pub fn lost(&self, status: SandboxStatus) {
        let death = Death::now(Reason::NodeLost, soulbox_runtime::Evidence::default());
        let mut tables = self.lock();
        self.record(&mut tables, status, death);
    }

    /// Says how many warm cells there should be.
    pub fn want(&self, key: PoolKey, wanted: u32) {
        self.lock().pools.want(key, wanted);
        self.changed.notify_one();
    }

    /// Warm cells now, and wanted.
    pub fn pool_size(&self, key: &PoolKey) -> (u32, u32) {
        self.lock().pools.size(key)
    }

    /// What the keeper of the pools is to do next. Warm cells share the node's bound with
    /// the sandboxes, so that a full node does not keep cells that nobody can get.
    pub fn next_start(&self, now: Instant) -> Next {
        let mut tables = self.lock();
        let used = tables.sandboxes.len() + tables.pools.unclaimed();
        let room = self.max_sandboxes.saturating_sub(used);
        tables.pools.next(now, room)
    }

    /// A cell is ready for a client.
    pub fn started(&self, live: Arc<LiveCell>) {
        let mut tables = self.lock();
        let entry = CellEntry {
            key: live.key.clone(),
            life: Life::Starting.warmed(live.clone()),
        };
        tables.cells.insert(live.id.clone(), entry);
        tables.pools.ready(&live.key, live.id.clone());
        drop(tables);
        self.changed.notify_one();
    }

    /// A cell did not start.
    pub fn start_failed(&self, key: &PoolKey, error: &NotReady) {
        self.lock().pools.failed(key, error, Instant::now());
        self.changed.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self, tables: &mut Tables, mut status: SandboxStatus, death: Death) {
        status.state = State::Dead;
        status.death = Some(death);
        if tables.dead.len() == DEAD {
            tables.dead.pop_front();
        }
        tables.dead.push_back(status.clone());
        self.tell(status);
    }

    fn tell(&self, status: SandboxStatus) {
        // Nobody listening is no error.
        let _ = self.events.send(Event {
            sandbox: Some(status),
            missed: 0,
        });
    }
}

impl Tables {
    fn find_dead(&self, sandbox: &SandboxId) -> Option<&SandboxStatus> {
        self.dead.iter().rev().find(|status| &status.id == sandbox)
    }
}
