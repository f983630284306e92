//! Whether a kernel works, and when it last did, as Jupyter clients and cullers count it.
//!
//! Questions that clients ask by themselves do not count (section 2.7 of the Jupyter wire
//! contract): a tab that asks what the kernel is keeps it neither busy nor alive. Subshells work
//! side by side, so the requests under way are kept and not the last status.

use super::fanout::{Channel, Incoming};
use super::request::ENVIRONMENT_REQUEST;
use jiff::Timestamp;
use std::collections::HashSet;

/// Requests whose course is no activity.
const UNTRACKED: [&str; 6] = [
    "kernel_info_request",
    "comm_info_request",
    "debug_request",
    "interrupt_request",
    "shutdown_request",
    ENVIRONMENT_REQUEST,
];

/// Requests under way that are kept; a kernel with more is busy anyway.
const MOST_OUTSTANDING: usize = 4096;

/// What a status message says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Work on the parent has begun.
    Busy,
    /// Work on the parent is over.
    Idle,
}

impl Status {
    /// Reads a broadcast.
    pub fn of(incoming: &Incoming) -> Option<Self> {
        if incoming.channel != Channel::Iopub || incoming.msg_type != "status" {
            return None;
        }
        let says = |state: &[u8]| memchr::memmem::find(&incoming.message.content, state).is_some();
        if says(b"\"busy\"") {
            Some(Self::Busy)
        } else if says(b"\"idle\"") {
            Some(Self::Idle)
        } else {
            None
        }
    }
}

/// What a kernel does.
#[derive(Debug)]
pub struct Activity {
    outstanding: HashSet<String>,
    last: Timestamp,
}

impl Default for Activity {
    fn default() -> Self {
        Self {
            outstanding: HashSet::new(),
            last: Timestamp::now(),
        }
    }
}

impl Activity {
    /// Takes note of what the kernel said.
    pub fn observe(&mut self, incoming: &Incoming) {
        let tracked =
            !incoming.parent_type.is_empty() && !UNTRACKED.contains(&incoming.parent_type.as_str());
        let while_busy = incoming.channel == Channel::Iopub && self.busy();
        if tracked || while_busy {
            self.last = Timestamp::now();
        }
        match Status::of(incoming) {
            Some(Status::Busy) if tracked && self.outstanding.len() < MOST_OUTSTANDING => {
                self.outstanding.insert(incoming.parent_id.clone());
            }
            Some(Status::Idle) => {
                self.outstanding.remove(&incoming.parent_id);
            }
            _ => {}
        }
    }

    /// Forgets what a process had under way that is gone.
    pub fn process_ended(&mut self) {
        self.outstanding.clear();
        self.last = Timestamp::now();
    }

    /// Whether any request is being worked on.
    pub fn busy(&self) -> bool {
        !self.outstanding.is_empty()
    }

    /// When something last happened.
    pub fn last(&self) -> Timestamp {
        self.last
    }
}
