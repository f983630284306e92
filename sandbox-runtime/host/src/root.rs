//! The root file system of a cell: the template's layers below, its own disk above.
//!
//! ```text
//! scratch/disk.img    the sparse file
//! scratch/disk/       its mount: upper/ work/ tmp/ console
//! scratch/lower/N/    layer N with shifted owners
//! scratch/guest/      what is seen at /opt/soulbox, with shifted owners, read-only
//! scratch/root/       the overlay of all that: what the cell sees as /
//! ```
//! The layers are shared by all cells and never written. What a cell writes lands on its
//! disk, so the disk's size bounds it.

use crate::{
    disk::{self, DiskKind},
    error::{HostError, Step},
    idmap::IdMap,
    mounts::{self, NewMount},
};
use rustix::{
    fd::{AsRawFd, OwnedFd},
    fs::{Mode, OFlags, chown, open, statvfs},
    process::{Gid, Uid},
};
use std::{
    fs,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    thread::sleep,
    time::{Duration, Instant},
};

/// What a root file system is made of.
#[derive(Debug, Clone, Copy)]
pub struct RootSpec<'a> {
    /// The template's layers, base first.
    pub layers: &'a [PathBuf],
    /// A directory that belongs to this cell alone.
    pub scratch: &'a Path,
    /// Seen read-only at `/opt/soulbox`.
    pub guest_files: &'a Path,
    /// Size of the disk.
    pub disk_bytes: u64,
    /// The host's id of the cell's root.
    pub first_host_id: u32,
}

/// An assembled root file system. It stays until [`dismantle`] is called.
#[derive(Debug, Clone)]
pub struct Root {
    /// What the cell sees as `/`.
    pub merged: PathBuf,
    /// A directory of the cell's disk, of mode 1777, for `/tmp`.
    pub tmp: PathBuf,
    /// For `/opt/soulbox`.
    pub guest: PathBuf,
    /// Where the cell's disk is mounted. Files here count against the disk's size, and are
    /// not seen from inside.
    pub disk: PathBuf,
    /// What the disk is made of.
    pub kind: DiskKind,
}

/// What the disk of a cell holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DiskUsage {
    /// Bytes written.
    pub used_bytes: u64,
    /// Bytes that fit.
    pub total_bytes: u64,
}

/// Every directory that is a mount point in the cell, so that it is there whatever the
/// template holds.
const MOUNT_POINTS: [&str; 6] = ["proc", "sys", "dev", "run", "tmp", "opt/soulbox"];
/// How long a loop device may take to free itself after its last user is gone.
const LOOP_FREE_WITHIN: Duration = Duration::from_secs(5);
/// Between two looks at it.
const LOOK: Duration = Duration::from_millis(2);

impl Root {
    /// Puts a root file system together. Blocking: run it where blocking is allowed.
    ///
    /// # Errors
    /// The step that failed; the caller then calls [`dismantle`].
    pub fn assemble(spec: &RootSpec<'_>) -> Result<Self, HostError> {
        let step = "make the cell's directories";
        let base = spec.layers.first().ok_or_else(|| HostError {
            step,
            why: "the template has no layer".into(),
        })?;
        let root_mode = fs::metadata(base).step(step)?.mode();
        // The cell's root must get through to what is mounted here, and needs to list nothing.
        let passable = fs::Permissions::from_mode(0o711);
        fs::set_permissions(spec.scratch, passable).step(step)?;
        let at = |name: &str| spec.scratch.join(name);
        for name in ["disk", "root", "guest", "lower"] {
            make_dir(&at(name), 0o711).step(step)?;
        }
        let disk = at("disk");
        let kind = disk::mount(&at("disk.img"), spec.disk_bytes, &disk)?;
        fs::set_permissions(&disk, fs::Permissions::from_mode(0o711)).step(step)?;
        for (name, mode) in [("upper", root_mode), ("work", 0o700), ("tmp", 0o1777)] {
            make_dir(&disk.join(name), 0o700).step(step)?;
            own(&disk.join(name), spec.first_host_id, mode)?;
        }

        let owners = IdMap::new(spec.first_host_id)?;
        let guest = owners.shifted_copy(spec.guest_files)?;
        mounts::attach(&guest, &at("guest"), "mount the agent's files")?;
        let mut lower = Vec::new();
        for (number, layer) in spec.layers.iter().enumerate() {
            let point = at("lower").join(number.to_string());
            make_dir(&point, 0o711).step(step)?;
            mounts::attach(&owners.shifted_copy(layer)?, &point, "mount a layer")?;
            lower.push(point);
        }
        let root = Self {
            merged: at("root"),
            tmp: disk.join("tmp"),
            guest: at("guest"),
            disk,
            kind,
        };
        root.overlay(&lower)?;
        for point in MOUNT_POINTS {
            root.mount_point(point, spec.first_host_id)?;
        }
        // The overlay holds the layers by itself now.
        mounts::detach_all(&at("lower"))?;
        Ok(root)
    }

    /// Paths are handed over as descriptors: a name with a comma or a colon means nothing
    /// to the parser of overlay options then.
    fn overlay(&self, lower: &[PathBuf]) -> Result<(), HostError> {
        let step = "mount the root file system";
        let upper = open_path(&self.disk.join("upper")).step(step)?;
        let work = open_path(&self.disk.join("work")).step(step)?;
        let mut layers = Vec::new();
        for point in lower.iter().rev() {
            layers.push(open_path(point).step(step)?);
        }
        let lower: Vec<_> = layers.iter().map(fd_path).collect();
        NewMount::of("overlay")?
            .string("lowerdir", &lower.join(":"))?
            .string("upperdir", &fd_path(&upper))?
            .string("workdir", &fd_path(&work))?
            // Directories of the template can be renamed, as on a plain disk.
            .string("redirect_dir", "on")?
            // The disk ends with its cell, so waiting for it to be durable is for nothing.
            .flag("volatile")?
            .attributes(mounts::NODEV | mounts::NOSUID)
            .at(&self.merged, step)
    }

    /// Makes a directory for a mount where the template has none. A template is trusted no
    /// further than to be data: a symbolic link on the way is refused, not followed.
    fn mount_point(&self, name: &str, owner: u32) -> Result<(), HostError> {
        let step = "make a mount point in the root file system";
        let mut path = self.merged.clone();
        for part in name.split('/') {
            path.push(part);
            match fs::symlink_metadata(&path) {
                Ok(found) if found.is_dir() => {}
                Ok(_) => {
                    return Err(HostError {
                        step,
                        why: format!("the template's /{name} is not a directory"),
                    });
                }
                Err(_) => {
                    make_dir(&path, 0o755).step(step)?;
                    own(&path, owner, 0o755)?;
                }
            }
        }
        Ok(())
    }

    /// How full the disk is.
    pub fn usage(&self) -> DiskUsage {
        let Ok(stat) = statvfs(&self.disk) else {
            return DiskUsage::default();
        };
        DiskUsage {
            used_bytes: (stat.f_blocks - stat.f_bfree) * stat.f_frsize,
            total_bytes: stat.f_blocks * stat.f_frsize,
        }
    }
}

/// Takes a root file system apart and removes the cell's directory. Whatever is gone
/// already is no error. Blocking.
///
/// # Errors
/// What could not be given back.
pub fn dismantle(scratch: &Path) -> Result<(), HostError> {
    mounts::detach_all(scratch)?;
    let deadline = Instant::now() + LOOP_FREE_WITHIN;
    let image = scratch.join("disk.img");
    while disk::is_attached(&image) {
        if Instant::now() >= deadline {
            return Err(HostError {
                step: "free the cell's loop device",
                why: "something still uses the cell's disk".into(),
            });
        }
        sleep(LOOK);
    }
    match fs::remove_dir_all(scratch) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).step("remove the cell's directory")
        }
        _ => Ok(()),
    }
}

fn make_dir(path: &Path, mode: u32) -> std::io::Result<()> {
    fs::DirBuilder::new().mode(mode).create(path)?;
    // The umask may have taken bits away.
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

fn own(path: &Path, id: u32, mode: u32) -> Result<(), HostError> {
    let step = "give a directory to the cell's root";
    chown(path, Some(Uid::from_raw(id)), Some(Gid::from_raw(id))).step(step)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode & 0o7777)).step(step)
}

fn open_path(path: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    open(path, flags, Mode::empty())
}

fn fd_path(fd: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}
