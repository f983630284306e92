//! Between the caller's terminal and the one of its command; and signals on their way.
//!
//! The caller's terminal is raw meanwhile, so every key reaches the command's terminal, which
//! makes a signal of `^C` for the command, as it should. Whatever happens here, the caller's
//! terminal gets its settings back.

use super::server::FORWARDED;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pty::OpenptFlags;
use rustix::termios::{self, OptionalActions, Termios};
use std::io::{self, Write as _};
use std::os::fd::{FromRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;

/// Bytes that are carried at a time.
const PIECE: usize = 16 << 10;

/// Signals of this process, as something that can be read.
pub struct Signals(OwnedFd);

impl Signals {
    /// From now on signals wait to be read.
    pub fn take() -> io::Result<Self> {
        // SAFETY: plain system calls on this process's own signals; the set is live for all of
        // them, and the new descriptor belongs to nobody else.
        unsafe {
            let mut set: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&mut set);
            for signal in FORWARDED {
                libc::sigaddset(&mut set, signal);
            }
            libc::sigprocmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
            match libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) {
                -1 => Err(io::Error::last_os_error()),
                descriptor => Ok(Self(OwnedFd::from_raw_fd(descriptor))),
            }
        }
    }

    /// The next signal, if there is one.
    fn next(&self) -> Option<u8> {
        let mut record = [0; size_of::<libc::signalfd_siginfo>()];
        let read = rustix::io::read(&self.0, &mut record).ok()?;
        let number = record.first_chunk::<4>().filter(|_| read == record.len())?;
        u8::try_from(u32::from_ne_bytes(*number)).ok()
    }

    /// Hands signals on until the agent has something to say.
    pub fn forward(&self, stream: &UnixStream) -> io::Result<()> {
        loop {
            let mut waiting = [
                PollFd::new(stream, PollFlags::IN),
                PollFd::new(&self.0, PollFlags::IN),
            ];
            wait(&mut waiting)?;
            let is_over = !waiting[0].revents().is_empty();
            while let Some(signal) = self.next() {
                hand_on(stream, signal);
            }
            if is_over {
                return Ok(());
            }
        }
    }
}

/// The agent may have ended the call in this moment; its answer says so.
fn hand_on(mut stream: &UnixStream, signal: u8) {
    let _ = stream.write_all(&[signal]);
}

fn wait(waiting: &mut [PollFd<'_>]) -> io::Result<()> {
    loop {
        match poll(waiting, None) {
            Err(Errno::INTR) => {}
            other => return Ok(other.map(drop)?),
        }
    }
}

/// Two terminals, and what is under way from the outer to the inner one.
pub struct Relay {
    outer: OwnedFd,
    saved: Termios,
    inner: OwnedFd,
    /// The command's end, until it is sent.
    terminal: Option<OwnedFd>,
    typed: Vec<u8>,
    is_outer_open: bool,
    is_inner_open: bool,
}

impl Drop for Relay {
    fn drop(&mut self) {
        // The terminal may be gone, and then there is nothing to restore.
        let _ = termios::tcsetattr(&self.outer, OptionalActions::Drain, &self.saved);
    }
}

impl Relay {
    /// A terminal for the command, if the caller has one and is in its foreground. Otherwise
    /// the command gets the caller's descriptors as they are, and no terminal to itself.
    pub fn begin() -> io::Result<Option<Self>> {
        let is_terminal = termios::isatty(io::stdin())
            || termios::isatty(io::stdout())
            || termios::isatty(io::stderr());
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let Ok(outer) = rustix::fs::open("/dev/tty", flags, Mode::empty()) else {
            return Ok(None);
        };
        let is_in_front = termios::tcgetpgrp(&outer) == Ok(rustix::process::getpgrp());
        if !is_terminal || !is_in_front {
            return Ok(None);
        }
        let saved = termios::tcgetattr(&outer)?;
        let inner =
            rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        rustix::pty::grantpt(&inner)?;
        rustix::pty::unlockpt(&inner)?;
        let name = rustix::pty::ptsname(&inner, Vec::new())?;
        let terminal = rustix::fs::open(&name, flags, Mode::empty())?;
        termios::tcsetattr(&terminal, OptionalActions::Now, &saved)?;
        if let Ok(size) = termios::tcgetwinsize(&outer) {
            termios::tcsetwinsize(&inner, size)?;
        }
        rustix::io::ioctl_fionbio(&inner, true)?;
        let mut raw = saved.clone();
        raw.make_raw();
        termios::tcsetattr(&outer, OptionalActions::Drain, &raw)?;
        Ok(Some(Self {
            outer,
            saved,
            inner,
            terminal: Some(terminal),
            typed: Vec::new(),
            is_outer_open: true,
            is_inner_open: true,
        }))
    }

    /// The command's end, once.
    pub fn take_terminal(&mut self) -> Option<OwnedFd> {
        self.terminal.take()
    }

    /// Carries until the agent has something to say.
    pub fn carry(&mut self, stream: &UnixStream, signals: &Signals) -> io::Result<()> {
        loop {
            let mut inner = PollFlags::empty();
            inner.set(PollFlags::IN, self.is_inner_open);
            inner.set(PollFlags::OUT, self.is_inner_open && !self.typed.is_empty());
            let mut outer = PollFlags::empty();
            // No more is taken than the command reads.
            outer.set(PollFlags::IN, self.is_outer_open && self.typed.is_empty());
            let mut waiting = vec![
                PollFd::new(stream, PollFlags::IN),
                PollFd::new(&signals.0, PollFlags::IN),
            ];
            // A closed terminal would be reported without being asked for.
            if self.is_inner_open {
                waiting.push(PollFd::new(&self.inner, inner));
            }
            if !outer.is_empty() {
                waiting.push(PollFd::new(&self.outer, outer));
            }
            wait(&mut waiting)?;
            let is_over = !waiting[0].revents().is_empty();
            let mut ready = waiting[2..].iter().map(PollFd::revents);
            let inner = if self.is_inner_open {
                ready.next().unwrap_or(PollFlags::empty())
            } else {
                PollFlags::empty()
            };
            let is_typed = ready.next().is_some_and(|events| !events.is_empty());
            drop(waiting);
            while let Some(signal) = signals.next() {
                if i32::from(signal) == libc::SIGWINCH {
                    self.resize();
                }
                // Of a new size not every system tells the command itself.
                hand_on(stream, signal);
            }
            if inner.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
                self.show_piece();
            }
            if is_typed {
                self.read_typed();
            }
            if !self.typed.is_empty() {
                self.hand_in();
            }
            if is_over {
                return Ok(());
            }
        }
    }

    /// Shows what the command wrote last.
    pub fn finish(&mut self) {
        while self.is_inner_open && self.show_piece() {}
    }

    /// Whether there was something.
    fn show_piece(&mut self) -> bool {
        let mut piece = [0; PIECE];
        match rustix::io::read(&self.inner, &mut piece) {
            Ok(read @ 1..) => self.show(&piece[..read]),
            Err(Errno::AGAIN) => false,
            Err(Errno::INTR) => true,
            // All ends of the command's side are closed.
            _ => {
                self.is_inner_open = false;
                false
            }
        }
    }

    fn show(&self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            match rustix::io::write(&self.outer, bytes) {
                Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
                Err(Errno::INTR) => {}
                // Somebody has made the terminal non-blocking.
                Err(Errno::AGAIN) => {
                    let mut waiting = [PollFd::new(&self.outer, PollFlags::OUT)];
                    if wait(&mut waiting).is_err() {
                        return true;
                    }
                }
                // The terminal is gone; the command goes on unseen until it is told.
                Err(_) => return true,
            }
        }
        true
    }

    fn read_typed(&mut self) {
        let mut piece = [0; PIECE];
        match rustix::io::read(&self.outer, &mut piece) {
            Ok(read @ 1..) => self.typed.extend_from_slice(&piece[..read]),
            Err(Errno::AGAIN | Errno::INTR) => {}
            _ => self.is_outer_open = false,
        }
    }

    fn hand_in(&mut self) {
        match rustix::io::write(&self.inner, &self.typed) {
            Ok(written) => drop(self.typed.drain(..written)),
            Err(Errno::AGAIN | Errno::INTR) => {}
            // Nobody will read it any more.
            Err(_) => self.typed.clear(),
        }
    }

    fn resize(&self) {
        if let Ok(size) = termios::tcgetwinsize(&self.outer) {
            // The command goes on with the old size if this fails.
            let _ = termios::tcsetwinsize(&self.inner, size);
        }
    }
}
