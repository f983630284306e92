//! Envelopes of Connect streams: a flag byte, a length, a payload.
//!
//! The decoder is fed with whatever the network delivers and never holds more than one
//! message of the allowed size plus the piece it was just fed.

use super::error::{Code, ConnectError};
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use serde::Serialize;

/// Flag of the last envelope of a stream.
const END: u8 = 2;

/// Flag of a compressed payload.
const COMPRESSED: u8 = 1;

/// Bytes before the payload.
pub const HEADER: usize = 5;

/// Bytes of one message. A client sends input of any size in one message, so this is generous;
/// it is what one request can make the agent hold.
pub const MAX_MESSAGE: usize = 64 << 20;

/// Takes a stream of bytes apart.
#[derive(Default)]
pub struct Decoder {
    buffer: BytesMut,
}

impl Decoder {
    /// Adds what has arrived.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole message. `Ok(None)` asks for more bytes. An end envelope of a client is
    /// not part of the protocol and is passed over.
    pub fn next_message(&mut self) -> Result<Option<Bytes>, ConnectError> {
        loop {
            let Some((&flags, rest)) = self.buffer.split_first() else {
                return Ok(None);
            };
            let Some(length) = rest.first_chunk::<4>() else {
                return Ok(None);
            };
            let length = u32::from_be_bytes(*length) as usize;
            if length > MAX_MESSAGE {
                return Err(ConnectError::new(
                    Code::ResourceExhausted,
                    format!("a message of {length} bytes is larger than {MAX_MESSAGE}"),
                ));
            }
            if flags & COMPRESSED != 0 {
                return Err(ConnectError::new(
                    Code::Unimplemented,
                    "compressed messages are not supported",
                ));
            }
            if self.buffer.len() < HEADER + length {
                return Ok(None);
            }
            self.buffer.advance(HEADER);
            let payload = self.buffer.split_to(length).freeze();
            if flags & END == 0 {
                return Ok(Some(payload));
            }
        }
    }

    /// Whether a message is cut off.
    pub fn is_partial(&self) -> bool {
        !self.buffer.is_empty()
    }
}

/// A message as an envelope.
pub fn message(message: &impl Serialize) -> Bytes {
    let payload = serde_json::to_vec(message).unwrap_or_else(|_| b"{}".to_vec());
    with_payload(0, &payload)
}

/// The mandatory last envelope.
pub fn end(error: Option<&ConnectError>) -> Bytes {
    #[derive(Serialize)]
    struct End<'a> {
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<&'a ConnectError>,
    }
    let payload = serde_json::to_vec(&End { error }).unwrap_or_else(|_| b"{}".to_vec());
    with_payload(END, &payload)
}

/// An envelope of a message that is already JSON text.
pub fn with_text(payload: &[u8]) -> Bytes {
    with_payload(0, payload)
}

fn with_payload(flags: u8, payload: &[u8]) -> Bytes {
    let mut envelope = BytesMut::with_capacity(HEADER + payload.len());
    envelope.put_u8(flags);
    // Our own messages are far below 4 GiB: output comes in pieces, listings are bounded.
    envelope.put_u32(u32::try_from(payload.len()).unwrap_or(u32::MAX));
    envelope.put_slice(payload);
    envelope.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_end_says_the_error() {
        assert_eq!(&end(None)[..], b"\x02\0\0\0\x02{}");
        let error = ConnectError::invalid("x");
        assert_eq!(
            &end(Some(&error))[5..],
            br#"{"error":{"code":"invalid_argument","message":"x"}}"#
        );
    }

    #[test]
    fn a_huge_length_is_refused_before_its_bytes_come() {
        let mut decoder = Decoder::default();
        decoder.feed(&[0, 255, 255, 255, 255]);
        assert_eq!(
            decoder.next_message().unwrap_err().code,
            Code::ResourceExhausted
        );
    }

    proptest! {
        #[test]
        fn any_cut_of_the_stream_gives_the_same_messages(
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..8),
            cut in 1usize..40,
        ) {
            let stream: Vec<u8> = messages.iter().flat_map(|m| with_text(m).to_vec()).collect();
            let mut decoder = Decoder::default();
            let mut found = Vec::new();
            for piece in stream.chunks(cut) {
                decoder.feed(piece);
                while let Some(message) = decoder.next_message().unwrap() {
                    found.push(message.to_vec());
                }
            }
            prop_assert_eq!(found, messages);
            prop_assert!(!decoder.is_partial());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut decoder = Decoder::default();
            decoder.feed(&bytes);
            while let Ok(Some(_)) = decoder.next_message() {}
        }
    }
}
