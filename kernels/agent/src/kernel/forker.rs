//! The warmed process of a language, and the kernels that it forks.
//!
//! It has imported and exercised what a kernel needs, so that a fork of it is a kernel after
//! milliseconds. It is a process of the sandbox like any other: it may lie, hang or be killed.
//! Then it is started again, with growing pauses, and kernels start from the beginning
//! meanwhile. Kernels are its children and not ours, so their ends are told by it; it keeps
//! them unreaped until we have noted that, and when it dies they become our own.

use super::START_DEADLINE;
use super::fanout::Channel;
use super::launch::{self, Console};
use super::spec::Spec;
use super::wire;
use crate::process::reaper::{Child, Exit, Pid, Reaper};
use bytes::Bytes;
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags,
    SocketType, recv, sendmsg, socketpair,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use thiserror::Error;
use tokio::io::AsyncWriteExt as _;
use tokio::io::unix::AsyncFd;
use tokio::net::UnixStream;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, timeout};

/// Longest wait for one fork. It takes 5 ms on Linux, 100 in gVisor; one that takes this long
/// will not come.
const FORK_DEADLINE: Duration = Duration::from_secs(10);

/// First pause before a process that ended is started again; it doubles with every quick end.
const AGAIN: Duration = Duration::from_millis(200);

/// Quick ends in a row after which nothing is started before somebody asks. Each start costs
/// seconds of processor time.
const QUICK_ENDS: u32 = 5;

/// A process that lived this long was not a quick end.
const LIVED: Duration = Duration::from_secs(30);

/// How long a process may live on after it has hung up.
const LEAVE: Duration = Duration::from_secs(1);

/// Bytes of one message of the process.
const MESSAGE_BYTES: usize = 4096;

/// Why there is no fork.
#[derive(Debug, Error)]
pub enum ForkError {
    /// It warms up, or was lost; a kernel can be started from the beginning.
    #[error("the warmed process is not ready")]
    NotReady,
    /// The image lacks what the kernel needs, by its own word.
    #[error("this template has no kernel of this language")]
    Unavailable,
}

/// A kernel that was just forked. It waits for its birth message.
pub struct Forked {
    /// Its process.
    pub child: Child,
    /// The wire of shell and broadcasts.
    pub cells: UnixStream,
    /// The wire of control and questions.
    pub control: UnixStream,
    /// What it prints before it is born.
    pub console: Console,
}

/// What a forked kernel is told before anything else.
#[derive(Debug, Serialize)]
pub struct Birth<'a> {
    /// Its whole environment.
    pub env: BTreeMap<String, String>,
    /// Its working directory.
    pub cwd: &'a Path,
    /// What to reseed random generators with, besides the system's randomness.
    pub entropy: String,
}

impl Forked {
    /// Makes it somebody.
    pub async fn tell(&mut self, birth: &Birth<'_>) -> io::Result<()> {
        let birth = Bytes::from(serde_json::to_vec(birth)?);
        let frame = wire::frame(Channel::Control, &[birth])?;
        self.control.write_all(&frame).await
    }
}

/// The processes that fork kernels of one language, one after the other.
pub struct Forker(Arc<Shared>);

struct Shared {
    spec: Spec,
    reaper: Arc<Reaper>,
    kept: AtomicBool,
    state: watch::Sender<State>,
}

#[derive(Clone)]
enum State {
    Warming,
    Ready(Arc<Process>),
    Down,
    Unavailable,
}

/// One warmed process, as whoever wants a fork of it sees it.
struct Process {
    socket: AsyncFd<OwnedFd>,
    child: Child,
    next: AtomicU64,
    asked: Mutex<HashMap<u64, oneshot::Sender<Child>>>,
}

/// What it says.
#[derive(Deserialize)]
#[serde(untagged)]
enum Told {
    Forked { id: u64, pid: libc::pid_t },
    Ended { exit: libc::pid_t, status: i32 },
    Ready { ready: bool },
}

impl Forker {
    /// The forker of a kernelspec that has one. Nothing is started yet.
    pub fn of(spec: &Spec, reaper: &Arc<Reaper>) -> Option<Arc<Self>> {
        if spec.beyond.fork_argv.is_empty() {
            return None;
        }
        Some(Arc::new(Self(Arc::new(Shared {
            spec: spec.clone(),
            reaper: reaper.clone(),
            kept: AtomicBool::new(false),
            state: watch::Sender::new(State::Warming),
        }))))
    }

    /// A new kernel. `ahead` of its use one waits until the process is warm, and the kernel is
    /// exercised, so that its first cell is as fast as its second.
    pub async fn fork(&self, ahead: bool, until: Instant) -> Result<Forked, ForkError> {
        if !self.0.kept.swap(true, Ordering::AcqRel) {
            tokio::spawn(keep(self.0.clone()));
        }
        let mut states = self.0.state.subscribe();
        if ahead {
            let decided = states.wait_for(|state| !matches!(state, State::Warming));
            // The sender lives as long as this forker; a wait that is over is decided below.
            let _ = tokio::time::timeout_at(until, decided).await;
        }
        let state = states.borrow().clone();
        match state {
            State::Unavailable => Err(ForkError::Unavailable),
            State::Warming | State::Down => Err(ForkError::NotReady),
            State::Ready(process) => {
                let forked = timeout(FORK_DEADLINE, process.fork(ahead)).await;
                forked.ok().and_then(Result::ok).ok_or_else(|| {
                    tracing::warn!("the warmed process did not fork");
                    process.child.signal_group(libc::SIGKILL);
                    ForkError::NotReady
                })
            }
        }
    }
}

/// Runs one process after the other, until it is no use.
async fn keep(shared: Arc<Shared>) {
    let (mut pause, mut quick) = (AGAIN, 0);
    loop {
        shared.state.send_replace(State::Warming);
        let begun = Instant::now();
        let exit = run(&shared).await;
        if let Ok(Some(Exit::Code(status))) = exit
            && shared.spec.beyond.exit_no_kernel == Some(status)
        {
            shared.state.send_replace(State::Unavailable);
            return;
        }
        shared.state.send_replace(State::Down);
        if begun.elapsed() >= LIVED {
            (pause, quick) = (AGAIN, 0);
        }
        tracing::warn!(
            ?exit,
            pause_ms = pause.as_millis(),
            "the warmed process was lost"
        );
        tokio::time::sleep(pause).await;
        (pause, quick) = (pause * 2, quick + 1);
        if quick == QUICK_ENDS {
            // Whoever wants a fork next has it tried again.
            shared.kept.store(false, Ordering::Release);
            return;
        }
    }
}

/// One process from its start to its end.
async fn run(shared: &Shared) -> io::Result<Option<Exit>> {
    let begun = Instant::now();
    let kind = (AddressFamily::UNIX, SocketType::SEQPACKET);
    let (ours, theirs) = socketpair(kind.0, kind.1, SocketFlags::CLOEXEC, None)?;
    rustix::io::ioctl_fionbio(&ours, true)?;
    let (child, _console) = launch::launch_forker(&shared.spec, theirs, &shared.reaper)?;
    // SAFETY: an owned descriptor stays open and the same until it is dropped.
    let socket = unsafe { AsyncFd::register(ours) }?;
    let process = Arc::new(Process {
        socket,
        child,
        next: AtomicU64::new(0),
        asked: Mutex::default(),
    });
    let mut fostered = HashSet::new();
    let mut warm = false;
    loop {
        let patience = if warm { Duration::MAX } else { START_DEADLINE };
        let told = tokio::select! {
            told = timeout(patience, process.receive()) => told,
            _ = process.child.wait() => break,
        };
        match told {
            Ok(Ok(Some(Told::Ready { ready }))) if ready && !warm => {
                warm = true;
                tracing::info!(took_ms = begun.elapsed().as_millis(), "a process is warm");
                shared.state.send_replace(State::Ready(process.clone()));
            }
            Ok(Ok(Some(Told::Forked { id, pid }))) => {
                if let Some(pid) = process.forked(id, pid, &shared.reaper) {
                    fostered.insert(pid);
                }
            }
            Ok(Ok(Some(Told::Ended { exit, status }))) => {
                if let Some(pid) = Pid::new(exit).filter(|pid| fostered.remove(pid)) {
                    let exit = match status {
                        0.. => Exit::Code(status),
                        _ => Exit::Signal(status.saturating_neg()),
                    };
                    shared.reaper.ended(pid, exit);
                    process
                        .send(&serde_json::json!({"reap": pid.as_u32()}), &[])
                        .await?;
                }
            }
            Ok(Ok(Some(Told::Ready { .. }))) => {}
            _ => break,
        }
    }
    shared.state.send_replace(State::Down);
    // Whoever still waits for a fork need not.
    process.asked().clear();
    let left = timeout(LEAVE, process.child.wait()).await;
    process.child.signal_group(libc::SIGKILL);
    Ok(left.ok())
}

impl Process {
    async fn fork(&self, exercise: bool) -> io::Result<Forked> {
        let (cells, their_cells) = UnixStream::pair()?;
        let (control, their_control) = UnixStream::pair()?;
        let (console, their_console) = launch::console()?;
        let theirs = [
            blocking(their_cells)?,
            blocking(their_control)?,
            their_console,
        ];
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (answer, forked) = oneshot::channel();
        self.asked().insert(id, answer);
        let request = serde_json::json!({"fork": {"id": id, "exercise": exercise}});
        let descriptors: Vec<BorrowedFd<'_>> = theirs.iter().map(|end| end.as_fd()).collect();
        self.send(&request, &descriptors).await?;
        let child = forked.await.map_err(io::Error::other)?;
        Ok(Forked {
            child,
            cells,
            control,
            console,
        })
    }

    /// Hands a forked process to whoever asked for it. One that nobody waits for any more ends
    /// by itself, since the other ends of its wires are closed.
    fn forked(&self, id: u64, pid: libc::pid_t, reaper: &Arc<Reaper>) -> Option<Pid> {
        let asker = self.asked().remove(&id)?;
        let child = reaper.foster(Pid::new(pid)?)?;
        let pid = child.pid();
        let _ = asker.send(child);
        Some(pid)
    }

    async fn send(
        &self,
        message: &serde_json::Value,
        descriptors: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        let text = message.to_string();
        let send = self
            .socket
            .async_io(tokio::io::Interest::WRITABLE, |socket| {
                let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
                let mut ancillary = SendAncillaryBuffer::new(&mut space);
                if !descriptors.is_empty() {
                    ancillary.push(SendAncillaryMessage::ScmRights(descriptors));
                }
                let parts = [IoSlice::new(text.as_bytes())];
                Ok(sendmsg(
                    socket,
                    &parts,
                    &mut ancillary,
                    SendFlags::NOSIGNAL,
                )?)
            });
        timeout(FORK_DEADLINE, send).await??;
        Ok(())
    }

    /// The next message that can be read; `None` when it has hung up.
    async fn receive(&self) -> io::Result<Option<Told>> {
        let mut buffer = [0; MESSAGE_BYTES];
        let received = self
            .socket
            .async_io(tokio::io::Interest::READABLE, |socket| {
                Ok(recv(socket, &mut buffer[..], RecvFlags::empty())?.0)
            });
        match received.await? {
            0 => Ok(None),
            count => Ok(Some(serde_json::from_slice(&buffer[..count])?)),
        }
    }

    fn asked(&self) -> std::sync::MutexGuard<'_, HashMap<u64, oneshot::Sender<Child>>> {
        // Every change is a single insert or remove.
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The kernel's end of a wire, as another process takes it over.
fn blocking(end: UnixStream) -> io::Result<OwnedFd> {
    let end = end.into_std()?;
    end.set_nonblocking(false)?;
    Ok(end.into())
}
