//! A kernel's channels over a WebSocket, from the client's side, in the framing without JSON
//! around the parts (jupyter-wire.md, section 4.3): a content that is no strict JSON, as `NaN`
//! makes it, spoils nothing but itself.
//!
//! A connection that breaks is made again under the same session, and the server sends what was
//! missed. So a restart of the gateway is a pause here and no end.

use super::super::super::remote::{Gateway, accepted};
use anyhow::{Context as _, bail};
use axum::body::Body;
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http::{Method, StatusCode, header};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message as Frame,
        protocol::{Role, WebSocketConfig},
    },
};
use uuid::Uuid;

const FRAMING: &str = "v1.kernel.websocket.jupyter.org";
/// Parts of a message that are no buffers: the channel and four of JSON.
const PARTS: usize = 5;
const WORD: usize = 8;
/// Largest message, in bytes: what a kernel may send, with room.
const MESSAGE_BYTES: usize = 256 << 20;
/// How long a lost connection is tried again: a restart of the gateway.
const AWAY: Duration = Duration::from_secs(60);
const AGAIN: Duration = Duration::from_millis(300);

/// A message of the kernel.
#[derive(Debug)]
pub struct Message {
    /// Where it came from.
    pub channel: String,
    header: Value,
    parent: Value,
    /// What it says; null when that is no JSON.
    pub content: Value,
}

impl Message {
    /// What it is.
    pub fn kind(&self) -> &str {
        self.header["msg_type"].as_str().unwrap_or_default()
    }

    /// The request that it belongs to; empty when to none.
    pub fn parent_id(&self) -> &str {
        self.parent["msg_id"].as_str().unwrap_or_default()
    }

    /// Whether it belongs to a cell, and not to a mere question.
    pub fn is_of_a_cell(&self) -> bool {
        self.parent["msg_type"] == "execute_request"
    }

    /// Whether it belongs to a request.
    pub fn belongs_to(&self, request: &str) -> bool {
        self.parent_id() == request
    }

    /// Whether it belongs to any request at all.
    pub fn has_parent(&self) -> bool {
        !self.parent_id().is_empty()
    }

    /// Whether it is the reply to a request.
    pub fn answers(&self, request: &str) -> bool {
        self.belongs_to(request) && self.kind().ends_with("_reply")
    }

    /// The state of the kernel, if that is what it tells.
    pub fn state(&self) -> Option<&str> {
        let is_status = self.kind() == "status";
        is_status
            .then(|| self.content["execution_state"].as_str())
            .flatten()
    }

    /// A text of its content.
    pub fn text(&self, name: &str) -> &str {
        self.content[name].as_str().unwrap_or_default()
    }
}

/// What comes next.
#[derive(Debug)]
pub enum Event {
    /// The kernel said something.
    Message(Message),
    /// The connection was lost and is there again. What was sent last may have been lost.
    Back,
    /// There is no such kernel any more.
    Gone,
}

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// An open connection.
pub struct Channels {
    gateway: Gateway,
    kernel: String,
    session: String,
    socket: Option<Socket>,
}

impl Channels {
    /// Connects.
    pub async fn open(gateway: Gateway, kernel: &str) -> anyhow::Result<Self> {
        if Uuid::parse_str(kernel).is_err() {
            bail!("{kernel} is no id of a kernel; `soulbox kernel list` shows them");
        }
        let session = Uuid::new_v4().to_string();
        let socket = connect(&gateway, kernel, &session).await?;
        Ok(Self {
            gateway,
            kernel: kernel.to_owned(),
            session,
            socket: Some(socket),
        })
    }

    /// Which kernel it is.
    pub fn kernel(&self) -> &str {
        &self.kernel
    }

    /// Sends a request and gives its id. One that can't be sent is lost, as [`Event::Back`]
    /// will say.
    pub async fn send(&mut self, channel: &str, kind: &str, content: &Value) -> String {
        let id = Uuid::new_v4().to_string();
        let header = json!({
            "msg_id": id,
            "session": self.session,
            "username": "soulbox",
            "date": format!("{:.6}", jiff::Timestamp::now()),
            "msg_type": kind,
            "version": "5.4",
        });
        let empty = json!({});
        let parts = [&header, &empty, &empty, content].map(Value::to_string);
        let parts: Vec<&[u8]> = std::iter::once(channel.as_bytes())
            .chain(parts.iter().map(String::as_bytes))
            .collect();
        if let Some(socket) = &mut self.socket
            && socket
                .send(Frame::Binary(joined(&parts).into()))
                .await
                .is_err()
        {
            self.socket = None;
        }
        id
    }

    /// What comes next. May be cancelled.
    pub async fn next(&mut self) -> anyhow::Result<Event> {
        loop {
            let Some(socket) = &mut self.socket else {
                return self.again().await;
            };
            match socket.next().await {
                Some(Ok(Frame::Binary(bytes))) => {
                    if let Some(message) = parsed(&bytes) {
                        return Ok(Event::Message(message));
                    }
                }
                Some(Ok(Frame::Close(_)) | Err(_)) | None => self.socket = None,
                Some(Ok(_)) => {}
            }
        }
    }

    /// Connects once more.
    async fn again(&mut self) -> anyhow::Result<Event> {
        let until = Instant::now() + AWAY;
        loop {
            if self.is_gone().await {
                return Ok(Event::Gone);
            }
            match connect(&self.gateway, &self.kernel, &self.session).await {
                Ok(socket) => {
                    self.socket = Some(socket);
                    return Ok(Event::Back);
                }
                Err(error) if Instant::now() >= until => return Err(error),
                Err(_) => tokio::time::sleep(AGAIN).await,
            }
        }
    }

    /// Whether the gateway knows for sure that the kernel is no more.
    async fn is_gone(&self) -> bool {
        let path = format!("/api/kernels/{}", self.kernel);
        let asked = async {
            let request = self.gateway.jupyter(Method::GET, &path);
            let mut line = self.gateway.line().await?;
            anyhow::Ok(line.send_request(request.body(Body::empty())?).await?)
        };
        matches!(asked.await, Ok(answer) if answer.status() == StatusCode::NOT_FOUND)
    }

    /// Interrupts what the kernel runs.
    pub async fn interrupt(&self) -> anyhow::Result<()> {
        let path = format!("/api/kernels/{}/interrupt", self.kernel);
        self.gateway.kernels(Method::POST, &path, None).await?;
        Ok(())
    }

    /// Says goodbye, so that nothing is kept for this session.
    pub async fn close(mut self) {
        if let Some(mut socket) = self.socket.take() {
            // Whoever is gone already needs no goodbye.
            let _ = socket.close(None).await;
        }
    }
}

async fn connect(gateway: &Gateway, kernel: &str, session: &str) -> anyhow::Result<Socket> {
    let path = format!("/api/kernels/{kernel}/channels?session_id={session}");
    let request = gateway
        .jupyter(Method::GET, &path)
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_VERSION, "13")
        .header(
            header::SEC_WEBSOCKET_KEY,
            BASE64.encode(Uuid::new_v4().as_bytes()),
        )
        .header(header::SEC_WEBSOCKET_PROTOCOL, FRAMING)
        .body(Body::empty())?;
    let answer = accepted(gateway.line().await?.send_request(request).await?).await?;
    let agreed = answer.headers().get(header::SEC_WEBSOCKET_PROTOCOL);
    if agreed.is_none_or(|framing| framing.as_bytes() != FRAMING.as_bytes()) {
        bail!("the gateway does not speak the framing of Jupyter's channels");
    }
    let stream = hyper::upgrade::on(answer)
        .await
        .context("the gateway did not open the kernel's channels")?;
    let config = WebSocketConfig::default()
        .max_message_size(Some(MESSAGE_BYTES))
        .max_frame_size(Some(MESSAGE_BYTES));
    Ok(WebSocketStream::from_raw_socket(TokioIo::new(stream), Role::Client, Some(config)).await)
}

/// A message: the number of offsets, the offsets, the parts.
fn joined(parts: &[&[u8]]) -> Vec<u8> {
    let count = parts.len() + 1;
    let mut offset = WORD * (count + 1);
    let mut bytes = Vec::with_capacity(offset + parts.iter().map(|part| part.len()).sum::<usize>());
    bytes.extend((count as u64).to_le_bytes());
    bytes.extend((offset as u64).to_le_bytes());
    for part in parts {
        offset += part.len();
        bytes.extend((offset as u64).to_le_bytes());
    }
    parts.iter().for_each(|part| bytes.extend(*part));
    bytes
}

/// The parts of a message that are shown; `None` when it makes no sense.
fn parsed(bytes: &Bytes) -> Option<Message> {
    let word = |at: usize| {
        let word = bytes.get(WORD * at..WORD * (at + 1))?;
        usize::try_from(u64::from_le_bytes(word.try_into().ok()?)).ok()
    };
    if word(0)? <= PARTS {
        return None;
    }
    let part = |number: usize| bytes.get(word(number + 1)?..word(number + 2)?);
    let json = |number: usize| serde_json::from_slice(part(number)?).ok();
    Some(Message {
        channel: String::from_utf8(part(0)?.to_vec()).ok()?,
        header: json(1)?,
        parent: json(2)?,
        content: json(4).unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_message_is_read_as_it_was_written_and_nan_spoils_its_content_only() {
        let header = br#"{"msg_type":"stream"}"#;
        let parts: [&[u8]; 5] = [b"iopub", header, b"{}", b"{}", br#"{"text":"x"}"#];
        let message = parsed(&joined(&parts).into()).expect("a message");
        assert_eq!((message.kind(), message.text("text")), ("stream", "x"));
        let parts: [&[u8]; 5] = [b"iopub", header, b"{}", b"{}", b"NaN"];
        let message = parsed(&joined(&parts).into()).expect("a message");
        assert_eq!((message.kind(), &message.content), ("stream", &Value::Null));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200), small in any::<bool>()) {
            if small && bytes.len() > 8 {
                bytes[..8].copy_from_slice(&6_u64.to_le_bytes());
            }
            let _ = parsed(&bytes.into());
        }
    }
}
