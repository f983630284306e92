//! A disk of a fixed size for one cell: a sparse file, formatted ext4, behind a loop device.
//!
//! The size of the file system is the limit; writing past it gives ENOSPC inside and costs
//! the host nothing more. The loop device frees itself (autoclear) when the mount is gone,
//! also when nobody of us is left to do it.

mod format;

use crate::{
    error::{HostError, Step},
    mounts::{self, NewMount},
};
use rustix::{
    fd::{AsRawFd, OwnedFd},
    fs::{FileType, Mode, OFlags, makedev, mknodat, open},
};
use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

/// How the bytes of a cell are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskKind {
    /// In a sparse file.
    File,
    /// In memory: no loop device is to be had. Counts against the cell's memory.
    Memory,
}

/// Devices may be taken by others between asking for a free one and taking it.
const LOOP_ATTEMPTS: u32 = 16;
/// Where `mkfs.ext4` is when the PATH of a service does not name it.
const SBIN: [&str; 3] = ["/usr/sbin", "/sbin", "/usr/local/sbin"];

/// Makes a disk of `bytes` and mounts it at `point`. `image` is where its file goes.
///
/// # Errors
/// When neither a loop device nor a tmpfs can be mounted.
pub fn mount(image: &Path, bytes: u64, point: &Path) -> Result<DiskKind, HostError> {
    match mount_file(image, bytes, point) {
        Ok(()) => Ok(DiskKind::File),
        Err(error) if loop_devices_work().is_err() => {
            tracing::warn!(%error, "no loop devices: a cell's disk is kept in memory");
            let _ = fs::remove_file(image);
            mount_memory(bytes, point).map(|()| DiskKind::Memory)
        }
        Err(error) => Err(error),
    }
}

/// Whether this machine gives out loop devices.
///
/// # Errors
/// Why not.
pub fn loop_devices_work() -> Result<(), HostError> {
    free_loop_device().map(drop)
}

/// Finds `mkfs.ext4`.
pub fn mkfs_program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(SBIN.map(PathBuf::from))
        .map(|dir| dir.join("mkfs.ext4"))
        .find(|program| program.is_file())
}

fn mount_file(image: &Path, bytes: u64, point: &Path) -> Result<(), HostError> {
    format::format(image, bytes)?;
    let device = attach(image)?;
    NewMount::of("ext4")?
        .string("source", &device.path.to_string_lossy())?
        // The kernel would fill the inode tables in the background; they are read as zero
        // from a sparse file anyway.
        .flag("noinit_itable")?
        .attributes(mounts::NODEV | mounts::NOSUID | mounts::NOATIME)
        .at(point, "mount the cell's disk")
    // `device` is closed here; from now on the mount alone keeps the loop device.
}

fn mount_memory(bytes: u64, point: &Path) -> Result<(), HostError> {
    NewMount::of("tmpfs")?
        .string("size", &bytes.to_string())?
        .string("mode", "0711")?
        .attributes(mounts::NODEV | mounts::NOSUID | mounts::NOATIME)
        .at(point, "mount the cell's disk in memory")
}

/// A loop device, and the descriptor that keeps it until it is mounted.
struct LoopDevice {
    path: PathBuf,
    _open: OwnedFd,
}

fn free_loop_device() -> Result<u32, HostError> {
    let step = "find a free loop device";
    let flags = OFlags::RDWR | OFlags::CLOEXEC;
    let control = open("/dev/loop-control", flags, Mode::empty()).step(step)?;
    // SAFETY: LOOP_CTL_GET_FREE takes no argument.
    let number = unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE) };
    u32::try_from(number)
        .map_err(|_| io::Error::last_os_error())
        .step(step)
}

fn attach(image: &Path) -> Result<LoopDevice, HostError> {
    let step = "attach a loop device";
    let file = File::options()
        .read(true)
        .write(true)
        .open(image)
        .step(step)?;
    for _ in 0..LOOP_ATTEMPTS {
        let number = free_loop_device()?;
        let path = PathBuf::from(format!("/dev/loop{number}"));
        if !path.exists() {
            // A container's /dev is not fed by the kernel.
            let device = makedev(LOOP_MAJOR, number);
            let mode = Mode::from_raw_mode(0o600);
            mknodat(rustix::fs::CWD, &path, FileType::BlockDevice, mode, device).step(step)?;
        }
        let device = open(&path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).step(step)?;
        let config = LoopConfig {
            fd: file.as_raw_fd().unsigned_abs(),
            block_size: BLOCK_BYTES,
            // Direct: otherwise every page would be cached twice, once for the file and
            // once for the disk. The kernel falls back by itself where it can't.
            flags: LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO,
            ..LoopConfig::EMPTY
        };
        // SAFETY: the structure has the kernel's layout and lives through the call.
        let done = unsafe {
            libc::ioctl(
                device.as_raw_fd(),
                LOOP_CONFIGURE,
                std::ptr::from_ref(&config),
            )
        };
        let error = io::Error::last_os_error();
        match done {
            0 => {
                return Ok(LoopDevice {
                    path,
                    _open: device,
                });
            }
            _ if error.raw_os_error() == Some(libc::EBUSY) => {}
            _ => return Err(error).step(step),
        }
    }
    Err(HostError {
        step,
        why: "every free loop device was taken by somebody else".into(),
    })
}

/// Whether a loop device still stands for this file.
pub fn is_attached(image: &Path) -> bool {
    let Ok(devices) = fs::read_dir("/sys/block") else {
        return false;
    };
    let image = image.to_string_lossy();
    devices.flatten().any(|device| {
        fs::read_to_string(device.path().join("loop/backing_file")).is_ok_and(|file| {
            let file = file.trim_end();
            file.strip_suffix(" (deleted)").unwrap_or(file) == image
        })
    })
}

const LOOP_MAJOR: u32 = 7;
const LOOP_CTL_GET_FREE: libc::Ioctl = 0x4C82;
const LOOP_CONFIGURE: libc::Ioctl = 0x4C0A;
const LO_FLAGS_AUTOCLEAR: u32 = 4;
const LO_FLAGS_DIRECT_IO: u32 = 16;
/// Sector size of the device, and size of ext4's blocks: that of memory pages.
const BLOCK_BYTES: u32 = 4096;

/// `struct loop_config` with `struct loop_info64` in it, of linux/loop.h.
#[repr(C)]
struct LoopConfig {
    fd: u32,
    block_size: u32,
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    size_limit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
    reserved: [u64; 8],
}

impl LoopConfig {
    const EMPTY: Self = Self {
        fd: 0,
        block_size: 0,
        device: 0,
        inode: 0,
        rdevice: 0,
        offset: 0,
        size_limit: 0,
        number: 0,
        encrypt_type: 0,
        encrypt_key_size: 0,
        flags: 0,
        file_name: [0; 64],
        crypt_name: [0; 64],
        encrypt_key: [0; 32],
        init: [0; 2],
        reserved: [0; 8],
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_structure_has_the_size_that_the_kernel_expects() {
        assert_eq!(size_of::<LoopConfig>(), 304);
    }
}
