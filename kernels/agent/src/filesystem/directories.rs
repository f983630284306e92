//! Directories that are made on the way to a file.

use super::watch::Watchers;
use crate::process::user::User;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, lchown};
use std::path::Path;

/// Mode of what is made.
const MODE: u32 = 0o755;

/// Makes a directory and all that lead to it. Those that are new belong to the user, and
/// watchers see them before anything is made inside. Returns whether the last one is new.
pub fn make_all(path: &Path, user: &User, watchers: &Watchers) -> io::Result<bool> {
    let mut missing = Vec::new();
    for directory in path.ancestors() {
        match fs::metadata(directory) {
            Ok(meta) if meta.is_dir() => break,
            Ok(_) => return Err(io::ErrorKind::NotADirectory.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => missing.push(directory),
            Err(error) => return Err(error),
        }
    }
    let mut is_new = false;
    for directory in missing.into_iter().rev() {
        match fs::DirBuilder::new().mode(MODE).create(directory) {
            Ok(()) => {
                lchown(directory, Some(user.uid), Some(user.gid))?;
                watchers.settle();
                is_new = true;
            }
            // Somebody else was quicker, or it is a dangling link, which the caller will notice.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => is_new = false,
            Err(error) => return Err(error),
        }
    }
    Ok(is_new)
}
