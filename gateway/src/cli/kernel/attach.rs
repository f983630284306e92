//! `soulbox kernel attach`: a console on a live kernel, as one more client of it.
//!
//! At a terminal, code is edited with history and completion, and everything that the kernel
//! says is shown, what others asked for with a mark. Otherwise standard input is one cell.
//! Leaving never ends the kernel.

mod channels;
mod console;
mod editor;
mod script;
mod show;

use super::Gateway;
use anyhow::{Context as _, bail};
use channels::{Channels, Event};
use serde_json::{Value, json};
use std::{io::IsTerminal as _, process::ExitCode, time::Duration};
use tokio::time::{Instant, timeout_at};

/// A kernel that starts on a busy machine; one that is busy answers from memory.
const PATIENCE: Duration = Duration::from_secs(120);
/// Longest code, in bytes: what a kernel takes.
const CODE_BYTES: u64 = 64 << 20;
/// What a shell says of a program that Ctrl-C has ended.
const INTERRUPTED: u8 = 130;

/// What a kernel says of itself.
struct Info {
    language: String,
    version: String,
}

/// Works in a kernel until the user leaves, or the code has run.
pub async fn attach(gateway: Gateway, kernel: &str) -> anyhow::Result<ExitCode> {
    let at_terminal = std::io::stdin().is_terminal();
    let code = (!at_terminal).then(script::read).transpose()?;
    let mut channels = Channels::open(gateway, kernel).await?;
    let info = introduced(&mut channels).await?;
    match code {
        Some(code) => script::run(channels, code).await,
        None => console::run(channels, info).await,
    }
}

/// Waits until the kernel has said what it is, and so takes code.
async fn introduced(channels: &mut Channels) -> anyhow::Result<Info> {
    let until = Instant::now() + PATIENCE;
    let mut asked = channels
        .send("shell", "kernel_info_request", &json!({}))
        .await;
    loop {
        let event = timeout_at(until, channels.next())
            .await
            .context("the kernel does not answer; it may still be starting")??;
        match event {
            Event::Message(message) if message.answers(&asked) => {
                let language = &message.content["language_info"];
                return Ok(Info {
                    language: plain(&language["name"]),
                    version: plain(&language["version"]),
                });
            }
            Event::Message(message) if message.state() == Some("dead") => {
                bail!("the kernel has died")
            }
            Event::Message(_) => {}
            Event::Back => {
                asked = channels
                    .send("shell", "kernel_info_request", &json!({}))
                    .await;
            }
            Event::Gone => bail!("the kernel is gone"),
        }
    }
}

/// A word of the kernel that must not steer the terminal.
fn plain(value: &Value) -> String {
    let text = value.as_str().unwrap_or_default();
    text.chars().filter(|c| !c.is_control()).collect()
}
