//! Watching directories (section 4.5 of the contract): inotify, also of what lies below.
//!
//! All watchers share one inotify descriptor, since the host gives a user few of them. What
//! it says is taken up in three places: by a task as it comes, by the calls of this agent that
//! make directories, before they write into them, and by whoever fetches events. So an event
//! is there once the call that caused it has returned, and a directory made through the agent
//! is covered before anything can be written into it.

pub mod event;
pub mod service;
mod tree;

use event::{Event, Queue};
use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;
use tree::Tree;

/// Watchers of one sandbox, streams included. Each may hold a full queue.
const MAX_WATCHERS: usize = 64;

/// How long the task waits before it takes up events: the kernel joins equal ones that nobody
/// has read yet, so that a small write is one event and not several.
const GATHER: Duration = Duration::from_millis(1);

/// Why nothing is watched.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The system said no.
    #[error("{0}")]
    System(#[from] io::Error),
    /// One more than the agent keeps.
    #[error("more than {MAX_WATCHERS} watchers in one sandbox; remove some")]
    TooManyWatchers,
    /// The tree is too large, for us or for the system.
    #[error("there are more directories to watch than are possible (at most {0})")]
    TooManyDirectories(usize),
}

/// What a client wants to know of a directory.
pub struct Watcher {
    /// As the client named it, absolute.
    root: PathBuf,
    recursive: bool,
    /// Whether events carry a description of the file.
    include_entry: bool,
    queue: Mutex<Queue>,
    arrived: Notify,
}

impl Watcher {
    /// A watcher that is not registered yet.
    pub fn new(root: PathBuf, recursive: bool, include_entry: bool) -> Self {
        Self {
            root,
            recursive,
            include_entry,
            queue: Mutex::default(),
            arrived: Notify::new(),
        }
    }

    /// Takes what has arrived. `None`: events were lost, and the client must look for itself.
    pub fn take(&self) -> Option<Vec<Event>> {
        self.queue().take()
    }

    /// Waits until there is something to take.
    pub async fn arrived(&self) {
        self.arrived.notified().await;
    }

    fn push(&self, event: Event) {
        self.queue().push(event);
        self.arrived.notify_one();
    }

    fn lose(&self) {
        self.queue().lose();
        self.arrived.notify_one();
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // A push or a take is whole even if a holder panicked.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All watchers of the sandbox.
#[derive(Default)]
pub struct Watchers {
    tree: Mutex<Tree>,
    /// Those registered, to be asked without the lock.
    count: AtomicUsize,
    /// Those made by `CreateWatcher`, by the id that the client has.
    named: Mutex<HashMap<String, Registration>>,
}

/// A registered watcher. Dropping it ends the watching.
pub struct Registration {
    watchers: Arc<Watchers>,
    number: u64,
    /// Where its events arrive.
    pub watcher: Arc<Watcher>,
}

impl Drop for Registration {
    fn drop(&mut self) {
        let (watchers, number) = (self.watchers.clone(), self.number);
        let remove = move || {
            watchers.tree().remove(number);
            watchers.count.fetch_sub(1, Ordering::AcqRel);
        };
        // The lock may be held while a tree is walked, and this may be a task that must not
        // wait for it.
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(remove)),
            Err(_) => remove(),
        }
    }
}

impl Watchers {
    /// Begins to watch. Walks the tree when the watcher is recursive, so it may block.
    pub fn register(self: &Arc<Self>, watcher: Watcher) -> Result<Registration, WatchError> {
        let room = |count: usize| (count < MAX_WATCHERS).then_some(count + 1);
        if self
            .count
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, room)
            .is_err()
        {
            return Err(WatchError::TooManyWatchers);
        }
        let watcher = Arc::new(watcher);
        match self.add(watcher.clone()) {
            Ok(number) => Ok(Registration {
                watchers: self.clone(),
                number,
                watcher,
            }),
            Err(error) => {
                self.count.fetch_sub(1, Ordering::AcqRel);
                Err(error)
            }
        }
    }

    fn add(self: &Arc<Self>, watcher: Arc<Watcher>) -> Result<u64, WatchError> {
        let mut tree = self.tree();
        if let Some(descriptor) = tree.open()? {
            self.follow(descriptor)?;
        }
        // What happened before is not for this watcher.
        tree.take_up();
        tree.add(watcher)
    }

    /// Takes up everything that has happened until now. Cheap when nobody watches.
    pub fn settle(&self) {
        if self.count.load(Ordering::Acquire) > 0 {
            self.tree().take_up();
        }
    }

    /// Does something that must be seen as one change: nobody takes up events in between, so
    /// that the kernel joins equal ones.
    pub fn as_one<T>(&self, change: impl FnOnce() -> T) -> T {
        let held = (self.count.load(Ordering::Acquire) > 0).then(|| self.tree());
        let done = change();
        drop(held);
        done
    }

    /// Keeps a watcher under an id, until [`Self::forget`].
    pub fn keep(&self, registration: Registration) -> String {
        let id = uuid::Uuid::new_v4().simple().to_string();
        self.named().insert(id.clone(), registration);
        id
    }

    /// Ends a kept watcher. `false` when there is none with this id.
    pub fn forget(&self, id: &str) -> bool {
        let registration = self.named().remove(id);
        registration.is_some()
    }

    /// A kept watcher.
    pub fn find(&self, id: &str) -> Option<Arc<Watcher>> {
        Some(self.named().get(id)?.watcher.clone())
    }

    /// Takes up events as they come, for as long as the agent lives.
    fn follow(self: &Arc<Self>, descriptor: Arc<OwnedFd>) -> io::Result<()> {
        // SAFETY: the `Arc` always gives the same descriptor, which the tree never closes.
        let descriptor = unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) }
            .map_err(|error| error.into_parts().1)?;
        let this = self.clone();
        tokio::runtime::Handle::current().spawn(async move {
            loop {
                match descriptor.readable().await {
                    Ok(mut ready) => ready.clear_ready(),
                    Err(error) => {
                        tracing::error!(%error, "directories are no longer watched");
                        return;
                    }
                }
                tokio::time::sleep(GATHER).await;
                let this = this.clone();
                // The lock is free for others between two rounds.
                let taken = tokio::task::spawn_blocking(move || while this.tree().take_up() {});
                if taken.await.is_err() {
                    tracing::error!("taking up events of directories failed");
                }
            }
        });
        Ok(())
    }

    fn tree(&self) -> MutexGuard<'_, Tree> {
        // After a panic a directory may be uncovered, which a client sees as missing events;
        // going on is better than none at all.
        self.tree.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn named(&self) -> MutexGuard<'_, HashMap<String, Registration>> {
        self.named.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a path is on a file system whose changes may be made elsewhere, where inotify does
/// not see them.
pub fn is_network_mount(path: &Path) -> bool {
    /// `f_type` of NFS, CIFS, SMB, SMB2 and FUSE (`linux/magic.h`). Plan 9 is not among them:
    /// it is how gVisor shows its own root.
    const NETWORK: [u32; 5] = [0x6969, 0xff53_4d42, 0x517b, 0xfe53_4d42, 0x6573_5546];
    // The numbers have 32 bits, in a field whose type differs between machines.
    rustix::fs::statfs(path).is_ok_and(|found| NETWORK.contains(&(found.f_type as u32)))
}
