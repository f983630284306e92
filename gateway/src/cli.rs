//! The command line. Exit status: 0 done, 1 failed, 2 wrong usage or configuration.

mod cp;
mod doctor;
mod exec;
mod kernel;
mod key;
mod kill;
mod lab;
mod logging;
mod logs;
mod namespace_init;
mod node;
mod pictures;
mod port_forward;
mod ps;
mod remote;
mod run_code;
mod serve;
mod template;
mod worker;

use crate::config::{ConfigError, default_data_dir};
use clap::{Parser, Subcommand};
use std::{fmt::Display, path::PathBuf, process::ExitCode};

const WRONG_USAGE: u8 = 2;

/// SoulBox runs code in isolated sandboxes on your own machine, for programs that use the
/// E2B clients.
#[derive(Debug, Parser)]
#[command(name = "soulbox", version, arg_required_else_help = true, after_help = FIRST_STEPS)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const FIRST_STEPS: &str = "\
First steps:
  sudo soulbox doctor           what this machine can do, and what is missing
  sudo soulbox template build   builds the file systems that sandboxes start from
  sudo soulbox serve            serves; prints the first API key and what to set next";

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve clients: the gateway, and a node when none runs
    Serve(serve::Options),
    /// Run the node alone: the daemon, as root, that owns the sandboxes of this machine
    Node(node::Options),
    /// Make, list and revoke API keys
    Key(key::Options),
    /// Build and list templates, the file systems that sandboxes start from
    Template(template::Options),
    /// Say what this machine can and cannot do, and how to fix it
    Doctor(doctor::Options),
    /// Run code in a kernel, in a sandbox of its own or in one that there is
    Run(run_code::Options),
    /// Start, list and attach to kernels; restart and interrupt those of a sandbox
    Kernel(kernel::Options),
    /// Run a command in a sandbox; its streams and exit status are passed through
    Exec(exec::Options),
    /// Copy files and directories into or out of a sandbox
    Cp(cp::Options),
    /// List the sandboxes, or the processes of one
    Ps(ps::Options),
    /// Tell what happened to a sandbox, also to one that has ended
    Logs(logs::Options),
    /// End sandboxes
    Kill(kill::Options),
    /// Make a port of a sandbox one of this machine
    PortForward(port_forward::Options),
    /// Start JupyterLab on this machine, with its kernels in sandboxes
    Lab(lab::Options),
    /// The unprivileged half of `serve`
    #[command(hide = true)]
    GatewayWorker(worker::Options),
    /// The first process of a cell of the namespace tier
    #[command(hide = true)]
    NamespaceInit(namespace_init::Options),
}

/// Reads the arguments and does what they say.
pub fn run() -> ExitCode {
    match Arguments::parse().command {
        Command::Serve(options) => serve::run(options),
        Command::Node(options) => node::run(options),
        Command::Key(options) => key::run(options),
        Command::Template(options) => template::run(options),
        Command::Doctor(options) => doctor::run(options),
        Command::Run(options) => run_code::run(options),
        Command::Kernel(options) => kernel::run(options),
        Command::Exec(options) => exec::run(options),
        Command::Cp(options) => cp::run(options),
        Command::Ps(options) => ps::run(options),
        Command::Logs(options) => logs::run(options),
        Command::Kill(options) => kill::run(options),
        Command::PortForward(options) => port_forward::run(options),
        Command::Lab(options) => lab::run(options),
        Command::GatewayWorker(options) => worker::run(options),
        Command::NamespaceInit(options) => namespace_init::run(options),
    }
}

/// Tells an error, causes included in its text.
fn failed(error: impl Display) -> ExitCode {
    eprintln!("soulbox: {error}");
    ExitCode::FAILURE
}

/// Tells what is wrong with the configuration.
fn misconfigured(error: ConfigError) -> ExitCode {
    eprintln!("soulbox: {error}");
    ExitCode::from(WRONG_USAGE)
}

/// The data directory of commands that need nothing else.
fn data_dir(given: Option<PathBuf>) -> Result<PathBuf, ConfigError> {
    let path = given.map_or_else(default_data_dir, Ok)?;
    std::path::absolute(&path).map_err(|error| ConfigError::Setting {
        key: "data_dir",
        reason: error.to_string(),
    })
}
