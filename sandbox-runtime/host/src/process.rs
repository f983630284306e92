//! Processes by handle. A pid is only a number that may mean somebody else a moment
//! later, or, when it is -1 or 0, everybody: so a pid is never signalled here, only a
//! pidfd is, and [`Pid`] can't hold a number below 2.

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fd::{AsFd, BorrowedFd, OwnedFd},
    io::Errno,
    process::{
        Pid as RawPid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal,
        waitid,
    },
};
use std::{fmt, io, str::FromStr, sync::Mutex};
use tokio::io::{Interest, unix::AsyncFd};

/// A process id that names exactly one process: never -1, 0 or 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pid(RawPid);

impl Pid {
    /// Checks a number that came from anywhere. `None` for everything that would mean more
    /// than one process, or the machine's init.
    pub fn new(number: i64) -> Option<Self> {
        let number = i32::try_from(number).ok().filter(|n| *n > 1)?;
        RawPid::from_raw(number).map(Self)
    }

    /// The number, for paths below `/proc` and for comparison.
    pub fn number(self) -> u32 {
        self.0.as_raw_nonzero().get().unsigned_abs()
    }
}

impl FromStr for Pid {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        text.trim()
            .parse()
            .ok()
            .and_then(Self::new)
            .ok_or_else(|| "not the id of one process".to_owned())
    }
}

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.number().fmt(f)
    }
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Exit {
    /// Its exit status, when it ended by itself.
    pub status: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
}

/// One process, held by a pidfd: it can't be confused with a later one of the same number.
#[derive(Debug)]
pub struct Process {
    pid: Pid,
    pidfd: AsyncFd<OwnedFd>,
    exit: Mutex<Option<Exit>>,
}

impl Process {
    /// Takes hold of a process. The caller checks afterwards that it is the one it means
    /// (by its cgroup or its parent); from then on it stays that one.
    ///
    /// # Errors
    /// When there is no such process. Must be called inside a tokio runtime.
    pub fn open(pid: Pid) -> io::Result<Self> {
        Self::from_pidfd(pid, pidfd_open(pid.0, PidfdFlags::empty())?)
    }

    /// Takes over a pidfd that the kernel gave out with the process itself.
    ///
    /// # Errors
    /// When the descriptor can't be watched. Must be called inside a tokio runtime.
    pub fn from_pidfd(pid: Pid, pidfd: OwnedFd) -> io::Result<Self> {
        // SAFETY: an `OwnedFd` is one open descriptor for as long as it lives.
        let pidfd = unsafe { AsyncFd::register_with_interest(pidfd, Interest::READABLE) };
        Ok(Self {
            pid,
            pidfd: pidfd.map_err(|error| error.into_parts().1)?,
            exit: Mutex::new(None),
        })
    }

    /// The number of the process.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Sends SIGKILL. A process that is gone already is no error.
    pub fn kill(&self) {
        kill_pidfd(self.pidfd.get_ref().as_fd());
    }

    /// Whether the process has ended (it may still wait for being reaped).
    pub fn is_gone(&self) -> bool {
        pidfd_is_gone(self.pidfd.get_ref().as_fd())
    }

    /// Waits until the process has ended.
    pub async fn gone(&self) {
        // Readiness is never cleared, so every later call returns at once. An error can only
        // mean that the runtime is shutting down, where waiting on would hang for good.
        let _ = self.pidfd.readable().await;
    }

    /// Reaps the process when it has ended and is a child of ours; remembers how it ended.
    /// `None` while it runs, and for processes that are not our children.
    pub fn reap(&self) -> Option<Exit> {
        let mut exit = self.exit.lock().unwrap_or_else(|e| e.into_inner());
        if exit.is_none() {
            *exit = reap_pidfd(self.pidfd.get_ref().as_fd());
        }
        *exit
    }
}

pub(crate) fn kill_pidfd(pidfd: BorrowedFd<'_>) {
    // ESRCH: it is gone, which is what was wanted.
    let _ = pidfd_send_signal(pidfd, Signal::KILL);
}

pub(crate) fn pidfd_is_gone(pidfd: BorrowedFd<'_>) -> bool {
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let mut fds = [PollFd::from_borrowed_fd(pidfd, PollFlags::IN)];
    loop {
        match poll(&mut fds, Some(&now)) {
            Err(Errno::INTR) => {}
            Err(_) => return false,
            Ok(ready) => return ready > 0,
        }
    }
}

pub(crate) fn reap_pidfd(pidfd: BorrowedFd<'_>) -> Option<Exit> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    let status = waitid(WaitId::PidFd(pidfd), options).ok()??;
    Some(Exit {
        status: status.exit_status().filter(|_| status.exited()),
        signal: status
            .terminating_signal()
            .filter(|_| status.killed() || status.dumped()),
    })
}

pub(crate) fn open_pidfd(pid: Pid) -> Option<OwnedFd> {
    pidfd_open(pid.0, PidfdFlags::empty()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_means_everybody_is_no_pid() {
        for text in ["-1", "0", "1", "", "x", "99999999999"] {
            assert!(text.parse::<Pid>().is_err(), "{text:?}");
        }
        assert_eq!("4711\n".parse::<Pid>().map(Pid::number), Ok(4711));
    }

    #[tokio::test]
    async fn a_killed_child_is_reaped_with_its_signal() {
        let child = std::process::Command::new("sleep").arg("60").spawn();
        let mut child = child.expect("sleep runs");
        let process = Process::open(Pid::new(i64::from(child.id())).expect("a pid"));
        let process = process.expect("it runs");
        assert!(!process.is_gone());
        assert_eq!(process.reap(), None);
        process.kill();
        process.gone().await;
        let signal = Some(libc::SIGKILL);
        assert_eq!(process.reap().map(|e| e.signal), Some(signal));
        assert_eq!(process.reap().map(|e| e.signal), Some(signal), "remembered");
        // Reaped above: there is nothing left to wait for.
        assert!(child.wait().is_err());
    }
}
