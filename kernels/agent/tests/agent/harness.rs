//! A running agent and the verbs to speak with it.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

/// An agent that ends with its test.
pub struct Agent {
    program: Child,
    channel: SendRequest<Full<Bytes>>,
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

impl Agent {
    /// Starts one and claims it for root, whom every machine has.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts one with variables of its own.
    pub async fn start_with(variables: &[(&str, &OsStr)]) -> Self {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let output: OwnedFd = theirs.try_clone().unwrap().into();
        let program = Command::new(program())
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::from(output))
            .env("SOULBOX_AGENT_LOG", "warn")
            .envs(variables.iter().copied())
            .spawn()
            .unwrap();
        ours.set_nonblocking(true).unwrap();
        let stream = tokio::net::UnixStream::from_std(ours).unwrap();
        // As the node has it: a limit on the connection would let stalled streams stop others.
        let (channel, connection) = http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(1 << 20)
            .initial_connection_window_size((1 << 31) - 1)
            .handshake(TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(connection);
        let agent = Self { program, channel };
        let claim = json!({
            "sandbox_id": "itest", "template_id": "base", "env": {"GREETING": "hello"},
            "default_user": "root", "default_workdir": "/", "entropy": "00",
            "limits": {"memory_bytes": 64u64 << 30, "cpu_millis": 1500, "disk_bytes": 1u64 << 50},
        });
        let request = Request::post("http://control/claim")
            .header("content-type", "application/json")
            .body(Bytes::from(claim.to_string()))
            .unwrap();
        assert_eq!(agent.send(request).await.status(), 204);
        agent
    }

    /// Sends any request.
    pub async fn send(&self, request: Request<impl Into<Bytes>>) -> Response<Incoming> {
        let request = request.map(|body| Full::new(body.into()));
        self.channel.clone().send_request(request).await.unwrap()
    }

    /// A unary call: status and JSON.
    pub async fn call(&self, method: &str, message: Value) -> (u16, Value) {
        let request = Request::post(format!("http://envd/{method}"))
            .header("content-type", "application/json")
            .header("connect-protocol-version", "1")
            .body(message.to_string())
            .unwrap();
        let response = self.send(request).await;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    /// A streaming call with headers.
    pub async fn stream(&self, method: &str, message: Value, headers: &[(&str, &str)]) -> Events {
        let mut request = Request::post(format!("http://envd/{method}"))
            .header("content-type", "application/connect+json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = envelope(&message);
        let response = self.send(request.body(body).unwrap()).await;
        assert_eq!(response.status(), 200);
        assert_eq!(
            response.headers()["content-type"],
            "application/connect+json"
        );
        Events {
            body: response.into_body(),
            buffer: Vec::new(),
        }
    }

    /// `Start` of a shell command.
    pub async fn shell(&self, command: &str) -> Events {
        let process = json!({"cmd": "/bin/bash", "args": ["-c", command]});
        self.stream(
            "process.Process/Start",
            json!({"process": process, "stdin": false}),
            &[],
        )
        .await
    }
}

/// The agent as an ordinary process, or what starts one in a sandbox: a program that is given
/// the channel on its descriptors 0 and 1 and hands it on.
fn program() -> OsString {
    std::env::var_os("SOULBOX_TEST_AGENT")
        .unwrap_or_else(|| env!("CARGO_BIN_EXE_soulbox-agent").into())
}

/// One message as an envelope.
pub fn envelope(message: &Value) -> Vec<u8> {
    let text = message.to_string();
    let mut bytes = vec![0];
    bytes.extend(u32::try_from(text.len()).unwrap().to_be_bytes());
    bytes.extend(text.as_bytes());
    bytes
}

/// The answer of a streaming call.
pub struct Events {
    body: Incoming,
    buffer: Vec<u8>,
}

/// All of a process's stream.
#[derive(Debug, Default)]
pub struct Story {
    /// From the start event.
    pub pid: u64,
    /// Joined pieces.
    pub stdout: Vec<u8>,
    /// Joined pieces.
    pub stderr: Vec<u8>,
    /// Joined pieces.
    pub pty: Vec<u8>,
    /// The end event.
    pub end: Value,
    /// Payload of the end envelope.
    pub trailer: Value,
    /// Keepalive events.
    pub keepalives: usize,
}

impl Events {
    /// The next envelope: its flag and its message. Panics when the stream breaks off.
    pub async fn next(&mut self) -> (u8, Value) {
        loop {
            if self.buffer.len() >= 5 {
                let length = u32::from_be_bytes(self.buffer[1..5].try_into().unwrap()) as usize;
                if self.buffer.len() >= 5 + length {
                    let flag = self.buffer[0];
                    let value = serde_json::from_slice(&self.buffer[5..5 + length]).unwrap();
                    self.buffer.drain(..5 + length);
                    return (flag, value);
                }
            }
            let frame = self
                .body
                .frame()
                .await
                .expect("the stream ended early")
                .unwrap();
            self.buffer.extend_from_slice(&frame.into_data().unwrap());
        }
    }

    /// The pid of the first event, which must be `start`.
    pub async fn pid(&mut self) -> u64 {
        let (flag, event) = self.next().await;
        assert_eq!(flag, 0, "{event}");
        event["event"]["start"]["pid"].as_u64().unwrap()
    }

    /// Reads on until this text was printed.
    pub async fn until(&mut self, text: &str) -> String {
        let mut seen = String::new();
        while !seen.contains(text) {
            let (flag, event) = self.next().await;
            assert_eq!(flag, 0, "ended before {text:?}: {event}, after {seen:?}");
            for stream in ["stdout", "stderr", "pty"] {
                if let Some(data) = event["event"]["data"][stream].as_str() {
                    let bytes = BASE64_STANDARD.decode(data).unwrap();
                    seen.push_str(&String::from_utf8_lossy(&bytes));
                }
            }
        }
        seen
    }

    /// Everything up to the end.
    pub async fn finish(mut self) -> Story {
        let mut story = Story::default();
        loop {
            let (flag, message) = self.next().await;
            if flag == 2 {
                story.trailer = message;
                // HTTP/2 may end the stream with an empty frame.
                let rest = self.body.collect().await.unwrap().to_bytes();
                assert!(
                    rest.is_empty() && self.buffer.is_empty(),
                    "something follows the end"
                );
                return story;
            }
            assert!(story.end.is_null(), "an event after the end: {message}");
            let event = &message["event"];
            if let Some(pid) = event["start"]["pid"].as_u64() {
                story.pid = pid;
            } else if event["end"].is_object() {
                story.end = event["end"].clone();
            } else if event["keepalive"].is_object() {
                story.keepalives += 1;
            } else {
                for (name, to) in [
                    ("stdout", &mut story.stdout),
                    ("stderr", &mut story.stderr),
                    ("pty", &mut story.pty),
                ] {
                    if let Some(data) = event["data"][name].as_str() {
                        to.extend(BASE64_STANDARD.decode(data).unwrap());
                    }
                }
            }
        }
    }
}
