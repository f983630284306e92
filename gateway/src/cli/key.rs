//! `soulbox key create|list|revoke`. Works beside a running gateway, which sees a new key
//! at once and a revoked one after some seconds.
//!
//! Root becomes the gateway's user first: a file of the store that root makes could not be
//! opened by the gateway.

use super::{data_dir, failed, misconfigured};
use crate::{auth::Keys, store::Store};
use clap::{Args, Subcommand};
use std::{
    fs,
    os::unix::{fs::MetadataExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

const THIS_PROGRAM: &str = "/proc/self/exe";

/// Options of `key`.
#[derive(Debug, Args)]
pub struct Options {
    /// Where everything is kept [default: /var/lib/soulbox as root]
    #[arg(long, env = "SOULBOX_DATA_DIR", value_name = "DIR", global = true)]
    data_dir: Option<PathBuf>,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a key and show it, this once
    Create {
        /// What to call it, e.g. after the program that will use it
        #[arg(long, default_value = "unnamed")]
        name: String,
    },
    /// List the keys that work, without their secret part
    List,
    /// Take a key back
    Revoke {
        /// Its number, from `key list`
        number: i64,
    },
}

/// Does it.
pub fn run(options: Options) -> ExitCode {
    let directory = match data_dir(options.data_dir) {
        Ok(directory) => directory.join("gateway"),
        Err(error) => return misconfigured(error),
    };
    if rustix::process::geteuid().is_root() {
        return again_as_owner(&directory);
    }
    let done = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(act(options.action, &directory)));
    match done {
        Ok(status) => status,
        Err(error) => failed(format!("{}: {error:#}", directory.display())),
    }
}

async fn act(action: Action, directory: &Path) -> anyhow::Result<ExitCode> {
    let store = Store::open(&directory.join("soulbox.db"))?;
    let keys = Keys::new(store.clone());
    match action {
        Action::Create { name } => {
            let made = keys.create(&name).await?;
            println!("API key: {}", made.secret.expose());
            println!(
                "  It is shown this once. Number {}, name {}.",
                made.row.id, made.row.name
            );
        }
        Action::List => {
            println!("{:>6}  {:<12}  {:<20}  NAME", "NUMBER", "KEY", "MADE");
            for key in store.keys().await? {
                println!(
                    "{:>6}  {:<12}  {:<20.0}  {}",
                    key.id, key.shown, key.created_at, key.name
                );
            }
        }
        Action::Revoke { number } => {
            if !store.revoke_key(number).await? {
                return Ok(failed(format!(
                    "no key has the number {number}; see `soulbox key list`"
                )));
            }
            println!("key {number} is revoked; a running gateway stops taking it within 5 s");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn again_as_owner(directory: &Path) -> ExitCode {
    let owner = match fs::metadata(directory) {
        Ok(found) if found.uid() != 0 => found,
        Ok(_) => {
            return failed(format!(
                "{} belongs to root; run `soulbox serve` once",
                directory.display()
            ));
        }
        Err(error) => {
            let hint = "run `soulbox serve` once, which makes it";
            return failed(format!("{}: {error}; {hint}", directory.display()));
        }
    };
    let error = Command::new(THIS_PROGRAM)
        .arg0("soulbox")
        .args(std::env::args_os().skip(1))
        .uid(owner.uid())
        .gid(owner.gid())
        .exec();
    failed(error)
}
