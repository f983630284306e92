//! One file that is being written for a client.
//!
//! The order is what watchers count on (section 4.5 of the contract): create, change of owner,
//! metadata, and only then the bytes, which replace what an existing file held.
//! Everything goes through the open descriptor, so that a path which changes in between
//! cannot turn the change of owner against another file.

use super::directories;
use super::files::{Caller, FilesError};
use super::metadata::{self, Metadata};
use super::watch::Watchers;
use crate::process::user::User;
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _};
use http::StatusCode;
use serde::Serialize;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
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

impl Written {
    /// A file that was written.
    pub fn new(path: PathBuf, metadata: Metadata) -> Self {
        let name = path.file_name().map(|name| name.to_string_lossy());
        Self {
            name: name.unwrap_or_default().into_owned(),
            path,
            kind: "file",
            metadata,
        }
    }
}

/// Writes all of a body to a file.
///
/// The first piece replaces what was there in one go, so that a small file is never seen
/// empty, and a watcher sees one change. What was longer loses its end only after that.
pub async fn write<E: std::fmt::Display>(
    caller: &Caller,
    path: PathBuf,
    metadata: &Metadata,
    body: impl Stream<Item = Result<Bytes, E>>,
) -> Result<Written, FilesError> {
    let prepared = blocking({
        let (path, metadata) = (path.clone(), metadata.clone());
        let (user, watchers) = (caller.user.clone(), caller.watchers.clone());
        move || prepare(&path, &user, &metadata, &watchers)
    });
    let Prepared { file, old } = prepared.await?;
    let mut body = std::pin::pin!(body);
    let unreadable = |error: E| FilesError::bad(format!("unreadable body: {error}"));
    let mut first = BytesMut::new();
    while first.len() < BUFFER
        && let Some(piece) = body.next().await
    {
        first.extend_from_slice(&piece.map_err(unreadable)?);
    }
    let file = blocking({
        let (path, watchers) = (path.clone(), caller.watchers.clone());
        move || {
            let replace = || {
                (&file).write_all(&first)?;
                if old > first.len() as u64 {
                    file.set_len(first.len() as u64)?;
                }
                Ok(())
            };
            watchers
                .as_one(replace)
                .map_err(|error| failed(&path, &error))?;
            Ok(file)
        }
    });
    let file = tokio::fs::File::from_std(file.await?);
    let mut writer = BufWriter::with_capacity(BUFFER, file);
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(unreadable)?;
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
    Ok(Written::new(path, metadata.clone()))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, FilesError> + Send + 'static,
) -> Result<T, FilesError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(FilesError::internal(error.to_string())),
    }
}

/// A file that is ready to be written.
struct Prepared {
    file: File,
    /// Bytes that are in it and must go.
    old: u64,
}

/// Opens the file, and gives it its owner and metadata.
fn prepare(
    path: &Path,
    user: &User,
    metadata: &Metadata,
    watchers: &Watchers,
) -> Result<Prepared, FilesError> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(MODE);
    // Without this a pipe that nobody reads would block for ever.
    options.custom_flags(libc::O_NONBLOCK);
    let file = match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if let Some(parent) = path.parent() {
                directories::make_all(parent, user, watchers)
                    .map_err(|error| failed(parent, &error))?;
            }
            options.open(path)
        }
        other => other,
    };
    let file = file.map_err(|error| failed(path, &error))?;
    let meta = file.metadata().map_err(|error| failed(path, &error))?;
    if !meta.is_file() {
        // Devices keep their owner.
        return Ok(Prepared { file, old: 0 });
    }
    fchown(&file, Some(user.uid), Some(user.gid)).map_err(|error| failed(path, &error))?;
    metadata::replace(&file, metadata).map_err(|error| match error {
        rustix::io::Errno::NOSPC | rustix::io::Errno::DQUOT => FilesError::new(
            StatusCode::INSUFFICIENT_STORAGE,
            "not enough disk space available for the metadata of the file",
        ),
        other => FilesError::internal(format!("error writing metadata: {other}")),
    })?;
    let old = meta.len();
    Ok(Prepared { file, old })
}

/// The answer for a failed system call.
pub fn failed(path: &Path, error: &io::Error) -> FilesError {
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
