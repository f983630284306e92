//! `soulbox namespace-init`: what the node starts to become the first process of a cell of
//! the namespace tier. Not for people. This process has one thread, which that tier needs.

use clap::Args;
use std::process::ExitCode;

/// Options of the helper.
#[derive(Debug, Args)]
pub struct Options {
    /// Number of the descriptor that the node speaks on.
    talk: i32,
}

/// Becomes the cell.
pub fn run(options: Options) -> ExitCode {
    soulbox_namespace::init_main(options.talk)
}
