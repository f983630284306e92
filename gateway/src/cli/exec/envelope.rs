//! The envelopes of a Connect stream: a flag, a length, a JSON text (e2b-wire.md, section 4.2).

use anyhow::bail;
use bytes::{Buf, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::Value;

const HEAD_BYTES: usize = 5;
const END_FLAG: u8 = 2;
/// An event holds at most 32 KiB of output in base64; this is far more.
const LARGEST_BYTES: usize = 4 << 20;

/// One envelope.
pub enum Message {
    /// Something happened.
    Event(Value),
    /// The last one.
    End(Value),
}

/// The envelopes of an answer, as they come.
pub struct Envelopes {
    body: Incoming,
    read: BytesMut,
}

impl Envelopes {
    /// Nothing is read yet.
    pub fn new(body: Incoming) -> Self {
        Self {
            body,
            read: BytesMut::new(),
        }
    }

    /// The next one; `None` when the stream ended.
    pub async fn next(&mut self) -> anyhow::Result<Option<Message>> {
        loop {
            if let Some(message) = take(&mut self.read)? {
                return Ok(Some(message));
            }
            let Some(frame) = self.body.frame().await else {
                return Ok(None);
            };
            let frame = frame.map_err(|_| {
                anyhow::anyhow!("the connection broke off; the sandbox may have ended")
            })?;
            if let Ok(data) = frame.into_data() {
                self.read.extend_from_slice(&data);
            }
        }
    }
}

fn take(read: &mut BytesMut) -> anyhow::Result<Option<Message>> {
    let Some((head, rest)) = read.split_first_chunk::<HEAD_BYTES>() else {
        return Ok(None);
    };
    let [flag, length @ ..] = *head;
    let length = u32::from_be_bytes(length) as usize;
    if length > LARGEST_BYTES {
        bail!("the answer makes no sense: an event of {length} bytes");
    }
    let Some(text) = rest.get(..length) else {
        return Ok(None);
    };
    let value = serde_json::from_slice(text)?;
    read.advance(HEAD_BYTES + length);
    Ok(Some(match flag {
        END_FLAG => Message::End(value),
        _ => Message::Event(value),
    }))
}

/// One message in its envelope.
pub fn write(message: &Value) -> Vec<u8> {
    let text = message.to_string();
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    let mut bytes = vec![0];
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn envelopes_come_out_whole_however_they_were_cut() {
        let bytes = write(&json!({ "a": 1 }));
        let mut read = BytesMut::new();
        for byte in &bytes[..bytes.len() - 1] {
            read.extend_from_slice(&[*byte]);
            assert!(take(&mut read).expect("no fault").is_none());
        }
        read.extend_from_slice(&bytes[bytes.len() - 1..]);
        let Ok(Some(Message::Event(value))) = take(&mut read) else {
            panic!("an event");
        };
        assert_eq!((value, read.len()), (json!({ "a": 1 }), 0));
    }

    #[test]
    fn an_absurd_length_is_refused() {
        let mut read = BytesMut::from(&[0, 0xff, 0xff, 0xff, 0xff][..]);
        assert!(take(&mut read).is_err());
    }
}
