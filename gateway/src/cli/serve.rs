//! `soulbox serve`.

use super::{failed, misconfigured};
use crate::{
    config::{Overrides, Settings},
    launcher::{self, LaunchError},
};
use clap::Args;
use std::{path::PathBuf, process::ExitCode};

const ABOUT: &str = "\
Serves the E2B API and the sandboxes' own traffic on one address. Started as root, it binds \
the address, starts the node when none runs, and goes on as an ordinary user. Started as \
anybody else, it needs a node that runs already and whose socket it may open.

SIGTERM and SIGINT end it after running requests, and the node that it started with it. \
After kill -9 the sandboxes live on; the next `soulbox serve` takes them up.";

const SETTINGS: &str = "\
Every option can be set in the configuration file as well, with `_` for `-`, for example:
  listen = \"127.0.0.1:3000\"
  pool = [\"code-interpreter-v1=4\", \"base=1\"]
Options win over SOULBOX_* variables, which win over the file. Unknown keys are refused.";

/// Options of `serve`.
#[derive(Debug, Args)]
#[command(long_about = ABOUT, after_help = SETTINGS)]
pub struct Options {
    /// Configuration file [default: /etc/soulbox/soulbox.toml, if it is there]
    #[arg(long, env = "SOULBOX_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: Overrides,
}

/// Serves until it is told to end.
pub fn run(options: Options) -> ExitCode {
    let settings = match Settings::resolve(options.settings, options.config.as_ref()) {
        Ok(settings) => settings,
        Err(error) => return misconfigured(error),
    };
    // One thread: children are bound to the life of the thread that starts them.
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return failed(error),
    };
    match runtime.block_on(launcher::run(settings)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(LaunchError::Config(error)) => misconfigured(error),
        Err(error) => failed(error),
    }
}
