//! Code from a pipe or a file, as one cell: what it gives goes to the streams of this program,
//! what others do in the kernel is not shown.

use super::{
    CODE_BYTES, INTERRUPTED,
    channels::{Channels, Event},
    show::Show,
};
use anyhow::{Context as _, bail};
use serde_json::json;
use std::{io::Read as _, process::ExitCode};
use tokio::signal::unix::{SignalKind, signal};

/// All of standard input.
pub fn read() -> anyhow::Result<String> {
    let mut code = String::new();
    std::io::stdin()
        .take(CODE_BYTES)
        .read_to_string(&mut code)
        .context("standard input is no text")?;
    Ok(code)
}

/// Runs it. Exit status 1 says that the code failed, 130 that it was interrupted.
pub async fn run(mut channels: Channels, code: String) -> anyhow::Result<ExitCode> {
    // From before the code can run, so that Ctrl-C never leaves it behind.
    let mut interrupts = signal(SignalKind::interrupt())?;
    let request = super::console::execute(&mut channels, &code, false).await;
    let mut show = Show::new(false);
    let (mut replied, mut idle, mut failed, mut interrupted) = (false, false, false, false);
    let mut barrier = None;
    while !(replied && idle) {
        let event = tokio::select! {
            event = channels.next() => event?,
            _ = interrupts.recv() => {
                // Whoever asks twice does not want to wait.
                if interrupted {
                    return Ok(ExitCode::from(INTERRUPTED));
                }
                interrupted = true;
                channels.interrupt().await?;
                continue;
            }
        };
        match event {
            Event::Message(message) if message.belongs_to(&request) => {
                show.own(&message)?;
                if message.answers(&request) {
                    (replied, failed) = (true, message.content["status"] != "ok");
                }
                idle = idle || message.state() == Some("idle");
            }
            Event::Message(message) if message.state() == Some("dead") => {
                bail!("the kernel has died")
            }
            Event::Message(message)
                if !message.has_parent()
                    && matches!(message.state(), Some("restarting" | "starting")) =>
            {
                bail!("the kernel was restarted, and the code with it");
            }
            Event::Message(message)
                if barrier
                    .as_deref()
                    .is_some_and(|barrier| message.answers(barrier)) =>
            {
                bail!("the connection was lost before the code was sent; run it again");
            }
            Event::Message(_) => {}
            // Requests are answered in order, so an answer to a later one says that the code
            // never arrived.
            Event::Back => {
                barrier = Some(
                    channels
                        .send("shell", "comm_info_request", &json!({}))
                        .await,
                )
            }
            Event::Gone => bail!("the kernel is gone"),
        }
    }
    channels.close().await;
    Ok(match (failed, interrupted) {
        (true, true) => ExitCode::from(INTERRUPTED),
        (true, false) => ExitCode::FAILURE,
        (false, _) => ExitCode::SUCCESS,
    })
}
