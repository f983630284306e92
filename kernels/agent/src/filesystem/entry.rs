//! What clients are told of a file: `EntryInfo` (section 4.5 of the contract).
//!
//! It describes the path itself and not what a link points to, with two exceptions that the
//! contract makes: type and mode of a link are those of its final target.
//! JSON is text and names of files are bytes: where they are no text, what cannot be said is
//! replaced, since one odd name must not make the rest of a directory unseen.

use super::metadata::{self, Metadata};
use crate::process::user;
use jiff::Timestamp;
use serde::Serialize;
use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Permission bits of a mode.
const PERMISSIONS: u32 = 0o777;

/// Kinds of files that clients know. They pass over entries of other kinds in listings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum FileType {
    /// Neither of the others: a pipe, a device, a link that leads nowhere.
    #[serde(rename = "FILE_TYPE_UNSPECIFIED")]
    Unspecified,
    /// A regular file.
    #[serde(rename = "FILE_TYPE_FILE")]
    File,
    /// A directory.
    #[serde(rename = "FILE_TYPE_DIRECTORY")]
    Directory,
}

impl From<fs::FileType> for FileType {
    fn from(kind: fs::FileType) -> Self {
        if kind.is_dir() {
            Self::Directory
        } else if kind.is_file() {
            Self::File
        } else {
            Self::Unspecified
        }
    }
}

/// One file, directory or link.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    name: String,
    #[serde(rename = "type")]
    kind: FileType,
    path: String,
    /// 64 bit numbers are text in protobuf's JSON.
    size: String,
    mode: u32,
    permissions: String,
    owner: String,
    group: String,
    modified_time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    symlink_target: Option<String>,
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    metadata: Metadata,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_symlink: bool,
}

/// Names of users and groups, looked up once per request.
#[derive(Default)]
pub struct Names {
    users: HashMap<u32, String>,
    groups: HashMap<u32, String>,
}

impl Names {
    fn user(&mut self, uid: u32) -> String {
        let name = || user::name_of(uid).unwrap_or_else(|| uid.to_string());
        self.users.entry(uid).or_insert_with(name).clone()
    }

    fn group(&mut self, gid: u32) -> String {
        let name = || user::group_name_of(gid).unwrap_or_else(|| gid.to_string());
        self.groups.entry(gid).or_insert_with(name).clone()
    }
}

impl Entry {
    /// Looks at a path.
    pub fn of(path: &Path, names: &mut Names) -> io::Result<Self> {
        let own = fs::symlink_metadata(path)?;
        let is_symlink = own.file_type().is_symlink();
        let target = if is_symlink {
            fs::metadata(path).ok()
        } else {
            None
        };
        let (kind, mode) = match (&target, is_symlink) {
            (Some(target), _) => (target.file_type().into(), target.mode() & PERMISSIONS),
            (None, true) => (FileType::Unspecified, 0),
            (None, false) => (own.file_type().into(), own.mode() & PERMISSIONS),
        };
        let symlink_target =
            is_symlink.then(|| text(&fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())));
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        Ok(Self {
            name: name.unwrap_or_else(|| "/".into()),
            kind,
            path: text(path),
            size: own.len().to_string(),
            mode,
            permissions: permissions(&own),
            owner: names.user(own.uid()),
            group: names.group(own.gid()),
            modified_time: modified(&own),
            symlink_target,
            metadata: metadata::read(path),
            is_symlink,
        })
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// `drwxr-xr-x`, with a capital `L` for links.
fn permissions(own: &fs::Metadata) -> String {
    let kind = own.file_type();
    let first = if kind.is_dir() {
        'd'
    } else if kind.is_symlink() {
        'L'
    } else {
        '-'
    };
    let bit = |shift: u32, letter| {
        if own.mode() >> shift & 1 == 1 {
            letter
        } else {
            '-'
        }
    };
    let bits = (0..9)
        .rev()
        .zip("rwxrwxrwx".chars())
        .map(|(shift, letter)| bit(shift, letter));
    std::iter::once(first).chain(bits).collect()
}

fn modified(own: &fs::Metadata) -> String {
    let nanoseconds = i32::try_from(own.mtime_nsec()).unwrap_or_default();
    Timestamp::new(own.mtime(), nanoseconds)
        .unwrap_or(Timestamp::UNIX_EPOCH)
        .to_string()
}
