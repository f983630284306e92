//! Events of a watcher, and the queue in which they wait for their client.

use crate::filesystem::entry::Entry;
use serde::Serialize;
use std::collections::VecDeque;

/// Events that wait for one client. As many as the kernel itself keeps by default.
const MAX_EVENTS: usize = 16_384;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Kind {
    /// Made, or moved to here.
    #[serde(rename = "EVENT_TYPE_CREATE")]
    Create,
    /// Its content changed.
    #[serde(rename = "EVENT_TYPE_WRITE")]
    Write,
    /// Removed.
    #[serde(rename = "EVENT_TYPE_REMOVE")]
    Remove,
    /// Moved away from here.
    #[serde(rename = "EVENT_TYPE_RENAME")]
    Rename,
    /// Mode, owner or attributes changed.
    #[serde(rename = "EVENT_TYPE_CHMOD")]
    Chmod,
}

/// `FilesystemEvent` of the contract.
#[derive(Debug, Clone, Serialize)]
pub struct Event {
    /// Path below the watched directory; `.` is the directory itself.
    pub name: String,
    /// What happened.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// The file as it was when the event was taken up, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<Entry>,
}

/// What has happened since the client last asked.
#[derive(Default)]
pub struct Queue {
    events: VecDeque<Event>,
    lost: bool,
}

impl Queue {
    /// Adds an event. One that says the same as the last one takes its place, as the kernel
    /// does it with events that nobody has read.
    pub fn push(&mut self, event: Event) {
        let is_full = self.events.len() == MAX_EVENTS;
        match self.events.back_mut() {
            Some(last) if last.kind == event.kind && last.name == event.name => *last = event,
            _ if is_full => self.lose(),
            _ => self.events.push_back(event),
        }
    }

    /// Some events did not arrive. Those before it are worth nothing then: the client has to
    /// look at the directory anyway.
    pub fn lose(&mut self) {
        self.events = VecDeque::new();
        self.lost = true;
    }

    /// Everything, once. `None` tells, once, that events were lost.
    pub fn take(&mut self) -> Option<Vec<Event>> {
        if std::mem::take(&mut self.lost) {
            self.events = VecDeque::new();
            return None;
        }
        Some(std::mem::take(&mut self.events).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str, kind: Kind) -> Event {
        Event {
            name: name.into(),
            kind,
            entry: None,
        }
    }

    #[test]
    fn equal_neighbours_are_one_and_others_stay() {
        let mut queue = Queue::default();
        for (name, kind) in [
            ("a", Kind::Write),
            ("a", Kind::Write),
            ("b", Kind::Write),
            ("a", Kind::Write),
            ("a", Kind::Chmod),
        ] {
            queue.push(event(name, kind));
        }
        let names: Vec<_> = queue.take().unwrap().into_iter().map(|e| e.name).collect();
        assert_eq!(names, ["a", "b", "a", "a"]);
        assert!(queue.take().unwrap().is_empty());
    }

    #[test]
    fn a_full_queue_says_once_that_events_are_lost() {
        let mut queue = Queue::default();
        for number in 0..=MAX_EVENTS {
            queue.push(event(&number.to_string(), Kind::Create));
        }
        assert!(queue.take().is_none());
        queue.push(event("later", Kind::Create));
        assert_eq!(queue.take().unwrap().len(), 1);
    }
}
