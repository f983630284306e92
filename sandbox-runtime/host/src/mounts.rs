//! Making mounts through descriptors, and taking away every mount below a directory.
//!
//! A mount that is being made is a descriptor until its last step, so a process that is
//! killed before leaves nothing. What is taken away is found in the kernel's own list.

use crate::error::{HostError, Step};
use rustix::{
    fd::{AsFd, OwnedFd},
    fs::CWD,
    mount::{
        FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags,
        fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, move_mount,
        open_tree, unmount,
    },
};
use std::{
    ffi::OsString,
    fs, io,
    os::unix::ffi::OsStringExt,
    path::{Path, PathBuf},
};

/// Device files do not work there.
pub const NODEV: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NODEV;
/// Set-uid bits do not work there.
pub const NOSUID: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSUID;
/// Programs can't be executed from there.
pub const NOEXEC: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOEXEC;
/// Reading does not write times.
pub const NOATIME: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOATIME;
/// Nothing can be written there.
pub const RDONLY: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_RDONLY;

/// How often the list of mounts is read again when it changes under our hands.
const SWEEPS: u32 = 8;

/// A file system that is being configured.
pub struct NewMount {
    context: OwnedFd,
    attributes: MountAttrFlags,
}

impl NewMount {
    /// Starts with a type, e.g. `tmpfs`.
    ///
    /// # Errors
    /// When the kernel does not know it, or without the rights of root.
    pub fn of(kind: &str) -> Result<Self, HostError> {
        let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC).step("open a file system")?;
        Ok(Self {
            context,
            attributes: MountAttrFlags::empty(),
        })
    }

    /// Sets an option with a value.
    ///
    /// # Errors
    /// What the kernel says against it.
    pub fn string(self, key: &'static str, value: &str) -> Result<Self, HostError> {
        match fsconfig_set_string(self.context.as_fd(), key, value) {
            Ok(()) => Ok(self),
            Err(error) => Err(self.failure("configure a file system", error)),
        }
    }

    /// Sets an option without a value.
    ///
    /// # Errors
    /// What the kernel says against it.
    pub fn flag(self, key: &'static str) -> Result<Self, HostError> {
        match fsconfig_set_flag(self.context.as_fd(), key) {
            Ok(()) => Ok(self),
            Err(error) => Err(self.failure("configure a file system", error)),
        }
    }

    /// Sets the attributes of the mount.
    #[must_use]
    pub fn attributes(mut self, attributes: MountAttrFlags) -> Self {
        self.attributes = attributes;
        self
    }

    /// Makes the mount without a place.
    ///
    /// # Errors
    /// What the kernel says against it.
    pub fn detached(self, step: &'static str) -> Result<OwnedFd, HostError> {
        let made = fsconfig_create(self.context.as_fd()).and_then(|()| {
            let flags = FsMountFlags::FSMOUNT_CLOEXEC;
            fsmount(self.context.as_fd(), flags, self.attributes)
        });
        made.map_err(|error| self.failure(step, error))
    }

    /// Makes the mount at a directory.
    ///
    /// # Errors
    /// What the kernel says against it.
    pub fn at(self, point: &Path, step: &'static str) -> Result<(), HostError> {
        attach(&self.detached(step)?, point, step)
    }

    /// The kernel writes the reason of a refusal into the context.
    fn failure(&self, step: &'static str, error: rustix::io::Errno) -> HostError {
        let mut buffer = [0; 512];
        let said = rustix::io::read(&self.context, &mut buffer).unwrap_or(0);
        let said = String::from_utf8_lossy(&buffer[..said]);
        HostError {
            step,
            why: match said.trim() {
                "" => error.to_string(),
                said => format!("{error} ({said})"),
            },
        }
    }
}

/// Gives a detached mount its place.
///
/// # Errors
/// When the place is not there.
pub fn attach(mount: &OwnedFd, point: &Path, step: &'static str) -> Result<(), HostError> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    move_mount(mount.as_fd(), "", CWD, point, flags).step(step)
}

/// A detached copy of what is mounted at a path, without what is mounted below it.
///
/// # Errors
/// When the path is not there.
pub fn copy_of(path: &Path, step: &'static str) -> Result<OwnedFd, HostError> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    open_tree(CWD, path, flags).step(step)
}

/// Makes a detached mount read-only.
///
/// # Errors
/// What the kernel says against it.
pub fn make_read_only(mount: &OwnedFd, step: &'static str) -> Result<(), HostError> {
    crate::idmap::set_read_only(mount).step(step)
}

/// Takes away every mount at or below a directory. Those still in use go when their last
/// user does.
///
/// # Errors
/// When a mount can't be taken away.
pub fn detach_all(below: &Path) -> Result<(), HostError> {
    let step = "unmount what belongs to the cell";
    for _ in 0..SWEEPS {
        let mut points = points_below(below).step(step)?;
        if points.is_empty() {
            return Ok(());
        }
        // Later mounts lie on top of earlier ones.
        points.reverse();
        for point in points {
            match unmount(&point, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
                Ok(()) | Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => {}
                Err(error) => return Err(error).step(step),
            }
        }
    }
    Err(HostError {
        step,
        why: "mounts keep coming back".into(),
    })
}

fn points_below(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    Ok(mounts
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(unescape)
        .filter(|point| point.starts_with(directory))
        .collect())
}

/// Mountinfo writes blanks, tabs, newlines and backslashes as three octal digits.
fn unescape(text: &str) -> PathBuf {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let digits = bytes.get(at + 1..at + 4).filter(|_| byte == b'\\');
        let code = digits
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        out.push(code.unwrap_or(byte));
        at += if code.is_some() { 4 } else { 1 };
    }
    PathBuf::from(OsString::from_vec(out))
}

/// Whether anything is mounted at or below a directory.
pub fn any_below(directory: &Path) -> bool {
    points_below(directory).is_ok_and(|points| !points.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_blanks_are_read_as_they_are() {
        assert_eq!(unescape(r"/a\040b\134c"), PathBuf::from("/a b\\c"));
        assert_eq!(unescape(r"/a\9"), PathBuf::from(r"/a\9"));
    }
}
