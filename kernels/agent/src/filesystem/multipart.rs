//! Uploads as `multipart/form-data`: every part named `file` is a file, in order
//! (section 4.7 of the contract).

use super::files::{Caller, FilesError};
use super::metadata::Metadata;
use super::target::{self, Written};
use bytes::Bytes;
use futures_util::Stream;
use multer::{Constraints, Multipart, SizeLimit};
use std::collections::HashSet;
use std::path::PathBuf;

/// Files of one request: their names are kept until its end.
const MAX_FILES: usize = 10_000;

/// The name of parts that are files.
const PART: &str = "file";

/// Writes the files of a body.
pub async fn receive<E>(
    caller: &Caller,
    path: Option<String>,
    boundary: String,
    metadata: &Metadata,
    body: impl Stream<Item = Result<Bytes, E>> + Send + 'static,
) -> Result<Vec<Written>, FilesError>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
{
    // Parts are streamed, so their size needs no limit here: the disk has one.
    let limits = SizeLimit::new().whole_stream(u64::MAX).per_field(u64::MAX);
    let mut parts =
        Multipart::with_constraints(body, boundary, Constraints::new().size_limit(limits));
    let mut seen: HashSet<PathBuf> = HashSet::new();
    let mut written = Vec::new();
    while let Some(part) = parts.next_field().await.map_err(unreadable)? {
        if part.name() != Some(PART) {
            continue;
        }
        let named = path.as_deref().or(part.file_name()).unwrap_or_default();
        let target = caller.resolve(named)?;
        if !seen.insert(target.clone()) {
            return Err(FilesError::bad(format!(
                "the request holds the file '{}' twice",
                target.display()
            )));
        }
        if seen.len() > MAX_FILES {
            return Err(FilesError::bad(format!(
                "more than {MAX_FILES} files in one request"
            )));
        }
        written.push(target::write(caller, target, metadata, part).await?);
    }
    Ok(written)
}

fn unreadable(error: multer::Error) -> FilesError {
    FilesError::bad(format!("error parsing multipart form: {error}"))
}
