//! The node's stream of changes, as typed events.

use super::control::{Control, ControlError};
use bytes::BytesMut;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use soulbox_runtime::api::Event;

/// Longest line that makes sense: one status with its death.
const LINE_LIMIT_BYTES: usize = 64 << 10;

/// An open stream of events.
#[derive(Debug)]
pub struct Events {
    body: Incoming,
    unread: BytesMut,
}

impl Events {
    /// Opens the stream. Whatever changes from now on is told.
    pub async fn open(control: &Control) -> Result<Self, ControlError> {
        Ok(Self {
            body: control.event_stream().await?,
            unread: BytesMut::new(),
        })
    }

    /// The next event; `None` when the stream has ended, for whatever reason.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let line = self.unread.split_to(end + 1);
                match serde_json::from_slice(&line) {
                    Ok(event) => return Some(event),
                    Err(error) => {
                        tracing::warn!(%error, "the node sent an event that can't be read");
                        return None;
                    }
                }
            }
            if self.unread.len() > LINE_LIMIT_BYTES {
                tracing::warn!("the node sent an event without an end");
                return None;
            }
            let frame = self.body.frame().await?.ok()?;
            if let Ok(data) = frame.into_data() {
                self.unread.extend_from_slice(&data);
            }
        }
    }
}
