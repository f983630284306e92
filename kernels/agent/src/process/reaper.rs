//! Reaps every child at once and tells whoever started it how it ended.
//!
//! As the first process of the sandbox the agent inherits all orphans, so it waits for *any*
//! child. Two things follow, and both are kept by one lock around the table of children: a
//! child may end before its starter has noted its pid (the lock is held from fork to note),
//! and a pid may be signalled only while it is still ours (the lock is held from look-up to
//! kill), so that a reused number is never hit. Nobody else may call `wait` in this process:
//! no `std::process`, no `tokio::process`. Start children with [`super::spawn::Program`].

use super::session;
use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// A child of the agent. Never zero, one or negative, so that it cannot name a group or
/// everybody by accident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pid(libc::pid_t);

impl Pid {
    /// `None` for numbers that `kill` would take for something else than one process.
    pub fn new(raw: libc::pid_t) -> Option<Self> {
        (raw > 1).then_some(Self(raw))
    }

    /// As shown inside the sandbox.
    pub fn as_u32(self) -> u32 {
        self.0.unsigned_abs()
    }
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It left with this status.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

/// A running child. Dropping it lets the process go on; it is still reaped.
pub struct Child {
    pid: Pid,
    exit: watch::Receiver<Option<Exit>>,
    reaper: Arc<Reaper>,
    /// Started by a child of ours, whose word on it is not proof that it exists.
    fostered: bool,
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.fostered && self.try_exit().is_none() {
            self.reaper.lock().remove(&self.pid);
        }
    }
}

impl Child {
    /// Its pid inside the sandbox.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Waits until it has ended and has been reaped. May be called often and cancelled freely.
    pub async fn wait(&self) -> Exit {
        let mut exit = self.exit.clone();
        match exit.wait_for(Option::is_some).await {
            Ok(exit) => exit.unwrap_or(Exit::Code(0)),
            // The table drops a sender only after it has sent, so this does not happen.
            Err(_) => Exit::Code(0),
        }
    }

    /// How it ended, if it has.
    pub fn try_exit(&self) -> Option<Exit> {
        *self.exit.borrow()
    }

    /// Signals its whole process group: every child leads one. `false` when the leader has
    /// already been reaped.
    pub fn signal_group(&self, signal: i32) -> bool {
        self.reaper.signal_group(self.pid, signal)
    }

    /// Signals all groups of its session: every child leads one. Walks the processes of the
    /// sandbox, so it may block for a moment.
    pub fn signal_session(&self, signal: i32) {
        self.reaper.signal_session(self.pid, signal);
    }

    /// Kills it and its group, and hangs up on all other groups of its session. Walks like
    /// [`Self::signal_session`]. `false` when the leader has already been reaped.
    pub fn end_session(&self) -> bool {
        self.reaper.end_session(self.pid)
    }
}

/// The one who waits.
pub struct Reaper {
    children: Mutex<HashMap<Pid, watch::Sender<Option<Exit>>>>,
}

impl Reaper {
    /// Starts to reap, on a task of its own that never ends.
    pub fn start() -> io::Result<Arc<Self>> {
        let reaper = Arc::new(Self {
            children: Mutex::new(HashMap::new()),
        });
        let mut ended = signal(SignalKind::child())?;
        let this = reaper.clone();
        tokio::spawn(async move {
            loop {
                // First, since children may have ended before the signal was watched.
                this.reap();
                if ended.recv().await.is_none() {
                    return;
                }
            }
        });
        Ok(reaper)
    }

    /// Runs `fork`, which returns the new child's pid, such that its exit cannot be missed.
    pub(super) fn adopt(
        self: &Arc<Self>,
        fork: impl FnOnce() -> io::Result<Pid>,
    ) -> io::Result<Child> {
        let mut children = self.lock();
        let pid = fork()?;
        let (sender, exit) = watch::channel(None);
        children.insert(pid, sender);
        Ok(Child {
            pid,
            exit,
            reaper: self.clone(),
            fostered: false,
        })
    }

    /// Takes on a process that a child of ours has forked and keeps unreaped until it is told
    /// that its end was noted here. When that child ends, its children become ours, and are
    /// reaped like all others. `None` for a number that is already known.
    pub fn foster(self: &Arc<Self>, pid: Pid) -> Option<Child> {
        let mut children = self.lock();
        if children.contains_key(&pid) {
            return None;
        }
        let (sender, exit) = watch::channel(None);
        children.insert(pid, sender);
        Some(Child {
            pid,
            exit,
            reaper: self.clone(),
            fostered: true,
        })
    }

    /// Notes the end of a fostered process. From here on its number may be reused.
    pub fn ended(&self, pid: Pid, exit: Exit) {
        if let Some(sender) = self.lock().remove(&pid) {
            sender.send_replace(Some(exit));
        }
    }

    fn signal_group(&self, pid: Pid, signal: i32) -> bool {
        let children = self.lock();
        children.contains_key(&pid) && signal_led_by(pid, signal)
    }

    /// Nothing happens when the leader has been reaped: its number may be somebody else's.
    fn signal_session(&self, leader: Pid, signal: i32) {
        let children = self.lock();
        if children.contains_key(&leader) {
            signal_groups(session::groups(leader).into_iter().chain([leader]), signal);
        }
    }

    /// A stopped shell starts no further program behind our back. Linux itself would tell only
    /// who is in front, which a program that just starts is not yet.
    fn end_session(&self, leader: Pid) -> bool {
        let children = self.lock();
        if !children.contains_key(&leader) {
            return false;
        }
        signal_led_by(leader, libc::SIGSTOP);
        let others = session::groups(leader);
        signal_groups(others.iter().copied(), libc::SIGHUP);
        signal_groups(others, libc::SIGCONT);
        signal_led_by(leader, libc::SIGKILL)
    }

    /// Takes every exit that is there.
    fn reap(&self) {
        let mut children = self.lock();
        loop {
            let mut status = 0;
            // SAFETY: `status` is a live integer for the call to write to.
            let pid = unsafe { libc::waitpid(-1, &mut status, libc::WNOHANG) };
            if pid < 0 && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted {
                continue;
            }
            let Some(pid) = Pid::new(pid) else { return };
            let exit = if libc::WIFSIGNALED(status) {
                Exit::Signal(libc::WTERMSIG(status))
            } else {
                Exit::Code(libc::WEXITSTATUS(status))
            };
            // Orphans are in no table: they are only reaped.
            if let Some(sender) = children.remove(&pid) {
                sender.send_replace(Some(exit));
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Pid, watch::Sender<Option<Exit>>>> {
        // Every change of the table is a single insert or remove, so it is whole even if a
        // holder panicked.
        self.children.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The group of a child that is in the table, whose lock is held.
fn signal_led_by(pid: Pid, signal: i32) -> bool {
    // SAFETY: plain system call. `pid` is greater than one, so its negative is one group, and it
    // is an unreaped child of ours, so the number is not reused. The group comes to be a moment
    // after the fork; before that there is only the process.
    unsafe { libc::kill(-pid.0, signal) == 0 || libc::kill(pid.0, signal) == 0 }
}

/// Groups of a session whose leader cannot be reaped meanwhile.
fn signal_groups(groups: impl IntoIterator<Item = Pid>, signal: i32) {
    for group in groups {
        // SAFETY: plain system call. The number is greater than one, so its negative is one
        // group, which had a member in this session a moment ago.
        unsafe { libc::kill(-group.0, signal) };
    }
}
