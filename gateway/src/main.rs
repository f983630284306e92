//! The `soulbox` program: the gateway, and the command line in front of gateway, node and
//! images.
//!
//! Folders and who may know whom: `cli` and `launcher` start things; `gateway` puts the
//! parts together; `e2b`, `jupyter`, `native` and `dataplane` speak with clients and hold no
//! logic; `sandboxes` and `kernels` own what clients see; `nodeclient` and `store` are what
//! they stand on.
#![forbid(unsafe_code)]

mod auth;
mod cli;
mod config;
mod dataplane;
mod e2b;
mod gateway;
mod handover;
mod jupyter;
mod kernels;
mod launcher;
mod native;
mod nodeclient;
mod random;
mod sandboxes;
mod store;
mod tls;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
