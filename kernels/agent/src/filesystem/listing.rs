//! `ListDir`: a directory and what is below it (section 4.5 of the contract).
//!
//! Lexical order, depth first, a directory before its children. Links below the root are not
//! followed, so a loop of links ends.

use super::entry::{Entry, Names};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

/// Entries of one answer. It is one message, so it is held as a whole.
const MAX_ENTRIES: usize = 100_000;

/// Why a directory was not listed.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The system said no.
    #[error("{0}")]
    System(#[from] io::Error),
    /// There is too much in it.
    #[error("the directory has more than {MAX_ENTRIES} entries; list fewer levels of it")]
    TooMany,
}

/// Lists a directory down to a depth of at least one.
pub fn list(root: &Path, depth: u32) -> Result<Vec<Entry>, ListError> {
    let mut names = Names::default();
    let mut entries = Vec::new();
    // What is still to be reported, the next one last.
    let mut waiting = children(root, 1)?;
    while let Some((path, level)) = waiting.pop() {
        if entries.len() + waiting.len() >= MAX_ENTRIES {
            return Err(ListError::TooMany);
        }
        // Files come and go while we look; those that went are not listed.
        let Ok(entry) = Entry::of(&path, &mut names) else {
            continue;
        };
        entries.push(entry);
        let is_directory = || std::fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_dir());
        if level < depth && is_directory() {
            waiting.extend(children(&path, level + 1).unwrap_or_default());
        }
    }
    Ok(entries)
}

/// The children of a directory, the first one last.
fn children(directory: &Path, level: u32) -> Result<Vec<(PathBuf, u32)>, ListError> {
    let mut names: Vec<OsString> = Vec::new();
    for child in std::fs::read_dir(directory)? {
        names.push(child?.file_name());
        if names.len() > MAX_ENTRIES {
            return Err(ListError::TooMany);
        }
    }
    names.sort_unstable_by(|a, b| b.cmp(a));
    Ok(names
        .into_iter()
        .map(|name| (directory.join(name), level))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn paths(root: &Path, depth: u32) -> Vec<String> {
        let entries = serde_json::to_value(list(root, depth).unwrap()).unwrap();
        let path = |entry: &Value| entry["path"].as_str().unwrap().to_owned();
        let below = |path: String| path[root.to_str().unwrap().len() + 1..].to_owned();
        entries
            .as_array()
            .unwrap()
            .iter()
            .map(path)
            .map(below)
            .collect()
    }

    #[test]
    fn order_depth_and_links() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        std::fs::create_dir_all(root.join("b/c")).unwrap();
        std::fs::write(root.join("b/c/deep"), "").unwrap();
        std::fs::write(root.join("a"), "").unwrap();
        std::fs::write(root.join("c"), "").unwrap();
        std::os::unix::fs::symlink("..", root.join("b/up")).unwrap();
        assert_eq!(paths(root, 1), ["a", "b", "c"]);
        assert_eq!(paths(root, 2), ["a", "b", "b/c", "b/up", "c"]);
        assert_eq!(paths(root, 9), ["a", "b", "b/c", "b/c/deep", "b/up", "c"]);
    }

    #[test]
    fn a_name_that_is_no_text_hides_nothing() {
        use std::os::unix::ffi::OsStrExt as _;
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        std::fs::write(root.join("a"), "").unwrap();
        let odd = root.join(std::ffi::OsStr::from_bytes(b"bad\xff"));
        std::fs::write(&odd, "").unwrap();
        std::os::unix::fs::symlink(&odd, root.join("link")).unwrap();
        assert_eq!(paths(root, 1), ["a", "bad\u{fffd}", "link"]);
    }
}
