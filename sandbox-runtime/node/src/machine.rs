//! What the node takes for itself before it serves: rights, its directories, the lock.

use crate::{error::NodeError, node::scratch_dir, options::NodeOptions};
use rustix::fs::{FlockOperation, flock};
use std::{
    fs::{self, File, OpenOptions},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::Path,
};

/// Held as long as the node lives: the kernel gives it back however the node ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Refuses to go on without the rights of root.
///
/// # Errors
/// [`NodeError::NotRoot`].
pub fn require_root() -> Result<(), NodeError> {
    if rustix::process::geteuid().is_root() {
        Ok(())
    } else {
        Err(NodeError::NotRoot)
    }
}

/// Makes the node's directories and takes the lock on them.
///
/// # Errors
/// [`NodeError::Locked`] when another node holds it; system errors.
pub fn take_run_dir(options: &NodeOptions) -> Result<Lock, NodeError> {
    check_name(&options.name)?;
    let run = options.run_dir();
    make_directory(&run, 0o711)?;
    let path = run.join("lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(NodeError::io(format!("open {}", path.display())))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => return Err(NodeError::Locked(run)),
        Err(error) => {
            return Err(NodeError::io(format!("lock {}", path.display()))(
                error.into(),
            ));
        }
    }
    // Sandboxes' users pass through to their own directories, and can list nothing.
    for directory in [
        &scratch_dir(options),
        &options.state_root,
        &options.state_dir(),
    ] {
        make_directory(directory, 0o711)?;
    }
    Ok(Lock { _file: file })
}

fn check_name(name: &str) -> Result<(), NodeError> {
    let fits = (1..=40).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    fits.then_some(())
        .ok_or_else(|| NodeError::Name(name.to_owned()))
}

fn make_directory(path: &Path, mode: u32) -> Result<(), NodeError> {
    let what = || format!("make {}", path.display());
    let parents = path.parent().unwrap_or(path);
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(parents)
        .map_err(NodeError::io(what()))?;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(path)
        .map_err(NodeError::io(what()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(NodeError::io(what()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_nodes_cannot_share_a_directory() {
        let data = tempfile::tempdir().expect("a directory");
        let mut options = NodeOptions::new(data.path());
        options.state_root = data.path().join("state");
        let first = take_run_dir(&options).expect("free");
        assert!(matches!(take_run_dir(&options), Err(NodeError::Locked(_))));
        drop(first);
        take_run_dir(&options).expect("free again");
    }

    #[test]
    fn a_name_cannot_leave_its_directory() {
        let mut options = NodeOptions::new("/nonexistent");
        for name in ["", "..", "a/b", "A"] {
            options.name = name.to_owned();
            assert!(matches!(take_run_dir(&options), Err(NodeError::Name(_))));
        }
    }
}
