//! `soulbox kernel list|start|attach|restart|interrupt`: live kernels, whichever client made them.

mod attach;

use super::remote::{Envd, Gateway, Remote, block_on};
use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};
use std::process::ExitCode;

/// Options of `kernel`.
#[derive(Debug, Args)]
pub struct Options {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List all kernels, or those of one sandbox with what they run
    List {
        /// The sandbox
        #[arg(value_name = "ID")]
        sandbox: Option<String>,
    },
    /// Start one and print its id; its sandbox ends some time after it was last used
    Start {
        /// What it is, e.g. python3, or TEMPLATE.NAME [default: the server's default]
        name: Option<String>,
        /// Start it in this sandbox, which keeps its own end
        #[arg(short, long, value_name = "ID")]
        sandbox: Option<String>,
    },
    /// Work in a live kernel from this terminal, beside its other clients; code on standard
    /// input is run as one cell
    Attach {
        /// The kernel
        #[arg(value_name = "KERNEL")]
        kernel: String,
    },
    /// End one and start it anew: its state is gone, its name stays
    Restart {
        /// The sandbox
        #[arg(value_name = "ID")]
        sandbox: String,
        /// The kernel
        kernel: String,
    },
    /// Interrupt what one runs; its state stays
    Interrupt {
        /// The sandbox
        #[arg(value_name = "ID")]
        sandbox: String,
        /// The kernel
        kernel: String,
    },
}

/// Does what it is told.
pub fn run(options: Options) -> ExitCode {
    block_on(async {
        let gateway = options.remote.gateway()?;
        match options.command {
            Command::List {
                sandbox: Some(sandbox),
            } => list(&gateway.envd(&sandbox, None).await?).await?,
            Command::List { sandbox: None } => list_all(&gateway).await?,
            Command::Start { name, sandbox } => start(&gateway, name, sandbox).await?,
            Command::Attach { kernel } => return attach::attach(gateway, &kernel).await,
            Command::Restart { sandbox, kernel } => {
                let envd = gateway.envd(&sandbox, None).await?;
                known(&envd, &sandbox, &kernel).await?;
                let path = format!("/contexts/{kernel}/restart");
                envd.interpreter(Method::POST, &path, None).await?;
                println!("{kernel}");
            }
            Command::Interrupt { sandbox, kernel } => {
                let envd = gateway.envd(&sandbox, None).await?;
                known(&envd, &sandbox, &kernel).await?;
                interrupt(&envd, &kernel).await?;
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

async fn list_all(gateway: &Gateway) -> anyhow::Result<()> {
    let kernels = gateway.kernels(Method::GET, "/api/kernels", None).await?;
    println!(
        "{:<36}  {:<16} {:<10} {:>7}  SANDBOX",
        "ID", "KERNEL", "STATE", "CLIENTS"
    );
    for one in kernels.as_array().into_iter().flatten() {
        let [id, name, state, sandbox] = ["id", "name", "execution_state", "sandbox"]
            .map(|name| one[name].as_str().unwrap_or_default().escape_debug());
        println!(
            "{:<36}  {:<16} {:<10} {:>7}  {sandbox}",
            id.to_string(),
            name.to_string(),
            state.to_string(),
            one["connections"]
        );
    }
    Ok(())
}

async fn start(
    gateway: &Gateway,
    name: Option<String>,
    sandbox: Option<String>,
) -> anyhow::Result<()> {
    let mut wish = json!({});
    if let Some(name) = name {
        wish["name"] = name.into();
    }
    if let Some(sandbox) = sandbox {
        wish["sandbox"] = sandbox.into();
    }
    let made = gateway
        .kernels(Method::POST, "/api/kernels", Some(&wish))
        .await?;
    let id = made["id"].as_str().context("no kernel was named")?;
    println!("{}", id.escape_debug());
    Ok(())
}

async fn list(envd: &Envd) -> anyhow::Result<()> {
    let contexts = envd.interpreter(Method::GET, "/contexts", None).await?;
    let running = running(envd, None).await?;
    println!("{:<36}  {:<12} {:<8} CWD", "ID", "LANGUAGE", "RUNNING");
    for one in contexts.as_array().into_iter().flatten() {
        let [id, language, cwd] =
            ["id", "language", "cwd"].map(|name| one[name].as_str().unwrap_or_default());
        let busy = running
            .iter()
            .filter(|execution| execution["context_id"] == one["id"])
            .count();
        // What a sandbox says must not steer the terminal of who looks at it.
        println!(
            "{:<36}  {:<12} {busy:<8} {}",
            id.escape_debug().to_string(),
            language.escape_debug().to_string(),
            cwd.escape_debug()
        );
    }
    Ok(())
}

/// An error that names the way out when the sandbox has no such kernel.
async fn known(envd: &Envd, sandbox: &str, kernel: &str) -> anyhow::Result<()> {
    let contexts = envd.interpreter(Method::GET, "/contexts", None).await?;
    let mut contexts = contexts.as_array().into_iter().flatten();
    if contexts.any(|context| context["id"] == kernel) {
        return Ok(());
    }
    bail!("{sandbox} has no kernel {kernel:?}; `soulbox kernel list {sandbox}` shows those it has")
}

async fn interrupt(envd: &Envd, kernel: &str) -> anyhow::Result<()> {
    let executions = running(envd, Some(kernel)).await?;
    if executions.is_empty() {
        eprintln!("soulbox: nothing runs in {kernel}");
    }
    for execution in executions {
        let id = execution["id"].as_str().unwrap_or_default();
        let path = format!("/executions/{id}/interrupt");
        envd.interpreter(Method::POST, &path, None).await?;
        println!("{}", id.escape_debug());
    }
    Ok(())
}

/// Executions that run now, of one kernel or of all.
async fn running(envd: &Envd, kernel: Option<&str>) -> anyhow::Result<Vec<Value>> {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("state", "running");
    if let Some(kernel) = kernel {
        query.append_pair("context_id", kernel);
    }
    let path = format!("/executions?{}", query.finish());
    let mut page = envd.interpreter(Method::GET, &path, None).await?;
    Ok(match page["executions"].take() {
        Value::Array(executions) => executions,
        _ => Vec::new(),
    })
}
