//! Where the output of a node goes that we start: a file that cannot grow for ever, since
//! it is turned over at each start.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

/// A larger log is put aside at the next start; one older log is kept.
const TURN_OVER_BYTES: u64 = 16 << 20;
/// What is shown when a node does not start.
const TAIL_BYTES: u64 = 4 << 10;
const TAIL_LINES: usize = 8;

/// The log of one start.
pub struct NodeLog {
    /// The file.
    pub path: PathBuf,
    begins_at: u64,
}

impl NodeLog {
    /// Opens it for appending. The file is what the node writes to.
    pub fn open(data_dir: &Path) -> io::Result<(Self, File)> {
        let path = data_dir.join("node.log");
        if fs::metadata(&path).is_ok_and(|seen| seen.len() > TURN_OVER_BYTES) {
            fs::rename(&path, data_dir.join("node.log.1"))?;
        }
        let file = OpenOptions::new().create(true).append(true).open(&path)?;
        let begins_at = file.metadata()?.len();
        Ok((Self { path, begins_at }, file))
    }

    /// The last lines that were written since the start.
    pub fn tail(&self) -> String {
        let text = self.read_end().unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }

    fn read_end(&self) -> io::Result<String> {
        let mut file = File::open(&self.path)?;
        let size = file.metadata()?.len();
        let from = self.begins_at.max(size.saturating_sub(TAIL_BYTES));
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}
