//! `POST /files/compose`: joins files into one and deletes them (section 4.6 of the contract).
//!
//! The result is put together beside its destination and takes its place when it is whole.
//! The parts are removed only after that.

use super::files::{Caller, FilesError};
use super::target::{Written, failed};
use super::{Shared, directories, metadata::Metadata, relocate};
use axum::extract::State;
use axum::{Json, extract::rejection::JsonRejection};
use http::StatusCode;
use serde::Deserialize;
use std::collections::HashSet;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, fchown};
use std::path::{Path, PathBuf};

/// Parts of one file. A client that uploads in parallel makes some hundred.
const MAX_PARTS: usize = 10_000;

/// Mode of the result, as of every uploaded file.
const MODE: u32 = 0o644;

/// What to join.
#[derive(Debug, Deserialize)]
pub struct ComposeRequest {
    #[serde(alias = "sourcePaths")]
    source_paths: Vec<String>,
    destination: String,
    #[serde(default)]
    username: Option<String>,
}

/// Answers a request.
pub async fn answer(
    State(shared): State<Shared>,
    request: Result<Json<ComposeRequest>, JsonRejection>,
) -> Result<Json<Written>, FilesError> {
    let Json(request) = request.map_err(|error| FilesError::bad(error.body_text()))?;
    let caller = Caller::new(&shared, request.username.as_deref())?;
    if request.source_paths.is_empty() || request.source_paths.len() > MAX_PARTS {
        return Err(FilesError::bad(format!(
            "source_paths must hold 1 to {MAX_PARTS} paths"
        )));
    }
    if request.destination.is_empty() {
        return Err(FilesError::bad("destination is missing"));
    }
    let destination = caller.resolve(&request.destination)?;
    let mut parts = Vec::with_capacity(request.source_paths.len());
    let mut seen = HashSet::new();
    for path in &request.source_paths {
        let part = caller.resolve(path)?;
        if !seen.insert(part.clone()) {
            let shown = part.display();
            return Err(FilesError::bad(format!("'{shown}' is named twice")));
        }
        parts.push(part);
    }
    let joined = tokio::task::spawn_blocking(move || join(&caller, &parts, destination));
    let joined = joined.await;
    joined
        .map_err(|error| FilesError::internal(error.to_string()))?
        .map(Json)
}

fn join(caller: &Caller, parts: &[PathBuf], destination: PathBuf) -> Result<Written, FilesError> {
    for part in parts {
        check(part)?;
    }
    if fs::metadata(&destination).is_ok_and(|meta| meta.is_dir()) {
        let shown = destination.display();
        return Err(FilesError::bad(format!("path is a directory: {shown}")));
    }
    let refused = |error: io::Error| failed(&destination, &error);
    if let Some(parent) = destination.parent() {
        directories::make_all(parent, &caller.user, &caller.watchers).map_err(refused)?;
    }
    let beside = relocate::beside(&destination);
    let made = write(caller, parts, &beside).and_then(|()| fs::rename(&beside, &destination));
    if let Err(error) = made {
        // What is left of it takes room that is perhaps what was missing.
        let _ = fs::remove_file(&beside);
        return Err(refused(error));
    }
    for part in parts.iter().filter(|part| **part != destination) {
        match fs::remove_file(part) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed(part, &error));
            }
            _ => {}
        }
    }
    Ok(Written::new(destination, Metadata::new()))
}

fn check(part: &Path) -> Result<(), FilesError> {
    let shown = part.display();
    match fs::symlink_metadata(part) {
        Ok(meta) if meta.is_file() => Ok(()),
        Ok(_) => Err(FilesError::bad(format!(
            "path '{shown}' is not a regular file"
        ))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(FilesError::new(
            StatusCode::NOT_FOUND,
            format!("path '{shown}' does not exist"),
        )),
        Err(error) => Err(failed(part, &error)),
    }
}

fn write(caller: &Caller, parts: &[PathBuf], to: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(MODE).open(to)?;
    fchown(&file, Some(caller.user.uid), Some(caller.user.gid))?;
    for part in parts {
        io::copy(&mut relocate::open(part)?, &mut file)?;
    }
    Ok(())
}
