//! Mounts whose owners are shifted: what belongs to id 0 on disk belongs to
//! `first_host_id` seen through the mount. So all cells share the same unchanged layers,
//! and every cell's root is a nobody on the host.

use crate::error::{HostError, Step};
use rustix::{
    fd::{AsFd, AsRawFd, FromRawFd, OwnedFd},
    fs::{CWD, Mode, OFlags, open},
    io::Errno,
    mount::{OpenTreeFlags, open_tree},
    process::{WaitId, WaitIdOptions, waitid},
};
use std::{fs, io, path::Path};

/// How many ids a cell has: the whole 16 bit range that distributions use.
pub const ID_COUNT: u32 = 65_536;

/// A user namespace that nobody lives in; it only carries a mapping of ids.
#[derive(Debug)]
pub struct IdMap(OwnedFd);

impl IdMap {
    /// The mapping of ids 0.. to `first_host_id`...
    ///
    /// # Errors
    /// When user namespaces are not to be had.
    pub fn new(first_host_id: u32) -> Result<Self, HostError> {
        let step = "make a user namespace for the mounts' owners";
        let holder = Holder::spawn().step(step)?;
        let map = format!("0 {first_host_id} {ID_COUNT}");
        let proc = format!("/proc/{}", holder.pid);
        fs::write(format!("{proc}/uid_map"), &map).step(step)?;
        fs::write(format!("{proc}/gid_map"), &map).step(step)?;
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let namespace = open(format!("{proc}/ns/user"), flags, Mode::empty()).step(step)?;
        Ok(Self(namespace))
    }

    /// A detached, read-only copy of the mount at `path`, with shifted owners.
    ///
    /// # Errors
    /// When the file system does not know shifted owners, or the path is not there.
    pub fn shifted_copy(&self, path: &Path) -> Result<OwnedFd, HostError> {
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let tree = open_tree(CWD, path, flags).step("open a layer of the template")?;
        let attributes = MountAttributes {
            set: libc::MOUNT_ATTR_IDMAP | libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NODEV,
            clear: 0,
            propagation: 0,
            userns_fd: u64::from(self.0.as_raw_fd().unsigned_abs()),
        };
        set_attributes(&tree, &attributes).step("shift the owners of a layer")?;
        Ok(tree)
    }
}

/// `struct mount_attr` of mount_setattr(2).
#[repr(C)]
struct MountAttributes {
    set: u64,
    clear: u64,
    propagation: u64,
    userns_fd: u64,
}

pub(crate) fn set_read_only(tree: &OwnedFd) -> io::Result<()> {
    let attributes = MountAttributes {
        set: libc::MOUNT_ATTR_RDONLY,
        clear: 0,
        propagation: 0,
        userns_fd: 0,
    };
    set_attributes(tree, &attributes)
}

fn set_attributes(tree: &OwnedFd, attributes: &MountAttributes) -> io::Result<()> {
    // SAFETY: the path is an empty C string, the attributes live through the call, and their
    // size is given.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_fd().as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            std::ptr::from_ref(attributes),
            size_of::<MountAttributes>(),
        )
    };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// A child that only exists until its user namespace is held by a descriptor.
struct Holder {
    pid: u32,
    pidfd: OwnedFd,
}

impl Holder {
    fn spawn() -> io::Result<Self> {
        let mut pidfd: libc::c_int = -1;
        let arguments = CloneArguments {
            flags: (libc::CLONE_NEWUSER | libc::CLONE_PIDFD) as u64,
            pidfd: std::ptr::from_mut(&mut pidfd) as u64,
            // Should this thread die in between, the child must not stay for good.
            exit_signal: libc::SIGCHLD as u64,
            ..CloneArguments::default()
        };
        // SAFETY: without CLONE_VM the child has a copy of everything; it calls nothing but
        // system calls, which is sound in the child of a process with many threads.
        let pid = unsafe {
            libc::syscall(
                libc::SYS_clone3,
                std::ptr::from_ref(&arguments),
                size_of::<CloneArguments>(),
            )
        };
        match pid {
            0 => wait_to_be_killed(),
            pid if pid > 0 => Ok(Self {
                pid: u32::try_from(pid).map_err(io::Error::other)?,
                // SAFETY: clone3 has just made this descriptor, and nobody else has it.
                pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) },
            }),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        crate::process::kill_pidfd(self.pidfd.as_fd());
        let options = WaitIdOptions::EXITED;
        let this = WaitId::PidFd(self.pidfd.as_fd());
        // An interrupted wait would leave a zombie.
        while let Err(Errno::INTR) = waitid(this.clone(), options) {}
    }
}

fn wait_to_be_killed() -> ! {
    // SAFETY: system calls with plain numbers. The child dies with the thread that made it.
    unsafe {
        libc::syscall(libc::SYS_prctl, libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        loop {
            // Waits for nothing, for ever: `pause` is not a system call everywhere.
            libc::syscall(libc::SYS_ppoll, 0, 0, 0, 0, 0);
        }
    }
}

/// `struct clone_args` of clone3(2), as far as Linux 5.5 knows it.
#[repr(C)]
#[derive(Default)]
struct CloneArguments {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
}
