//! The executions of a sandbox: those that run, and the last ones that have ended.
//!
//! Everything is bounded: how many ended ones are kept, and the memory that their logs take.
//! A key of a client names its execution for as long as that is kept.

use super::log::{Log, Writer};
use super::picture::Pictures;
use super::result::Bundle;
use super::store::Store;
use super::{Birth, End, Execution, State};
use jiff::Timestamp;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use thiserror::Error;
use tokio::sync::watch;
use tokio::time::Instant;

/// Ended executions that are kept.
const MOST_ENDED: usize = 1000;

/// Memory of the logs of ended executions, in bytes.
const ENDED_BYTES: usize = 24 << 20;

/// What an execution takes beside its log, in bytes, for the bound above; measured by
/// `tests/perf/executions.py`.
const EXECUTION_BYTES: usize = 1 << 10;

/// What a key was used for: the digest of the request.
pub type Digest = [u8; 32];

/// Why an execution cannot be had.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum Conflict {
    /// The key names an execution of another request.
    #[error("this idempotency key was used for another request")]
    OtherRequest,
}

/// All executions that are known.
pub struct Executions {
    store: Arc<Store>,
    pictures: Pictures,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    last: u64,
    all: BTreeMap<u64, Arc<Execution>>,
    names: HashMap<String, u64>,
    keys: HashMap<String, (Digest, u64)>,
    keys_of: HashMap<u64, String>,
    ended: VecDeque<(u64, usize)>,
    ended_bytes: usize,
}

/// The duty to run an execution: its log and its end. Dropped without an end, it was interrupted.
pub struct Duty {
    /// The execution.
    pub execution: Arc<Execution>,
    writer: Option<Writer>,
    executions: Arc<Executions>,
}

impl Executions {
    /// None yet.
    pub fn new(store: Arc<Store>, pictures: Pictures) -> Arc<Self> {
        Arc::new(Self {
            store,
            pictures,
            table: Mutex::default(),
        })
    }

    /// The execution of an earlier request with this key.
    pub fn repeated(&self, key: &str, digest: &Digest) -> Result<Option<Arc<Execution>>, Conflict> {
        self.lock().repeated(key, digest)
    }

    /// Notes a new execution. With a key that is known already: that execution, and no duty.
    pub fn add(
        self: &Arc<Self>,
        birth: Birth,
        key: Option<(String, Digest)>,
    ) -> Result<(Arc<Execution>, Option<Duty>), Conflict> {
        let mut table = self.lock();
        if let Some((key, digest)) = &key
            && let Some(execution) = table.repeated(key, digest)?
        {
            return Ok((execution, None));
        }
        table.last += 1;
        let number = table.last;
        let id = uuid::Uuid::new_v4().to_string();
        let (log, writer) = Log::new(self.store.clone(), &id);
        let deadline = birth.deadline_seconds.map(Duration::from_secs);
        let execution = Arc::new(Execution {
            id: id.clone(),
            number,
            birth,
            created: Timestamp::now(),
            deadline: deadline.and_then(|after| Instant::now().checked_add(after)),
            log,
            state: watch::Sender::new(State::Queued),
            stop: watch::Sender::new(None),
        });
        table.all.insert(number, execution.clone());
        table.names.insert(id, number);
        if let Some((key, digest)) = key {
            table.keys_of.insert(number, key.clone());
            table.keys.insert(key, (digest, number));
        }
        let duty = Duty {
            execution: execution.clone(),
            writer: Some(writer),
            executions: self.clone(),
        };
        Ok((execution, Some(duty)))
    }

    /// The execution with this id.
    pub fn get(&self, id: &str) -> Option<Arc<Execution>> {
        let table = self.lock();
        table.all.get(table.names.get(id)?).cloned()
    }

    /// Executions that were started before `before` (an id, or the newest ones), newest first,
    /// and whether there are more. `None` when that id is not known.
    pub fn page(
        &self,
        before: Option<&str>,
        most: usize,
        wanted: impl Fn(&Execution) -> bool,
    ) -> Option<(Vec<Arc<Execution>>, bool)> {
        let table = self.lock();
        let before = match before {
            Some(id) => *table.names.get(id)?,
            None => u64::MAX,
        };
        let mut found = table.all.range(..before).rev();
        let mut found = found
            .by_ref()
            .map(|(_, execution)| execution)
            .filter(|execution| wanted(execution));
        let page = found.by_ref().take(most).cloned().collect();
        let more = found.next().is_some();
        Some((page, more))
    }

    fn ended(&self, execution: &Arc<Execution>) {
        self.store.ended(&execution.log);
        let bytes = execution.log.resident() + EXECUTION_BYTES;
        let mut table = self.lock();
        table.ended.push_back((execution.number, bytes));
        table.ended_bytes += bytes;
        let mut gone = Vec::new();
        while table.ended.len() > MOST_ENDED
            || (table.ended_bytes > ENDED_BYTES && table.ended.len() > 1)
        {
            let Some((number, bytes)) = table.ended.pop_front() else {
                break;
            };
            table.ended_bytes -= bytes;
            if let Some(key) = table.keys_of.remove(&number) {
                table.keys.remove(&key);
            }
            if let Some(execution) = table.all.remove(&number) {
                table.names.remove(&execution.id);
                gone.push(execution);
            }
        }
        drop(table);
        for execution in gone {
            self.store.give_back(execution.log.forget_files());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // The worst that a panic leaves is one entry too many.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn repeated(&self, key: &str, digest: &Digest) -> Result<Option<Arc<Execution>>, Conflict> {
        let Some((known, number)) = self.keys.get(key) else {
            return Ok(None);
        };
        if known != digest {
            return Err(Conflict::OtherRequest);
        }
        Ok(self.all.get(number).cloned())
    }
}

impl Duty {
    /// Adds an event.
    pub async fn write(&self, line: Vec<u8>) {
        if let Some(writer) = &self.writer {
            writer.append(line).await;
        }
    }

    /// The line of a result, whose pictures are not larger than wanted. `None` when the kernel's
    /// content cannot be read.
    pub async fn result(&self, content: &[u8], main: bool) -> Option<Vec<u8>> {
        let mut bundle = Bundle::read(content)?;
        let pictures = &self.executions.pictures;
        pictures.fit(&mut bundle, self.execution.log()).await;
        Some(bundle.line(main))
    }

    /// Ends the execution and its log.
    pub async fn end(mut self, end: End) {
        if let Some(writer) = self.writer.take() {
            writer.flush().await;
            // First the state, so that whoever reads to the end finds it.
            self.execution.finish(end);
            drop(writer);
        }
    }
}

impl Drop for Duty {
    fn drop(&mut self) {
        self.execution.finish(End::Interrupted {
            kernel_restarted: false,
        });
        drop(self.writer.take());
        self.executions.ended(&self.execution);
    }
}
