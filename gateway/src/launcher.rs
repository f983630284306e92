//! `soulbox serve` as it is started: binds the socket, sees to the node, and keeps an
//! unprivileged gateway running.
//!
//! It parses nothing that comes from a client. Kill it, and the gateway goes with it, while
//! the node and every sandbox live on for the next `soulbox serve` to take up.

mod directory;
mod node;
mod node_log;
mod worker;

pub use worker::UNUSABLE;

use crate::{
    config::{Account, ConfigError, Settings},
    nodeclient::Control,
};
use std::{io, net::TcpListener, path::PathBuf, time::Duration};
use thiserror::Error;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::sleep,
};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Why serving ended, other than by a wish.
#[derive(Debug, Error)]
pub enum LaunchError {
    /// The configuration makes no sense.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The operating system refused something.
    #[error("could not {what}: {cause}")]
    System {
        /// What was tried.
        what: String,
        /// Why not.
        cause: io::Error,
    },
    /// No node, and no right to start one.
    #[error(
        "no node answers on {socket}, and only root can start one: run `sudo soulbox serve`, \
         or start `sudo soulbox node` first and give this user its socket with --user"
    )]
    NoNode {
        /// Where it was looked for.
        socket: PathBuf,
    },
    /// Somebody else uses the data directory.
    #[error("{0} is in use by another `soulbox serve`")]
    InUse(PathBuf),
    /// The node ended instead of answering.
    #[error("the node did not start; its log ({log}) ends with:\n{tail}")]
    NodeFailed {
        /// Its log.
        log: PathBuf,
        /// The last lines of it.
        tail: String,
    },
    /// The gateway could not start; it said why.
    #[error("the gateway did not start")]
    WorkerUnusable,
}

/// Runs until a signal comes, and then until all is gone.
pub async fn run(settings: Settings) -> Result<(), LaunchError> {
    let mut signals = Signals::listen()?;
    let root = rustix::process::geteuid().is_root();
    let account = if root {
        Some(Account::find(settings.user.as_deref())?)
    } else {
        None
    };
    let _lock = directory::take(&settings, account)?;
    let listener = TcpListener::bind(settings.listen).map_err(system(format!(
        "listen on {} (setting `listen`)",
        settings.listen
    )))?;
    warn_if_public(&settings);
    let mut node = node::Keeper::new(&settings, account);
    tokio::select! {
        begun = node.begin() => begun?,
        () = signals.next() => {
            node.end(&mut signals).await;
            return Ok(());
        }
    }
    let mut worker = worker::Worker::start(&settings, &listener, account)?;
    let mut pause = FIRST_PAUSE;
    let outcome = loop {
        tokio::select! {
            () = signals.next() => break Ok(()),
            () = node.keep() => {}
            ended = worker.ended() => {
                if ended.is_unusable() {
                    break Err(LaunchError::WorkerUnusable);
                }
                say(&format!("the gateway ended ({ended}); starting it again"));
                sleep(pause).await;
                pause = if ended.lived_long() { FIRST_PAUSE } else { (pause * 2).min(LONGEST_PAUSE) };
                worker = worker::Worker::start(&settings, &listener, account)?;
            }
        }
    };
    drop(listener);
    say("ending");
    worker.end(&mut signals).await;
    node.end(&mut signals).await;
    outcome
}

/// The signals that end everything.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> Result<Self, LaunchError> {
        let listen = |kind| signal(kind).map_err(system("listen for signals".into()));
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// One line for whoever watches.
pub fn say(text: &str) {
    eprintln!("soulbox: {text}");
}

/// The node's control connection.
fn control(settings: &Settings) -> Control {
    Control::new(settings.node_socket())
}

fn warn_if_public(settings: &Settings) {
    if !settings.listen.ip().is_loopback() {
        say("listening beyond this machine without encryption: put a TLS proxy in front");
    }
}

fn system(what: String) -> impl FnOnce(io::Error) -> LaunchError {
    move |cause| LaunchError::System { what, cause }
}
