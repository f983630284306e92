//! Jupyter messages in WebSocket messages: the default framing and `v1.kernel.websocket.jupyter.org`
//! (sections 4.2 and 4.3 of the Jupyter wire contract).
//!
//! Nothing is encoded anew. What a kernel signed goes out as the same bytes with something put
//! around it, and what a client sent is cut at its parts, so `NaN`, duplicate keys, huge integers,
//! the order of keys and header keys that nobody knows come through.

use super::websocket::Kind;
use crate::kernel::fanout::{Channel, Incoming};
use crate::kernel::message::Message;
use bytes::{BufMut as _, Bytes, BytesMut};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use thiserror::Error;

/// Name of the framing without JSON around the parts, as clients offer it.
pub const V1: &str = "v1.kernel.websocket.jupyter.org";

/// Offsets of a `v1` message that has no buffers: channel, four parts, and the end.
const V1_OFFSETS: usize = 6;

/// Buffers of one message; as many as the kernel's side carries.
const MOST_BUFFERS: usize = 4096;

/// Parts up to this size are copied behind each other, to leave in few pieces.
const COPIED_BYTES: usize = 16 << 10;

/// How messages look on one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// JSON, with buffers as a binary message.
    Default,
    /// Parts with offsets.
    V1,
}

/// Why a client's message was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Unreadable {
    /// Its offsets make no sense.
    #[error("the offsets of a binary message do not fit it")]
    Offsets,
    /// Its JSON makes no sense, or a part is missing.
    #[error("the message is not JSON with a header")]
    Json,
    /// Nothing can be sent there.
    #[error("the message names no channel that takes messages")]
    Channel,
}

/// A message for a client: what kind of WebSocket message, and its pieces in order.
pub struct Encoded {
    /// Text or binary.
    pub kind: Kind,
    /// The payload.
    pub pieces: Vec<Bytes>,
}

impl Encoded {
    /// Length of the payload.
    pub fn len(&self) -> usize {
        self.pieces.iter().map(Bytes::len).sum()
    }
}

/// Collects a payload: small parts are copied, large ones are kept as they are.
#[derive(Default)]
struct Pieces {
    done: Vec<Bytes>,
    open: BytesMut,
}

impl Pieces {
    fn copy(&mut self, bytes: &[u8]) {
        self.open.extend_from_slice(bytes);
    }

    fn put(&mut self, part: &Bytes) {
        if part.len() <= COPIED_BYTES {
            return self.copy(part);
        }
        if !self.open.is_empty() {
            self.done.push(self.open.split().freeze());
        }
        self.done.push(part.clone());
    }

    fn finish(mut self) -> Vec<Bytes> {
        if !self.open.is_empty() {
            self.done.push(self.open.freeze());
        }
        self.done
    }
}

/// Name of a channel on the wire.
fn name(channel: Channel) -> &'static str {
    match channel {
        Channel::Shell => "shell",
        Channel::Control => "control",
        Channel::Stdin => "stdin",
        Channel::Iopub => "iopub",
    }
}

/// The channel that a client may send on by this name.
fn channel(name: &[u8]) -> Result<Channel, Unreadable> {
    match name {
        b"shell" => Ok(Channel::Shell),
        b"control" => Ok(Channel::Control),
        b"stdin" => Ok(Channel::Stdin),
        _ => Err(Unreadable::Channel),
    }
}

impl Framing {
    /// Puts a message of the kernel into the form of this framing.
    pub fn encode(self, incoming: &Incoming) -> Encoded {
        let message = &incoming.message;
        match self {
            Self::V1 => Encoded {
                kind: Kind::Binary,
                pieces: v1(name(incoming.channel), message),
            },
            Self::Default if message.buffers.is_empty() => {
                let mut pieces = Pieces::default();
                json(incoming, true, &mut pieces);
                Encoded {
                    kind: Kind::Text,
                    pieces: pieces.finish(),
                }
            }
            Self::Default => Encoded {
                kind: Kind::Binary,
                pieces: with_buffers(incoming),
            },
        }
    }

    /// A message as JSON text although it has buffers, which are left out.
    pub fn without_buffers(incoming: &Incoming) -> Encoded {
        let mut pieces = Pieces::default();
        json(incoming, true, &mut pieces);
        Encoded {
            kind: Kind::Text,
            pieces: pieces.finish(),
        }
    }

    /// Takes a client's message apart. Text that is no UTF-8 counts as binary: the proxy of
    /// `jupyter server` sends it so.
    pub fn decode(self, payload: &Bytes, text: bool) -> Result<(Channel, Message), Unreadable> {
        match self {
            Self::V1 => from_v1(payload),
            Self::Default if text => match std::str::from_utf8(payload) {
                Ok(json) => from_json(payload, json, Vec::new()),
                Err(_) => from_binary(payload),
            },
            Self::Default => from_binary(payload),
        }
    }
}

/// The JSON of the default framing. `msg_id` and `msg_type` are there once more at the top,
/// where older clients look for them.
fn json(incoming: &Incoming, whole: bool, pieces: &mut Pieces) {
    let message = &incoming.message;
    pieces.copy(br#"{"header":"#);
    pieces.put(&message.header);
    pieces.copy(br#","msg_id":"#);
    pieces.copy(quoted(&incoming.msg_id).as_bytes());
    pieces.copy(br#","msg_type":"#);
    pieces.copy(quoted(&incoming.msg_type).as_bytes());
    pieces.copy(br#","parent_header":"#);
    pieces.put(&message.parent_header);
    pieces.copy(br#","metadata":"#);
    pieces.put(&message.metadata);
    pieces.copy(br#","content":"#);
    pieces.put(&message.content);
    pieces.copy(br#","channel":""#);
    pieces.copy(name(incoming.channel).as_bytes());
    let end: &[u8] = if whole {
        br#"","buffers":[]}"#
    } else {
        br#""}"#
    };
    pieces.copy(end);
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn with_buffers(incoming: &Incoming) -> Vec<Bytes> {
    let mut body = Pieces::default();
    json(incoming, false, &mut body);
    let body = body.finish();
    let buffers = &incoming.message.buffers;
    let parts = 1 + buffers.len();
    let mut offset = 4 * (parts + 1);
    let mut pieces = Pieces::default();
    // No part is larger than a message of the kernel's side, so 32 bits hold every offset.
    pieces.open.put_u32(parts as u32);
    pieces.open.put_u32(offset as u32);
    offset += body.iter().map(Bytes::len).sum::<usize>();
    for buffer in buffers {
        pieces.open.put_u32(offset as u32);
        offset += buffer.len();
    }
    for part in body.iter().chain(buffers) {
        pieces.put(part);
    }
    pieces.finish()
}

fn v1(channel: &str, message: &Message) -> Vec<Bytes> {
    let signed = [
        &message.header,
        &message.parent_header,
        &message.metadata,
        &message.content,
    ];
    let count = V1_OFFSETS + message.buffers.len();
    let mut offset = 8 * (count + 1);
    let mut pieces = Pieces::default();
    pieces.open.put_u64_le(count as u64);
    pieces.open.put_u64_le(offset as u64);
    offset += channel.len();
    pieces.open.put_u64_le(offset as u64);
    for part in signed.into_iter().chain(&message.buffers) {
        offset += part.len();
        pieces.open.put_u64_le(offset as u64);
    }
    pieces.copy(channel.as_bytes());
    for part in signed.into_iter().chain(&message.buffers) {
        pieces.put(part);
    }
    pieces.finish()
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    header: &'a RawValue,
    #[serde(borrow, default)]
    parent_header: Option<&'a RawValue>,
    #[serde(borrow, default)]
    metadata: Option<&'a RawValue>,
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    channel: Option<Cow<'a, str>>,
}

/// Cuts the parts out of the JSON, which is `payload` or lies within it.
fn from_json(
    payload: &Bytes,
    json: &str,
    buffers: Vec<Bytes>,
) -> Result<(Channel, Message), Unreadable> {
    let envelope: Envelope<'_> = serde_json::from_str(json).map_err(|_| Unreadable::Json)?;
    let channel = match &envelope.channel {
        Some(name) => channel(name.as_bytes())?,
        None => Channel::Shell,
    };
    let part = |raw: Option<&RawValue>| match raw {
        Some(raw) if raw.get() != "null" => payload.slice_ref(raw.get().as_bytes()),
        _ => Bytes::from_static(b"{}"),
    };
    let message = Message {
        header: part(Some(envelope.header)),
        parent_header: part(envelope.parent_header),
        metadata: part(envelope.metadata),
        content: part(envelope.content),
        buffers,
    };
    Ok((channel, message))
}

fn from_binary(payload: &Bytes) -> Result<(Channel, Message), Unreadable> {
    let word = |at: usize| {
        let bytes = payload.get(4 * at..4 * at + 4)?;
        Some(u32::from_be_bytes(bytes.try_into().ok()?) as usize)
    };
    let count = word(0).filter(|count| (1..=1 + MOST_BUFFERS).contains(count));
    let count = count.ok_or(Unreadable::Offsets)?;
    let offsets = (1..=count).map(word).collect::<Option<Vec<_>>>();
    let mut parts = cut(
        payload,
        offsets.ok_or(Unreadable::Offsets)?,
        4 * (count + 1),
    )?
    .into_iter();
    let body = parts.next().ok_or(Unreadable::Offsets)?;
    let json = std::str::from_utf8(&body).map_err(|_| Unreadable::Json)?;
    from_json(&body, json, parts.collect())
}

fn from_v1(payload: &Bytes) -> Result<(Channel, Message), Unreadable> {
    let word = |at: usize| {
        let bytes = payload.get(8 * at..8 * at + 8)?;
        usize::try_from(u64::from_le_bytes(bytes.try_into().ok()?)).ok()
    };
    let allowed = V1_OFFSETS..=V1_OFFSETS + MOST_BUFFERS;
    let count = word(0).filter(|count| allowed.contains(count));
    let count = count.ok_or(Unreadable::Offsets)?;
    let offsets = (1..count).map(word).collect::<Option<Vec<_>>>();
    let end = word(count).filter(|end| *end <= payload.len());
    let (offsets, end) = offsets.zip(end).ok_or(Unreadable::Offsets)?;
    let parts = cut(&payload.slice(..end), offsets, 8 * (count + 1))?;
    let mut parts = parts.into_iter();
    let mut next = || parts.next().ok_or(Unreadable::Offsets);
    let channel = channel(&next()?)?;
    let message = Message {
        header: next()?,
        parent_header: next()?,
        metadata: next()?,
        content: next()?,
        buffers: parts.collect(),
    };
    Ok((channel, message))
}

/// Cuts at ascending offsets, of which none is below `first`. The last part goes to the end.
fn cut(payload: &Bytes, mut offsets: Vec<usize>, first: usize) -> Result<Vec<Bytes>, Unreadable> {
    offsets.push(payload.len());
    let fits = offsets.is_sorted() && offsets.first().is_some_and(|start| *start >= first);
    if !fits {
        return Err(Unreadable::Offsets);
    }
    Ok(offsets
        .windows(2)
        .map(|pair| payload.slice(pair[0]..pair[1]))
        .collect())
}

#[cfg(test)]
#[path = "framing_tests.rs"]
mod tests;
