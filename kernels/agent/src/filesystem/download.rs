//! `GET /files`: one file, streamed with flat memory (section 4.7 of the contract).
//!
//! The first piece is read before the answer begins. That settles small files at once, and
//! those whose size is a lie: files of `/proc` say 0 and files of `/sys` say 4096, so a file
//! is read to its end and its stated size only counts beyond the first piece.

use super::encoding::{Encoding, negotiate};
use super::files::FilesError;
use super::range::{Part, is_selecting};
use super::{content, range};
use async_compression::Level;
use async_compression::tokio::bufread::GzipEncoder;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use tokio::io::{AsyncRead, AsyncReadExt as _, BufReader};
use tokio_util::io::ReaderStream;

/// What is read before the answer begins, in bytes.
const FIRST: u64 = 128 << 10;

/// What is read at a time afterwards, in bytes. Each read costs a hop to another thread.
const PIECE: usize = 256 << 10;

/// A file that is open and has been looked at.
struct Opened {
    file: File,
    size: u64,
    modified: SystemTime,
    first: Vec<u8>,
    /// Whether `first` is all there is.
    complete: bool,
}

/// Answers with a file.
pub async fn answer(path: PathBuf, headers: &HeaderMap) -> Result<Response, FilesError> {
    let selecting = is_selecting(headers);
    let encoding = match negotiate(headers) {
        Encoding::Neither => {
            return Err(FilesError::new(
                StatusCode::NOT_ACCEPTABLE,
                "the file can be sent as it is or with gzip, and both are refused",
            ));
        }
        _ if selecting => Encoding::Identity,
        encoding => encoding,
    };
    let opened = tokio::task::spawn_blocking({
        let path = path.clone();
        move || open(&path)
    });
    let opened = opened
        .await
        .map_err(|error| FilesError::internal(error.to_string()))??;
    let size = if opened.complete {
        opened.first.len() as u64
    } else {
        opened.size
    };
    let part = if selecting {
        range::select(headers, size, opened.modified)
    } else {
        Part::Whole
    };
    let kind = content::content_type(&path, &opened.first);
    let modified = httpdate::fmt_http_date(opened.modified);
    let (status, length, body) = match part {
        Part::NotModified => (StatusCode::NOT_MODIFIED, None, Body::empty()),
        Part::Changed => (StatusCode::PRECONDITION_FAILED, None, Body::empty()),
        Part::OutOfRange => (StatusCode::RANGE_NOT_SATISFIABLE, None, Body::empty()),
        Part::Range(first, count) => (
            StatusCode::PARTIAL_CONTENT,
            Some(count),
            piece(opened, first, count).await?,
        ),
        Part::Whole if encoding == Encoding::Gzip => (StatusCode::OK, None, compressed(opened)),
        Part::Whole => {
            // A growing file of unknown size has no length to promise.
            let length = (opened.complete || size > 0).then_some(size);
            (StatusCode::OK, length, whole(opened))
        }
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_DISPOSITION, content::disposition(&path));
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    if let Ok(modified) = HeaderValue::try_from(modified) {
        headers.insert(header::LAST_MODIFIED, modified);
    }
    if let Some(length) = length {
        headers.insert(header::CONTENT_LENGTH, length.into());
    }
    if encoding == Encoding::Gzip {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    } else {
        headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    }
    let content_range = match part {
        Part::Range(first, count) => Some(format!("bytes {first}-{}/{size}", first + count - 1)),
        Part::OutOfRange => Some(format!("bytes */{size}")),
        _ => None,
    };
    if let Some(Ok(value)) = content_range.map(HeaderValue::try_from) {
        headers.insert(header::CONTENT_RANGE, value);
    }
    Ok(response)
}

/// Opens a file and reads its first piece. Pipes and devices are no files: reading one may
/// never end.
fn open(path: &Path) -> Result<Opened, FilesError> {
    let shown = path.display();
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => FilesError::new(
            StatusCode::NOT_FOUND,
            format!("path '{shown}' does not exist"),
        ),
        _ => FilesError::internal(format!("error reading file '{shown}': {error}")),
    };
    let meta = std::fs::metadata(path).map_err(failed)?;
    if meta.is_dir() {
        return Err(FilesError::bad(format!("path '{shown}' is a directory")));
    }
    if !meta.is_file() {
        return Err(FilesError::bad(format!(
            "path '{shown}' is not a regular file"
        )));
    }
    // Non-blocking, since it may have become a pipe in between.
    let mut options = OpenOptions::new();
    let file = options
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)
        .map_err(failed)?;
    let meta = file.metadata().map_err(failed)?;
    if !meta.is_file() {
        return Err(FilesError::bad(format!(
            "path '{shown}' is not a regular file"
        )));
    }
    let mut first = Vec::new();
    let read = (&file)
        .take(FIRST + 1)
        .read_to_end(&mut first)
        .map_err(failed)? as u64;
    Ok(Opened {
        size: meta.len(),
        modified: meta.modified().unwrap_or(SystemTime::UNIX_EPOCH),
        complete: read <= FIRST,
        first,
        file,
    })
}

fn whole(opened: Opened) -> Body {
    if opened.complete {
        return Body::from(opened.first);
    }
    let read = opened.first.len() as u64;
    // Not more than was promised, should the file grow.
    let rest = if opened.size > 0 {
        opened.size.saturating_sub(read)
    } else {
        u64::MAX
    };
    let rest = tokio::fs::File::from_std(opened.file).take(rest);
    Body::from_stream(ReaderStream::with_capacity(
        joined(opened.first, rest),
        PIECE,
    ))
}

fn compressed(opened: Opened) -> Body {
    let rest =
        tokio::fs::File::from_std(opened.file).take(if opened.complete { 0 } else { u64::MAX });
    let plain = BufReader::with_capacity(PIECE, joined(opened.first, rest));
    let encoder = GzipEncoder::with_quality(plain, Level::Fastest);
    Body::from_stream(ReaderStream::with_capacity(encoder, PIECE))
}

async fn piece(mut opened: Opened, first: u64, count: u64) -> Result<Body, FilesError> {
    if opened.complete {
        let bytes = Bytes::from(opened.first);
        let (Ok(from), Ok(count)) = (usize::try_from(first), usize::try_from(count)) else {
            return Ok(Body::empty());
        };
        return Ok(Body::from(
            bytes.slice(from.min(bytes.len())..(from + count).min(bytes.len())),
        ));
    }
    opened
        .file
        .seek(SeekFrom::Start(first))
        .map_err(|error| FilesError::internal(format!("error reading file: {error}")))?;
    let rest = tokio::fs::File::from_std(opened.file).take(count);
    Ok(Body::from_stream(ReaderStream::with_capacity(rest, PIECE)))
}

/// What was read before the answer, then what follows.
fn joined(first: Vec<u8>, rest: impl AsyncRead) -> impl AsyncRead {
    tokio::io::AsyncReadExt::chain(io::Cursor::new(first), rest)
}
