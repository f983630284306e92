//! The agent's own API for kernels, as typed calls: each with a deadline, each answer within
//! a bound.

use super::{Kernel, KernelError, KernelId, Kernels, model::Told};
use crate::{
    nodeclient::AgentError,
    sandboxes::{Sandbox, SandboxError},
};
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde::Serialize;
use soulbox_runtime::api::{ErrorCode, Plane};
use std::{collections::BTreeMap, time::Duration};
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, timeout_at},
};

/// A list of as many kernels as a sandbox can have, with room.
const ANSWER_BYTES: usize = 1 << 20;
/// Answers from an agent's memory.
const QUICK: Duration = Duration::from_secs(10);
/// An interrupt that nobody obeys, and an end that needs force.
const SLOW: Duration = Duration::from_secs(60);
/// A restart ends with the first answer of the new process.
const RESTART: Duration = Duration::from_secs(120);
/// Header with the framing that the client and we have agreed on.
const SUBPROTOCOL: &str = "x-soulbox-subprotocol";

/// `POST /kernels`.
#[derive(Debug, Serialize)]
pub struct NewKernel<'a> {
    /// Its kind.
    pub name: &'a str,
    /// Its id, chosen here.
    pub kernel_id: &'a KernelId,
    /// Where it works, if that directory is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cwd: Option<&'a str>,
    /// Variables of its process.
    pub env: &'a BTreeMap<String, String>,
}

/// What a client's WebSocket is opened with.
#[derive(Debug, Default)]
pub struct Channels {
    /// Framing, if one was agreed on.
    pub subprotocol: Option<&'static str>,
    /// The client's name for its connection, for what it misses while it is away.
    pub session: Option<String>,
    /// What the client says that it is; some need protection from themselves.
    pub user_agent: Option<HeaderValue>,
}

impl Kernels {
    /// The kernels of a sandbox.
    pub(super) async fn ask_all(
        &self,
        sandbox: &Sandbox,
        deadline: Instant,
    ) -> Result<Vec<Kernel>, KernelError> {
        let request = request(Method::GET, "/kernels", Body::empty());
        let body = self.ask(sandbox, request, deadline).await?;
        let (StatusCode::OK, body) = body else {
            return Err(KernelError::Failed("answer"));
        };
        let told: Vec<Told> = read(&body)?;
        Ok(Kernel::all_believed(told))
    }

    /// One kernel.
    pub(super) async fn ask_one(
        &self,
        sandbox: &Sandbox,
        id: &KernelId,
    ) -> Result<Kernel, KernelError> {
        let request = request(Method::GET, &format!("/kernels/{id}"), Body::empty());
        let answer = self.ask(sandbox, request, within(QUICK)).await?;
        kernel(answer, id, "answer")
    }

    /// Starts a kernel.
    pub(super) async fn ask_start(
        &self,
        sandbox: &Sandbox,
        new: &NewKernel<'_>,
        deadline: Instant,
    ) -> Result<Kernel, KernelError> {
        let body = serde_json::to_vec(new).expect("keys are text");
        let mut request = request(Method::POST, "/kernels", Body::from(body));
        let json = HeaderValue::from_static("application/json");
        request.headers_mut().insert(header::CONTENT_TYPE, json);
        match self.ask(sandbox, request, deadline).await? {
            (StatusCode::NOT_FOUND, _) => Err(KernelError::NoSuchKind(new.name.to_owned())),
            answer => kernel(answer, new.kernel_id, "start"),
        }
    }

    /// Ends a kernel; its clients are told.
    pub(super) async fn ask_end(
        &self,
        sandbox: &Sandbox,
        id: &KernelId,
    ) -> Result<(), KernelError> {
        let request = request(Method::DELETE, &format!("/kernels/{id}"), Body::empty());
        let answer = self.ask(sandbox, request, within(SLOW)).await?;
        done(&answer, id, "end")
    }

    /// Interrupts what runs in a kernel.
    pub(super) async fn ask_interrupt(
        &self,
        sandbox: &Sandbox,
        id: &KernelId,
    ) -> Result<(), KernelError> {
        let path = format!("/kernels/{id}/interrupt");
        let request = request(Method::POST, &path, Body::empty());
        let answer = self.ask(sandbox, request, within(SLOW)).await?;
        done(&answer, id, "take the interrupt")
    }

    /// Gives a kernel a new process.
    pub(super) async fn ask_restart(
        &self,
        sandbox: &Sandbox,
        id: &KernelId,
    ) -> Result<Kernel, KernelError> {
        let path = format!("/kernels/{id}/restart");
        let request = request(Method::POST, &path, Body::empty());
        let answer = self.ask(sandbox, request, within(RESTART)).await?;
        kernel(answer, id, "restart")
    }

    /// Opens a kernel's channels: what is sent are a client's WebSocket bytes, what is
    /// answered are the bytes for it.
    pub(super) async fn ask_channels(
        &self,
        sandbox: &Sandbox,
        id: &KernelId,
        channels: Channels,
        client: Body,
    ) -> Result<(Response<Incoming>, OwnedSemaphorePermit), KernelError> {
        let mut path = format!("/kernels/{id}/channels");
        if let Some(session) = &channels.session {
            let pair = [("session_id", session)];
            let query = form_urlencoded::Serializer::new(String::new())
                .extend_pairs(pair)
                .finish();
            path = format!("{path}?{query}");
        }
        let mut request = request(Method::POST, &path, client);
        let headers = request.headers_mut();
        if let Some(word) = channels.subprotocol {
            headers.insert(SUBPROTOCOL, HeaderValue::from_static(word));
        }
        if let Some(agent) = channels.user_agent {
            headers.insert(header::USER_AGENT, agent);
        }
        let permit = sandbox.stream().ok_or(KernelError::Busy)?;
        let response = self.send(sandbox, request, within(SLOW)).await?;
        match response.status() {
            StatusCode::OK => Ok((response, permit)),
            status => Err(refused(status, id, "open its channels")),
        }
    }

    /// Whether a directory is there, by the service for files.
    pub(super) async fn has_directory(&self, sandbox: &Sandbox, path: &str) -> bool {
        let body = serde_json::json!({ "path": path }).to_string();
        let mut request = request(
            Method::POST,
            "/filesystem.Filesystem/ListDir",
            Body::from(body),
        );
        let headers = request.headers_mut();
        let json = HeaderValue::from_static("application/json");
        headers.insert(header::CONTENT_TYPE, json);
        headers.insert("connect-protocol-version", HeaderValue::from_static("1"));
        let asked = timeout_at(within(QUICK), sandbox.link.send(Plane::Envd, request));
        matches!(asked.await, Ok(Ok(answer)) if answer.status() == StatusCode::OK)
    }

    async fn ask(
        &self,
        sandbox: &Sandbox,
        request: Request<Body>,
        deadline: Instant,
    ) -> Result<(StatusCode, Bytes), KernelError> {
        let _permit = sandbox.stream().ok_or(KernelError::Busy)?;
        let response = self.send(sandbox, request, deadline).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES).collect();
        match timeout_at(deadline, body).await {
            Err(_) => Err(KernelError::Late),
            Ok(Err(_)) => Err(KernelError::Away),
            Ok(Ok(body)) => Ok((status, body.to_bytes())),
        }
    }

    async fn send(
        &self,
        sandbox: &Sandbox,
        request: Request<Body>,
        deadline: Instant,
    ) -> Result<Response<Incoming>, KernelError> {
        let id = &sandbox.record.id;
        let gone = || KernelError::Sandbox(SandboxError::Unknown(id.to_string()));
        let asked = tokio::select! {
            biased;
            () = sandbox.cut.cancelled() => return Err(gone()),
            asked = timeout_at(deadline, sandbox.link.send(Plane::Interpreter, request)) => asked,
        };
        let error = match asked {
            Err(_) => return Err(KernelError::Late),
            Ok(Ok(response)) => return Ok(response),
            Ok(Err(error)) => error,
        };
        tracing::warn!(sandbox = %id, %error, "a request about a kernel did not reach the agent");
        match error {
            AgentError::Refused(ErrorCode::SandboxUnknown | ErrorCode::AgentLost)
                if self.sandboxes.doubt(id).await =>
            {
                Err(gone())
            }
            AgentError::Refused(ErrorCode::Capacity) => Err(KernelError::Busy),
            _ if sandbox.is_running() => Err(KernelError::Away),
            _ => Err(gone()),
        }
    }
}

fn within(time: Duration) -> Instant {
    Instant::now() + time
}

fn request(method: Method, path: &str, body: Body) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(path)
        .body(body)
        .expect("ids and encoded queries are safe in a path")
}

fn read<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, KernelError> {
    // What exactly was wrong with it is the sandbox's affair.
    serde_json::from_slice(body).map_err(|_| KernelError::Failed("answer in the agreed form"))
}

fn kernel(
    (status, body): (StatusCode, Bytes),
    id: &KernelId,
    what: &'static str,
) -> Result<Kernel, KernelError> {
    if !status.is_success() {
        return Err(refused(status, id, what));
    }
    let kernel = Kernel::believed(read::<Told>(&body)?);
    kernel
        .filter(|kernel| kernel.id == *id)
        .ok_or(KernelError::Failed(what))
}

fn done(
    (status, _): &(StatusCode, Bytes),
    id: &KernelId,
    what: &'static str,
) -> Result<(), KernelError> {
    if status.is_success() {
        Ok(())
    } else {
        Err(refused(*status, id, what))
    }
}

fn refused(status: StatusCode, id: &KernelId, what: &'static str) -> KernelError {
    match status {
        StatusCode::NOT_FOUND => KernelError::Unknown(id.clone()),
        StatusCode::BAD_REQUEST => KernelError::Refused,
        StatusCode::CONFLICT => KernelError::Taken(id.clone()),
        StatusCode::TOO_MANY_REQUESTS => KernelError::TooMany,
        _ => KernelError::Failed(what),
    }
}
