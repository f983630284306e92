//! Contexts: a kernel with a language and a working directory, and the queue before it.
//!
//! The first context of a language that nobody named is its default; Python's and JavaScript's
//! are listed from the start, though a process starts only when it is needed.

use crate::execution::registry::{Duty, Executions};
use crate::execution::run::{self, Run};
use crate::execution::{Birth, End, Stop, jupyter};
use crate::hardship::HardshipDesk;
use crate::kernel::forker::Forker;
use crate::kernel::loss::Loss;
use crate::kernel::spec::{Spec, Specs};
use crate::kernel::{Config, Kernel, Life, START_DEADLINE};
use crate::process::reaper::Reaper;
use crate::sandbox::Sandbox;
use serde::Serialize;
use soulbox_protocol::execution::Origin;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// Working directory of contexts that name none.
pub const DEFAULT_CWD: &str = "/home/user";

/// Language of requests that name none.
pub const DEFAULT_LANGUAGE: &str = "python";

/// Languages whose default context is listed from the start, in this order.
const LISTED: [&str; 2] = [DEFAULT_LANGUAGE, "javascript"];

/// Contexts of one sandbox. Each may be a process of 100 MB.
const MOST_CONTEXTS: usize = 64;

/// Executions that may wait in one context. Each holds a request.
const MOST_WAITING: usize = 64;

/// Code that may wait or run in all contexts together, in bytes.
const WAITING_BYTES: usize = 256 << 20;

/// What a client asked for that cannot be had.
#[derive(Debug, Error)]
pub enum ContextError {
    /// No such context.
    #[error("Context {0} not found")]
    Unknown(String),
    /// No kernel for this language.
    #[error("Language {language} is not available in this sandbox; available: {available}")]
    Language {
        /// As the client said it.
        language: String,
        /// What there is, for the message.
        available: String,
    },
    /// The directory is not there.
    #[error("Working directory {0} does not exist")]
    Directory(String),
    /// Another kernel has this id.
    #[error("A kernel with the id {0} exists already")]
    Taken(String),
    /// There are enough.
    #[error("This sandbox has {MOST_CONTEXTS} contexts already; remove one first")]
    TooMany,
    /// The queue is full.
    #[error("{MOST_WAITING} executions are already waiting in this context")]
    Queue,
    /// The queues are full of code.
    #[error("{} MiB of code are already waiting in this sandbox", WAITING_BYTES >> 20)]
    Code,
    /// The kernel did not start.
    #[error("{0}")]
    Kernel(#[from] Loss),
}

/// A context as clients see it.
#[derive(Debug, Clone, Serialize)]
pub struct Shown {
    id: String,
    language: String,
    cwd: String,
}

/// A kernel that a Jupyter client asks for.
#[derive(Debug, Default)]
pub struct Asked {
    /// Name or alias of its language; Python's if there is none.
    pub language: Option<String>,
    /// The id that it is to have.
    pub id: Option<String>,
    /// Its directory, which exists; the default one if there is none.
    pub cwd: Option<String>,
    /// Variables of this kernel only.
    pub env: BTreeMap<String, String>,
}

/// A kernel with a language and a directory.
pub struct Context {
    shown: Shown,
    kernel: Kernel,
    is_default: bool,
    turn: Semaphore,
    waiting: AtomicUsize,
    counter: AtomicU64,
    desk: Arc<HardshipDesk>,
    room: Arc<Semaphore>,
}

/// A place in the queue of a context.
pub struct Ticket(
    Arc<Context>,
    #[allow(dead_code, reason = "held")] OwnedSemaphorePermit,
);

impl Drop for Ticket {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The end of an execution whose turn never came.
async fn unbegun(why: Stop, duty: &Duty) -> End {
    match why {
        Stop::Deadline => run::timeout(duty, false).await,
        Stop::HangUp | Stop::Interrupt => End::Interrupted {
            kernel_restarted: false,
        },
    }
}

impl Context {
    /// As clients see it.
    pub fn shown(&self) -> Shown {
        self.shown.clone()
    }

    /// Its id, which is the kernel's for Jupyter clients.
    pub fn id(&self) -> &str {
        &self.shown.id
    }

    /// Its language.
    pub fn language(&self) -> &str {
        &self.shown.language
    }

    /// Its working directory.
    pub fn cwd(&self) -> &str {
        &self.shown.cwd
    }

    /// Its kernel.
    pub fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    /// Takes a place in the queue, if there is one and the kernel can ever run.
    pub fn enqueue(self: &Arc<Self>, code_bytes: usize) -> Result<Ticket, ContextError> {
        if let Life::Dead(loss @ Loss::Unavailable) = self.kernel.life() {
            return Err(ContextError::Kernel(loss));
        }
        let bytes = u32::try_from(code_bytes).map_err(|_| ContextError::Code)?;
        let room = self.room.clone().try_acquire_many_owned(bytes);
        let room = room.map_err(|_| ContextError::Code)?;
        let grow = |waiting| (waiting < MOST_WAITING).then_some(waiting + 1);
        match self
            .waiting
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, grow)
        {
            Ok(_) => Ok(Ticket(self.clone(), room)),
            Err(_) => Err(ContextError::Queue),
        }
    }

    /// What an execution in this context is born with.
    pub fn birth(&self, origin: Origin, deadline_seconds: Option<u64>) -> Birth {
        Birth {
            context_id: self.shown.id.clone(),
            language: self.shown.language.clone(),
            origin,
            deadline_seconds,
        }
    }

    async fn take_turn(&self, run: Run, duty: &Duty) -> End {
        let execution = &duty.execution;
        let _turn = tokio::select! {
            biased;
            why = execution.stopping() => return unbegun(why, duty).await,
            turn = self.turn.acquire() => turn,
        };
        let live = tokio::select! {
            biased;
            why = execution.stopping() => return unbegun(why, duty).await,
            live = self.kernel.live(Instant::now() + START_DEADLINE) => live,
        };
        match live {
            Ok(link) => {
                execution.begin();
                run::run(&self.kernel, &link, run, &self.counter, duty, &self.desk).await
            }
            Err(loss) => run::without_kernel(&loss, duty, self.desk.known(), &self.desk).await,
        }
    }

    /// Clears the count with the state.
    async fn restart(&self) -> Result<(), Loss> {
        self.counter.store(0, Ordering::Relaxed);
        self.kernel.restart().await
    }
}

impl Ticket {
    /// Waits for its turn, runs the code, and ends the execution.
    pub async fn run(self, run: Run, duty: Duty) {
        let end = self.0.take_turn(run, &duty).await;
        // The context is free for the next one before the end is told.
        drop(self);
        duty.end(end).await;
    }
}

/// All contexts of the sandbox.
pub struct Contexts {
    sandbox: Arc<Sandbox>,
    reaper: Arc<Reaper>,
    specs: Specs,
    executions: Arc<Executions>,
    desk: Arc<HardshipDesk>,
    /// Room for code.
    room: Arc<Semaphore>,
    /// Of the languages that have one, by name.
    forkers: HashMap<String, Arc<Forker>>,
    list: Mutex<Vec<Arc<Context>>>,
}

impl Contexts {
    /// The default contexts, without processes.
    pub fn new(
        specs: Specs,
        sandbox: Arc<Sandbox>,
        reaper: Arc<Reaper>,
        executions: Arc<Executions>,
        desk: Arc<HardshipDesk>,
    ) -> Self {
        let forkers = specs
            .all()
            .iter()
            .filter_map(|spec| Some((spec.name.clone(), Forker::of(spec, &reaper)?)))
            .collect();
        let contexts = Self {
            sandbox,
            reaper,
            specs,
            executions,
            desk,
            room: Arc::new(Semaphore::new(WAITING_BYTES)),
            forkers,
            list: Mutex::new(Vec::new()),
        };
        for language in LISTED {
            // A language that has no kernel here is not promised.
            let _ = contexts.default_of(language);
        }
        contexts
    }

    /// As clients see them, the newest last.
    pub fn shown(&self) -> Vec<Shown> {
        self.list().iter().map(|context| context.shown()).collect()
    }

    /// All of them.
    pub fn all(&self) -> Vec<Arc<Context>> {
        self.list().clone()
    }

    /// The context with this id.
    pub fn get(&self, id: &str) -> Result<Arc<Context>, ContextError> {
        let found = self
            .list()
            .iter()
            .find(|context| context.shown.id == id)
            .cloned();
        found.ok_or_else(|| ContextError::Unknown(id.into()))
    }

    /// The default context of a language, made on first use.
    pub fn default_of(&self, language: &str) -> Result<Arc<Context>, ContextError> {
        let spec = self.spec(language)?;
        let mut list = self.list();
        let made = list
            .iter()
            .find(|context| context.is_default && context.shown.language == spec.name);
        match made {
            Some(context) => Ok(context.clone()),
            None => self.add(&mut list, &spec, Path::new(DEFAULT_CWD), true),
        }
    }

    /// Makes a context and waits until its kernel answers.
    pub async fn create(&self, language: &str, cwd: &str) -> Result<Arc<Context>, ContextError> {
        let spec = self.spec(language)?;
        if !Path::new(cwd).is_dir() {
            return Err(ContextError::Directory(cwd.into()));
        }
        let context = self.add(&mut self.list(), &spec, Path::new(cwd), false)?;
        match context.kernel.live(Instant::now() + START_DEADLINE).await {
            Ok(_) => Ok(context),
            Err(loss) => {
                self.take(&context.shown.id)?;
                Err(loss.into())
            }
        }
    }

    /// Makes a context as a Jupyter client wants it, and does not wait for its kernel.
    pub fn open(&self, asked: Asked) -> Result<Arc<Context>, ContextError> {
        let language = asked.language.as_deref().filter(|name| !name.is_empty());
        let spec = self.spec(language.unwrap_or(DEFAULT_LANGUAGE))?;
        let cwd = asked.cwd.unwrap_or_else(|| DEFAULT_CWD.into());
        let context = self.place(
            &mut self.list(),
            &spec,
            Path::new(&cwd),
            false,
            asked.id,
            asked.env,
        )?;
        context.kernel.start();
        Ok(context)
    }

    /// Restarts a context: same id, language and directory, no state.
    pub async fn restart(&self, id: &str) -> Result<(), ContextError> {
        let context = self.get(id)?;
        Ok(context.restart().await?)
    }

    /// Removes a context with its kernel.
    pub async fn remove(&self, id: &str) -> Result<(), ContextError> {
        self.take(id)?.kernel.remove().await;
        Ok(())
    }

    fn take(&self, id: &str) -> Result<Arc<Context>, ContextError> {
        let mut list = self.list();
        let at = list.iter().position(|context| context.shown.id == id);
        at.map(|at| list.remove(at))
            .ok_or_else(|| ContextError::Unknown(id.into()))
    }

    fn spec(&self, language: &str) -> Result<Spec, ContextError> {
        let found = self.specs.find(&language.trim().to_lowercase());
        found.ok_or_else(|| ContextError::Language {
            language: language.into(),
            available: self
                .specs
                .all()
                .iter()
                .map(|spec| spec.name.as_str())
                .collect::<Vec<_>>()
                .join(", "),
        })
    }

    fn add(
        &self,
        list: &mut Vec<Arc<Context>>,
        spec: &Spec,
        cwd: &Path,
        is_default: bool,
    ) -> Result<Arc<Context>, ContextError> {
        self.place(list, spec, cwd, is_default, None, BTreeMap::new())
    }

    fn place(
        &self,
        list: &mut Vec<Arc<Context>>,
        spec: &Spec,
        cwd: &Path,
        is_default: bool,
        id: Option<String>,
        env: BTreeMap<String, String>,
    ) -> Result<Arc<Context>, ContextError> {
        if list.len() >= MOST_CONTEXTS {
            return Err(ContextError::TooMany);
        }
        let id = id.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
        if list.iter().any(|context| context.shown.id == id) {
            return Err(ContextError::Taken(id));
        }
        let shown = Shown {
            id,
            language: spec.name.clone(),
            cwd: cwd.to_string_lossy().into_owned(),
        };
        // A template without that directory still has an interpreter.
        let directory = if cwd.is_dir() {
            cwd.to_owned()
        } else {
            PathBuf::from("/")
        };
        let kernel = Kernel::new(Config {
            spec: spec.clone(),
            cwd: directory,
            env,
            sandbox: self.sandbox.clone(),
            reaper: self.reaper.clone(),
            forker: self.forkers.get(&spec.name).cloned(),
            ahead: is_default && spec.name == DEFAULT_LANGUAGE,
        });
        let context = Arc::new(Context {
            shown,
            kernel,
            is_default,
            turn: Semaphore::new(1),
            waiting: AtomicUsize::new(0),
            counter: AtomicU64::new(0),
            desk: self.desk.clone(),
            room: self.room.clone(),
        });
        let birth = context.birth(Origin::Jupyter, None);
        let (lives, executions) = (context.kernel.lives(), self.executions.clone());
        tokio::spawn(jupyter::record(lives, birth, executions, self.desk.clone()));
        list.push(context.clone());
        Ok(context)
    }

    fn list(&self) -> MutexGuard<'_, Vec<Arc<Context>>> {
        // Every change is a single push or remove.
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
