//! `soulbox gateway-worker`: what the launcher starts. Not for people.

use super::{failed, logging};
use crate::{
    config::Settings,
    gateway::{self, Doors},
    handover::Channel,
    launcher,
};
use clap::Args;
use rustix::{
    fs::Mode,
    process::{
        Pid, Resource, Rlimit, Signal, getppid, getrlimit, set_parent_process_death_signal,
        setrlimit, umask,
    },
    thread::{set_name, set_no_new_privs},
};
use std::{io, os::fd::AsFd, process::ExitCode};

/// Options of the worker.
#[derive(Debug, Args)]
pub struct Options {
    /// Process number of the launcher.
    #[arg(long)]
    launcher: i32,
    /// Checked settings, as JSON.
    #[arg(long)]
    settings: String,
}

/// Serves on the sockets that it is handed over its standard input.
pub fn run(options: Options) -> ExitCode {
    // Before any thread is started, since these belong to threads.
    if let Err(error) = confine(options.launcher) {
        return failed(error);
    }
    let settings: Settings = match serde_json::from_str(&options.settings) {
        Ok(settings) => settings,
        Err(error) => return failed(error),
    };
    logging::start(&settings.log);
    let end = match io::stdin().as_fd().try_clone_to_owned() {
        Ok(end) => end,
        Err(error) => return failed(error),
    };
    let doors = match Doors::receive(Channel::new(end)) {
        Ok(doors) => doors,
        Err(error) => return failed(error),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return failed(error),
    };
    let served = runtime.block_on(gateway::run(settings, doors));
    runtime.shutdown_background();
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("soulbox: {error}");
            ExitCode::from(launcher::UNUSABLE)
        }
    }
}

/// Gives up what this process never needs again, and ties it to its launcher.
fn confine(launcher: i32) -> io::Result<()> {
    // What `top` shows; it would be `exe` otherwise.
    set_name(c"soulbox-gateway")?;
    set_no_new_privs(true)?;
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // The launcher may have died before the line above.
    if getppid() != Pid::from_raw(launcher) {
        return Err(io::Error::other("the launcher is gone"));
    }
    umask(Mode::RWXG | Mode::RWXO);
    // Each client and each sandbox is a file descriptor.
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: maximum,
            maximum,
        },
    )?;
    Ok(())
}
