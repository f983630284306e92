//! The last words of a cell's mechanism.
//!
//! The console is a file on the cell's own disk: whatever writes to it, the disk's size
//! bounds it, and nobody waits at the other end of a pipe. The agent's standard error goes
//! there too, and code in the sandbox that is root can write to that; so only lines that
//! begin with a word of the mechanism or the agent are taken, shortened and stripped.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// How much of the end of the file is looked at.
const TAIL_BYTES: u64 = 16 << 10;
/// The longest line that is told.
const LINE_CHARACTERS: usize = 400;
/// What lines of mechanisms and of the agent begin with.
const KNOWN: [&str; 8] = [
    "soulbox-agent:",
    "soulbox-namespace:",
    "running container:",
    "creating container:",
    "starting container:",
    "panic:",
    "fatal error:",
    "runtime:",
];

/// Where a cell's mechanism writes to.
#[derive(Debug, Clone)]
pub struct Console(PathBuf);

impl Console {
    /// Names the file; it need not exist yet.
    pub fn at(path: PathBuf) -> Self {
        Self(path)
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Opens it for writing at its end.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn open(&self) -> io::Result<File> {
        File::options()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&self.0)
    }

    /// The last line that a mechanism or the agent wrote.
    pub fn last_line(&self) -> Option<String> {
        let mut file = File::open(&self.0).ok()?;
        let length = file.seek(SeekFrom::End(0)).ok()?;
        let from = length.saturating_sub(TAIL_BYTES);
        file.seek(SeekFrom::Start(from)).ok()?;
        let mut tail = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut tail).ok()?;
        last_known_line(&String::from_utf8_lossy(&tail))
    }
}

fn last_known_line(text: &str) -> Option<String> {
    let line = text
        .lines()
        .rev()
        .find(|line| KNOWN.iter().any(|word| line.starts_with(word)))?;
    Some(
        line.chars()
            .filter(|c| !c.is_control())
            .take(LINE_CHARACTERS)
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_users_print_is_not_told() {
        let text = "panic: lost\x1b[2J thread\nmy secret\n";
        assert_eq!(
            last_known_line(text).as_deref(),
            Some("panic: lost[2J thread")
        );
        assert_eq!(last_known_line("my secret\n"), None);
    }
}
