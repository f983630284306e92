//! `POST /files`: which kind of body it is, and its encoding (section 4.7 of the contract).

use super::files::{Caller, FilesError};
use super::target::{self, Written};
use super::{metadata, multipart};
use async_compression::tokio::bufread::GzipDecoder;
use axum::Json;
use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use http::{HeaderMap, HeaderName, Request, header};
use std::io;
use tokio_util::io::{ReaderStream, StreamReader};

/// Bytes that are unpacked at a time: what a bomb can make the agent hold.
const UNPACKED: usize = 128 << 10;

/// Reads a body and answers with what was written.
pub async fn answer(
    caller: &Caller,
    path: Option<String>,
    request: Request<Body>,
) -> Result<Response, FilesError> {
    let headers = request.headers().clone();
    let metadata = metadata::from_headers(&headers)?;
    let kind = text(&headers, header::CONTENT_TYPE)
        .unwrap_or_default()
        .to_owned();
    let essence = kind
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    let written: Vec<Written> = match essence.as_str() {
        "multipart/form-data" => {
            let boundary = multer::parse_boundary(&kind).map_err(|error| {
                FilesError::bad(format!("error parsing multipart form: {error}"))
            })?;
            let body = plain(&headers, request.into_body())?;
            multipart::receive(caller, path, boundary, &metadata, body).await?
        }
        "application/octet-stream" => {
            let path = path.ok_or_else(|| {
                FilesError::bad("the query parameter 'path' is required for a raw body")
            })?;
            let target = caller.resolve(&path)?;
            let body = plain(&headers, request.into_body())?;
            vec![target::write(caller, target, &metadata, body).await?]
        }
        other => {
            return Err(FilesError::bad(format!(
                "content type '{other}' is not supported; use multipart/form-data or \
                 application/octet-stream"
            )));
        }
    };
    Ok(Json(written).into_response())
}

/// The body without its encoding.
fn plain(
    headers: &HeaderMap,
    body: Body,
) -> Result<BoxStream<'static, io::Result<Bytes>>, FilesError> {
    let body = body.into_data_stream().map_err(io::Error::other);
    match text(headers, header::CONTENT_ENCODING)
        .map(|e| e.trim().to_ascii_lowercase())
        .as_deref()
    {
        None | Some("" | "identity") => Ok(body.boxed()),
        Some("gzip" | "x-gzip") => {
            let mut decoder = GzipDecoder::new(StreamReader::new(body));
            decoder.multiple_members(true);
            Ok(ReaderStream::with_capacity(decoder, UNPACKED).boxed())
        }
        Some(other) => Err(FilesError::bad(format!(
            "content encoding '{other}' is not supported"
        ))),
    }
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
