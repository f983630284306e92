//! `soulbox run FILE|-`: runs code in a kernel and shows what it gives as it comes. Text goes
//! to the terminal, images become files. Exit status 1 says that the code failed, 130 that it
//! was interrupted. Whatever ends this program, a closed pipe or a closed terminal, ends the code
//! as well, since nobody else knows of it.

mod asked;
mod show;

use super::remote::{Envd, Gateway, Remote, accepted, block_on};
use anyhow::{Context as _, bail};
use asked::Asked;
use axum::body::Body;
use bytes::Bytes;
use clap::{Args, ValueEnum};
use http::{Method, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::{Value, json};
use show::Show;
use std::{
    io::{Read, Write},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

/// The largest event that is shown; larger ones are results that nobody reads in a terminal.
const LINE_BYTES: usize = 256 << 20;
/// Life of a sandbox that is made for the code, when no deadline is given, in seconds.
const LIFE_SECONDS: u64 = 3600;
/// What such a sandbox lives beyond the deadline: the start of its kernel.
const START_SECONDS: u64 = 120;
/// Longest code, in bytes: what the interpreter takes.
const CODE_BYTES: u64 = 64 << 20;
/// How long a server that does not answer keeps this program from its end.
const LAST_WORD: Duration = Duration::from_secs(5);
const BYTE_ORDER_MARK: char = '\u{feff}';

/// Options of `run`.
#[derive(Debug, Args)]
pub struct Options {
    /// The file with the code, or - for standard input
    file: PathBuf,
    /// Its language [default: by the file's name, else python]
    #[arg(short, long)]
    language: Option<String>,
    /// The template of the sandbox that is made for it
    #[arg(short, long, default_value = "code-interpreter-v1")]
    template: String,
    /// Run it in this sandbox, which stays
    #[arg(short, long, value_name = "ID", conflicts_with = "template")]
    sandbox: Option<String>,
    /// Seconds after which the server ends it
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
    /// What to print
    #[arg(short, long, value_enum, default_value_t = Form::Text)]
    output: Form,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// What the code prints, and its results; images as files
    Text,
    /// Every event as one line of JSON
    Json,
}

/// Runs it.
pub fn run(options: Options) -> ExitCode {
    block_on(async {
        let code = read(&options.file)?;
        let gateway = options.remote.clone().gateway()?;
        // From before anything is made, so that it never stays behind.
        let mut asked = Asked::listen()?;
        match &options.sandbox {
            Some(id) => execute(&gateway, id, code, &options, &mut asked).await,
            None => {
                let id = tokio::select! {
                    made = make(&gateway, &options) => made?,
                    // Once is noted, and taken up when there is something to clean up.
                    status = asked.twice() => return Ok(ExitCode::from(status)),
                };
                let done = match asked.status() {
                    Some(status) => Ok(ExitCode::from(status)),
                    None => execute(&gateway, &id, code, &options, &mut asked).await,
                };
                let request = gateway.api(Method::DELETE, &format!("/sandboxes/{id}"));
                // One that has ended already is gone as it should be.
                let _ = gateway.send(request.body(Body::empty())?).await;
                done
            }
        }
    })
}

fn read(file: &PathBuf) -> anyhow::Result<String> {
    let mut code = String::new();
    let what = || format!("{} cannot be read", file.display());
    if file.as_os_str() == "-" {
        std::io::stdin()
            .take(CODE_BYTES)
            .read_to_string(&mut code)
            .context("standard input is no text")?;
    } else {
        let file = std::fs::File::open(file).with_context(what)?;
        file.take(CODE_BYTES)
            .read_to_string(&mut code)
            .with_context(what)?;
    }
    // What some editors begin a file with is no part of the code.
    if code.starts_with(BYTE_ORDER_MARK) {
        code.drain(..BYTE_ORDER_MARK.len_utf8());
    }
    Ok(code)
}

/// The language that the name of a file stands for.
fn language_of(file: &std::path::Path) -> &'static str {
    const ENDINGS: [(&str, &str); 8] = [
        ("js", "javascript"),
        ("mjs", "javascript"),
        ("ts", "typescript"),
        ("sh", "bash"),
        ("bash", "bash"),
        ("r", "r"),
        ("java", "java"),
        ("jsh", "java"),
    ];
    let ending = file
        .extension()
        .and_then(|ending| ending.to_str())
        .unwrap_or_default()
        .to_ascii_lowercase();
    let known = ENDINGS.iter().find(|(text, _)| *text == ending);
    known.map_or("python", |(_, language)| language)
}

async fn make(gateway: &Gateway, options: &Options) -> anyhow::Result<String> {
    let life = options.timeout.map_or(LIFE_SECONDS, |seconds| {
        seconds.saturating_add(START_SECONDS)
    });
    let body = json!({"templateID": options.template, "timeout": life});
    let request = gateway
        .api(Method::POST, "/sandboxes")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body.to_string()))?;
    let answer = accepted(gateway.line().await?.send_request(request).await?).await?;
    let made: Value = serde_json::from_slice(&answer.into_body().collect().await?.to_bytes())?;
    let id = made["sandboxID"].as_str().context("no sandbox was named")?;
    Ok(id.to_owned())
}

async fn execute(
    gateway: &Gateway,
    sandbox: &str,
    code: String,
    options: &Options,
    asked: &mut Asked,
) -> anyhow::Result<ExitCode> {
    let envd = gateway.envd(sandbox, None).await?;
    let language = options.language.as_deref();
    let mut start = json!({
        "code": code,
        "language": language.unwrap_or_else(|| language_of(&options.file)),
        "attach": true,
    });
    if let Some(seconds) = options.timeout {
        start["deadline_seconds"] = seconds.into();
    }
    let answer = envd
        .interpreter_stream(Method::POST, "/executions", Some(&start))
        .await?;
    let id = answer
        .headers()
        .get("x-soulbox-execution-id")
        .and_then(|id| id.to_str().ok())
        .context("no execution was named")?
        .to_owned();
    let mut show = Show::new(options.output == Form::Json);
    let done = follow(Lines::new(answer.into_body()), &mut show, &envd, &id, asked).await;
    if done.is_err() {
        // Nobody listens any more. When the sandbox is gone, so is the code.
        let _ = tokio::time::timeout(LAST_WORD, interrupt(&envd, &id)).await;
    }
    done
}

/// Shows what comes, to the end.
async fn follow(
    mut lines: Lines,
    show: &mut Show,
    envd: &Envd,
    id: &str,
    asked: &mut Asked,
) -> anyhow::Result<ExitCode> {
    loop {
        tokio::select! {
            line = lines.next() => {
                let Some(line) = line? else {
                    bail!("the connection broke off; the sandbox may have ended");
                };
                if let Some(ended) = show.line(&line)? {
                    return Ok(match ended {
                        show::Ended::Well => ExitCode::SUCCESS,
                        show::Ended::Failed => ExitCode::FAILURE,
                        show::Ended::Interrupted => {
                            ExitCode::from(asked.status().unwrap_or(asked::INTERRUPTED))
                        }
                    });
                }
            }
            (status, times) = asked.next() => {
                // Whoever asks twice does not want to wait.
                if times > 1 {
                    return Ok(ExitCode::from(status));
                }
                interrupt(envd, id).await?;
            }
        }
    }
}

async fn interrupt(envd: &Envd, id: &str) -> anyhow::Result<()> {
    let path = format!("/executions/{id}/interrupt");
    envd.interpreter(Method::POST, &path, None).await?;
    Ok(())
}

/// Lines of an answer.
struct Lines {
    body: Incoming,
    buffer: Vec<u8>,
    /// Bytes of the buffer that hold no line end.
    searched: usize,
}

impl Lines {
    fn new(body: Incoming) -> Self {
        Self {
            body,
            buffer: Vec::new(),
            searched: 0,
        }
    }

    /// The next line; `None` at the end. May be cancelled.
    async fn next(&mut self) -> anyhow::Result<Option<Vec<u8>>> {
        loop {
            let rest = &self.buffer[self.searched..];
            if let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.drain(..=self.searched + end).collect();
                self.searched = 0;
                return Ok(Some(line));
            }
            self.searched = self.buffer.len();
            if self.buffer.len() > LINE_BYTES {
                bail!("an event is larger than {} MiB", LINE_BYTES >> 20);
            }
            match self.body.frame().await {
                Some(frame) => {
                    let bytes: Bytes = frame?.into_data().unwrap_or_default();
                    self.buffer.extend_from_slice(&bytes);
                }
                None => return Ok(None),
            }
        }
    }
}

/// Writes to standard output at once, for whoever reads on a pipe.
fn print(text: &[u8]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text)?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn a_files_name_says_its_language() {
        for (name, language) in [
            ("a.py", "python"),
            ("-", "python"),
            ("a", "python"),
            ("a.ts", "typescript"),
            ("x/y.R", "r"),
            ("a.b.sh", "bash"),
        ] {
            assert_eq!(language_of(Path::new(name)), language, "{name}");
        }
    }
}
