//! A Jupyter message as the frames that were signed.
//!
//! The frames are kept as they came: whoever forwards a message sends these bytes and no
//! others, so unknown header keys, huge integers and key order survive. Only the header and
//! the parent header are looked into, because routing needs them; the content is read by
//! whoever wants it. Signatures follow section 5.2 of the Jupyter wire contract.

use bytes::{Bytes, BytesMut};
use hmac::{Hmac, Mac};
use serde::Deserialize;
use sha2::Sha256;
use std::borrow::Cow;
use thiserror::Error;

/// Stands between the identities and the signed frames.
const DELIMITER: &[u8] = b"<IDS|MSG>";

/// Signature and the four signed parts that follow the delimiter in every message.
const FRAMES_AFTER_DELIMITER: usize = 5;

/// Up to this size a message is copied out of what it was read with.
const COMPACT_BYTES: usize = 4 << 10;

/// Why a message from a kernel was dropped.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum BadMessage {
    /// Not a Jupyter message at all.
    #[error("the delimiter or a frame after it is missing")]
    Shape,
    /// Not signed with the key of this kernel.
    #[error("the signature does not match")]
    Signature,
    /// The header cannot be routed.
    #[error("the header is not JSON with the keys that routing needs")]
    Header,
}

/// The signed parts of one message, without identities and signature.
#[derive(Debug, Clone)]
pub struct Message {
    /// The header, as signed.
    pub header: Bytes,
    /// The header of the request that this answers, or `{}`.
    pub parent_header: Bytes,
    /// Free for extensions.
    pub metadata: Bytes,
    /// What the message says, by its type.
    pub content: Bytes,
    /// Binary attachments; they are not signed.
    pub buffers: Vec<Bytes>,
}

/// What routing needs of a header.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Head<'a> {
    /// Unique per message of a session.
    #[serde(borrow)]
    pub msg_id: Cow<'a, str>,
    /// Who sent it.
    #[serde(borrow)]
    pub session: Cow<'a, str>,
    /// What the content is.
    #[serde(borrow)]
    pub msg_type: Cow<'a, str>,
}

impl Message {
    /// Bytes that the message occupies, for budgets.
    pub fn size(&self) -> usize {
        let parts = [
            &self.header,
            &self.parent_header,
            &self.metadata,
            &self.content,
        ];
        let signed: usize = parts.iter().map(|part| part.len()).sum();
        signed + self.buffers.iter().map(Bytes::len).sum::<usize>()
    }

    /// The same message on memory of its own, when it is small. As it came it is a view of
    /// whatever was read together with it, which one kept status would hold as well.
    pub fn compact(self) -> Self {
        let size = self.size();
        if size > COMPACT_BYTES || !self.buffers.is_empty() {
            return self;
        }
        let mut own = BytesMut::with_capacity(size);
        let mut copy = |part: &Bytes| {
            own.extend_from_slice(part);
            own.split().freeze()
        };
        Self {
            header: copy(&self.header),
            parent_header: copy(&self.parent_header),
            metadata: copy(&self.metadata),
            content: copy(&self.content),
            buffers: Vec::new(),
        }
    }

    /// Reads what routing needs of the header.
    pub fn head(&self) -> Result<Head<'_>, BadMessage> {
        serde_json::from_slice(&self.header).map_err(|_| BadMessage::Header)
    }

    /// Reads what routing needs of the parent header; empty texts when there is no parent.
    pub fn parent(&self) -> Head<'_> {
        serde_json::from_slice(&self.parent_header).unwrap_or_default()
    }
}

/// The key that one kernel and its clients sign with. It never leaves the sandbox. A kernel on
/// a socket that nobody else can reach has none.
#[derive(Clone)]
pub struct Key(Option<Hmac<Sha256>>);

impl Key {
    /// Takes the text of the connection file's `key`.
    pub fn new(text: &str) -> Self {
        Self(Some(
            Hmac::new_from_slice(text.as_bytes()).expect("HMAC takes keys of any length"),
        ))
    }

    /// Signs and checks nothing.
    pub fn none() -> Self {
        Self(None)
    }

    fn mac(&self, parts: [&Bytes; 4]) -> Option<Hmac<Sha256>> {
        let mut mac = self.0.clone()?;
        for part in parts {
            mac.update(part);
        }
        Some(mac)
    }

    /// The frames to send: signed, and without an identity, which the socket implies.
    pub fn frames(&self, message: &Message) -> Vec<Bytes> {
        let parts = [
            &message.header,
            &message.parent_header,
            &message.metadata,
            &message.content,
        ];
        let signature = match self.mac(parts) {
            Some(mac) => hex(&mac.finalize().into_bytes()),
            None => String::new(),
        };
        let mut frames = Vec::with_capacity(1 + FRAMES_AFTER_DELIMITER + message.buffers.len());
        frames.push(Bytes::from_static(DELIMITER));
        frames.push(Bytes::from(signature));
        frames.extend(parts.into_iter().cloned());
        frames.extend(message.buffers.iter().cloned());
        frames
    }

    /// Takes the frames of a received message apart, and checks the signature in constant time.
    ///
    /// The delimiter is searched for: a dealer receives none or many identities, and a
    /// subscriber a topic, in front of it.
    pub fn open(&self, frames: Vec<Bytes>) -> Result<Message, BadMessage> {
        let mut frames = frames
            .into_iter()
            .skip_while(|frame| frame != DELIMITER)
            .skip(1);
        let mut next = || frames.next().ok_or(BadMessage::Shape);
        let signature = next()?;
        let message = Message {
            header: next()?,
            parent_header: next()?,
            metadata: next()?,
            content: next()?,
            buffers: frames.collect(),
        };
        let parts = [
            &message.header,
            &message.parent_header,
            &message.metadata,
            &message.content,
        ];
        if let Some(mac) = self.mac(parts) {
            let claimed = unhex(&signature).ok_or(BadMessage::Signature)?;
            mac.verify_slice(&claimed)
                .map_err(|_| BadMessage::Signature)?;
        }
        Ok(message)
    }
}

/// Lower-case hexadecimal digits, as Jupyter writes signatures and keys.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| {
            [
                DIGITS[usize::from(byte >> 4)],
                DIGITS[usize::from(byte & 15)],
            ]
        })
        .map(char::from)
        .collect()
}

fn unhex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|value| u8::try_from(value).ok())
    };
    if !text.len().is_multiple_of(2) {
        return None;
    }
    text.chunks_exact(2)
        .map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Message {
        Message {
            header: Bytes::from_static(
                br#"{"msg_id":"1","session":"s","msg_type":"x","subshell_id":"kept"}"#,
            ),
            parent_header: Bytes::from_static(b"{}"),
            metadata: Bytes::from_static(b"{}"),
            content: Bytes::from_static(br#"{"a":1}"#),
            buffers: vec![Bytes::from_static(b"raw")],
        }
    }

    #[test]
    fn a_signed_message_opens_with_any_frames_in_front() {
        let key = Key::new("secret");
        let mut frames = vec![
            Bytes::from_static(b"kernel.1.stream"),
            Bytes::from_static(b"identity"),
        ];
        frames.extend(key.frames(&sample()));
        let message = key.open(frames).expect("the signature is right");
        assert_eq!(message.header, sample().header);
        assert_eq!(message.buffers, sample().buffers);
        assert_eq!(message.head().expect("a header").msg_id, "1");
        assert_eq!(message.parent(), Head::default());
    }

    #[test]
    fn a_changed_frame_or_another_key_is_refused() {
        let key = Key::new("secret");
        let mut frames = key.frames(&sample());
        assert_eq!(
            Key::new("other").open(frames.clone()).unwrap_err(),
            BadMessage::Signature
        );
        frames[5] = Bytes::from_static(br#"{"a":2}"#);
        assert_eq!(key.open(frames).unwrap_err(), BadMessage::Signature);
    }

    #[test]
    fn too_few_frames_are_refused() {
        let key = Key::new("");
        assert_eq!(key.open(vec![]).unwrap_err(), BadMessage::Shape);
        let frames = key.frames(&sample());
        assert_eq!(
            key.open(frames[..4].to_vec()).unwrap_err(),
            BadMessage::Shape
        );
    }

    #[test]
    fn the_signature_is_that_of_the_reference() {
        // Python: hmac.new(b"key", b"abcd", "sha256").hexdigest(), in four parts.
        let part = |text: &'static str| Bytes::from_static(text.as_bytes());
        let message = Message {
            header: part("a"),
            parent_header: part("b"),
            metadata: part("c"),
            content: part("d"),
            buffers: vec![],
        };
        let frames = Key::new("key").frames(&message);
        assert_eq!(
            frames[1],
            "2a31ec0ee8d878c9eece9fb0df79b3b90b2256240163aa5ee50d176d3d1121f8".as_bytes()
        );
    }
}
