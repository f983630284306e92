//! How commands that act on sandboxes reach a gateway: its HTTP API, with a key, like any
//! other client. They need no root and work from another machine too.

use anyhow::{Context as _, bail};
use axum::body::Body;
use clap::Args;
use http::{HeaderValue, Method, Request, Response, StatusCode, header, request::Builder};
use http_body_util::{BodyExt, Limited};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::Value;
use std::{env, future::Future, net::SocketAddr, process::ExitCode};
use tokio::net::TcpStream;

const DEFAULT_URL: &str = "http://127.0.0.1:3000";
/// Answers of the API are small; a list of hundreds of sandboxes fits.
const ANSWER_BYTES: usize = 16 << 20;
/// A longer text is no message.
const MESSAGE_BYTES: usize = 1000;
/// One for what comes, one for what goes.
const THREADS: usize = 2;
/// Port of processes and files (e2b-wire.md, section 1).
const ENVD_PORT: &str = "49983";
/// Port of the code interpreter.
const INTERPRETER_PORT: &str = "49999";

/// Which gateway, and as whom.
#[derive(Debug, Clone, Args)]
pub struct Remote {
    /// The gateway [default: E2B_API_URL, else http://127.0.0.1:3000]; for kernels and
    /// JupyterLab with the base path of its Jupyter routes, if it has one
    #[arg(long, env = "SOULBOX_URL", value_name = "URL")]
    url: Option<String>,
    /// The key [default: E2B_API_KEY]
    #[arg(
        long,
        env = "SOULBOX_API_KEY",
        value_name = "KEY",
        hide_env_values = true
    )]
    api_key: Option<String>,
}

/// A gateway that was found in order; not yet connected to.
#[derive(Debug, Clone)]
pub struct Gateway {
    address: SocketAddr,
    authority: String,
    /// The path under which Jupyter's routes are (`jupyter_base_path`), mostly empty.
    base: String,
    key: HeaderValue,
}

/// A connection for one request after the other.
pub type Line = http1::SendRequest<Body>;

/// Runs a command to its end. Threads that still wait for input are left behind.
pub fn block_on<F>(command: F) -> ExitCode
where
    F: Future<Output = anyhow::Result<ExitCode>>,
{
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return super::failed(error),
    };
    let done = runtime.block_on(command);
    runtime.shutdown_background();
    done.unwrap_or_else(|error| super::failed(format!("{error:#}")))
}

impl Remote {
    /// Checks what was said.
    pub fn gateway(self) -> anyhow::Result<Gateway> {
        let from = |name: &str| env::var(name).ok().filter(|text| !text.is_empty());
        let url = self.url.or_else(|| from("E2B_API_URL"));
        let url = url.unwrap_or_else(|| DEFAULT_URL.to_owned());
        let Some(place) = url.trim_end_matches('/').strip_prefix("http://") else {
            bail!("{url}: this command speaks plain http only; give an http:// URL with --url");
        };
        let (authority, base) = place.split_at(place.find('/').unwrap_or(place.len()));
        let key = self.api_key.or_else(|| from("E2B_API_KEY"));
        let key = key.context(
            "an API key is needed: set SOULBOX_API_KEY or E2B_API_KEY, or give --api-key",
        )?;
        let mut key = HeaderValue::from_str(&key).context("the API key can't be sent")?;
        key.set_sensitive(true);
        Ok(Gateway {
            address: address(authority)?,
            authority: authority.to_owned(),
            base: base.to_owned(),
            key,
        })
    }
}

/// Names are not looked up: this program is static and has no resolver.
fn address(authority: &str) -> anyhow::Result<SocketAddr> {
    let with_port = if authority.ends_with(']') || !authority.contains(':') {
        format!("{authority}:80")
    } else {
        authority.to_owned()
    };
    let numeric = match with_port.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None => with_port,
    };
    numeric
        .parse()
        .with_context(|| format!("{authority}: give the gateway by its address and port"))
}

impl Gateway {
    /// Its address as other programs want it.
    pub fn url(&self) -> String {
        format!("http://{}{}", self.authority, self.base)
    }

    /// The key, for a program that acts for the same user.
    pub fn key(&self) -> anyhow::Result<&str> {
        self.key.to_str().context("the API key is no plain text")
    }

    /// The head of a request to the control plane.
    pub fn api(&self, method: Method, path: &str) -> Builder {
        Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, &self.authority)
            .header("x-api-key", &self.key)
    }

    /// The head of a request to Jupyter's routes.
    pub fn jupyter(&self, method: Method, path: &str) -> Builder {
        self.api(method, &format!("{}{path}", self.base))
    }

    /// Connects.
    pub async fn line(&self) -> anyhow::Result<Line> {
        let stream = TcpStream::connect(self.address)
            .await
            .with_context(|| format!("no gateway answers on {}", self.authority))?;
        stream.set_nodelay(true)?;
        let (line, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // Ends with the last request; a break shows in that request's own answer.
        tokio::spawn(connection.with_upgrades());
        Ok(line)
    }

    /// Sends one request on a connection of its own. Errors of the API are errors here.
    pub async fn send(&self, request: Request<Body>) -> anyhow::Result<Response<Incoming>> {
        accepted(self.line().await?.send_request(request).await?).await
    }

    /// Asks for JSON.
    pub async fn json(&self, method: Method, path: &str) -> anyhow::Result<Value> {
        let answer = self
            .send(self.api(method, path).body(Body::empty())?)
            .await?;
        Ok(serde_json::from_slice(&read(answer).await?)?)
    }

    /// Asks Jupyter's routes for JSON; a body is sent as JSON too.
    pub async fn kernels(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let answer = self.send(self.jupyter(method, path).body(body)?).await?;
        match read(answer).await? {
            empty if empty.is_empty() => Ok(Value::Null),
            text => Ok(serde_json::from_slice(&text)?),
        }
    }

    /// The way to processes and files of a sandbox.
    pub async fn envd(&self, sandbox: &str, user: Option<&str>) -> anyhow::Result<Envd> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Detail {
            #[serde(rename = "sandboxID")]
            sandbox_id: String,
            envd_access_token: Option<String>,
        }
        let path = format!("/sandboxes/{sandbox}");
        let detail: Detail = serde_json::from_value(self.json(Method::GET, &path).await?)?;
        Ok(Envd {
            gateway: self.clone(),
            sandbox: detail.sandbox_id,
            token: detail.envd_access_token,
            user: user.map(str::to_owned),
        })
    }
}

/// Processes and files of one sandbox.
#[derive(Debug, Clone)]
pub struct Envd {
    gateway: Gateway,
    sandbox: String,
    token: Option<String>,
    user: Option<String>,
}

impl Envd {
    /// Whose gateway this is.
    pub fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// The head of a request.
    pub fn request(&self, method: Method, path: &str) -> Builder {
        self.to_port(ENVD_PORT, method, path)
    }

    /// Asks the code interpreter for JSON; a body is sent as JSON too.
    pub async fn interpreter(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let answer = self.interpreter_stream(method, path, body).await?;
        Ok(serde_json::from_slice(&read(answer).await?)?)
    }

    /// The same, for an answer that is read as it comes.
    pub async fn interpreter_stream(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Response<Incoming>> {
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let request = self
            .to_port(INTERPRETER_PORT, method, path)
            .header(header::CONTENT_TYPE, "application/json")
            .body(body)?;
        self.gateway.send(request).await
    }

    fn to_port(&self, port: &'static str, method: Method, path: &str) -> Builder {
        let mut builder = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, &self.gateway.authority)
            .header("e2b-sandbox-id", &self.sandbox)
            .header("e2b-sandbox-port", port);
        if let Some(token) = &self.token {
            builder = builder.header("x-access-token", token);
        }
        if let Some(user) = &self.user {
            use base64::Engine as _;
            let named = base64::engine::general_purpose::STANDARD.encode(format!("{user}:"));
            builder = builder.header(header::AUTHORIZATION, format!("Basic {named}"));
        }
        builder
    }

    /// Calls a method that has one answer, on a connection that is kept.
    pub async fn call(&self, line: &mut Line, method: &str, what: &Value) -> anyhow::Result<Value> {
        self.call_at(line, &format!("/process.Process/{method}"), what)
            .await
    }

    /// The same, of any service.
    pub async fn call_at(
        &self,
        line: &mut Line,
        path: &str,
        what: &Value,
    ) -> anyhow::Result<Value> {
        let request = self
            .request(Method::POST, path)
            .header(header::CONTENT_TYPE, "application/json")
            .header("connect-protocol-version", "1")
            .body(Body::from(what.to_string()))?;
        line.ready().await?;
        let answer = accepted(line.send_request(request).await?).await?;
        Ok(serde_json::from_slice(&read(answer).await?)?)
    }
}

/// An answer that is no error, or the error's own sentence.
pub async fn accepted(answer: Response<Incoming>) -> anyhow::Result<Response<Incoming>> {
    let status = answer.status();
    if status.is_success() || status == StatusCode::SWITCHING_PROTOCOLS {
        return Ok(answer);
    }
    let body = read(answer).await.unwrap_or_default();
    let said = serde_json::from_slice::<Value>(&body).ok();
    match said.as_ref().and_then(|said| said.get("message")?.as_str()) {
        Some(message) => bail!("{message}"),
        None => match std::str::from_utf8(&body) {
            // The interpreter's errors are plain text.
            Ok(text) if !text.is_empty() && text.len() <= MESSAGE_BYTES => bail!("{text}"),
            _ => bail!("the gateway answered {status}"),
        },
    }
}

/// The whole of a short answer.
pub async fn read(answer: Response<Incoming>) -> anyhow::Result<bytes::Bytes> {
    let body = Limited::new(answer.into_body(), ANSWER_BYTES)
        .collect()
        .await;
    Ok(body
        .map_err(|error| anyhow::anyhow!("the answer broke off: {error}"))?
        .to_bytes())
}

#[cfg(test)]
mod tests {
    use super::address;

    #[test]
    fn gateways_are_given_by_address() {
        for (text, want) in [
            ("127.0.0.1:3000", "127.0.0.1:3000"),
            ("localhost:80", "127.0.0.1:80"),
            ("localhost", "127.0.0.1:80"),
            ("[::1]:3000", "[::1]:3000"),
            ("[::1]", "[::1]:80"),
        ] {
            let got = address(text).expect("an address");
            assert_eq!(got.to_string(), want);
        }
        assert!(address("gateway.example:80").is_err());
    }
}
