//! What the proxy of `jupyter server` has to be protected from (sections 3.6 and 3.7 of the
//! Jupyter wire contract).
//!
//! Its reading half dies on a binary message and leaves the notebook hanging without an error;
//! a message above 10 MiB makes it reconnect, and lose what was on its way. So for that client
//! messages with buffers come without them, long text comes in parts, and what is too large
//! otherwise is replaced; each is said once more where the output is shown.

use super::framing::{Encoded, Framing};
use crate::kernel::announcement;
use crate::kernel::fanout::{Channel, Incoming};
use crate::kernel::message::Message;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

/// Largest message for the proxy, in bytes. It gives up at 10 MiB.
const MESSAGE_BYTES: usize = 8 << 20;

/// Text of one part, in bytes. JSON writes a byte in at most six.
const PART_BYTES: usize = 1 << 20;

const NO_BUFFERS: &str = "Binary data of a widget was left out: the Jupyter server between this \
    browser and the kernel cannot pass it on. Clients that connect to SoulBox directly get it.";

/// How one client is protected.
#[derive(Debug, Default)]
pub struct Protection {
    on: bool,
    /// Whether it was said that buffers are left out.
    said: bool,
}

#[derive(Deserialize)]
struct Text {
    name: String,
    text: String,
}

impl Protection {
    /// Protects, or leaves messages as they are.
    pub fn new(on: bool) -> Self {
        Self { on, said: false }
    }

    /// What a client gets for a message of the kernel.
    pub fn encode(&mut self, framing: Framing, incoming: &Arc<Incoming>) -> Vec<Encoded> {
        if !self.on {
            return vec![framing.encode(incoming)];
        }
        if signed_size(&incoming.message) > MESSAGE_BYTES {
            let smaller = smaller(incoming);
            return smaller.iter().map(|part| framing.encode(part)).collect();
        }
        if incoming.message.buffers.is_empty() {
            return vec![framing.encode(incoming)];
        }
        let mut encoded = vec![Framing::without_buffers(incoming)];
        if !std::mem::replace(&mut self.said, true) {
            let parent = incoming.message.parent_header.clone();
            encoded.push(framing.encode(&announcement::notice(NO_BUFFERS, parent)));
        }
        encoded
    }
}

fn signed_size(message: &Message) -> usize {
    message.header.len()
        + message.parent_header.len()
        + message.metadata.len()
        + message.content.len()
}

fn smaller(incoming: &Arc<Incoming>) -> Vec<Arc<Incoming>> {
    let message = &incoming.message;
    let parent = || message.parent_header.clone();
    if incoming.channel == Channel::Iopub
        && incoming.msg_type == "stream"
        && let Ok(stream) = serde_json::from_slice::<Text>(&message.content)
    {
        let part = |text: &str| {
            let content = json!({"name": stream.name, "text": text}).to_string();
            announcement::message(Channel::Iopub, "stream", parent(), content.into())
        };
        return parts(&stream.text).map(part).collect();
    }
    let text = format!(
        "A message of {} bytes was left out: the Jupyter server between this browser and the kernel \
         passes on 10 MiB at most. Clients that connect to SoulBox directly get it.",
        signed_size(message)
    );
    let mut said = vec![announcement::notice(&text, parent())];
    if incoming.channel != Channel::Iopub {
        // Somebody waits for it.
        let content =
            json!({"status": "error", "ename": "MessageTooLarge", "evalue": text, "traceback": []});
        let content = Bytes::from(content.to_string());
        said.push(announcement::message(
            incoming.channel,
            &incoming.msg_type,
            parent(),
            content,
        ));
    }
    said
}

/// Cuts text at characters.
fn parts(mut text: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        let end = text.floor_char_boundary(PART_BYTES.min(text.len()));
        let (part, rest) = text.split_at_checked(end)?;
        text = rest;
        (!part.is_empty()).then_some(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jupyter::websocket::Kind;

    fn incoming(
        channel: Channel,
        msg_type: &str,
        content: String,
        buffers: Vec<Bytes>,
    ) -> Arc<Incoming> {
        let message = Message {
            header: json!({"msg_id": "1", "session": "k", "msg_type": msg_type})
                .to_string()
                .into(),
            parent_header: Bytes::from_static(br#"{"msg_id":"asked"}"#),
            metadata: Bytes::from_static(b"{}"),
            content: content.into(),
            buffers,
        };
        Arc::new(Incoming::new(channel, message).expect("a header"))
    }

    fn read(encoded: &[Encoded]) -> Vec<serde_json::Value> {
        let one = |encoded: &Encoded| {
            assert_eq!(encoded.kind, Kind::Text);
            assert!(encoded.len() < MESSAGE_BYTES);
            serde_json::from_slice(&encoded.pieces.concat()).expect("JSON")
        };
        encoded.iter().map(one).collect()
    }

    #[test]
    fn long_text_comes_in_parts_that_are_the_whole() {
        let text = "€\u{1}".repeat(1 << 20);
        let content = json!({"name": "stderr", "text": text}).to_string();
        let message = incoming(Channel::Iopub, "stream", content, vec![]);
        let got = read(&Protection::new(true).encode(Framing::Default, &message));
        let joined: String = got
            .iter()
            .map(|part| part["content"]["text"].as_str().expect("text"))
            .collect();
        assert!(joined == text);
        assert!(got.iter().all(|part| part["content"]["name"] == "stderr"
            && part["parent_header"]["msg_id"] == "asked"));
        assert_eq!(
            Protection::new(false)
                .encode(Framing::Default, &message)
                .len(),
            1
        );
    }

    #[test]
    fn buffers_are_left_out_and_that_is_said_once() {
        let message = incoming(
            Channel::Iopub,
            "comm_msg",
            "{}".into(),
            vec![Bytes::from_static(b"\xff")],
        );
        let mut protection = Protection::new(true);
        let got = read(&protection.encode(Framing::Default, &message));
        assert_eq!((got.len(), &got[0]["buffers"]), (2, &json!([])));
        assert_eq!(got[1]["content"]["name"], "stderr");
        assert_eq!(protection.encode(Framing::Default, &message).len(), 1);
    }

    #[test]
    fn what_is_too_large_otherwise_is_replaced_and_an_answer_is_still_one() {
        let content = json!({"data": "x".repeat(9 << 20)}).to_string();
        let shown = incoming(Channel::Iopub, "display_data", content.clone(), vec![]);
        let got = read(&Protection::new(true).encode(Framing::Default, &shown));
        assert_eq!((got.len(), &got[0]["msg_type"]), (1, &json!("stream")));
        let answer = incoming(Channel::Shell, "inspect_reply", content, vec![]);
        let got = read(&Protection::new(true).encode(Framing::Default, &answer));
        assert_eq!(
            (&got[1]["msg_type"], &got[1]["content"]["status"]),
            (&json!("inspect_reply"), &json!("error"))
        );
    }
}
