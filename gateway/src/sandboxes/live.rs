//! One sandbox that a client has: its agreement, its end, and the way to its agent.

use super::{Record, diary::Diary};
use crate::nodeclient::AgentLink;
use jiff::Timestamp;
use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// Requests to one sandbox at the same time. More than a client's pools open
/// (e2b-wire.md, section 1.1), and a bound on what one sandbox's streams may buffer.
pub const STREAMS_PER_SANDBOX: usize = 2048;

/// A sandbox between hand-over and death.
#[derive(Debug)]
pub struct Sandbox {
    /// What was agreed.
    pub record: Record,
    /// The way to its agent.
    pub link: AgentLink,
    /// Fires when the sandbox can't be used any more: every open stream must break then.
    pub cut: CancellationToken,
    /// What happened to it.
    pub diary: Diary,
    /// Held while the end is being moved, so that store and node see moves in one order.
    pub(super) moving: tokio::sync::Mutex<()>,
    settings: Mutex<NetworkSettings>,
    phase: Mutex<Phase>,
    streams: Arc<Semaphore>,
}

/// What the client last said about its network, to be shown again.
#[derive(Debug, Clone)]
pub struct NetworkSettings {
    /// Internet access as a whole.
    pub allow_internet: Option<bool>,
    /// Everything else, in the client's words.
    pub network: Option<serde_json::Value>,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    Running { end_at: Timestamp },
    Ending { end_at: Timestamp },
}

impl Sandbox {
    /// A running sandbox.
    pub(super) fn new(record: Record, end_at: Timestamp, node_socket: PathBuf) -> Self {
        Self {
            link: AgentLink::new(node_socket, record.id.clone()),
            settings: Mutex::new(NetworkSettings {
                allow_internet: record.allow_internet,
                network: record.network.clone(),
            }),
            record,
            cut: CancellationToken::new(),
            diary: Diary::default(),
            moving: tokio::sync::Mutex::default(),
            phase: Mutex::new(Phase::Running { end_at }),
            streams: Arc::new(Semaphore::new(STREAMS_PER_SANDBOX)),
        }
    }

    /// Whether clients may use it.
    pub fn is_running(&self) -> bool {
        matches!(self.phase(), Phase::Running { .. })
    }

    /// When it ends.
    pub fn end_at(&self) -> Timestamp {
        match self.phase() {
            Phase::Running { end_at } | Phase::Ending { end_at } => end_at,
        }
    }

    /// Its network settings as they are now.
    pub fn network_settings(&self) -> NetworkSettings {
        self.settings.lock().expect("no holder panics").clone()
    }

    /// Keeps new network settings.
    pub(super) fn set_network_settings(&self, settings: NetworkSettings) {
        *self.settings.lock().expect("no holder panics") = settings;
    }

    /// A place for one more request, if there is one.
    pub fn stream(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.streams).try_acquire_owned().ok()
    }

    /// Moves the end of a running sandbox. False when it is being ended.
    pub(super) fn move_end(&self, to: Timestamp) -> bool {
        let mut phase = self.phase.lock().expect("no holder panics");
        let running = matches!(*phase, Phase::Running { .. });
        if running {
            *phase = Phase::Running { end_at: to };
        }
        running
    }

    /// Closes it for clients and breaks their streams. True for the first caller only, who
    /// must see the end through.
    pub(super) fn close(&self) -> bool {
        let mut phase = self.phase.lock().expect("no holder panics");
        let Phase::Running { end_at } = *phase else {
            return false;
        };
        *phase = Phase::Ending { end_at };
        drop(phase);
        self.cut.cancel();
        true
    }

    fn phase(&self) -> Phase {
        *self.phase.lock().expect("no holder panics")
    }
}
