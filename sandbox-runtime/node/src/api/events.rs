//! `GET /v1/events`: one JSON line per state change, from now on.
//!
//! A reader that is too slow is told how many it missed and lists again; it holds up
//! nobody. A line without a sandbox comes at once and then now and then, so that a reader
//! sees that the stream lives.

use crate::{api::answer::Answer, body, node::Node};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, Response, header::CONTENT_TYPE};
use http_body::Frame;
use http_body_util::StreamBody;
use soulbox_runtime::api::Event;
use std::{convert::Infallible, sync::Arc, time::Duration};
use tokio::sync::broadcast::error::RecvError;

/// Pause between signs of life.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// The stream of events.
pub fn stream(node: &Arc<Node>) -> Answer {
    let empty = || Event {
        sandbox: None,
        missed: 0,
    };
    let start = (node.registry.events(), Some(empty()));
    let lines = stream::unfold(start, move |(mut events, first)| async move {
        let event = match first {
            Some(event) => event,
            None => match tokio::time::timeout(HEARTBEAT, events.recv()).await {
                Ok(Ok(event)) => event,
                Ok(Err(RecvError::Lagged(missed))) => Event {
                    sandbox: None,
                    missed,
                },
                Ok(Err(RecvError::Closed)) => return None,
                Err(_) => empty(),
            },
        };
        let mut line = serde_json::to_vec(&event).ok()?;
        line.push(b'\n');
        Some((
            Ok::<_, Infallible>(Frame::data(Bytes::from(line))),
            (events, None),
        ))
    });
    let mut response = Response::new(body::boxed(StreamBody::new(lines)));
    let kind = HeaderValue::from_static("application/x-ndjson");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    Ok(response)
}
