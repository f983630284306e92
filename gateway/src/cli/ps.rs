//! `soulbox ps`: the sandboxes; `soulbox ps ID`: the processes that clients started in one.

use super::remote::{Gateway, Remote, block_on};
use clap::Args;
use http::Method;
use serde_json::{Value, json};
use std::process::ExitCode;

/// Options of `ps`.
#[derive(Debug, Args)]
pub struct Options {
    /// The sandbox whose processes to list
    #[arg(value_name = "ID")]
    sandbox: Option<String>,
    #[command(flatten)]
    remote: Remote,
}

/// Lists.
pub fn run(options: Options) -> ExitCode {
    block_on(async {
        let gateway = options.remote.gateway()?;
        match options.sandbox {
            None => sandboxes(&gateway).await?,
            Some(id) => processes(&gateway, &id).await?,
        }
        Ok(ExitCode::SUCCESS)
    })
}

async fn sandboxes(gateway: &Gateway) -> anyhow::Result<()> {
    let list = gateway.json(Method::GET, "/sandboxes").await?;
    println!(
        "{:<22} {:<20} {:<8} {:<20} {:<20}",
        "ID", "TEMPLATE", "STATE", "STARTED", "ENDS"
    );
    for one in list.as_array().into_iter().flatten() {
        let [id, template, state, started, ends] =
            ["sandboxID", "templateID", "state", "startedAt", "endAt"].map(|name| text(one, name));
        println!(
            "{id:<22} {template:<20} {state:<8} {:<20} {:<20}",
            whole_seconds(started),
            whole_seconds(ends)
        );
    }
    Ok(())
}

async fn processes(gateway: &Gateway, id: &str) -> anyhow::Result<()> {
    let envd = gateway.envd(id, None).await?;
    let mut line = gateway.line().await?;
    let answer = envd.call(&mut line, "List", &json!({})).await?;
    println!("{:>8}  {:<12} COMMAND", "PID", "TAG");
    for one in answer["processes"].as_array().into_iter().flatten() {
        let mut words = vec![text(&one["config"], "cmd")];
        words.extend(
            one["config"]["args"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str),
        );
        // What a program was given must not steer the terminal of who looks at it.
        let command = words.join(" ").escape_debug().to_string();
        println!(
            "{:>8}  {:<12} {command}",
            one["pid"],
            text(one, "tag").escape_debug().to_string()
        );
    }
    Ok(())
}

fn text<'a>(of: &'a Value, name: &str) -> &'a str {
    of[name].as_str().unwrap_or_default()
}

/// `2026-01-02T03:04:05.123456Z` without its fraction.
fn whole_seconds(time: &str) -> String {
    match time.split_once('.') {
        Some((whole, _)) => format!("{whole}Z"),
        None => time.to_owned(),
    }
}
