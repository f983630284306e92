//! The node's memory of what it started, for the node that comes after a crash.
//!
//! One small file per cell, on disk before the cell's first process exists and removed
//! after its last mount is gone: whatever a dead node left is named here. The files are
//! written beside and renamed, so that a reader sees an old one or a new one, never half.

use crate::error::NodeError;
use serde::{Deserialize, Serialize};
use soulbox_runtime::{CellId, TierName, api::SandboxStatus};
use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};
use tracing::warn;

/// What must be known of a cell to clear it, and to tell its owner what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The cell.
    pub cell: CellId,
    /// The tier that started it.
    pub tier: TierName,
    /// The sandbox that it was handed over as.
    #[serde(default)]
    pub sandbox: Option<SandboxStatus>,
}

/// The directory of the entries.
#[derive(Debug, Clone)]
pub struct Journal {
    directory: PathBuf,
}

impl Journal {
    /// Opens the journal in a directory, which is made when it is missing.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub fn open(directory: impl Into<PathBuf>) -> Result<Self, NodeError> {
        let directory = directory.into();
        let mut builder = fs::DirBuilder::new();
        builder
            .recursive(true)
            .mode(0o700)
            .create(&directory)
            .map_err(NodeError::io("make the journal's directory"))?;
        Ok(Self { directory })
    }

    /// Notes a cell before it is started; on disk when this returns.
    ///
    /// # Errors
    /// When the entry cannot be written: the cell must not be started then.
    pub fn begin(&self, entry: &Entry) -> io::Result<()> {
        self.write(entry, true)?;
        File::open(&self.directory)?.sync_all()
    }

    /// Notes to whom a cell was handed over. Not forced to the disk: it must outlive the
    /// node's process, while a crash of the machine ends the sandboxes anyway.
    ///
    /// # Errors
    /// When the entry cannot be written.
    pub fn update(&self, entry: &Entry) -> io::Result<()> {
        self.write(entry, false)
    }

    /// Forgets a cell of which nothing is left.
    pub fn end(&self, cell: &CellId) {
        if let Err(error) = fs::remove_file(self.path(cell))
            && error.kind() != io::ErrorKind::NotFound
        {
            warn!(%cell, %error, "could not remove a journal entry");
        }
    }

    /// All entries. A file that makes no sense is told and removed: it names nothing
    /// that could be cleared.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn entries(&self) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for file in fs::read_dir(&self.directory)? {
            let path = file?.path();
            if path.extension().is_some_and(|e| e == "json") {
                match read(&path) {
                    Ok(entry) if self.path(&entry.cell) == path => entries.push(entry),
                    Ok(_) | Err(_) => {
                        warn!(path = %path.display(), "removed a journal entry that can't be read");
                        fs::remove_file(&path)?;
                    }
                }
            } else {
                fs::remove_file(&path)?;
            }
        }
        Ok(entries)
    }

    fn path(&self, cell: &CellId) -> PathBuf {
        self.directory.join(format!("{cell}.json"))
    }

    fn write(&self, entry: &Entry, sync: bool) -> io::Result<()> {
        let new = self.directory.join(format!("{}.new", entry.cell));
        let mut file = File::create(&new)?;
        serde_json::to_writer(&mut file, entry)?;
        file.flush()?;
        if sync {
            file.sync_all()?;
        }
        fs::rename(&new, self.path(&entry.cell))
    }
}

fn read(path: &Path) -> io::Result<Entry> {
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str) -> Entry {
        Entry {
            cell: CellId::new(name).expect("a valid id"),
            tier: TierName::Gvisor,
            sandbox: None,
        }
    }

    #[test]
    fn a_new_node_finds_what_the_old_one_began_and_did_not_end() {
        let directory = tempfile::tempdir().expect("a directory");
        let old = Journal::open(directory.path()).expect("a journal");
        old.begin(&entry("a")).expect("written");
        old.begin(&entry("b")).expect("written");
        old.end(&entry("a").cell);
        let new = Journal::open(directory.path()).expect("a journal");
        assert_eq!(new.entries().expect("read"), vec![entry("b")]);
    }

    #[test]
    fn half_an_entry_is_dropped() {
        let directory = tempfile::tempdir().expect("a directory");
        let journal = Journal::open(directory.path()).expect("a journal");
        fs::write(directory.path().join("c.json"), b"{\"cell\":").expect("written");
        fs::write(directory.path().join("d.new"), b"{").expect("written");
        assert_eq!(journal.entries().expect("read"), vec![]);
        assert_eq!(fs::read_dir(directory.path()).expect("read").count(), 0);
    }

    #[test]
    fn an_entry_that_names_another_cell_is_dropped() {
        let directory = tempfile::tempdir().expect("a directory");
        let journal = Journal::open(directory.path()).expect("a journal");
        let text = serde_json::to_vec(&entry("x")).expect("json");
        fs::write(directory.path().join("y.json"), text).expect("written");
        assert_eq!(journal.entries().expect("read"), vec![]);
    }
}
