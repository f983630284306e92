//! What the node's process must be before it starts its first thread.
//!
//! Two properties of the process itself make cells safe to own. Its own mount namespace:
//! the mounts of cells vanish with the last process that uses them, however the node died.
//! Being a child subreaper: what `runsc` leaves running becomes our child, so that it can
//! be waited for and never stays as a zombie (a zombie sentry blocks others for seconds).

use crate::error::{HostError, Step};
use rustix::{
    mount::{MountPropagationFlags, mount_change},
    process::{child_subreaper, set_child_subreaper},
    thread::{UnshareFlags, unshare_unsafe},
};

/// Gives the calling thread its own mount namespace and makes the process a subreaper.
/// To be called at the start of `main`, before any other thread exists: threads that are
/// made later inherit the namespace, threads that exist already would stay outside.
///
/// # Errors
/// Without the rights of root.
pub fn prepare() -> Result<(), HostError> {
    // SAFETY: only the file system context is unshared, no descriptor table; no other
    // thread relies on sharing a working directory or umask with this one.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }.step("make a mount namespace")?;
    // Slave: what the machine mounts and unmounts later still arrives here (a disk that
    // the owner detaches is not held by us), and nothing of ours gets out.
    let flags = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    mount_change("/", flags).step("keep mounts to ourselves")?;
    set_child_subreaper(rustix::process::Pid::from_raw(1))
        .step("become the reaper of cells' processes")
}

/// Whether this process can own cells: root, and prepared.
///
/// # Errors
/// What is missing, in words.
pub fn is_prepared() -> Result<String, String> {
    if !rustix::process::geteuid().is_root() {
        return Err("not root".into());
    }
    match child_subreaper() {
        Ok(Some(_)) => Ok("root, reaper of cells' processes".into()),
        _ => Err("not the reaper of cells' processes".into()),
    }
}
