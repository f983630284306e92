//! Executions: one run of code in a kernel, as an object that outlives its request.
//!
//! `Queued ─► Running ─► Ended(ok | error | interrupted | death)`. Its events are in a
//! [`log::Log`]; whoever wants them attaches a [`reader::Reader`] and may leave and come back.
//! Executions of the E2B route, of our own and of Jupyter clients are all of this kind. Nothing
//! in here knows HTTP.

mod chunk;
pub mod death;
pub mod item;
pub mod jupyter;
pub mod log;
#[cfg(test)]
mod log_tests;
pub mod picture;
pub mod raw;
pub mod reader;
pub mod registry;
pub mod result;
pub mod run;
pub mod store;

use jiff::Timestamp;
use log::Log;
use reader::Reader;
use soulbox_protocol::execution::{Death, EndName, Origin, Shown, StateName};
use std::sync::Arc;
use tokio::sync::watch;
use tokio::time::Instant;

/// Where an execution stands.
#[derive(Debug, Clone)]
pub enum State {
    /// Its turn has not come.
    Queued,
    /// The kernel works on it.
    Running {
        /// Since when.
        since: Timestamp,
    },
    /// It is over.
    Ended {
        /// Since when it ran, if it did.
        since: Option<Timestamp>,
        /// When it ended.
        at: Timestamp,
        /// How.
        end: End,
    },
}

/// How an execution ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The code ran to its end.
    Ok,
    /// The code raised an error.
    Error,
    /// Interrupted on request. Where that had no effect, its kernel was restarted.
    Interrupted {
        /// Whether it took a new kernel.
        kernel_restarted: bool,
    },
    /// It could not go on.
    Death(Death),
}

/// Why an execution is to be ended before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The client whose request it is has hung up.
    HangUp,
    /// Somebody asked for it.
    Interrupt,
    /// Its deadline has passed.
    Deadline,
}

/// What is known of an execution from its start.
#[derive(Debug, Clone)]
pub struct Birth {
    /// The context that it runs in.
    pub context_id: String,
    /// The language of that context.
    pub language: String,
    /// Who started it.
    pub origin: Origin,
    /// Seconds that it has.
    pub deadline_seconds: Option<u64>,
}

/// One execution.
pub struct Execution {
    id: String,
    /// Ascends with every execution of the sandbox.
    number: u64,
    birth: Birth,
    created: Timestamp,
    deadline: Option<Instant>,
    log: Arc<Log>,
    state: watch::Sender<State>,
    stop: watch::Sender<Option<Stop>>,
}

impl Execution {
    /// Its name.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What was known from its start.
    pub fn birth(&self) -> &Birth {
        &self.birth
    }

    /// Its events.
    pub fn log(&self) -> &Arc<Log> {
        &self.log
    }

    /// Its events from a number on.
    pub fn attach(&self, from: u64) -> Reader {
        Reader::attach(&self.log, from)
    }

    /// How it ended, if it has.
    pub fn end(&self) -> Option<End> {
        match &*self.state.borrow() {
            State::Ended { end, .. } => Some(end.clone()),
            _ => None,
        }
    }

    /// Has it ended before its time. The first reason counts.
    pub fn stop(&self, why: Stop) {
        self.stop.send_if_modified(|stop| {
            let first = stop.is_none();
            stop.get_or_insert(why);
            first
        });
    }

    /// Why it is to end, if it is.
    pub fn stopped(&self) -> Option<Stop> {
        *self.stop.borrow()
    }

    /// Waits until it is to end before its time.
    pub async fn stopping(&self) -> Stop {
        let mut stop = self.stop.subscribe();
        let asked = async {
            let why = stop.wait_for(Option::is_some).await.map(|stop| *stop);
            // The sender lives in this object.
            why.ok().flatten().unwrap_or(Stop::Interrupt)
        };
        let Some(deadline) = self.deadline else {
            return asked.await;
        };
        tokio::select! {
            biased;
            why = asked => why,
            () = tokio::time::sleep_until(deadline) => {
                self.stop(Stop::Deadline);
                self.stopped().unwrap_or(Stop::Deadline)
            }
        }
    }

    /// Its turn has come.
    pub fn begin(&self) {
        let since = Timestamp::now();
        self.state.send_replace(State::Running { since });
    }

    /// It is over; only the first end counts.
    fn finish(&self, end: End) {
        self.state.send_if_modified(|state| {
            let since = match state {
                State::Queued => None,
                State::Running { since } => Some(*since),
                State::Ended { .. } => return false,
            };
            let at = Timestamp::now();
            *state = State::Ended { since, at, end };
            true
        });
    }

    /// The word for where it stands.
    pub fn state_name(&self) -> StateName {
        match &*self.state.borrow() {
            State::Queued => StateName::Queued,
            State::Running { .. } => StateName::Running,
            State::Ended { .. } => StateName::Ended,
        }
    }

    /// As clients see it.
    pub fn shown(&self) -> Shown {
        let time = |time: Timestamp| format!("{time:.6}");
        let state = self.state.borrow().clone();
        let (name, started, ended, end) = match state {
            State::Queued => (StateName::Queued, None, None, None),
            State::Running { since } => (StateName::Running, Some(since), None, None),
            State::Ended { since, at, end } => (StateName::Ended, since, Some(at), Some(end)),
        };
        Shown {
            id: self.id.clone(),
            context_id: self.birth.context_id.clone(),
            language: self.birth.language.clone(),
            origin: self.birth.origin,
            state: name,
            death: end.as_ref().and_then(End::death).cloned(),
            end: end.as_ref().map(End::name),
            created_at: time(self.created),
            started_at: started.map(time),
            ended_at: ended.map(time),
            deadline_seconds: self.birth.deadline_seconds,
            output: self.log.output(),
        }
    }
}

impl End {
    /// The word on the wire.
    pub fn name(&self) -> EndName {
        match self {
            Self::Ok => EndName::Ok,
            Self::Error => EndName::Error,
            Self::Interrupted { .. } => EndName::Interrupted,
            Self::Death(_) => EndName::Death,
        }
    }

    /// The death, if it was one.
    pub fn death(&self) -> Option<&Death> {
        match self {
            Self::Death(death) => Some(death),
            _ => None,
        }
    }
}
