//! `soulbox kernel list|restart|interrupt ID`: the kernels (contexts) of a sandbox.

use super::remote::{Envd, Remote, block_on};
use clap::{Args, Subcommand};
use http::Method;
use serde_json::Value;
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
    /// List them, with what they run
    List {
        /// The sandbox
        #[arg(value_name = "ID")]
        sandbox: String,
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
            Command::List { sandbox } => list(&gateway.envd(&sandbox, None).await?).await?,
            Command::Restart { sandbox, kernel } => {
                let envd = gateway.envd(&sandbox, None).await?;
                let path = format!("/contexts/{kernel}/restart");
                envd.interpreter(Method::POST, &path, None).await?;
                println!("{kernel}");
            }
            Command::Interrupt { sandbox, kernel } => {
                interrupt(&gateway.envd(&sandbox, None).await?, &kernel).await?;
            }
        }
        Ok(ExitCode::SUCCESS)
    })
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

async fn interrupt(envd: &Envd, kernel: &str) -> anyhow::Result<()> {
    for execution in running(envd, Some(kernel)).await? {
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
