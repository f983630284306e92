//! `soulbox node`.

use super::{failed, logging, misconfigured};
use crate::config::{Overrides, Settings};
use clap::Args;
use soulbox_node::{EgressOptions, NodeOptions};
use soulbox_runtime::network::parse_block;
use std::{path::PathBuf, process::ExitCode};

const ABOUT: &str = "\
Runs the privileged daemon that starts, limits and clears away the sandboxes of this machine. \
Only the gateway speaks with it, over the socket `node.sock` in the data directory. \
`soulbox serve` starts one by itself; run it alone to have it under a service manager of its \
own.";

/// Options of `node`.
#[derive(Debug, Args)]
#[command(long_about = ABOUT)]
pub struct Options {
    /// Configuration file [default: /etc/soulbox/soulbox.toml, if it is there]
    #[arg(long, env = "SOULBOX_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// User id that may open the socket, besides root [default: the one of --user]
    #[arg(long, value_name = "UID")]
    socket_owner: Option<u32>,
    /// The agent's program [default: `soulbox-agent` beside this program]
    #[arg(long, env = "SOULBOX_AGENT", value_name = "FILE")]
    agent: Option<PathBuf>,
    /// Started by `serve`, which may shut it down
    #[arg(long, hide = true)]
    attached: bool,
    #[command(flatten)]
    settings: Overrides,
}

/// Runs until it is told to end.
pub fn run(options: Options) -> ExitCode {
    let settings = match Settings::resolve(options.settings, options.config.as_ref()) {
        Ok(settings) => settings,
        Err(error) => return misconfigured(error),
    };
    let owner = match options.socket_owner {
        Some(uid) => uid,
        None => match crate::config::Account::find(settings.user.as_deref()) {
            Ok(account) => account.uid,
            Err(error) => return misconfigured(error),
        },
    };
    if options.attached {
        // It outlives `serve` and its terminal. It fails only for a leader, which is as good.
        let _ = rustix::process::setsid();
    }
    // What `top` shows; it would be `exe` otherwise. Harmless when it fails.
    let _ = rustix::thread::set_name(c"soulbox-node");
    logging::start(&settings.log);
    let wanted = NodeOptions {
        socket_owner: owner,
        attached: options.attached,
        agent: options.agent,
        ..node_options(&settings)
    };
    match soulbox_node::run(wanted) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(error),
    }
}

/// The settings that concern the node.
pub fn node_options(settings: &Settings) -> NodeOptions {
    let defaults = NodeOptions::new(&settings.data_dir);
    NodeOptions {
        images_dir: settings.images_dir.clone(),
        socket: settings.node_socket(),
        isolation: settings.isolation,
        pools: settings
            .pools
            .clone()
            .unwrap_or_else(|| defaults.pools.clone()),
        max_sandboxes: settings.max_sandboxes,
        max_image_side: settings.max_image_side,
        egress: EgressOptions {
            allow: settings
                .egress_allow
                .iter()
                .filter_map(|text| parse_block(text))
                .collect(),
            dns: settings.egress_dns.clone(),
        },
        ..defaults
    }
}
