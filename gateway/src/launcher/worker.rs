//! The gateway's process: this program again, as an ordinary user, which is handed the bound
//! sockets over its standard input. It dies when the launcher dies.

use super::{LaunchError, Signals, doors::Doors, system};
use crate::{
    config::{Account, Settings},
    handover::{self, Channel},
};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fmt,
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};
use tokio::{
    process::{Child, Command},
    time::timeout,
};

/// Exit status of a gateway that will not start however often it is tried.
pub const UNUSABLE: u8 = 78;
/// A gateway that lived for so long is not in a loop of crashes.
const LONG: Duration = Duration::from_secs(30);
/// A little more than the gateway gives its running requests.
const PATIENCE: Duration = Duration::from_secs(15);
/// This program, also when its file was replaced or can't be reached by the user.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// A running gateway.
pub struct Worker {
    child: Child,
    channel: Channel,
    started: Instant,
}

/// How one ended.
pub struct Ended {
    status: Option<ExitStatus>,
    lived: Duration,
}

impl Worker {
    /// Starts one on copies of the sockets.
    pub fn start(
        settings: &Settings,
        doors: &Doors,
        account: Option<Account>,
    ) -> Result<Self, LaunchError> {
        let start = || system("start the gateway".into());
        let (channel, theirs) = handover::channel().map_err(start())?;
        doors.hand_over(&channel).map_err(start())?;
        let written = serde_json::to_string(settings).expect("settings have string keys only");
        let mut command = Command::new(THIS_PROGRAM);
        command
            .arg0("soulbox")
            .args([
                "gateway-worker",
                "--launcher",
                &std::process::id().to_string(),
            ])
            .args(["--settings", &written])
            .stdin(Stdio::from(theirs))
            // A Ctrl-C in the terminal is for the launcher, which passes it on.
            .process_group(0);
        if let Some(Account { uid, gid }) = account {
            // Supplementary groups are given up with it.
            command.uid(uid).gid(gid);
        }
        let child = command.spawn().map_err(start())?;
        Ok(Self {
            child,
            channel,
            started: Instant::now(),
        })
    }

    /// The way to hand it something.
    pub fn channel(&self) -> &Channel {
        &self.channel
    }

    /// Waits for its end.
    pub async fn ended(&mut self) -> Ended {
        let status = self.child.wait().await.ok();
        Ended {
            status,
            lived: self.started.elapsed(),
        }
    }

    /// Asks it to end, and makes sure. A second signal makes it short.
    pub async fn end(mut self, signals: &mut Signals) {
        signal(&self.child, Signal::TERM);
        let patient = timeout(PATIENCE, self.child.wait());
        let done = tokio::select! {
            done = patient => done.is_ok(),
            () = signals.next() => false,
        };
        if !done {
            signal(&self.child, Signal::KILL);
            let _ = self.child.wait().await;
        }
    }
}

/// Signals a child that has not been waited for, so that its number is still its own.
pub fn signal(child: &Child, signal: Signal) {
    let number = child.id().and_then(|id| i32::try_from(id).ok());
    if let Some(pid) = number.filter(|number| *number > 1).and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

impl Ended {
    /// Whether starting it again makes no sense.
    pub fn is_unusable(&self) -> bool {
        self.status.and_then(|status| status.code()) == Some(UNUSABLE.into())
    }

    /// Whether it worked for a while.
    pub fn lived_long(&self) -> bool {
        self.lived >= LONG
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status {
            Some(status) => status.fmt(f),
            None => f.write_str("unknown status"),
        }
    }
}
