//! A running agent with a Python kernel, and the verbs to speak with its interpreter.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Names the Python whose kernel is tested.
const PYTHON: &str = "SOULBOX_TEST_PYTHON";

/// Longest start of a kernel on a machine that builds something else meanwhile.
const PATIENCE: Duration = Duration::from_secs(60);

/// An agent that ends with its test, and takes its kernels with it.
pub struct Agent {
    program: Child,
    channel: SendRequest<Full<Bytes>>,
    kernels: TempDir,
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

/// The kernelspec of the repository, with the tested Python and the repository's launcher.
fn kernelspec() -> Value {
    let python = std::env::var(PYTHON).unwrap_or_else(|_| {
        panic!(
            "{PYTHON} must name a Python that has ipykernel; `make test` sets it up and names it"
        )
    });
    let ours = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../python")
        .canonicalize()
        .unwrap();
    let text = std::fs::read_to_string(ours.join("kernel.json")).unwrap();
    let mut spec: Value = serde_json::from_str(&text).unwrap();
    spec["argv"][0] = json!(python);
    spec["argv"][1] = json!(ours.join("launch.py"));
    spec["metadata"]["soulbox"]["fork_argv"] =
        json!([python, ours.join("launch.py"), "--fork-server"]);
    spec
}

impl Agent {
    /// Starts one whose kernel is not ready yet and which nobody has claimed.
    pub async fn warming() -> Self {
        Self::with_spec(kernelspec()).await
    }

    /// Starts one whose Python kernel is the stock process over ZeroMQ, never a fork.
    pub async fn unforked() -> Self {
        let mut spec = kernelspec();
        spec["metadata"]["soulbox"]["fork_argv"] = json!([]);
        let agent = Self::with_spec(spec).await;
        agent.ready().await;
        agent.claim(json!({"GREETING": "hello"})).await;
        agent
    }

    /// One of each kind: what clients see must not differ.
    pub async fn both() -> [Self; 2] {
        [Self::start().await, Self::unforked().await]
    }

    /// Starts one with another kernelspec for Python.
    pub async fn with_spec(spec: Value) -> Self {
        // In memory: on a full disk executions keep no files.
        let kernels = tempfile::tempdir_in("/dev/shm").unwrap();
        std::fs::create_dir(kernels.path().join("python")).unwrap();
        std::fs::write(kernels.path().join("python/kernel.json"), spec.to_string()).unwrap();
        let (ours, theirs) = UnixStream::pair().unwrap();
        let output: OwnedFd = theirs.try_clone().unwrap().into();
        let program = Command::new(env!("CARGO_BIN_EXE_soulbox-agent"))
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::from(output))
            .env("SOULBOX_AGENT_KERNELS", kernels.path())
            .env("SOULBOX_AGENT_RUNTIME", kernels.path().join("run"))
            .env(
                "SOULBOX_AGENT_EXECUTIONS",
                kernels.path().join("executions"),
            )
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
            kernels,
        }
    }

    /// Starts one, waits for its kernel and claims it.
    pub async fn start() -> Self {
        let agent = Self::warming().await;
        agent.ready().await;
        agent.claim(json!({"GREETING": "hello"})).await;
        agent
    }

    /// Waits until the default kernel is ready.
    pub async fn ready(&self) {
        let patience = Instant::now() + PATIENCE;
        loop {
            let health = self.get("http://control/health").await;
            match health["kernel"].as_str() {
                Some("ready") => return,
                Some("starting") if Instant::now() < patience => {}
                _ => panic!("the kernel is not ready: {health}"),
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Makes it somebody's.
    pub async fn claim(&self, env: Value) {
        self.claim_with(json!({"env": env})).await;
    }

    /// Makes it somebody's, with these fields of the claim.
    pub async fn claim_with(&self, fields: Value) {
        let mut claim = json!({
            "sandbox_id": "itest", "template_id": "base", "env": {},
            "default_user": "root", "default_workdir": "/", "entropy": "00",
        });
        for (name, value) in fields.as_object().unwrap() {
            claim[name] = value.clone();
        }
        assert_eq!(
            self.post("http://control/claim", &claim.to_string())
                .await
                .status(),
            204
        );
    }

    /// Sends any request.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Response<Incoming> {
        self.channel.clone().send_request(request).await.unwrap()
    }

    /// Sends a JSON body.
    pub async fn post(&self, uri: &str, body: &str) -> Response<Incoming> {
        let body = Full::new(Bytes::from(body.to_owned()));
        self.send(
            Request::post(uri)
                .header("content-type", "application/json")
                .body(body)
                .unwrap(),
        )
        .await
    }

    /// JSON of a route that always answers with 200.
    pub async fn get(&self, uri: &str) -> Value {
        let response = self
            .send(Request::get(uri).body(Full::default()).unwrap())
            .await;
        assert_eq!(response.status(), 200, "{uri}");
        serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap()
    }

    /// Status and text of a route of the interpreter.
    pub async fn ask(&self, method: &str, path: &str, body: &[u8]) -> (u16, String) {
        let body = Full::new(Bytes::copy_from_slice(body));
        let uri = format!("http://interpreter{path}");
        let response = self
            .send(
                Request::builder()
                    .method(method)
                    .uri(uri)
                    .body(body)
                    .unwrap(),
            )
            .await;
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(bytes.to_vec()).unwrap())
    }

    /// Makes a context; its id.
    pub async fn context(&self) -> String {
        let (status, text) = self.ask("POST", "/contexts", br#"{"cwd": "/tmp"}"#).await;
        assert_eq!(status, 200, "{text}");
        serde_json::from_str::<Value>(&text).unwrap()["id"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Starts an execution.
    pub async fn execute(&self, request: Value) -> Answer {
        let response = self
            .post("http://interpreter/execute", &request.to_string())
            .await;
        assert_eq!(response.status(), 200);
        Answer {
            body: response.into_body(),
            buffer: Vec::new(),
        }
    }

    /// Runs code in the default context to its end.
    pub async fn run(&self, code: &str) -> Vec<Value> {
        self.execute(json!({"code": code})).await.finish().await
    }

    /// Text of the main result of code in the default context.
    pub async fn value(&self, code: &str) -> String {
        main_text(&self.run(code).await)
    }

    /// How many files of executions there are.
    pub fn kept_files(&self) -> usize {
        let directory = std::fs::read_dir(self.kernels.path().join("executions"));
        directory.map_or(0, Iterator::count)
    }

    /// Resident memory of the agent, and of a kernel by its pid, in KiB.
    pub fn resident(&self, pid: Option<u64>) -> u64 {
        let pid = pid.unwrap_or(u64::from(self.program.id()));
        let status = std::fs::read_to_string(PathBuf::from(format!("/proc/{pid}/status"))).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmHWM:"))
            .unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

/// Text of the main result.
pub fn main_text(items: &[Value]) -> String {
    let main = items.iter().find(|item| item["is_main_result"] == true);
    main.unwrap_or_else(|| panic!("no main result in {items:?}"))["text"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// Items of one type.
pub fn of<'a>(items: &'a [Value], kind: &str) -> Vec<&'a Value> {
    items.iter().filter(|item| item["type"] == kind).collect()
}

/// The streamed answer of an execution. Dropping it is a hang-up.
pub struct Answer {
    body: Incoming,
    buffer: Vec<u8>,
}

impl Answer {
    /// The next bytes, whatever they are; `None` at the end.
    pub async fn next_raw(&mut self) -> Option<Bytes> {
        if !self.buffer.is_empty() {
            return Some(std::mem::take(&mut self.buffer).into());
        }
        self.body
            .frame()
            .await
            .map(|frame| frame.unwrap().into_data().unwrap())
    }

    /// The next item; `None` at the end.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).expect("every line is JSON"));
            }
            match self
                .body
                .frame()
                .await
                .map(|frame| frame.unwrap().into_data().unwrap())
            {
                Some(bytes) => self.buffer.extend_from_slice(&bytes),
                None => {
                    assert!(self.buffer.is_empty(), "the last line has no end");
                    return None;
                }
            }
        }
    }

    /// Reads on until an item of this type.
    pub async fn until(&mut self, kind: &str) -> Value {
        loop {
            let item = self
                .next()
                .await
                .unwrap_or_else(|| panic!("ended before {kind}"));
            if item["type"] == kind {
                return item;
            }
        }
    }

    /// All items but keepalives, whose frame is checked.
    pub async fn finish(mut self) -> Vec<Value> {
        let mut items = Vec::new();
        while let Some(item) = self.next().await {
            if item["type"] != "keepalive" {
                items.push(item);
            }
        }
        assert_eq!(items.pop(), Some(json!({"type": "end_of_execution"})));
        items
    }
}
