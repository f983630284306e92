//! Pseudo-terminals. They are opened here, inside the sandbox, so that `tty` finds them and
//! they live through a checkpoint; one opened outside would do neither.

use super::message::Size;
use super::user::User;
use rustix::fs::{Mode, OFlags};
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The agent's end of a terminal.
pub struct Terminal {
    descriptor: AsyncFd<OwnedFd>,
}

impl Terminal {
    /// Opens a terminal for a user. Returns our end and the child's.
    pub fn open(size: Size, user: &User) -> io::Result<(Self, OwnedFd)> {
        let ours =
            rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        rustix::pty::grantpt(&ours)?;
        rustix::pty::unlockpt(&ours)?;
        let name = rustix::pty::ptsname(&ours, Vec::new())?;
        let theirs = rustix::fs::open(
            &name,
            OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        // Programs such as `script` and `mesg` want to own their terminal. Where the file
        // system of terminals does not allow it, everything else still works.
        let owner = Some(rustix::fs::Uid::from_raw(user.uid));
        let _ = rustix::fs::fchown(&theirs, owner, None);
        rustix::termios::tcsetwinsize(&ours, winsize(size))?;
        rustix::io::ioctl_fionbio(&ours, true)?;
        // SAFETY: `OwnedFd` always gives the same, open descriptor, and closes it only after it
        // was taken out of the runtime again.
        let descriptor = unsafe { AsyncFd::register(ours) }?;
        Ok((Self { descriptor }, theirs))
    }

    /// Whether the system itself tells the programs in this terminal of a new size and of its
    /// end. One that does not even say who is in front does not.
    pub fn tells(&self) -> bool {
        !matches!(
            rustix::termios::tcgetpgrp(self.descriptor.as_fd()),
            Err(rustix::io::Errno::NOTTY)
        )
    }

    /// Changes the size. Where the terminal [`Self::tells`], its programs get SIGWINCH.
    pub fn resize(&self, size: Size) -> io::Result<()> {
        Ok(rustix::termios::tcsetwinsize(
            self.descriptor.as_fd(),
            winsize(size),
        )?)
    }

    /// Reads what was written to the terminal; 0 when nobody has it open any more.
    pub async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self
            .descriptor
            .async_io(Interest::READABLE, |descriptor| {
                Ok(rustix::io::read(descriptor, &mut *buffer)?)
            })
            .await;
        match read {
            // This is how Linux says that the other end is closed.
            Err(error) if error.raw_os_error() == Some(libc::EIO) => Ok(0),
            other => other,
        }
    }

    /// Types into the terminal.
    pub async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = self
                .descriptor
                .async_io(Interest::WRITABLE, |descriptor| {
                    Ok(rustix::io::write(descriptor, bytes)?)
                })
                .await?;
            bytes = bytes.get(written..).unwrap_or_default();
        }
        Ok(())
    }
}

fn winsize(size: Size) -> Winsize {
    // More than 65535 columns do not fit the kernel's structure.
    let clamp = |number: u32| u16::try_from(number).unwrap_or(u16::MAX);
    Winsize {
        ws_row: clamp(size.rows.0),
        ws_col: clamp(size.cols.0),
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}
