//! `soulbox serve` as it is started: binds the socket, sees to the node, and keeps an
//! unprivileged gateway running.
//!
//! It parses nothing that comes from a client. Kill it, and the gateway goes with it, while
//! the node and every sandbox live on for the next `soulbox serve` to take up.

mod directory;
mod doors;
mod node;
mod node_log;
mod worker;

pub use doors::authority_file;
pub use worker::UNUSABLE;

use crate::{
    config::{Account, ConfigError, Settings},
    nodeclient::Control,
    tls::TlsError,
};
use std::{io, path::PathBuf, time::Duration};
use thiserror::Error;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{Instant, interval_at, sleep},
};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How often certificate files are looked at without being asked to.
const RENEWAL: Duration = Duration::from_secs(12 * 60 * 60);

/// Why serving ended, other than by a wish.
#[derive(Debug, Error)]
pub enum LaunchError {
    /// The configuration makes no sense.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// There is no certificate to serve HTTPS with.
    #[error(transparent)]
    Tls(#[from] TlsError),
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
    let mut doors = doors::Doors::open(&settings)?;
    warn_if_public(&settings);
    let mut node = node::Keeper::new(&settings, account);
    let begun = tokio::select! {
        begun = node.begin() => begun,
        () = signals.next() => {
            node.end(&mut signals).await;
            return Ok(());
        }
    };
    let outcome = match begun {
        Ok(()) => serve(&settings, &mut doors, account, &mut node, &mut signals).await,
        Err(error) => Err(error),
    };
    drop(doors);
    // Also after a failure: nobody else would end what was started here.
    node.end(&mut signals).await;
    outcome
}

/// Keeps a gateway running until a signal comes or none can be started.
async fn serve(
    settings: &Settings,
    doors: &mut doors::Doors,
    account: Option<Account>,
    node: &mut node::Keeper,
    signals: &mut Signals,
) -> Result<(), LaunchError> {
    let mut renewal = Renewal::new(doors)?;
    let mut worker = worker::Worker::start(settings, doors, account)?;
    let mut pause = FIRST_PAUSE;
    loop {
        tokio::select! {
            () = signals.next() => break,
            () = node.keep() => {}
            () = renewal.due() => doors.renew(worker.channel()),
            ended = worker.ended() => {
                if ended.is_unusable() {
                    return Err(LaunchError::WorkerUnusable);
                }
                say(&format!("the gateway ended ({ended}); starting it again"));
                sleep(pause).await;
                pause = if ended.lived_long() { FIRST_PAUSE } else { (pause * 2).min(LONGEST_PAUSE) };
                worker = worker::Worker::start(settings, doors, account)?;
            }
        }
    }
    say("ending");
    worker.end(signals).await;
    Ok(())
}

/// When the certificate is to be looked at again: on SIGHUP, and now and then.
struct Renewal(Option<(Signal, tokio::time::Interval)>);

impl Renewal {
    /// Without HTTPS there is nothing to renew, and SIGHUP ends a program as ever.
    fn new(doors: &doors::Doors) -> Result<Self, LaunchError> {
        if !doors.has_tls() {
            return Ok(Self(None));
        }
        let hangup = signal(SignalKind::hangup()).map_err(system("listen for signals".into()))?;
        let clock = interval_at(Instant::now() + RENEWAL, RENEWAL);
        Ok(Self(Some((hangup, clock))))
    }

    async fn due(&mut self) {
        let Some((hangup, clock)) = &mut self.0 else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = hangup.recv() => {}
            _ = clock.tick() => {}
        }
    }
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
        say(&format!(
            "{} is beyond this machine and not encrypted: use HTTPS (`--tls-cert`), or a proxy with it",
            settings.listen
        ));
    }
}

fn system(what: String) -> impl FnOnce(io::Error) -> LaunchError {
    move |cause| LaunchError::System { what, cause }
}
