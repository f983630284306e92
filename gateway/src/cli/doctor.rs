//! `soulbox doctor`.

use super::{misconfigured, node::node_options};
use crate::config::{Overrides, Settings};
use clap::Args;
use soulbox_node::DoctorReport;
use soulbox_runtime::TierName;
use std::{path::PathBuf, process::ExitCode};

const ABOUT: &str = "\
Says what this machine can and cannot do, by looking and by trying, and the fix for each \
missing thing. As root it starts a test sandbox on each tier. Exit status 0 when sandboxes \
can be started with the isolation that is set, else 1.";

/// Options of `doctor`.
#[derive(Debug, Args)]
#[command(long_about = ABOUT)]
pub struct Options {
    /// Configuration file [default: /etc/soulbox/soulbox.toml, if it is there]
    #[arg(long, env = "SOULBOX_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: Overrides,
}

/// Examines and reports.
pub fn run(options: Options) -> ExitCode {
    let settings = match Settings::resolve(options.settings, options.config.as_ref()) {
        Ok(settings) => settings,
        Err(error) => return misconfigured(error),
    };
    let report = soulbox_node::doctor(&node_options(&settings));
    print!("{report}");
    let wanted = settings.isolation.map_or("auto", TierName::as_str);
    if usable(&report, settings.isolation) {
        println!("sandboxes can be started (isolation {wanted})");
        return ExitCode::SUCCESS;
    }
    println!("sandboxes can not be started (isolation {wanted})");
    ExitCode::FAILURE
}

/// `auto` never means the tier that shares the host's kernel: that one must be asked for.
fn usable(report: &DoctorReport, wanted: Option<TierName>) -> bool {
    let fits = |tier| wanted.map_or(tier != TierName::Namespace, |wanted| wanted == tier);
    report
        .tiers
        .iter()
        .any(|status| status.available && fits(status.tier))
}
