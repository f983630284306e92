//! What the house rules look at: every file that git knows, and what each crate depends on.
//!
//! The rules themselves are the tests in `tests/`. This crate holds no rule and no opinion; it
//! reads the tree as a clone would have it, so that build output and caches never count.
#![forbid(unsafe_code)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A file of the project that is text.
pub struct Text {
    /// Where it is, relative to the root of the clone.
    pub path: String,
    /// What it says.
    pub content: String,
}

impl Text {
    /// The file's own name, without its directories.
    #[must_use]
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// True when the name ends in one of these, such as `.rs`.
    #[must_use]
    pub fn is_one_of(&self, endings: &[&str]) -> bool {
        endings.iter().any(|ending| self.path.ends_with(ending))
    }
}

/// The root of the clone.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("the crate lies two directories below the root")
        .to_path_buf()
}

/// Every text file that git tracks or would track. Binary files are left out.
///
/// # Panics
///
/// When git cannot be run: a check that silently looks at nothing would pass.
#[must_use]
pub fn texts() -> Vec<Text> {
    let root = root();
    let listed = Command::new("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(&root)
        .output()
        .expect("git lists the files of the clone");
    assert!(listed.status.success(), "git ls-files failed");
    let names = String::from_utf8(listed.stdout).expect("file names are UTF-8");
    let texts: Vec<Text> = names
        .split_terminator('\0')
        .filter_map(|path| {
            let content = fs::read_to_string(root.join(path)).ok()?;
            Some(Text {
                path: path.to_owned(),
                content,
            })
        })
        .collect();
    assert!(!texts.is_empty(), "git listed no file at all");
    texts
}
