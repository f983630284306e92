//! A process that was started for a client, from its first byte to 30 seconds after its end.

use super::input::Input;
use super::message::{ProcessConfig, ProcessInfo, Size};
use super::output::{Output, Source};
use super::reaper::{Child, Exit, Pid};
use super::terminal::Terminal;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use tokio::sync::watch;
use tokio::time::Instant;

/// Bytes of one output event of a pipe (section 4.4 of the contract).
const PIPE_PIECE: usize = 32 << 10;

/// Bytes of one output event of a terminal.
const TERMINAL_PIECE: usize = 16 << 10;

/// How long output is still awaited after the end of a process that was killed, or that had a
/// terminal: something else may hold the other end open for ever.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// How long a killing call waits for the exit, so that `kill -0` fails right after it.
const DEATH: Duration = Duration::from_millis(500);

/// Our ends of what the process writes to.
pub enum Streams {
    /// Standard output and error.
    Pipes(pipe::Receiver, pipe::Receiver),
    /// A terminal.
    Terminal(Arc<Terminal>),
}

/// One process and everything that belongs to it.
pub struct Process {
    child: Child,
    config: ProcessConfig,
    tag: Option<String>,
    /// The way in.
    pub input: Input,
    /// The way out.
    pub output: Arc<Output>,
    /// When it is killed, if it has not ended before.
    deadline: Option<Instant>,
    /// Set once it was killed by us.
    killed: watch::Sender<bool>,
    timed_out: AtomicBool,
}

impl Process {
    /// Takes over a child that has just been started.
    pub fn new(
        child: Child,
        config: ProcessConfig,
        tag: Option<String>,
        input: Input,
        output: Arc<Output>,
        deadline: Option<Instant>,
    ) -> Self {
        Self {
            child,
            config,
            tag,
            input,
            output,
            deadline,
            killed: watch::Sender::new(false),
            timed_out: AtomicBool::new(false),
        }
    }

    /// As seen inside the sandbox.
    pub fn pid(&self) -> Pid {
        self.child.pid()
    }

    /// The client's name for it.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// Whether it has not been reaped yet.
    pub fn is_running(&self) -> bool {
        self.child.try_exit().is_none()
    }

    /// Whether its deadline killed it.
    pub fn timed_out(&self) -> bool {
        self.timed_out.load(Ordering::Acquire)
    }

    /// For `List`.
    pub fn info(&self) -> ProcessInfo {
        ProcessInfo {
            config: self.config.clone(),
            pid: self.pid().as_u32(),
            tag: self.tag.clone(),
        }
    }

    /// Asks it and its group to end.
    pub fn terminate(&self) -> bool {
        self.child.signal_group(libc::SIGTERM)
    }

    /// Changes the size of its terminal; programs in it get SIGWINCH.
    pub fn resize(self: &Arc<Self>, terminal: &Terminal, size: Size) -> io::Result<()> {
        terminal.resize(size)?;
        if !terminal.tells() {
            let this = self.clone();
            tokio::task::spawn_blocking(move || this.child.signal_session(libc::SIGWINCH));
        }
        Ok(())
    }

    /// Ends it and its group, and waits a moment until it is reaped. The programs of its
    /// terminal are told that it is gone.
    pub async fn kill(&self) -> bool {
        self.killed.send_replace(true);
        let signalled = if matches!(self.input, Input::Terminal(_)) {
            // A moment of walking; there is no other task that this one holds up.
            tokio::task::block_in_place(|| self.child.end_session())
        } else {
            self.child.signal_group(libc::SIGKILL)
        };
        // If it does not die in time, it is in a system call that cannot be interrupted.
        let _ = tokio::time::timeout(DEATH, self.child.wait()).await;
        signalled
    }

    /// Waits a moment for its end, if this deadline is the one that kills it: whoever is told of
    /// the deadline finds it dead.
    pub async fn die_at(&self, deadline: Instant) {
        if self.deadline == Some(deadline) {
            let _ = tokio::time::timeout(DEATH, self.child.wait()).await;
        }
    }

    /// Carries its output to its watchers until the end, and kills it at its deadline.
    pub async fn supervise(&self, streams: Streams) -> Exit {
        let has_terminal = matches!(streams, Streams::Terminal(_));
        let carry = async {
            match streams {
                Streams::Pipes(stdout, stderr) => {
                    tokio::join!(
                        self.carry_pipe(stdout, Source::Stdout),
                        self.carry_pipe(stderr, Source::Stderr)
                    );
                }
                Streams::Terminal(terminal) => self.carry_terminal(&terminal).await,
            }
        };
        let last_words = async {
            if !has_terminal {
                let _ = self.killed.subscribe().wait_for(|killed| *killed).await;
            }
            self.child.wait().await;
            tokio::time::sleep(LAST_WORDS).await;
        };
        let limit = async {
            if let Some(deadline) = self.deadline {
                tokio::time::sleep_until(deadline).await;
                self.timed_out.store(true, Ordering::Release);
                self.kill().await;
            }
            std::future::pending::<()>().await;
        };
        let life = async {
            tokio::select! {
                () = carry => {}
                () = last_words => {}
            }
            self.child.wait().await
        };
        let exit = tokio::select! {
            exit = life => exit,
            () = limit => Exit::Signal(libc::SIGKILL),
        };
        self.output.finish(exit);
        // Nobody reads it any more. A writer that still waits gets its error from the pipe.
        let _ = self.input.close().await;
        exit
    }

    async fn carry_pipe(&self, mut pipe: pipe::Receiver, source: Source) {
        let mut buffer = vec![0; PIPE_PIECE];
        // An error is the end too: there is nothing else to do about a pipe.
        while let Ok(read @ 1..) = pipe.read(&mut buffer).await {
            self.output.publish(source, &buffer[..read]).await;
        }
    }

    async fn carry_terminal(&self, terminal: &Terminal) {
        let mut buffer = vec![0; TERMINAL_PIECE];
        while let Ok(read @ 1..) = terminal.read(&mut buffer).await {
            self.output.publish(Source::Terminal, &buffer[..read]).await;
        }
    }
}

/// A pipe whose one end stays with us: the child's end, and ours for reading.
pub fn outgoing() -> io::Result<(std::os::fd::OwnedFd, pipe::Receiver)> {
    let (ours, theirs) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    Ok((theirs, pipe::Receiver::from_owned_fd(ours)?))
}

/// A pipe whose one end stays with us: the child's end, and ours for writing.
pub fn incoming() -> io::Result<(std::os::fd::OwnedFd, pipe::Sender)> {
    let (theirs, ours) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    Ok((theirs, pipe::Sender::from_owned_fd(ours)?))
}
