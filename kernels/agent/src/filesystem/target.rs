//! One file that is being written for a client.
//!
//! The order is what watchers count on (section 4.5 of the contract): create, change of owner,
//! metadata, and only then the bytes; an existing file is emptied after its owner was set.
//! Everything goes through the open descriptor, so that a path which changes in between
//! cannot turn the change of owner against another file.

use super::directories;
use super::files::FilesError;
use super::metadata::{self, Metadata};
use crate::process::user::User;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use http::StatusCode;
use serde::Serialize;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, fchown};
use std::path::{Path, PathBuf};
use tokio::io::{AsyncWriteExt as _, BufWriter};

/// Mode of new files.
const MODE: u32 = 0o644;

/// Bytes that are gathered for one write: each costs a hop to another thread.
const BUFFER: usize = 256 << 10;

/// What is answered for each file.
#[derive(Debug, Serialize)]
pub struct Written {
    path: PathBuf,
    name: String,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    metadata: Metadata,
}

/// Writes all of a body to a file.
pub async fn write<E: std::fmt::Display>(
    path: PathBuf,
    user: User,
    metadata: &Metadata,
    body: impl Stream<Item = Result<Bytes, E>>,
) -> Result<Written, FilesError> {
    let prepared = tokio::task::spawn_blocking({
        let (path, metadata) = (path.clone(), metadata.clone());
        move || prepare(&path, &user, &metadata)
    });
    let file = prepared
        .await
        .map_err(|error| FilesError::internal(error.to_string()))??;
    let mut writer = BufWriter::with_capacity(BUFFER, tokio::fs::File::from_std(file));
    let mut body = std::pin::pin!(body);
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(|error| FilesError::bad(format!("unreadable body: {error}")))?;
        writer
            .write_all(&piece)
            .await
            .map_err(|error| failed(&path, &error))?;
    }
    // Only a flush tells of the last write's error.
    writer
        .flush()
        .await
        .map_err(|error| failed(&path, &error))?;
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    Ok(Written {
        name: name.unwrap_or_default(),
        path,
        kind: "file",
        metadata: metadata.clone(),
    })
}

/// Opens the file, empty, with its owner and metadata.
fn prepare(path: &Path, user: &User, metadata: &Metadata) -> Result<File, FilesError> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(MODE);
    // Without this a pipe that nobody reads would block for ever.
    options.custom_flags(libc::O_NONBLOCK);
    let file = match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if let Some(parent) = path.parent() {
                directories::make_all(parent, user).map_err(|error| failed(parent, &error))?;
            }
            options.open(path)
        }
        other => other,
    };
    let file = file.map_err(|error| failed(path, &error))?;
    let meta = file.metadata().map_err(|error| failed(path, &error))?;
    if !meta.is_file() {
        // Devices keep their owner.
        return Ok(file);
    }
    fchown(&file, Some(user.uid), Some(user.gid)).map_err(|error| failed(path, &error))?;
    metadata::replace(&file, metadata).map_err(|error| match error {
        rustix::io::Errno::NOSPC | rustix::io::Errno::DQUOT => FilesError::new(
            StatusCode::INSUFFICIENT_STORAGE,
            "not enough disk space available for the metadata of the file",
        ),
        other => FilesError::internal(format!("error writing metadata: {other}")),
    })?;
    if meta.len() > 0 {
        file.set_len(0).map_err(|error| failed(path, &error))?;
    }
    Ok(file)
}

/// The answer for a failed system call.
fn failed(path: &Path, error: &io::Error) -> FilesError {
    let shown = path.display();
    match error.kind() {
        io::ErrorKind::IsADirectory => FilesError::bad(format!("path is a directory: {shown}")),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            FilesError::new(StatusCode::INSUFFICIENT_STORAGE, no_space(path))
        }
        _ => FilesError::internal(format!("error writing file '{shown}': {error}")),
    }
}

/// Inodes and bytes run out with the same error, so ask which it was.
fn no_space(path: &Path) -> &'static str {
    let place = path
        .ancestors()
        .find_map(|place| rustix::fs::statvfs(place).ok());
    match place {
        // File systems without a number of inodes say 0 of 0.
        Some(place) if place.f_favail == 0 && place.f_files > 0 => "not enough inodes available",
        _ => "not enough disk space available",
    }
}
