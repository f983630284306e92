//! Messages that we make for clients ourselves: states of a kernel whose process cannot speak,
//! notices of what was left out, and answers from memory.

use super::fanout::{Channel, Incoming};
use super::message::Message;
use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::sync::Arc;

/// Version of the messaging protocol of what we make.
const VERSION: &str = "5.3";

/// Whom such messages come from.
const NAME: &str = "soulbox";

/// A message of ours with the parent that it belongs to, or `{}`.
pub fn message(
    channel: Channel,
    msg_type: &str,
    parent_header: Bytes,
    content: Bytes,
) -> Arc<Incoming> {
    let header = json!({
        "msg_id": uuid::Uuid::new_v4().to_string(),
        "session": NAME,
        "username": NAME,
        "date": Timestamp::now().to_string(),
        "msg_type": msg_type,
        "version": VERSION,
    });
    let message = Message {
        header: header.to_string().into(),
        parent_header,
        metadata: Bytes::from_static(b"{}"),
        content,
        buffers: Vec::new(),
    };
    Arc::new(Incoming::new(channel, message).expect("our own header can be read"))
}

fn broadcast(msg_type: &str, parent_header: Bytes, content: &Value) -> Arc<Incoming> {
    let content = content.to_string().into();
    message(Channel::Iopub, msg_type, parent_header, content)
}

/// The state of the kernel, with a request as its parent or none.
pub fn status(state: &str, parent_header: Bytes) -> Arc<Incoming> {
    broadcast("status", parent_header, &json!({"execution_state": state}))
}

/// The state of the kernel, which belongs to no request.
pub fn state(state: &str) -> Arc<Incoming> {
    status(state, Bytes::from_static(b"{}"))
}

/// A line on standard error where the output of a request is shown.
pub fn notice(text: &str, parent_header: Bytes) -> Arc<Incoming> {
    let text = format!("[SoulBox] {text}\n");
    broadcast(
        "stream",
        parent_header,
        &json!({"name": "stderr", "text": text}),
    )
}
