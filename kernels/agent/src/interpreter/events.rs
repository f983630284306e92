//! Events of an execution for clients of our own route: JSON lines, or server-sent events.
//!
//! An event is the line of the log with its number; nothing of it is decoded, and a large one
//! passes in pieces. A gap is said as such, and the last line says how the execution ended.

use super::answer::SILENCE;
use crate::execution::Execution;
use crate::execution::reader::{Piece, Reader};
use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use memchr::memchr;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

/// How events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `application/jsonl`: one object per line, its number as `seq`.
    Lines,
    /// `text/event-stream`: the same objects, their number as `id`.
    Stream,
}

impl Form {
    /// The media type.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Lines => "application/jsonl",
            Self::Stream => "text/event-stream",
        }
    }

    fn keepalive(self) -> &'static [u8] {
        match self {
            Self::Lines => b"{\"type\":\"keepalive\"}\n",
            Self::Stream => b": keepalive\n\n",
        }
    }

    /// An event of ours, which is in no log.
    fn own(self, id: Option<u64>, event: &Value) -> Bytes {
        match self {
            Self::Lines => format!("{event}\n").into(),
            Self::Stream => {
                let id = id.map_or(String::new(), |id| format!("id: {id}\n"));
                format!("{id}data: {event}\n\n").into()
            }
        }
    }
}

/// Puts numbers into a stream of lines.
struct Numbering {
    form: Form,
    /// Whether the next byte begins a line.
    begins: bool,
    ready: VecDeque<Bytes>,
}

impl Numbering {
    fn take(&mut self, mut event: u64, mut bytes: Bytes) {
        let mut packed = Vec::new();
        while !bytes.is_empty() {
            if self.begins {
                match self.form {
                    // Every line of a log is an object that is not empty.
                    Form::Lines => {
                        packed.extend_from_slice(format!("{{\"seq\":{event},").as_bytes());
                        let _ = bytes.split_to(1);
                    }
                    Form::Stream => packed.extend_from_slice(
                        format!("id: {event}\ndata: {{\"seq\":{event},").as_bytes(),
                    ),
                }
                if self.form == Form::Stream {
                    let _ = bytes.split_to(1);
                }
                self.begins = false;
            }
            let end = memchr(b'\n', &bytes);
            let line = bytes.split_to(end.map_or(bytes.len(), |end| end + 1));
            packed.extend_from_slice(&line);
            if end.is_some() {
                if self.form == Form::Stream {
                    packed.push(b'\n');
                }
                self.begins = true;
                event += 1;
            }
        }
        self.ready.push_back(packed.into());
    }
}

struct Events {
    execution: Arc<Execution>,
    reader: Reader,
    numbering: Numbering,
    live: bool,
}

/// The events from a number on, live until the end of the execution. Without `live`, those
/// that are there.
pub fn body(execution: Arc<Execution>, from: u64, form: Form, live: bool) -> Body {
    let events = Events {
        reader: execution.attach(from),
        execution,
        numbering: Numbering {
            form,
            begins: true,
            ready: VecDeque::new(),
        },
        live,
    };
    Body::from_stream(stream::unfold(Some(events), async |events| {
        let mut events = events?;
        loop {
            if let Some(bytes) = events.numbering.ready.pop_front() {
                return Some((Ok(bytes), Some(events)));
            }
            let next = if events.live {
                tokio::time::timeout(SILENCE, events.reader.next())
                    .await
                    .ok()
            } else {
                match events.reader.now().await {
                    Some(piece) => Some(piece),
                    None => return None,
                }
            };
            let form = events.numbering.form;
            match next {
                Some(Piece::Bytes { event, bytes }) => events.numbering.take(event, bytes),
                Some(Piece::Gap {
                    first,
                    events: count,
                }) => {
                    let last = first + count - 1;
                    let gap = json!({"type": "gap", "first": first, "last": last, "events": count});
                    return Some((Ok(form.own(Some(last), &gap)), Some(events)));
                }
                Some(Piece::Broken) => {
                    return Some((Err(io::Error::other("the rest of an event is gone")), None));
                }
                Some(Piece::End) => return Some((Ok(events.end(form)), None)),
                None if events.numbering.begins => {
                    return Some((Ok(Bytes::from_static(form.keepalive())), Some(events)));
                }
                None => {}
            }
        }
    }))
}

impl Events {
    /// The last line: how it ended. Its number is that after the last event's.
    fn end(&self, form: Form) -> Bytes {
        let shown = self.execution.shown();
        let seq = shown.output.events + 1;
        let mut end = json!({"seq": seq, "type": "end_of_execution", "end": shown.end});
        if let Some(death) = shown.death {
            end["death"] = json!(death);
        }
        form.own(Some(seq), &end)
    }
}
