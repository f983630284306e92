//! The body of an execution's answer on the E2B route: its events as they come, a sign of life
//! in silence, and an end.
//!
//! The client gets every event: its reader holds the execution up where one would be gone
//! otherwise. When it hangs up the body is dropped, and that interrupts the execution;
//! detection does not depend on output.

use crate::execution::item::{END, KEEPALIVE};
use crate::execution::reader::{Piece, Reader};
use crate::execution::{Execution, Stop};
use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Silence after which a keepalive is sent (section 5.1 of the contract).
pub const SILENCE: Duration = Duration::from_secs(5);

/// Interrupts the execution of a client that leaves.
struct Client(Arc<Execution>);

impl Drop for Client {
    fn drop(&mut self) {
        // After the end this changes nothing.
        self.0.stop(Stop::HangUp);
    }
}

struct Answer {
    reader: Reader,
    _client: Client,
    /// Whether the last piece ended with a line.
    between: bool,
}

/// The answer to the request that has started this execution.
pub fn answer(execution: Arc<Execution>) -> Body {
    let answer = Answer {
        reader: Reader::complete(execution.log()),
        _client: Client(execution),
        between: true,
    };
    Body::from_stream(stream::unfold(Some(answer), async |answer| {
        let mut answer = answer?;
        loop {
            match tokio::time::timeout(SILENCE, answer.reader.next()).await {
                Ok(Piece::Bytes { bytes, .. }) => {
                    answer.between = bytes.ends_with(b"\n");
                    return Some((Ok(bytes), Some(answer)));
                }
                Ok(Piece::End) => return Some((Ok(Bytes::from_static(END)), None)),
                // Only when somebody in the sandbox has spoiled the file. These clients know no
                // word for it, so the answer is broken off.
                Ok(Piece::Gap { .. } | Piece::Broken) => {
                    return Some((Err(io::Error::other("events are gone")), None));
                }
                Err(_) if answer.between => {
                    return Some((Ok(Bytes::from_static(KEEPALIVE)), Some(answer)));
                }
                Err(_) => {}
            }
        }
    }))
}
