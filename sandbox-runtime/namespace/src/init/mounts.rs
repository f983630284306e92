//! What a cell sees as its file system.
//!
//! The helper opens, as the host's root, copies of everything that comes from outside; the
//! cell's first process puts them into place by descriptor. So no path of the host needs to
//! be passable for the cell's users, and after `pivot_root` no way leads back.

use crate::plan::Plan;
use rustix::{
    fd::OwnedFd,
    fs::{CWD, FileType, Mode, mknodat, symlink},
    mount::{MountPropagationFlags, UnmountFlags, mount_change, unmount},
    process::{chdir, fchdir, pivot_root},
};
use soulbox_host::{
    HostError, Step,
    mounts::{NODEV, NOEXEC, NOSUID, NewMount, RDONLY, attach, copy_of, make_read_only},
};
use std::{fs, path::Path};

/// The device files that programs need, and nothing else.
const DEVICES: [&str; 6] = ["full", "null", "random", "tty", "urandom", "zero"];
/// Links that programs expect in `/dev`.
const DEVICE_LINKS: [(&str, &str); 5] = [
    ("/proc/self/fd", "dev/fd"),
    ("/proc/self/fd/0", "dev/stdin"),
    ("/proc/self/fd/1", "dev/stdout"),
    ("/proc/self/fd/2", "dev/stderr"),
    ("pts/ptmx", "dev/ptmx"),
];
/// What `/proc` would let even a cell's root change or set off.
const READ_ONLY: [&str; 5] = [
    "proc/bus",
    "proc/fs",
    "proc/irq",
    "proc/sys",
    "proc/sysrq-trigger",
];
/// What `/proc` would tell of the host's kernel; files.
const HIDDEN_FILES: [&str; 5] = [
    "proc/kcore",
    "proc/keys",
    "proc/key-users",
    "proc/timer_list",
    "proc/kmsg",
];
/// The same; directories.
const HIDDEN_DIRECTORIES: [&str; 3] = ["proc/acpi", "proc/asound", "proc/scsi"];
/// Nodes, links and sockets of `/dev` itself fit into this many bytes.
const DEV_BYTES: &str = "65536";

/// Detached copies of what comes from outside.
pub struct Sources {
    root: OwnedFd,
    tmp: OwnedFd,
    guest: OwnedFd,
    devices: Vec<(&'static str, OwnedFd)>,
}

impl Sources {
    /// Opens them, with the rights of the host's root.
    pub fn open(plan: &Plan) -> Result<Self, HostError> {
        let device = |name: &'static str| {
            let path = Path::new("/dev").join(name);
            Ok((name, copy_of(&path, "open a device file")?))
        };
        Ok(Self {
            root: copy_of(&plan.root, "open the root file system")?,
            tmp: copy_of(&plan.tmp, "open the directory for /tmp")?,
            guest: copy_of(&plan.guest, "open the agent's files")?,
            devices: DEVICES.into_iter().map(device).collect::<Result<_, _>>()?,
        })
    }
}

/// Puts everything together and leaves the host's file system behind.
pub fn build(plan: &Plan, sources: Sources) -> Result<(), HostError> {
    let step = "keep the cell's mounts to itself";
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private).step(step)?;
    // Any directory will do to hang the new root up; the descriptor then leads into it.
    attach(&sources.root, Path::new("/"), "mount the root file system")?;
    fchdir(&sources.root).step("enter the root file system")?;

    process_list()?;
    devices(plan, sources.devices)?;
    tmpfs("run", plan.run_bytes, "0755")?;
    attach(&sources.tmp, Path::new("tmp"), "mount /tmp")?;
    attach(
        &sources.guest,
        Path::new("opt/soulbox"),
        "mount /opt/soulbox",
    )?;

    let step = "leave the host's file system";
    pivot_root(".", ".").step(step)?;
    // The old root now lies on top of the new one.
    unmount(".", UnmountFlags::DETACH).step(step)?;
    chdir("/").step(step)
}

fn process_list() -> Result<(), HostError> {
    NewMount::of("proc")?
        .attributes(NODEV | NOSUID | NOEXEC)
        .at(Path::new("proc"), "mount /proc")?;
    let step = "guard a part of /proc";
    for path in READ_ONLY.map(Path::new).iter().filter(|p| p.exists()) {
        let copy = copy_of(path, step)?;
        make_read_only(&copy, step)?;
        attach(&copy, path, step)?;
    }
    for path in HIDDEN_FILES.map(Path::new).iter().filter(|p| p.exists()) {
        attach(&copy_of(Path::new("/dev/null"), step)?, path, step)?;
    }
    for path in HIDDEN_DIRECTORIES
        .map(Path::new)
        .iter()
        .filter(|p| p.exists())
    {
        NewMount::of("tmpfs")?
            .string("size", "4096")?
            .attributes(RDONLY | NODEV | NOSUID | NOEXEC)
            .at(path, step)?;
    }
    Ok(())
}

fn devices(plan: &Plan, devices: Vec<(&'static str, OwnedFd)>) -> Result<(), HostError> {
    let step = "fill /dev";
    NewMount::of("tmpfs")?
        .string("size", DEV_BYTES)?
        .string("mode", "0755")?
        .attributes(NOSUID | NOEXEC)
        .at(Path::new("dev"), "mount /dev")?;
    for (name, device) in devices {
        let path = Path::new("dev").join(name);
        // A place to hang the device file up.
        mknodat(
            CWD,
            &path,
            FileType::RegularFile,
            Mode::from_raw_mode(0o666),
            0,
        )
        .step(step)?;
        attach(&device, &path, step)?;
    }
    for (target, link) in DEVICE_LINKS {
        symlink(target, link).step(step)?;
    }
    fs::create_dir("dev/pts").step(step)?;
    NewMount::of("devpts")?
        .string("mode", "0620")?
        .string("ptmxmode", "0666")?
        // The group `tty` of every distribution.
        .string("gid", "5")?
        .attributes(NOSUID | NOEXEC)
        .at(Path::new("dev/pts"), "mount /dev/pts")?;
    fs::create_dir("dev/shm").step(step)?;
    tmpfs("dev/shm", plan.shm_bytes, "1777")
}

fn tmpfs(path: &str, bytes: u64, mode: &str) -> Result<(), HostError> {
    NewMount::of("tmpfs")?
        .string("size", &bytes.to_string())?
        .string("mode", mode)?
        .attributes(NODEV | NOSUID)
        .at(Path::new(path), "mount a file system in memory")
}
