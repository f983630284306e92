//! `soulbox exec ID -- COMMAND...`: runs a command in a sandbox as if it were here: its
//! streams are ours, its exit status too.

pub mod envelope;
mod terminal;

use super::{
    failed,
    remote::{Envd, Line, Remote, accepted, block_on},
};
use anyhow::{Context as _, bail};
use axum::body::Body;
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use clap::Args;
use envelope::{Envelopes, Message};
use http::{Method, Response, header};
use hyper::body::Incoming;
use serde_json::{Value, json};
use std::{
    io::{Read, Write},
    process::ExitCode,
};
use terminal::Terminal;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
};

/// What `ssh` ends with when it is the connection that failed and not the command.
const OUR_FAULT: u8 = 255;
/// Bytes of standard input that are sent at a time.
const INPUT_BYTES: usize = 32 << 10;
/// Pieces of input that may wait; then reading stops.
const INPUT_PIECES: usize = 4;

/// Options of `exec`.
#[derive(Debug, Args)]
pub struct Options {
    /// The sandbox
    #[arg(value_name = "ID")]
    sandbox: String,
    /// Give the command a terminal
    #[arg(short, long)]
    tty: bool,
    /// Standard input is always passed on; this is for those who are used to say so
    #[arg(short, long)]
    interactive: bool,
    /// Whom to run it as [default: the template's user]
    #[arg(short, long)]
    user: Option<String>,
    /// Where to run it [default: the template's directory]
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,
    /// A variable for it; may be repeated
    #[arg(short, long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// The command and its arguments
    #[arg(last = true, required = true)]
    command: Vec<String>,
    #[command(flatten)]
    remote: Remote,
}

/// Runs it.
pub fn run(options: Options) -> ExitCode {
    block_on(async {
        match execute(options).await {
            Ok(status) => Ok(status),
            Err(error) => {
                failed(format!("{error:#}"));
                Ok(ExitCode::from(OUR_FAULT))
            }
        }
    })
}

async fn execute(options: Options) -> anyhow::Result<ExitCode> {
    let terminal = options.tty.then(Terminal::open).transpose()?;
    let start = start_message(&options, terminal.as_ref())?;
    let gateway = options.remote.gateway()?;
    let envd = gateway
        .envd(&options.sandbox, options.user.as_deref())
        .await?;
    let request = envd
        .request(Method::POST, "/process.Process/Start")
        .header(header::CONTENT_TYPE, "application/connect+json")
        .header("connect-protocol-version", "1")
        .body(Body::from(envelope::write(&start)))?;
    // From before the command can run, so that none of them ends us and leaves it behind.
    let signals = Signals::listen()?;
    let mut line = gateway.line().await?;
    let answer = accepted(line.send_request(request).await?).await?;
    follow(answer, envd, terminal, signals).await
}

fn start_message(options: &Options, terminal: Option<&Terminal>) -> anyhow::Result<Value> {
    let mut variables = serde_json::Map::new();
    if terminal.is_some() {
        let kind = std::env::var("TERM").unwrap_or_else(|_| "xterm-256color".to_owned());
        variables.insert("TERM".to_owned(), kind.into());
    }
    for pair in &options.env {
        let (name, value) = pair
            .split_once('=')
            .with_context(|| format!("--env {pair}: NAME=VALUE is expected"))?;
        variables.insert(name.to_owned(), value.into());
    }
    let (program, arguments) = options
        .command
        .split_first()
        .context("a command is needed after --")?;
    let mut start = json!({
        "process": { "cmd": program, "args": arguments, "envs": variables },
    });
    if let Some(directory) = &options.workdir {
        start["process"]["cwd"] = directory.as_str().into();
    }
    match terminal {
        Some(terminal) => start["pty"] = terminal.size(),
        None => start["stdin"] = true.into(),
    }
    Ok(start)
}

/// What happens to us and is meant for the command.
struct Signals {
    resized: Signal,
    terminated: Signal,
    interrupted: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            resized: signal(SignalKind::window_change())?,
            terminated: signal(SignalKind::terminate())?,
            interrupted: signal(SignalKind::interrupt())?,
        })
    }
}

/// Passes the output on until the end.
async fn follow(
    answer: Response<Incoming>,
    envd: Envd,
    terminal: Option<Terminal>,
    signals: Signals,
) -> anyhow::Result<ExitCode> {
    let mut messages = Envelopes::new(answer.into_body());
    let mut status = None;
    let mut signals = Some(signals);
    while let Some(message) = messages.next().await? {
        let event = match message {
            Message::Event(value) => value["event"].clone(),
            Message::End(end) => {
                if let Some(error) = end["error"]["message"].as_str() {
                    bail!("{error}");
                }
                return status.context("the command's end was not told");
            }
        };
        if let Some(pid) = event["start"]["pid"].as_u64() {
            let (envd, has_terminal) = (envd.clone(), terminal.is_some());
            let Some(signals) = signals.take() else {
                bail!("the command's start was told twice");
            };
            tokio::spawn(async move {
                // A command that has ended takes no input; how it ended is told elsewhere.
                let _ = feed(envd, pid, has_terminal, signals).await;
            });
        }
        write("stdout", &event["data"], &mut std::io::stdout())?;
        write("pty", &event["data"], &mut std::io::stdout())?;
        write("stderr", &event["data"], &mut std::io::stderr())?;
        if let Some(end) = event.get("end") {
            status = Some(ExitCode::from(exit_status(end)));
        }
    }
    bail!("the connection broke off; the sandbox may have ended")
}

fn write(name: &str, data: &Value, to: &mut impl Write) -> anyhow::Result<()> {
    if let Some(text) = data[name].as_str() {
        to.write_all(&BASE64.decode(text)?)?;
        to.flush()?;
    }
    Ok(())
}

/// The status as a shell would give it.
fn exit_status(end: &Value) -> u8 {
    // Go's names of signals (e2b-wire.md, section 4.4).
    const SIGNALS: [(&str, u8); 7] = [
        ("signal: hangup", 1),
        ("signal: interrupt", 2),
        ("signal: quit", 3),
        ("signal: aborted", 6),
        ("signal: killed", 9),
        ("signal: segmentation fault", 11),
        ("signal: terminated", 15),
    ];
    let status = end["status"].as_str().unwrap_or_default();
    if let Some((_, number)) = SIGNALS.iter().find(|(text, _)| *text == status) {
        return 128 + number;
    }
    let code = end["exitCode"].as_i64().unwrap_or_default();
    u8::try_from(code & 0xff).unwrap_or(OUR_FAULT)
}

/// Passes on what is typed, and what else happens to a terminal or to us.
async fn feed(
    envd: Envd,
    pid: u64,
    has_terminal: bool,
    mut signals: Signals,
) -> anyhow::Result<()> {
    let process = json!({ "pid": pid });
    let mut line = envd.gateway().line().await?;
    let mut input = Some(standard_input());
    let mut asked = false;
    loop {
        let ended = tokio::select! {
            piece = next(&mut input) => {
                let Some(piece) = piece else {
                    input = None;
                    if !has_terminal {
                        envd.call(&mut line, "CloseStdin", &json!({ "process": process })).await?;
                    }
                    continue;
                };
                let name = if has_terminal { "pty" } else { "stdin" };
                let sent = json!({ "process": process, "input": { name: BASE64.encode(piece) } });
                send_input(&envd, &mut line, &sent).await;
                continue;
            }
            _ = signals.resized.recv(), if has_terminal => {
                if let Some(size) = terminal::size() {
                    envd.call(&mut line, "Update", &json!({ "process": process, "pty": size })).await?;
                }
                continue;
            }
            _ = signals.terminated.recv() => asked,
            _ = signals.interrupted.recv() => asked,
        };
        // Asked politely first; whoever asks again means it.
        let name = if ended {
            "SIGNAL_SIGKILL"
        } else {
            "SIGNAL_SIGTERM"
        };
        asked = true;
        envd.call(
            &mut line,
            "SendSignal",
            &json!({ "process": process, "signal": name }),
        )
        .await?;
    }
}

/// A command may close its input while there is more; that is no reason to stop listening.
async fn send_input(envd: &Envd, line: &mut Line, what: &Value) {
    let _ = envd.call(line, "SendInput", what).await;
}

async fn next(input: &mut Option<mpsc::Receiver<Vec<u8>>>) -> Option<Vec<u8>> {
    match input {
        Some(pieces) => pieces.recv().await,
        None => std::future::pending().await,
    }
}

/// Standard input, read by a thread: a terminal can't be waited for in another way, and the
/// thread may still wait when the program ends.
fn standard_input() -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel(INPUT_PIECES);
    std::thread::spawn(move || {
        let mut piece = vec![0; INPUT_BYTES];
        while let Ok(length @ 1..) = std::io::stdin().read(&mut piece) {
            if sender.blocking_send(piece[..length].to_vec()).is_err() {
                return;
            }
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_what_a_shell_would_say() {
        assert_eq!(
            exit_status(&json!({ "exited": true, "status": "exit status 0" })),
            0
        );
        assert_eq!(
            exit_status(&json!({ "exitCode": 7, "status": "exit status 7" })),
            7
        );
        assert_eq!(
            exit_status(&json!({ "exitCode": -1, "status": "signal: killed" })),
            137
        );
        assert_eq!(
            exit_status(&json!({ "exitCode": -1, "status": "signal: odd" })),
            255
        );
    }
}
