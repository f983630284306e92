//! Kernels: how they are found, started, spoken with and kept alive.
//!
//! A [`Kernel`] is what a context or a Jupyter client holds. It outlives its processes: behind
//! it a supervisor starts one, connects a [`link::Link`] to it, and starts the next one when
//! it is lost. This half speaks Jupyter and knows nothing of the interpreter's HTTP.
//!
//! `Unstarted ─► Starting ─► Live (idle ⇄ busy) ─► Restarting ─► Live … Dead(loss)`

pub mod activity;
pub mod announcement;
pub mod audience;
pub mod backlog;
pub mod connection;
pub mod fanout;
pub mod forker;
pub mod launch;
pub mod link;
pub mod loss;
pub mod message;
mod outbox;
pub mod request;
pub mod spec;
mod supervisor;
mod wire;
pub mod zmq;
mod zmtp;

use crate::process::reaper::Reaper;
use crate::sandbox::{Identity, Sandbox};
use audience::Audience;
use fanout::Channel;
use forker::Forker;
use link::Link;
use loss::Loss;
use message::Message;
use outbox::Outbox;
use request::Environment;
use spec::Spec;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use supervisor::Command;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

/// Longest start of a kernel, from its process to its first answer. A cold start on a busy
/// machine takes a few seconds, with a warm-up of the libraries ten.
pub const START_DEADLINE: Duration = Duration::from_secs(60);

/// Longest wait for a kernel to take new variables; it answers while code runs.
const RENEW_DEADLINE: Duration = Duration::from_secs(5);

/// Commands that may wait for the supervisor.
const COMMANDS: usize = 16;

/// What a kernel is made of.
pub struct Config {
    /// How to start it.
    pub spec: Spec,
    /// Its working directory.
    pub cwd: PathBuf,
    /// Variables of this kernel only, which win over the sandbox's.
    pub env: BTreeMap<String, String>,
    /// Whose variables it sees.
    pub sandbox: Arc<Sandbox>,
    /// Who waits for its process.
    pub reaper: Arc<Reaper>,
    /// Who forks its processes, where its kernelspec has one. Without it, or while it is not
    /// ready, processes are started from the beginning.
    pub forker: Option<Arc<Forker>>,
    /// Whether the first process is started ahead of its use, and should warm itself up.
    pub ahead: bool,
}

/// Where a kernel is in its life.
#[derive(Clone)]
pub enum Life {
    /// Nobody has needed it yet.
    Unstarted,
    /// Its process was started and has not answered yet.
    Starting,
    /// It answers.
    Live(Arc<Link>),
    /// It was lost, and the next process is on its way.
    Restarting,
    /// It is not started again before somebody asks for it.
    Dead(Loss),
}

struct Shared {
    config: Config,
    life: watch::Sender<Life>,
    /// The identity whose variables the process has. Held while they are changed.
    applied: tokio::sync::Mutex<Arc<Identity>>,
    /// Clients that stay when a process is replaced.
    audience: Arc<Audience>,
}

/// A kernel. It ends when the last handle is dropped.
pub struct Kernel {
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
    outbox: Outbox,
}

impl Kernel {
    /// Makes a kernel without a process yet.
    pub fn new(config: Config) -> Self {
        let (commands, orders) = mpsc::channel(COMMANDS);
        let applied = tokio::sync::Mutex::new(config.sandbox.identity());
        let life = watch::Sender::new(Life::Unstarted);
        let shared = Arc::new(Shared {
            config,
            life,
            applied,
            audience: Arc::default(),
        });
        tokio::spawn(supervisor::supervise(shared.clone(), orders));
        let outbox = Outbox::new(shared.life.subscribe());
        Self {
            shared,
            commands,
            outbox,
        }
    }

    /// Clients that stay when a process is replaced.
    pub fn audience(&self) -> &Arc<Audience> {
        &self.shared.audience
    }

    /// Sends a client's message to the live process, or to the next one when there is none at
    /// the moment. Waits while much is on its way already.
    pub async fn send(&self, channel: Channel, message: Message) {
        self.outbox.send(channel, message).await;
    }

    /// What kind of kernel it is.
    pub fn spec(&self) -> &Spec {
        &self.shared.config.spec
    }

    /// Where it is in its life.
    pub fn life(&self) -> Life {
        self.shared.life.borrow().clone()
    }

    /// Its life as it goes on; ends with the kernel.
    pub fn lives(&self) -> watch::Receiver<Life> {
        self.shared.life.subscribe()
    }

    /// Starts a process if there is none.
    pub fn start(&self) {
        // A full queue holds commands that start it as well.
        let _ = self.commands.try_send(Command::Start);
    }

    /// The live process, started if need be; waits for a start that is under way.
    pub async fn live(&self, until: Instant) -> Result<Arc<Link>, Loss> {
        let mut life = self.shared.life.subscribe();
        let mut asked = false;
        loop {
            let now = life.borrow_and_update().clone();
            match now {
                // One whose process has just ended is not live any more, though nobody has said so.
                Life::Live(link) if link.loss().is_none() && link.child().try_exit().is_none() => {
                    return Ok(link);
                }
                Life::Dead(loss) if asked || loss == Loss::Unavailable || loss == Loss::Removed => {
                    return Err(loss);
                }
                Life::Unstarted | Life::Dead(_) if !asked => {
                    self.start();
                    asked = true;
                }
                _ => {}
            }
            match tokio::time::timeout_at(until, life.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err(Loss::Removed),
                Err(_) => return Err(Loss::Unready),
            }
        }
    }

    /// Ends the process and starts another one; what runs is told that it was restarted.
    pub async fn restart(&self) -> Result<(), Loss> {
        let (done, begun) = oneshot::channel();
        self.commands
            .send(Command::Restart(done))
            .await
            .map_err(|_| Loss::Removed)?;
        begun.await.map_err(|_| Loss::Removed)?;
        self.live(Instant::now() + START_DEADLINE).await.map(drop)
    }

    /// Ends the process for good.
    pub async fn remove(&self) {
        let (done, ended) = oneshot::channel();
        if self.commands.send(Command::Remove(done)).await.is_ok() {
            // An error says that the supervisor has ended already, which is what was wanted.
            let _ = ended.await;
        }
    }

    /// Hands the sandbox's present variables to the running process, and fresh entropy. A
    /// process that is only starting gets them from its supervisor before it is live.
    pub async fn renew(&self, entropy: Option<String>) {
        if let Life::Live(link) = self.life() {
            self.shared.renew(&link, entropy).await;
        }
    }
}

impl Shared {
    async fn renew(&self, link: &Link, entropy: Option<String>) {
        if !self.config.spec.beyond.control_env {
            return;
        }
        let mut applied = self.applied.lock().await;
        let present = self.config.sandbox.identity();
        if Arc::ptr_eq(&applied, &present) && entropy.is_none() {
            return;
        }
        let own = &self.config.env;
        let gone = applied
            .env
            .keys()
            .filter(|name| !present.env.contains_key(*name) && !own.contains_key(*name));
        let mut env: BTreeMap<String, Option<String>> =
            gone.map(|name| (name.clone(), None)).collect();
        env.extend(
            present
                .env
                .iter()
                .filter(|(name, _)| !own.contains_key(*name))
                .map(|(name, value)| (name.clone(), Some(value.clone()))),
        );
        let change = Environment {
            env,
            cwd: None,
            entropy,
        };
        let until = Instant::now() + RENEW_DEADLINE;
        match link
            .answer(Channel::Control, until, |session| {
                request::environment(session, &change)
            })
            .await
        {
            Ok(_) => *applied = present,
            Err(error) => tracing::warn!(%error, "a kernel did not take the sandbox's variables"),
        }
    }
}
