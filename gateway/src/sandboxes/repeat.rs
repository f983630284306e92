//! Requests that a client may send twice: only one of them at a time does its work.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};
use tokio::sync::{Mutex as Turns, OwnedMutexGuard};

/// How a repetition is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepeatKey {
    /// Number of the API key: two owners may choose the same text.
    pub owner: i64,
    /// The client's text.
    pub key: String,
    /// Hash of the request, which must be the same.
    pub request: [u8; 32],
}

/// An owner and its text.
type Name = (i64, String);

/// Whose turn it is, per key. Holds only keys that are in use right now.
#[derive(Debug, Default)]
pub struct Repeats {
    turns: Mutex<HashMap<Name, Arc<Turns<()>>>>,
}

/// The right to do the work of one key.
pub struct Turn<'a> {
    repeats: &'a Repeats,
    name: Name,
    guard: Option<OwnedMutexGuard<()>>,
}

impl Repeats {
    /// Waits for earlier requests with the same key.
    pub async fn turn(&self, repeat: &RepeatKey) -> Turn<'_> {
        let name = (repeat.owner, repeat.key.clone());
        let lock = {
            let mut turns = self.turns.lock().expect("no holder panics");
            Arc::clone(turns.entry(name.clone()).or_default())
        };
        let guard = Some(lock.lock_owned().await);
        Turn {
            repeats: self,
            name,
            guard,
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.guard = None;
        let mut turns = self.repeats.turns.lock().expect("no holder panics");
        // Whoever waits holds the lock's other reference and keeps the entry.
        if turns
            .get(&self.name)
            .is_some_and(|lock| Arc::strong_count(lock) == 1)
        {
            turns.remove(&self.name);
        }
    }
}
