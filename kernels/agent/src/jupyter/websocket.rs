//! WebSocket frames, the server's side (RFC 6455), between an HTTP/2 request and its answer.
//!
//! The heads of frames are read and written by `tungstenite`. Messages are put together here,
//! because every library at hand refuses a text message that is not UTF-8, which the proxy of
//! `jupyter server` sends (section 3.6 of the Jupyter wire contract), or reserves the memory that
//! a client announces before it has sent anything.

use bytes::{Buf as _, Bytes, BytesMut};
use std::io::Cursor;
use thiserror::Error;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

/// Largest message of a client, in bytes: 128 MiB and what surrounds it.
pub const MESSAGE_BYTES: usize = (128 << 20) + (1 << 20);

/// Longest head of a frame, in bytes.
const HEAD_BYTES: usize = 14;

/// Longest payload of a control frame, in bytes (RFC 6455, 5.5).
const CONTROL_BYTES: usize = 125;

/// Room that is made for a message at once, in bytes; what a client announces is not believed.
const RESERVED_BYTES: usize = 1 << 20;

/// Close codes that we send.
pub mod close {
    /// There is nothing more to say.
    pub const NORMAL: u16 = 1000;
    /// Another connection of the same session took over, or this one is dead.
    pub const AWAY: u16 = 1001;
    /// The client broke the protocol.
    pub const PROTOCOL: u16 = 1002;
    /// A message is too large.
    pub const TOO_LARGE: u16 = 1009;
}

/// What a client did that ends its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Violation {
    /// Not what the protocol allows.
    #[error("the client broke the WebSocket protocol")]
    Protocol,
    /// More than [`MESSAGE_BYTES`].
    #[error("a message is too large")]
    TooLarge,
}

impl Violation {
    /// The code to close with.
    pub fn code(self) -> u16 {
        match self {
            Self::Protocol => close::PROTOCOL,
            Self::TooLarge => close::TOO_LARGE,
        }
    }
}

/// What a client sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// A message that claims to be text. It may not be UTF-8.
    Text(Bytes),
    /// A message that claims to be binary.
    Binary(Bytes),
    /// Asks for a pong with the same payload.
    Ping(Bytes),
    /// Answers a ping.
    Pong(Bytes),
    /// The client wants to end.
    Close,
}

struct Frame {
    control: Option<Control>,
    last: bool,
    mask: [u8; 4],
    /// Bytes of the payload that have been read.
    read: usize,
    length: usize,
}

/// Puts messages together from bytes as they come.
#[derive(Default)]
pub struct Decoder {
    head: BytesMut,
    frame: Option<Frame>,
    /// Payload of a control frame, which may come between the parts of a message.
    control: BytesMut,
    message: BytesMut,
    /// Whether a message has begun, and is text.
    text: Option<bool>,
}

impl Decoder {
    /// Takes from `bytes` until something is complete; `None` when they are used up.
    pub fn take(&mut self, bytes: &mut Bytes) -> Result<Option<Received>, Violation> {
        loop {
            let Some(frame) = &mut self.frame else {
                match self.head(bytes)? {
                    Some(frame) => self.frame = Some(frame),
                    None => return Ok(None),
                }
                continue;
            };
            let count = bytes.len().min(frame.length - frame.read);
            let into = match frame.control {
                Some(_) => &mut self.control,
                None => &mut self.message,
            };
            if into.capacity() - into.len() < count {
                // At least doubled, but never beyond what the frame needs.
                let missing = frame.length - frame.read;
                into.reserve(count.max(missing.min(into.len().max(RESERVED_BYTES))));
            }
            let start = into.len();
            into.extend_from_slice(&bytes[..count]);
            unmask(&mut into[start..], frame.mask, frame.read);
            bytes.advance(count);
            frame.read += count;
            if frame.read < frame.length {
                return Ok(None);
            }
            let (control, last) = (frame.control, frame.last);
            self.frame = None;
            if let Some(received) = self.complete(control, last)? {
                return Ok(Some(received));
            }
        }
    }

    /// Reads the head of the next frame.
    fn head(&mut self, bytes: &mut Bytes) -> Result<Option<Frame>, Violation> {
        loop {
            let mut cursor = Cursor::new(&self.head[..]);
            let parsed = FrameHeader::parse(&mut cursor).map_err(|_| Violation::Protocol)?;
            if let Some((head, length)) = parsed {
                self.head.clear();
                return self.begin(&head, length).map(Some);
            }
            if bytes.is_empty() {
                return Ok(None);
            }
            if self.head.len() >= HEAD_BYTES {
                return Err(Violation::Protocol);
            }
            self.head.extend_from_slice(&bytes.split_to(1));
        }
    }

    fn begin(&mut self, head: &FrameHeader, length: u64) -> Result<Frame, Violation> {
        let mask = head.mask.ok_or(Violation::Protocol)?;
        if head.rsv1 || head.rsv2 || head.rsv3 {
            return Err(Violation::Protocol);
        }
        let length = usize::try_from(length).map_err(|_| Violation::TooLarge)?;
        let control = match head.opcode {
            OpCode::Control(Control::Reserved(_)) | OpCode::Data(Data::Reserved(_)) => {
                return Err(Violation::Protocol);
            }
            OpCode::Control(_) if !head.is_final || length > CONTROL_BYTES => {
                return Err(Violation::Protocol);
            }
            OpCode::Control(control) => Some(control),
            OpCode::Data(Data::Continue) if self.text.is_some() => None,
            OpCode::Data(kind @ (Data::Text | Data::Binary)) if self.text.is_none() => {
                self.text = Some(kind == Data::Text);
                None
            }
            OpCode::Data(_) => return Err(Violation::Protocol),
        };
        if control.is_none() && length > MESSAGE_BYTES - self.message.len() {
            return Err(Violation::TooLarge);
        }
        Ok(Frame {
            control,
            last: head.is_final,
            mask,
            read: 0,
            length,
        })
    }

    fn complete(
        &mut self,
        control: Option<Control>,
        last: bool,
    ) -> Result<Option<Received>, Violation> {
        // Nothing is kept, so that a silent connection costs no memory.
        Ok(match control {
            Some(control) => {
                let payload = std::mem::take(&mut self.control).freeze();
                Some(match control {
                    Control::Ping => Received::Ping(payload),
                    Control::Pong => Received::Pong(payload),
                    // One byte is no code.
                    Control::Close if payload.len() == 1 => return Err(Violation::Protocol),
                    _ => Received::Close,
                })
            }
            None if last => {
                let payload = std::mem::take(&mut self.message).freeze();
                let text = self.text.take() == Some(true);
                Some(if text {
                    Received::Text(payload)
                } else {
                    Received::Binary(payload)
                })
            }
            None => None,
        })
    }
}

/// Undoes a client's masking of bytes that stand at `offset` in their frame.
fn unmask(bytes: &mut [u8], mask: [u8; 4], offset: usize) {
    const WORD: usize = 8;
    let key: [u8; WORD] = std::array::from_fn(|at| mask[(offset + at) % mask.len()]);
    let word = u64::from_ne_bytes(key);
    let mut words = bytes.chunks_exact_mut(WORD);
    for chunk in &mut words {
        let plain = u64::from_ne_bytes(chunk.try_into().expect("chunks are words")) ^ word;
        chunk.copy_from_slice(&plain.to_ne_bytes());
    }
    for (byte, key) in words.into_remainder().iter_mut().zip(key) {
        *byte ^= key;
    }
}

/// What a frame of ours is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A message of text.
    Text,
    /// A binary message.
    Binary,
    /// Asks for a sign of life.
    Ping,
    /// Answers a client's ping.
    Pong,
    /// Ends the connection.
    Close,
}

/// The head of an unfragmented frame of ours.
pub fn head(kind: Kind, length: usize) -> Vec<u8> {
    let opcode = match kind {
        Kind::Text => OpCode::Data(Data::Text),
        Kind::Binary => OpCode::Data(Data::Binary),
        Kind::Ping => OpCode::Control(Control::Ping),
        Kind::Pong => OpCode::Control(Control::Pong),
        Kind::Close => OpCode::Control(Control::Close),
    };
    let head = FrameHeader {
        opcode,
        ..FrameHeader::default()
    };
    let mut bytes = Vec::with_capacity(HEAD_BYTES);
    head.format(length as u64, &mut bytes)
        .expect("a vector takes every byte");
    bytes
}

/// A whole frame with a small payload.
pub fn small(kind: Kind, payload: &[u8]) -> Bytes {
    let mut frame = head(kind, payload.len());
    frame.extend_from_slice(payload);
    frame.into()
}

/// A close frame.
pub fn closing(code: u16, reason: &str) -> Bytes {
    let mut payload = code.to_be_bytes().to_vec();
    payload.extend_from_slice(reason.as_bytes());
    payload.truncate(CONTROL_BYTES);
    small(Kind::Close, &payload)
}

#[cfg(test)]
#[path = "websocket_tests.rs"]
mod tests;
