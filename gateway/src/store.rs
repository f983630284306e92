//! What must outlive a restart of the gateway: keys, sandboxes, answers to repeated creates.
//!
//! SQLite on one thread of its own, behind a bounded queue: callers wait for their turn
//! without blocking the runtime, and no two writes can meet. The store holds facts; it knows
//! no protocol and takes no decision.

mod answers;
mod kernels;
mod keys;
mod sandboxes;
mod schema;
mod sessions;

pub use answers::SavedAnswer;
pub use kernels::KernelRow;
pub use keys::KeyRow;
pub use sandboxes::{SandboxRow, SavedDeath};

use rusqlite::Connection;
use std::{path::Path, thread, time::Duration};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

/// Jobs that may wait. Beyond it callers wait before they even queue.
const QUEUE_JOBS: usize = 256;
/// A `soulbox key` command may hold the file for a moment.
const BUSY_DEADLINE: Duration = Duration::from_secs(5);

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// Why a fact was not stored or read.
#[derive(Debug, Error)]
pub enum StoreError {
    /// SQLite said no.
    #[error("the store failed: {0}")]
    Database(#[from] rusqlite::Error),
    /// A row does not hold what this version writes.
    #[error("the store holds a {what} that can't be read: {why}")]
    Unreadable {
        /// What kind of row.
        what: &'static str,
        /// What was wrong with it.
        why: String,
    },
    /// The file was written by a newer version.
    #[error("the store was written by a newer soulbox (format {found}, this one knows {known})")]
    Newer {
        /// Format of the file.
        found: usize,
        /// Newest format that this version knows.
        known: usize,
    },
    /// The thread is gone.
    #[error("the store is closed")]
    Closed,
}

/// A handle of the store; clones share the one thread.
#[derive(Debug, Clone)]
pub struct Store {
    jobs: mpsc::Sender<Job>,
}

impl Store {
    /// Opens or makes the file, and brings it to this version's format. Blocks.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let mut connection = Connection::open(path)?;
        connection.busy_timeout(BUSY_DEADLINE)?;
        // After a crash of the machine the sandboxes are gone as well, so the last
        // transactions may go with them; after a crash of the gateway nothing is lost.
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        schema::migrate(&mut connection)?;
        let (jobs, mut queue) = mpsc::channel::<Job>(QUEUE_JOBS);
        thread::Builder::new()
            .name("store".into())
            .spawn(move || {
                while let Some(job) = queue.blocking_recv() {
                    job(&mut connection);
                }
            })
            .expect("a thread can be started");
        Ok(Self { jobs })
    }

    /// Runs one job on the store's thread and waits for its result.
    async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, result) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            // A caller that has gone away does not want the answer.
            let _ = answer.send(job(connection));
        });
        self.jobs.send(job).await.map_err(|_| StoreError::Closed)?;
        result.await.map_err(|_| StoreError::Closed)?
    }
}
