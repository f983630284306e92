//! What every sandbox sees read-only at `/opt/soulbox`: the agent and the kernels' files.
//!
//! They are no part of an image, so a change of them needs no image build. The directory is
//! named by the hash of its content: cells that run on an older one keep it, and the node
//! removes those that no cell can use any more when it starts.

use crate::error::NodeError;
use sha2::{Digest, Sha256};
use std::{
    fs,
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};
use tracing::{info, warn};

/// Path of the agent inside every sandbox.
pub const AGENT_IN_GUEST: &str = "/opt/soulbox/bin/soulbox-agent";

/// Files of `kernels/`, embedded when the node is built: path and content.
static KERNEL_FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/kernel_files.rs"));

/// Where the agent's program is on the host.
///
/// # Errors
/// [`NodeError::NoAgent`] with the path that was tried.
pub fn find_agent(option: Option<&Path>) -> Result<PathBuf, NodeError> {
    let path = match option {
        Some(path) => path.to_owned(),
        None => std::env::current_exe()
            .map_err(NodeError::io("find the running program"))?
            .with_file_name("soulbox-agent"),
    };
    if path.is_file() {
        Ok(path)
    } else {
        Err(NodeError::NoAgent(path))
    }
}

/// Writes the guest files below `run_dir` unless they are there, and removes older ones.
/// Must be called before the first cell starts.
///
/// # Errors
/// When a file cannot be read or written.
pub fn write(run_dir: &Path, agent: &Path) -> Result<PathBuf, NodeError> {
    let agent = fs::read(agent).map_err(NodeError::io(format!("read {}", agent.display())))?;
    let name = format!("guest-{}", hash(&agent));
    let directory = run_dir.join(&name);
    remove_others(run_dir, &name);
    if !directory.is_dir() {
        let new = run_dir.join(format!("{name}.new"));
        fill(&new, &agent)
            .and_then(|()| fs::rename(&new, &directory))
            .map_err(NodeError::io("write the guest files"))?;
        info!(directory = %directory.display(), files = KERNEL_FILES.len() + 1, "wrote the guest files");
    }
    Ok(directory)
}

/// One embedded file by its path below `kernels/`.
pub fn kernel_file(path: &str) -> Option<&'static [u8]> {
    let found = KERNEL_FILES.iter().find(|(name, _)| *name == path);
    found.map(|(_, content)| *content)
}

fn hash(agent: &[u8]) -> String {
    let mut hash = Sha256::new();
    for (name, content) in KERNEL_FILES.iter().copied().chain([("agent", agent)]) {
        // Lengths keep a file's end from moving into the next one's name.
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name);
        hash.update((content.len() as u64).to_le_bytes());
        hash.update(content);
    }
    hash.finalize()[..6]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn fill(directory: &Path, agent: &[u8]) -> io::Result<()> {
    make_directory(directory)?;
    for name in ["bin", "kernels"] {
        make_directory(&directory.join(name))?;
    }
    write_file(&directory.join("bin/soulbox-agent"), agent, 0o555)?;
    let kernels = directory.join("kernels");
    for (name, content) in KERNEL_FILES {
        let mut parent = kernels.clone();
        for part in Path::new(name).parent().into_iter().flatten() {
            parent.push(part);
            make_directory(&parent)?;
        }
        write_file(&kernels.join(name), content, 0o444)?;
    }
    Ok(())
}

/// The mode is set by hand, since sandboxes read as other users and the node's umask may
/// forbid that.
fn make_directory(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

fn write_file(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(content)?;
    file.set_permissions(fs::Permissions::from_mode(mode))
}

fn remove_others(run_dir: &Path, keep: &str) {
    let Ok(entries) = fs::read_dir(run_dir) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("guest-")
            && name != keep
            && let Err(error) = fs::remove_dir_all(entry.path())
        {
            warn!(%name, %error, "could not remove old guest files");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guest_files_are_written_once_and_replace_older_ones() {
        let run = tempfile::tempdir().expect("a directory");
        let agent = run.path().join("an-agent");
        fs::write(&agent, b"one").expect("written");
        let first = write(run.path(), &agent).expect("guest files");
        assert_eq!(write(run.path(), &agent).expect("guest files"), first);
        assert_eq!(
            fs::read(first.join("bin/soulbox-agent")).expect("read"),
            b"one"
        );
        fs::write(&agent, b"two").expect("written");
        let second = write(run.path(), &agent).expect("guest files");
        assert_ne!(first, second);
        assert!(!first.exists());
    }

    #[test]
    fn the_python_kernel_is_embedded_and_its_tests_are_not() {
        let names: Vec<_> = KERNEL_FILES.iter().map(|(name, _)| *name).collect();
        assert!(names.contains(&"python/kernel.json"), "{names:?}");
        assert!(
            !names.iter().any(|name| name.contains("tests/")),
            "{names:?}"
        );
    }
}
