//! What happened to a sandbox, for its owner: when it began, what was asked of it, how it
//! ended. Never what: no code, command, path, output or variable is in it, and it is no part
//! of the server's own log.
//!
//! It is kept in memory, the last thousand lines of each living sandbox and of the last
//! hundred dead ones. Beginning and end are known from the store besides, so they survive a
//! restart of the gateway, and the rest does not.

use super::{Known, Sandbox, SandboxError, Sandboxes};
use jiff::Timestamp;
use soulbox_runtime::{Death, Reason, SandboxId};
use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Lines of one sandbox; the oldest go first.
const LINES: usize = 1000;
/// Dead sandboxes whose lines are kept.
const DEAD: usize = 100;

/// How serious a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Of interest to whoever looks closely.
    Debug,
    /// As it should be.
    Info,
    /// A request was refused.
    Warn,
    /// Something broke.
    Error,
}

/// One line.
#[derive(Debug, Clone)]
pub struct Line {
    /// When, in whole microseconds; different for each line of a sandbox.
    pub at: Timestamp,
    /// How serious.
    pub level: Level,
    /// Which part speaks: `sandbox`, `envd` or `interpreter`.
    pub logger: &'static str,
    /// What happened.
    pub message: &'static str,
    /// Further facts by name.
    pub fields: Vec<(&'static str, String)>,
}

/// The lines of one living sandbox.
#[derive(Debug, Default)]
pub struct Diary(Mutex<VecDeque<Line>>);

impl Diary {
    /// Notes that something happened now.
    pub fn note(
        &self,
        level: Level,
        logger: &'static str,
        message: &'static str,
        fields: Vec<(&'static str, String)>,
    ) {
        let mut lines = self.lock();
        let at = next_moment(lines.back().map(|last| last.at));
        if lines.len() >= LINES {
            lines.pop_front();
        }
        lines.push_back(Line {
            at,
            level,
            logger,
            message,
            fields,
        });
    }

    fn lines(&self) -> Vec<Line> {
        self.lock().iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Line>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The lines of the dead.
#[derive(Debug, Default)]
pub struct Archive(Mutex<VecDeque<(SandboxId, Vec<Line>)>>);

impl Archive {
    /// Takes over what is left of a sandbox.
    pub fn keep(&self, sandbox: &Sandbox) {
        let mut dead = self.lock();
        if dead.len() >= DEAD {
            dead.pop_front();
        }
        dead.push_back((sandbox.record.id.clone(), sandbox.diary.lines()));
    }

    fn of(&self, id: &SandboxId) -> Vec<Line> {
        let dead = self.lock();
        let found = dead.iter().find(|(dead, _)| dead == id);
        found.map(|(_, lines)| lines.clone()).unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(SandboxId, Vec<Line>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sandboxes {
    /// Every line about a sandbox that is known, dead or alive; oldest first.
    pub async fn diary(&self, id: &str) -> Result<Vec<Line>, SandboxError> {
        let known = self.known(id).await?;
        let id = &known.record.id;
        let noted = {
            // Whoever takes a sandbox out of this table archives it before others may look.
            let live = self.live.read().expect("no holder panics");
            let living = live.get(id).map(|sandbox| sandbox.diary.lines());
            living.unwrap_or_else(|| self.archive.of(id))
        };
        let mut lines = vec![beginning(&known)];
        lines.extend(noted);
        if let Some(death) = &known.death {
            lines.push(end(death, lines.last().map(|last| last.at)));
        }
        Ok(lines)
    }
}

fn beginning(known: &Known) -> Line {
    let record = &known.record;
    Line {
        at: record.started_at,
        level: Level::Info,
        logger: "sandbox",
        message: "the sandbox was handed over",
        fields: vec![
            ("template", record.template.to_string()),
            ("tier", record.tier.to_string()),
            ("fromPool", record.from_pool.to_string()),
        ],
    }
}

fn end(death: &Death, last: Option<Timestamp>) -> Line {
    let level = match death.reason {
        Reason::Killed | Reason::Timeout => Level::Info,
        _ => Level::Error,
    };
    Line {
        at: later(death.at, last),
        level,
        logger: "sandbox",
        message: "the sandbox ended",
        fields: vec![("reason", death.reason.to_string())],
    }
}

/// Now, but after the last line, also when the clock was set back.
fn next_moment(last: Option<Timestamp>) -> Timestamp {
    later(Timestamp::now(), last)
}

fn later(at: Timestamp, last: Option<Timestamp>) -> Timestamp {
    let after = last.map_or(i64::MIN, |last| last.as_microsecond().saturating_add(1));
    Timestamp::from_microsecond(at.as_microsecond().max(after)).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_bounded_and_no_two_have_the_same_time() {
        let diary = Diary::default();
        for _ in 0..LINES + 10 {
            diary.note(Level::Info, "sandbox", "again", Vec::new());
        }
        let lines = diary.lines();
        assert_eq!(lines.len(), LINES);
        assert!(lines.windows(2).all(|pair| pair[0].at < pair[1].at));
    }
}
