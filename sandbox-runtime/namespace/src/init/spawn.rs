//! Making the cell's first process, and the calls that have no safe wrapper.

use rustix::{
    fd::{AsRawFd, OwnedFd},
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType, socket_with},
    pipe::{PipeFlags, pipe_with},
};
use soulbox_host::{HostError, Step, idmap::ID_COUNT};
use std::{
    ffi::{CStr, CString},
    fs, io,
    os::fd::RawFd,
};

/// Everything that a cell has of its own.
const NAMESPACES: i32 = libc::CLONE_NEWUSER
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWCGROUP;

/// Where we are after the clone.
pub enum Side {
    /// The helper; with the number of the other one.
    Parent(u32),
    /// The cell's first process.
    Child,
}

/// Divides in two.
pub fn first_process() -> Result<Side, HostError> {
    // SAFETY: an all-zero value is a valid one of this plain structure.
    let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
    // As the node's own child; the signal at its end is then that of the helper's end.
    arguments.flags = u64::from((NAMESPACES | libc::CLONE_PARENT).unsigned_abs());
    // SAFETY: this process has a single thread and no CLONE_VM is asked for, so the child
    // goes on in a complete copy of it, like after fork.
    let pid = unsafe {
        libc::syscall(
            libc::SYS_clone3,
            std::ptr::from_ref(&arguments),
            size_of::<libc::clone_args>(),
        )
    };
    match pid {
        0 => Ok(Side::Child),
        -1 => Err(io::Error::last_os_error()).step("make the cell's namespaces"),
        pid => u32::try_from(pid)
            .map(Side::Parent)
            .step("make the cell's namespaces"),
    }
}

/// Says which users of the host the cell's users are.
pub fn map_users(pid: u32, first_host_id: u32) -> Result<(), HostError> {
    let step = "map the cell's users";
    let map = format!("0 {first_host_id} {ID_COUNT}");
    fs::write(format!("/proc/{pid}/uid_map"), &map).step(step)?;
    fs::write(format!("/proc/{pid}/gid_map"), &map).step(step)
}

/// Closes everything but the standard streams and one more. Whoever started the node may
/// have left descriptors open, and none of them is a cell's business.
pub fn close_all_but(kept: RawFd) -> Result<(), HostError> {
    let kept = kept.unsigned_abs();
    for (first, last) in [(3, kept.saturating_sub(1)), (kept + 1, u32::MAX)] {
        if first > last {
            continue;
        }
        // SAFETY: nothing of this process uses these descriptors: it has just been started,
        // and was given only the kept one.
        let done = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
        if done != 0 {
            return Err(io::Error::last_os_error()).step("close what was inherited");
        }
    }
    Ok(())
}

/// A pipe: the helper's end and the child's.
pub fn gate() -> Result<(OwnedFd, OwnedFd), HostError> {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC).step("make a pipe")?;
    Ok((write, read))
}

/// Lets the child go on.
pub fn open_gate(go: &OwnedFd) -> Result<(), HostError> {
    rustix::io::write(go, b"!").step("let the first process go on")?;
    Ok(())
}

/// Waits for the helper. Its end without a word means that it failed.
pub fn pass_gate(wait: &OwnedFd) -> Result<(), HostError> {
    let step = "wait for the helper";
    let mut byte = [0];
    loop {
        match rustix::io::read(wait, &mut byte) {
            Err(Errno::INTR) => {}
            Ok(1) => return Ok(()),
            Ok(_) => return Err("the helper is gone").step(step),
            Err(error) => return Err(error).step(step),
        }
    }
}

/// Brings the loopback interface up: programs inside talk over 127.0.0.1.
pub fn raise_loopback() -> Result<(), HostError> {
    let step = "bring the loopback interface up";
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, flags, None).step(step)?;
    // SAFETY: an all-zero value is a valid one of this plain structure.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = (*from).cast_signed();
    }
    let up = i16::try_from(libc::IFF_UP | libc::IFF_RUNNING).step(step)?;
    request.ifr_ifru.ifru_flags = up;
    // SAFETY: the request is complete and lives through the call.
    let done = unsafe {
        libc::ioctl(
            socket.as_raw_fd(),
            libc::SIOCSIFFLAGS,
            std::ptr::from_ref(&request),
        )
    };
    match done {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()).step(step),
    }
}

/// Becomes the program. Returns only when that is not possible.
pub fn execute(command: &[CString], environment: &[&CStr]) -> Result<(), HostError> {
    let step = "execute the agent";
    let mut arguments: Vec<_> = command.iter().map(|argument| argument.as_ptr()).collect();
    arguments.push(std::ptr::null());
    let mut variables: Vec<_> = environment.iter().map(|v| v.as_ptr()).collect();
    variables.push(std::ptr::null());
    let program = command.first().ok_or("no command").step(step)?;
    // SAFETY: both lists end with a null pointer, and all strings live through the call.
    unsafe { libc::execve(program.as_ptr(), arguments.as_ptr(), variables.as_ptr()) };
    Err(io::Error::last_os_error()).step(step)
}
