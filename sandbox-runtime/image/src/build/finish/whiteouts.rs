//! Makes a layer mean the same under every kind of overlay mount.
//!
//! When a build replaces a whole directory, overlayfs marks the new one "opaque" with an attribute.
//! A mount in a user namespace reads another attribute than root's mount has written, and would
//! show the parent's files again. A deleted file is a device 0:0 for both. So each opaque mark is
//! replaced by such a device for every name of the parents that is not in the new directory.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs, io,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{CWD, FileType, Mode, lgetxattr, lremovexattr, mknodat},
    io::Errno,
};

/// The mark of root's mounts.
const OPAQUE: &str = "trusted.overlay.opaque";

/// Replaces every opaque mark below `layer`. `parents` are the layers under it, the lowest first.
pub(super) fn spell_out(layer: &Path, parents: &[PathBuf]) -> io::Result<()> {
    if parents.is_empty() {
        return Ok(());
    }
    walk(layer, parents.to_vec(), false)
}

/// `below` are the directories that lie under `directory`, the lowest first; `hides` says that
/// nothing of them is to be seen.
fn walk(directory: &Path, below: Vec<PathBuf>, hides: bool) -> io::Result<()> {
    let hides = take_mark(directory)? || hides;
    let mut present = BTreeSet::new();
    let mut deeper = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            deeper.push(entry.file_name());
        }
        present.insert(entry.file_name());
    }
    if hides {
        for name in visible(&below)?.difference(&present) {
            mknodat(
                CWD,
                directory.join(name),
                FileType::CharacterDevice,
                Mode::empty(),
                0,
            )?;
        }
    }
    for name in deeper {
        let below = below
            .iter()
            .map(|parent| parent.join(&name))
            .filter(|path| is_directory(path))
            .collect();
        walk(&directory.join(&name), below, hides)?;
    }
    Ok(())
}

fn take_mark(directory: &Path) -> io::Result<bool> {
    let mut value = [0; 4];
    match lgetxattr(directory, OPAQUE, &mut value) {
        Ok(_) => {
            lremovexattr(directory, OPAQUE)?;
            Ok(true)
        }
        Err(Errno::NODATA | Errno::NOTSUP) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// The names that one sees in directories on top of each other.
fn visible(below: &[PathBuf]) -> io::Result<BTreeSet<OsString>> {
    let mut names = BTreeSet::new();
    for directory in below {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            if metadata.file_type().is_char_device() && metadata.rdev() == 0 {
                names.remove(&entry.file_name());
            } else {
                names.insert(entry.file_name());
            }
        }
    }
    Ok(names)
}

fn is_directory(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir())
}
