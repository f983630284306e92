//! The one way into a cell: a socket pair whose far end becomes the agent's standard
//! input and output.

use crate::error::{HostError, Step};
use rustix::{
    fd::OwnedFd,
    io::{FdFlags, fcntl_setfd},
    net::{AddressFamily, SocketFlags, SocketType, socketpair, sockopt},
};
use std::{os::unix::process::CommandExt, process::Command};
use tokio::net::UnixStream;

/// What the kernel may hold in each direction. A writer that is woken for every 200 KiB
/// (the default) spends its time in switches; this much keeps 100 MB of output flowing.
const BUFFER_BYTES: usize = 1 << 20;

/// Makes a socket pair: the node's end, non-blocking, and the cell's end, blocking.
///
/// # Errors
/// When the kernel refuses. Must be called inside a tokio runtime.
pub fn pair() -> Result<(UnixStream, OwnedFd), HostError> {
    let step = "make the channel";
    let flags = SocketFlags::CLOEXEC;
    let (ours, theirs) =
        socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None).step(step)?;
    for end in [&ours, &theirs] {
        // Root may go past net.core.wmem_max; without that right the machine's maximum is fine.
        if sockopt::set_socket_send_buffer_size_force(end, BUFFER_BYTES).is_err() {
            sockopt::set_socket_send_buffer_size(end, BUFFER_BYTES).step(step)?;
        }
    }
    let ours = std::os::unix::net::UnixStream::from(ours);
    ours.set_nonblocking(true).step(step)?;
    Ok((UnixStream::from_std(ours).step(step)?, theirs))
}

/// Makes a command's process inherit one more descriptor, under the same number. Only that
/// process: other children that start meanwhile do not get it.
pub fn inherit(command: &mut Command, fd: OwnedFd) {
    // SAFETY: between fork and exec only `fcntl` is called, which is safe there; the closure
    // owns the descriptor, so it is open for as long as the command exists.
    unsafe {
        command.pre_exec(move || Ok(fcntl_setfd(&fd, FdFlags::empty())?));
    }
}
