//! A running agent with a Python kernel, and the verbs of Jupyter's REST.

use crate::client::{Client, Framing};
use bytes::Bytes;
use futures_util::stream::StreamExt as _;
use http::{Method, Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// Names the Python whose kernel is tested.
const PYTHON: &str = "SOULBOX_TEST_PYTHON";

/// Longest wait for anything, on a machine that builds something else meanwhile.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Bytes between a client and the channel.
const PIPE_BYTES: usize = 64 << 10;

type Body = BoxBody<Bytes, Infallible>;

/// An agent that ends with its test, and takes its kernels with it.
pub struct Agent {
    program: Child,
    channel: SendRequest<Body>,
    _kernels: TempDir,
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

impl Agent {
    /// Starts one that has no claim; its default kernel starts as well.
    pub async fn start() -> Self {
        let python = std::env::var(PYTHON).unwrap_or_else(|_| {
            panic!("{PYTHON} must name a Python that has ipykernel; `make test` sets it up and names it")
        });
        let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../python");
        let ours = ours.canonicalize().unwrap();
        let text = std::fs::read_to_string(ours.join("kernel.json")).unwrap();
        let mut spec: Value = serde_json::from_str(&text).unwrap();
        spec["argv"][0] = json!(python);
        spec["argv"][1] = json!(ours.join("launch.py"));
        spec["metadata"]["soulbox"]["fork_argv"] =
            json!([python, ours.join("launch.py"), "--fork-server"]);
        let kernels = tempfile::tempdir().unwrap();
        std::fs::create_dir(kernels.path().join("python")).unwrap();
        std::fs::write(kernels.path().join("python/kernel.json"), spec.to_string()).unwrap();
        let (ours, theirs) = UnixStream::pair().unwrap();
        let output: OwnedFd = theirs.try_clone().unwrap().into();
        let program = Command::new(env!("CARGO_BIN_EXE_soulbox-agent"))
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::from(output))
            .env("SOULBOX_AGENT_KERNELS", kernels.path())
            .env("SOULBOX_AGENT_RUNTIME", kernels.path().join("run"))
            .spawn()
            .unwrap();
        ours.set_nonblocking(true).unwrap();
        let stream = tokio::net::UnixStream::from_std(ours).unwrap();
        let (channel, connection) = http2::Builder::new(TokioExecutor::new())
            // As the node has them: a stream's window bounds it, the connection's does not.
            .initial_stream_window_size(1 << 20)
            .initial_connection_window_size((1 << 31) - 1)
            .handshake(TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(connection);
        Self {
            program,
            channel,
            _kernels: kernels,
        }
    }

    async fn send(&self, request: Request<Body>) -> Response<Incoming> {
        self.channel.clone().send_request(request).await.unwrap()
    }

    /// Status and JSON of a route.
    pub async fn ask(&self, method: Method, path: &str, body: &str) -> (u16, Value) {
        let body = Full::new(Bytes::from(body.to_owned())).boxed();
        let uri = format!("http://interpreter{path}");
        let request = Request::builder().method(method).uri(uri).body(body);
        let response = self.send(request.unwrap()).await;
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap_or_default())
    }

    /// A `GET` that succeeds.
    pub async fn get(&self, path: &str) -> Value {
        let (status, value) = self.ask(Method::GET, path, "").await;
        assert_eq!(status, 200, "{value}");
        value
    }

    /// The kernel that every sandbox begins with; its id.
    pub async fn default_kernel(&self) -> String {
        let contexts = self.get("/contexts").await;
        contexts[0]["id"].as_str().unwrap().to_owned()
    }

    /// Runs code as the code interpreter's clients do; its answer's lines.
    pub async fn interpret(&self, code: &str) -> String {
        let body = Full::new(Bytes::from(json!({"code": code}).to_string())).boxed();
        let request = Request::post("http://interpreter/execute").body(body);
        let response = self.send(request.unwrap()).await;
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    /// Starts a kernel; its id.
    pub async fn kernel(&self, asked: Value) -> String {
        let (status, model) = self.ask(Method::POST, "/kernels", &asked.to_string()).await;
        assert_eq!(status, 201, "{model}");
        assert_eq!(model["execution_state"], "starting");
        model["id"].as_str().unwrap().to_owned()
    }

    /// Waits for the state of a kernel.
    pub async fn state(&self, id: &str, wanted: &str) -> Value {
        let until = tokio::time::Instant::now() + PATIENCE;
        loop {
            let model = self.get(&format!("/kernels/{id}")).await;
            if model["execution_state"] == wanted {
                return model;
            }
            assert!(tokio::time::Instant::now() < until, "not {wanted}: {model}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The same for anything else that a model says.
    pub async fn connections(&self, id: &str, wanted: u64) {
        let until = tokio::time::Instant::now() + PATIENCE;
        while self.get(&format!("/kernels/{id}")).await["connections"] != wanted {
            assert!(
                tokio::time::Instant::now() < until,
                "not {wanted} connections"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Opens channels with these headers; the status when they are refused.
    pub async fn open(
        &self,
        id: &str,
        session: &str,
        framing: Framing,
        headers: &[(&str, &str)],
    ) -> Result<Client, u16> {
        let uri = format!("http://interpreter/kernels/{id}/channels?session_id={session}");
        let (ours, theirs) = tokio::io::duplex(PIPE_BYTES);
        let (mut reader, mut writer) = tokio::io::split(theirs);
        let (out, body) = mpsc::channel::<Bytes>(1);
        let body = ReceiverStream::new(body).map(|bytes| Ok(Frame::data(bytes)));
        let mut request = Request::post(uri);
        if framing == Framing::V1 {
            request = request.header("x-soulbox-subprotocol", "v1.kernel.websocket.jupyter.org");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = http_body_util::BodyExt::boxed(StreamBody::new(body));
        let response = self.send(request.body(body).unwrap()).await;
        if response.status() != 200 {
            return Err(response.status().as_u16());
        }
        tokio::spawn(async move {
            let mut buffer = vec![0; PIPE_BYTES];
            while let Ok(count @ 1..) = reader.read(&mut buffer).await {
                if out
                    .send(Bytes::copy_from_slice(&buffer[..count]))
                    .await
                    .is_err()
                {
                    return;
                }
            }
        });
        tokio::spawn(async move {
            let mut body = response.into_body();
            while let Some(Ok(frame)) = body.frame().await {
                if let Ok(bytes) = frame.into_data()
                    && writer.write_all(&bytes).await.is_err()
                {
                    return;
                }
            }
            let _ = writer.shutdown().await;
        });
        Ok(Client::new(ours, framing, session).await)
    }

    /// Opens channels in the default framing.
    pub async fn channels(&self, id: &str, session: &str) -> Client {
        self.open(id, session, Framing::Default, &[]).await.unwrap()
    }

    /// Resident memory of the agent, in KiB.
    pub fn resident(&self) -> u64 {
        let path = format!("/proc/{}/status", self.program.id());
        let status = std::fs::read_to_string(path).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let field = line.unwrap().split_whitespace().nth(1).unwrap();
        field.parse().unwrap()
    }
}
