//! `soulbox logs ID [-f]`: what happened to a sandbox, also to one that has ended.

use super::remote::{Gateway, Remote, block_on};
use clap::{Args, ValueEnum};
use http::Method;
use serde::Deserialize;
use std::{collections::BTreeMap, fmt, process::ExitCode, time::Duration};
use tokio::time::sleep;

/// Between two questions when following.
const PAUSE: Duration = Duration::from_secs(1);
/// The last line of every sandbox is written by this part, and has a field of this name.
const END: (&str, &str) = ("sandbox", "reason");

/// Options of `logs`.
#[derive(Debug, Args)]
pub struct Options {
    /// The sandbox
    #[arg(value_name = "ID")]
    sandbox: String,
    /// Go on until the sandbox ends
    #[arg(short, long)]
    follow: bool,
    /// Only lines that are at least so serious
    #[arg(long, value_enum)]
    level: Option<Level>,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

#[derive(Debug, Deserialize)]
struct Answer {
    logs: Vec<Line>,
}

#[derive(Debug, Deserialize)]
struct Line {
    timestamp: jiff::Timestamp,
    message: String,
    level: String,
    fields: BTreeMap<String, String>,
}

/// Prints.
pub fn run(options: Options) -> ExitCode {
    block_on(async {
        let gateway = options.remote.gateway()?;
        let mut path = format!("/v2/sandboxes/{}/logs?direction=forward", options.sandbox);
        if let Some(level) = options.level.and_then(|level| level.to_possible_value()) {
            path = format!("{path}&level={}", level.get_name());
        }
        let mut last = None;
        loop {
            let ended = print_from(&gateway, &path, &mut last).await?;
            if ended || !options.follow || is_gone(&gateway, &options.sandbox).await? {
                // What was written between the two questions.
                print_from(&gateway, &path, &mut last).await?;
                return Ok(ExitCode::SUCCESS);
            }
            sleep(PAUSE).await;
        }
    })
}

/// Prints what is newer than `last`. True when the sandbox's last line was among it.
async fn print_from(
    gateway: &Gateway,
    path: &str,
    last: &mut Option<jiff::Timestamp>,
) -> anyhow::Result<bool> {
    // A cursor is in whole milliseconds, so lines of the same one come again.
    let cursor = last.map(|last| format!("&cursor={}", last.as_millisecond()));
    let path = format!("{path}{}", cursor.unwrap_or_default());
    let answer: Answer = serde_json::from_value(gateway.json(Method::GET, &path).await?)?;
    let mut ended = false;
    for line in &answer.logs {
        if last.is_some_and(|last| line.timestamp <= last) {
            continue;
        }
        println!("{line}");
        *last = Some(line.timestamp);
        ended = line.fields.get("logger").is_some_and(|part| part == END.0)
            && line.fields.contains_key(END.1);
    }
    Ok(ended)
}

/// Whether the sandbox runs no more; its last line may be one that was not asked for.
async fn is_gone(gateway: &Gateway, sandbox: &str) -> anyhow::Result<bool> {
    let path = format!("/soulbox/v1/sandboxes/{sandbox}");
    let known = gateway.json(Method::GET, &path).await?;
    Ok(known["state"] != "running")
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = self.fields.get("logger").map_or("", String::as_str);
        write!(
            f,
            "{:.3} {:<5} {part}: {}",
            self.timestamp,
            self.level.to_uppercase(),
            self.message
        )?;
        for (name, text) in self.fields.iter().filter(|(name, _)| *name != "logger") {
            write!(f, " {name}={}", text.escape_debug())?;
        }
        Ok(())
    }
}
