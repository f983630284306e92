//! The sandbox's side of a copy: its files as one asks for them, one request after the other
//! on one connection.

use crate::cli::{
    exec::envelope::{self, Envelopes, Message},
    remote::{Envd, Gateway, Line, accepted, read},
};
use anyhow::{Context as _, bail};
use axum::body::Body;
use form_urlencoded::Serializer;
use http::{Method, StatusCode, header};
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::{Value, json};

/// Arguments of one command: far below what any system takes.
const ARGUMENTS: usize = 500;

/// Files of one sandbox.
pub struct Away {
    envd: Envd,
    line: Line,
    user: Option<String>,
}

/// What a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Kind {
    /// A regular file, or a link to one.
    #[serde(rename = "FILE_TYPE_FILE")]
    File,
    /// A directory, or a link to one.
    #[serde(rename = "FILE_TYPE_DIRECTORY")]
    Directory,
    /// Anything else.
    #[serde(other)]
    Other,
}

/// One file, directory or link.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Its name; not to be trusted.
    pub name: String,
    /// What it is, or what it leads to.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// Where it is.
    pub path: String,
    /// Permission bits.
    #[serde(default)]
    pub mode: u32,
    /// Where a link leads in the end.
    pub symlink_target: Option<String>,
}

impl Away {
    /// Finds the sandbox.
    pub async fn connect(
        gateway: &Gateway,
        sandbox: &str,
        user: Option<&str>,
    ) -> anyhow::Result<Self> {
        let envd = gateway.envd(sandbox, user).await?;
        Ok(Self {
            line: gateway.line().await?,
            envd,
            user: user.map(ToOwned::to_owned),
        })
    }

    /// What is there, if there is something.
    pub async fn look(&mut self, path: &str) -> anyhow::Result<Option<Entry>> {
        let what = json!({ "path": path });
        let request = self
            .envd
            .request(Method::POST, "/filesystem.Filesystem/Stat")
            .header(header::CONTENT_TYPE, "application/json")
            .header("connect-protocol-version", "1")
            .body(Body::from(what.to_string()))?;
        self.line().await?;
        let answer = self.line.send_request(request).await?;
        if answer.status() == StatusCode::NOT_FOUND {
            read(answer).await?;
            return Ok(None);
        }
        let answer: Value = serde_json::from_slice(&read(accepted(answer).await?).await?)?;
        Ok(Some(serde_json::from_value(answer["entry"].clone())?))
    }

    /// What is right in a directory.
    pub async fn list(&mut self, path: &str) -> anyhow::Result<Vec<Entry>> {
        let answer = self
            .files("ListDir", &json!({ "path": path, "depth": 1 }))
            .await?;
        // An empty list is left out in protobuf's JSON.
        let entries = answer.get("entries").cloned().unwrap_or_else(|| json!([]));
        Ok(serde_json::from_value(entries)?)
    }

    /// Makes a directory, unless it is there.
    pub async fn make_directory(&mut self, path: &str) -> anyhow::Result<()> {
        match self.look(path).await? {
            Some(entry) if entry.kind == Kind::Directory => Ok(()),
            Some(_) => bail!("{path} is there and no directory"),
            None => self
                .files("MakeDir", &json!({ "path": path }))
                .await
                .map(drop),
        }
    }

    /// A file's content, to be read to its end before anything else is asked.
    pub async fn read(&mut self, path: &str) -> anyhow::Result<Incoming> {
        let request = self
            .envd
            .request(Method::GET, &self.query(path))
            .header(header::ACCEPT_ENCODING, "identity")
            .body(Body::empty())?;
        self.line().await?;
        Ok(accepted(self.line.send_request(request).await?)
            .await?
            .into_body())
    }

    /// Writes a file.
    pub async fn write(&mut self, path: &str, content: Body) -> anyhow::Result<()> {
        let request = self
            .envd
            .request(Method::POST, &self.query(path))
            .header(header::CONTENT_TYPE, "application/octet-stream")
            .body(content)?;
        self.line().await?;
        let answer = accepted(self.line.send_request(request).await?).await?;
        read(answer).await.map(drop)
    }

    /// Runs a program with a list of paths, in as many turns as it takes.
    pub async fn run_on(&mut self, program: &[&str], paths: &[String]) -> anyhow::Result<()> {
        for some in paths.chunks(ARGUMENTS) {
            let mut words: Vec<&str> = program.to_vec();
            words.extend(some.iter().map(String::as_str));
            self.run(&words).await?;
        }
        Ok(())
    }

    /// Runs a program to its end, which must be a good one.
    pub async fn run(&mut self, words: &[&str]) -> anyhow::Result<()> {
        let (program, arguments) = words.split_first().context("a program is needed")?;
        let start = json!({ "process": { "cmd": program, "args": arguments }, "stdin": false });
        let request = self
            .envd
            .request(Method::POST, "/process.Process/Start")
            .header(header::CONTENT_TYPE, "application/connect+json")
            .header("connect-protocol-version", "1")
            .body(Body::from(envelope::write(&start)))?;
        self.line().await?;
        let answer = accepted(self.line.send_request(request).await?).await?;
        let mut messages = Envelopes::new(answer.into_body());
        let mut good = false;
        while let Some(message) = messages.next().await? {
            match message {
                Message::Event(value) => {
                    good |= value["event"]["end"]["status"] == "exit status 0";
                }
                Message::End(end) => {
                    if let Some(error) = end["error"]["message"].as_str() {
                        bail!("{program}: {error}");
                    }
                }
            }
        }
        if !good {
            bail!("{program} failed in the sandbox");
        }
        Ok(())
    }

    async fn files(&mut self, method: &str, what: &Value) -> anyhow::Result<Value> {
        let path = format!("/filesystem.Filesystem/{method}");
        self.line().await?;
        self.envd.call_at(&mut self.line, &path, what).await
    }

    /// Sees to it that there is a connection: an error may have ended the last one.
    async fn line(&mut self) -> anyhow::Result<()> {
        if self.line.is_closed() || self.line.ready().await.is_err() {
            self.line = self.envd.gateway().line().await?;
        }
        Ok(())
    }

    fn query(&self, path: &str) -> String {
        let mut query = Serializer::new("/files?".to_owned());
        query.append_pair("path", path);
        if let Some(user) = &self.user {
            query.append_pair("username", user);
        }
        query.finish()
    }
}
