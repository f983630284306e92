//! A Jupyter client that reads and writes the frames itself, in both framings.

use crate::harness::PATIENCE;
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::io::{AsyncWriteExt as _, DuplexStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message as Raw;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

/// How messages look on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// JSON, with buffers as a binary frame.
    Default,
    /// `v1.kernel.websocket.jupyter.org`.
    V1,
}

/// A message of the kernel.
#[derive(Debug, Clone)]
pub struct Got {
    pub channel: String,
    pub header: Value,
    pub parent: Value,
    /// The content as it came, which need not be JSON for us.
    pub raw_content: String,
    pub content: Value,
    pub buffers: Vec<Bytes>,
}

impl Got {
    /// Its type.
    pub fn kind(&self) -> &str {
        self.header["msg_type"].as_str().unwrap()
    }

    /// The id of the request that it belongs to.
    pub fn parent_id(&self) -> &str {
        self.parent["msg_id"].as_str().unwrap_or_default()
    }
}

/// One WebSocket.
pub struct Client {
    stream: WebSocketStream<DuplexStream>,
    framing: Framing,
    session: String,
    sent: usize,
}

fn parts(payload: &Bytes, offsets: &[usize]) -> Vec<Bytes> {
    offsets
        .windows(2)
        .map(|pair| payload.slice(pair[0]..pair[1]))
        .collect()
}

fn text(part: &[u8]) -> String {
    String::from_utf8(part.to_vec()).unwrap()
}

/// The raw text of a top-level key of the default framing.
fn raw(json: &str, key: &str) -> String {
    let all: std::collections::HashMap<String, Box<serde_json::value::RawValue>> =
        match serde_json::from_str(json) {
            Ok(all) => all,
            // Not JSON to the letter: `NaN` and the like, which Python reads.
            Err(_) => {
                let start = json.find(&format!("\"{key}\":")).unwrap() + key.len() + 3;
                let end = json[start..].find(",\"channel\"").unwrap_or(2);
                return json[start..start + end].to_owned();
            }
        };
    all[key].get().to_owned()
}

fn from_json(json: &str, buffers: Vec<Bytes>) -> Got {
    let part = |key: &str| raw(json, key);
    let value = |text: &str| serde_json::from_str(text).unwrap_or(Value::Null);
    let content = part("content");
    let channel = json.rsplit("\"channel\":\"").next().unwrap();
    let head = json.split("\"parent_header\"").next().unwrap();
    let header = match serde_json::from_str::<Value>(json) {
        Ok(all) => {
            assert_eq!(all["msg_id"], all["header"]["msg_id"]);
            assert_eq!(all["msg_type"], all["header"]["msg_type"]);
            all["header"].clone()
        }
        Err(_) => {
            json!({"msg_type": head.split("\"msg_type\":").last().unwrap().trim_matches(['"', ','])})
        }
    };
    Got {
        channel: channel.split('"').next().unwrap().to_owned(),
        header,
        parent: value(&part("parent_header")),
        content: value(&content),
        raw_content: content,
        buffers,
    }
}

impl Framing {
    fn read(self, message: &Raw) -> Got {
        let payload = match (self, message) {
            (Self::Default, Raw::Text(json)) => {
                assert!(
                    json.contains("\"buffers\":[]"),
                    "a key that widgets need is missing"
                );
                return from_json(json, Vec::new());
            }
            (_, Raw::Binary(payload)) => payload,
            (_, other) => panic!("not in this framing: {other:?}"),
        };
        match self {
            Self::Default => {
                let word = |at: usize| {
                    u32::from_be_bytes(payload[4 * at..4 * at + 4].try_into().unwrap()) as usize
                };
                let count = word(0);
                assert!(count > 1, "binary although there are no buffers");
                let mut offsets: Vec<usize> = (1..=count).map(word).collect();
                assert_eq!(offsets[0], 4 * (count + 1));
                offsets.push(payload.len());
                let mut parts = parts(payload, &offsets);
                let json = text(&parts.remove(0));
                from_json(&json, parts)
            }
            Self::V1 => {
                let word = |at: usize| {
                    u64::from_le_bytes(payload[8 * at..8 * at + 8].try_into().unwrap()) as usize
                };
                let count = word(0);
                let offsets: Vec<usize> = (1..=count).map(word).collect();
                assert_eq!(
                    (offsets[0], offsets[count - 1]),
                    (8 * (count + 1), payload.len())
                );
                let parts = parts(payload, &offsets);
                let value = |part: &Bytes| serde_json::from_slice(part).unwrap_or(Value::Null);
                Got {
                    channel: text(&parts[0]),
                    header: value(&parts[1]),
                    parent: value(&parts[2]),
                    raw_content: text(&parts[4]),
                    content: value(&parts[4]),
                    buffers: parts[5..].to_vec(),
                }
            }
        }
    }

    fn write(self, channel: &str, header: &str, content: &str, buffers: &[Bytes]) -> Raw {
        let mut json = format!(
            r#"{{"channel":"{channel}","header":{header},"parent_header":{{}},"metadata":{{}},"content":{content}"#
        );
        match self {
            Self::Default if buffers.is_empty() => {
                json.push_str(r#","buffers":[]}"#);
                Raw::text(json)
            }
            Self::Default => {
                json.push('}');
                Raw::binary(binary(&json, buffers))
            }
            Self::V1 => {
                let fixed = [channel, header, "{}", "{}", content];
                let mut all: Vec<&[u8]> = fixed.iter().map(|part| part.as_bytes()).collect();
                all.extend(buffers.iter().map(|buffer| &buffer[..]));
                let count = all.len() + 1;
                let mut offset = 8 * (count + 1);
                let mut frame = (count as u64).to_le_bytes().to_vec();
                frame.extend((offset as u64).to_le_bytes());
                for part in &all {
                    offset += part.len();
                    frame.extend((offset as u64).to_le_bytes());
                }
                frame.extend(all.concat());
                Raw::binary(frame)
            }
        }
    }
}

/// The binary form of the default framing.
pub fn binary(json: &str, buffers: &[Bytes]) -> Vec<u8> {
    let count = 1 + buffers.len();
    let mut offset = 4 * (count + 1);
    let mut frame = (count as u32).to_be_bytes().to_vec();
    frame.extend((offset as u32).to_be_bytes());
    offset += json.len();
    for buffer in buffers {
        frame.extend((offset as u32).to_be_bytes());
        offset += buffer.len();
    }
    frame.extend(json.as_bytes());
    for buffer in buffers {
        frame.extend_from_slice(buffer);
    }
    frame
}

impl Client {
    /// Speaks over a stream whose handshake is done.
    pub async fn new(stream: DuplexStream, framing: Framing, session: &str) -> Self {
        let config = WebSocketConfig::default()
            .max_message_size(None)
            .max_frame_size(None);
        let stream = WebSocketStream::from_raw_socket(stream, Role::Client, Some(config)).await;
        Self {
            stream,
            framing,
            session: session.into(),
            sent: 0,
        }
    }

    /// Sends any frame.
    pub async fn raw(&mut self, message: Raw) {
        self.stream.send(message).await.unwrap();
    }

    /// A header of this session, and its id.
    pub fn header(&mut self, kind: &str) -> (String, Value) {
        self.sent += 1;
        let id = format!("{}-{}", self.session, self.sent);
        let header = json!({
            "msg_id": id, "msg_type": kind, "session": self.session, "username": "story",
            "date": "2026-01-01T00:00:00.000000Z", "version": "5.3", "unknown": "kept",
        });
        (id, header)
    }

    /// Sends a request; its id.
    pub async fn ask(&mut self, channel: &str, kind: &str, content: Value) -> String {
        self.ask_with(channel, kind, &content.to_string(), &[])
            .await
    }

    /// Sends a request with buffers, and content as it is given.
    pub async fn ask_with(
        &mut self,
        channel: &str,
        kind: &str,
        content: &str,
        buffers: &[Bytes],
    ) -> String {
        let (id, header) = self.header(kind);
        let message = self
            .framing
            .write(channel, &header.to_string(), content, buffers);
        self.raw(message).await;
        id
    }

    /// Sends code; the id of the request.
    pub async fn execute(&mut self, code: &str) -> String {
        // An error must not abort what a story has sent meanwhile.
        let content = json!({"code": code, "silent": false, "store_history": true, "allow_stdin": true,
            "user_expressions": {}, "stop_on_error": false});
        self.ask("shell", "execute_request", content).await
    }

    /// Sends bytes that need not be frames.
    pub async fn bytes(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).await.unwrap();
    }

    /// Vanishes without a word, as a laptop does that is closed.
    pub fn vanish(self) {}

    /// Sends a ping and waits for its pong, so that everything sent before was read.
    pub async fn ping(&mut self) {
        self.raw(Raw::Ping(Bytes::from_static(b"there?"))).await;
        loop {
            let next = tokio::time::timeout(PATIENCE, self.stream.next());
            match next.await.expect("a pong in time") {
                Some(Ok(Raw::Pong(payload))) if &payload[..] == b"there?" => return,
                other => assert!(other.expect("a frame").is_ok()),
            }
        }
    }

    /// Reads on until the agent knows that this client has everything.
    pub async fn settle(&mut self) {
        loop {
            let next = tokio::time::timeout(PATIENCE, self.stream.next());
            if let Raw::Ping(_) = next.await.expect("a ping in time").unwrap().unwrap() {
                break;
            }
        }
        self.ping().await;
    }

    /// The next frame that is no ping.
    pub async fn frame(&mut self) -> Option<Raw> {
        // One patience for all: pings come for ever.
        let next = async {
            loop {
                match self.stream.next().await {
                    Some(Ok(Raw::Ping(_) | Raw::Pong(_))) => {}
                    Some(Ok(message)) => return Some(message),
                    Some(Err(_)) | None => return None,
                }
            }
        };
        tokio::time::timeout(PATIENCE, next)
            .await
            .expect("a frame in time")
    }

    /// The next message.
    pub async fn next(&mut self) -> Got {
        match self.frame().await.expect("a message") {
            Raw::Close(frame) => panic!("closed: {frame:?}"),
            message => self.framing.read(&message),
        }
    }

    /// The next message that this accepts; those before it are passed over.
    pub async fn until(&mut self, wanted: impl Fn(&Got) -> bool) -> Got {
        loop {
            let got = self.next().await;
            if wanted(&got) {
                return got;
            }
        }
    }

    /// All messages of a request up to its end: reply and idle.
    pub async fn finish(&mut self, request: &str) -> Vec<Got> {
        let (mut all, mut replied, mut idle) = (Vec::new(), false, false);
        while !(replied && idle) {
            let got = self.next().await;
            if got.parent_id() == request {
                replied |= got.channel == "shell";
                idle |= got.kind() == "status" && got.content["execution_state"] == "idle";
                all.push(got);
            }
        }
        all
    }

    /// Runs code to its end.
    pub async fn run(&mut self, code: &str) -> Vec<Got> {
        let id = self.execute(code).await;
        self.finish(&id).await
    }

    /// The code with which the agent closes, after what it still says.
    pub async fn closed(&mut self) -> u16 {
        loop {
            if let Raw::Close(frame) = self.frame().await.expect("a close frame") {
                return frame.expect("a code").code.into();
            }
        }
    }

    /// Ends as clients do.
    pub async fn close(mut self) {
        self.stream.close(None).await.unwrap();
        while self.frame().await.is_some() {}
    }
}

/// Text of all streams among messages.
pub fn streamed(all: &[Got]) -> String {
    let streams = all.iter().filter(|got| got.kind() == "stream");
    streams
        .map(|got| got.content["text"].as_str().unwrap())
        .collect()
}
