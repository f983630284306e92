//! Starts a node without a gateway, for work on the node and the tiers:
//! `cargo run -p soulbox-node --example node -- --data-dir DIR --agent PATH`, then
//! `curl --http2-prior-knowledge --unix-socket DIR/node.sock http://node/v1/node`.

use clap::Parser;
use soulbox_node::NodeOptions;
use soulbox_runtime::{TemplateName, TierName};
use std::{error::Error, path::PathBuf};

#[derive(Parser)]
struct Arguments {
    #[arg(long)]
    data_dir: PathBuf,
    #[arg(long)]
    images_dir: Option<PathBuf>,
    #[arg(long)]
    agent: Option<PathBuf>,
    #[arg(long)]
    isolation: Option<TierName>,
    /// Warm sandboxes, e.g. `base=1`; may be given more than once.
    #[arg(long)]
    pool: Vec<String>,
    #[arg(long)]
    attached: bool,
    #[arg(long)]
    doctor: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .init();
    let arguments = Arguments::parse();
    let mut options = NodeOptions::new(arguments.data_dir);
    if let Some(images) = arguments.images_dir {
        options.images_dir = images;
    }
    options.agent = arguments.agent;
    options.isolation = arguments.isolation;
    options.attached = arguments.attached;
    for pool in arguments.pool {
        let (name, size) = pool.split_once('=').ok_or("expected NAME=NUMBER")?;
        options
            .pools
            .insert(TemplateName::new(name)?, size.parse()?);
    }
    if arguments.doctor {
        println!("{}", soulbox_node::doctor(&options));
        return Ok(());
    }
    Ok(soulbox_node::run(options)?)
}
