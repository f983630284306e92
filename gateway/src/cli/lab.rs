//! `soulbox lab`: JupyterLab on this machine, whose kernels run in sandboxes.
//!
//! JupyterLab itself is not ours and not part of this program. This finds it, tells it where
//! the gateway is, and becomes it.

use super::{
    failed,
    remote::{Remote, block_on},
};
use clap::Args;
use http::Method;
use std::{io, os::unix::process::CommandExt as _, process::Command, process::ExitCode};

const PROGRAM: &str = "jupyter-lab";
const HOW_TO_INSTALL: &str = "\
JupyterLab is not installed here, or not on the PATH. For example:
  python3 -m venv ~/jupyter && ~/jupyter/bin/pip install jupyterlab ipywidgets
  export PATH=\"$HOME/jupyter/bin:$PATH\"";
/// In seconds: a first sandbox on a busy machine takes longer than JupyterLab's own 42.
const START_SECONDS: &str = "120";

/// Options of `lab`.
#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    remote: Remote,
    /// What JupyterLab is to be told besides, e.g. -- --no-browser --port 8890
    #[arg(last = true)]
    arguments: Vec<String>,
}

/// Becomes JupyterLab, or says why not.
pub fn run(options: Options) -> ExitCode {
    block_on(async {
        let gateway = options.remote.gateway()?;
        // A wrong address or key is told here, and not by a launcher that stays empty.
        gateway.kernels(Method::GET, "/api/status", None).await?;
        let started = Command::new(PROGRAM)
            .arg(format!("--gateway-url={}", gateway.url()))
            .args(options.arguments)
            // Not among the arguments, which every user of the machine can read.
            .env("JUPYTER_GATEWAY_AUTH_TOKEN", gateway.key()?)
            .env("JUPYTER_GATEWAY_REQUEST_TIMEOUT", START_SECONDS)
            .exec();
        Ok(match started.kind() {
            io::ErrorKind::NotFound => failed(HOW_TO_INSTALL),
            _ => failed(format!("{PROGRAM} could not be started: {started}")),
        })
    })
}
