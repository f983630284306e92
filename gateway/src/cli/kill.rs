//! `soulbox kill ID...`: ends sandboxes.

use super::{
    failed,
    remote::{Remote, block_on},
};
use axum::body::Body;
use clap::Args;
use http::Method;
use std::process::ExitCode;

/// Options of `kill`.
#[derive(Debug, Args)]
pub struct Options {
    /// The sandboxes
    #[arg(value_name = "ID", required = true)]
    sandboxes: Vec<String>,
    #[command(flatten)]
    remote: Remote,
}

/// Ends each of them; one that is not there does not keep the others alive.
pub fn run(options: Options) -> ExitCode {
    block_on(async {
        let gateway = options.remote.gateway()?;
        let mut status = ExitCode::SUCCESS;
        for id in &options.sandboxes {
            let request = gateway.api(Method::DELETE, &format!("/sandboxes/{id}"));
            match gateway.send(request.body(Body::empty())?).await {
                Ok(_) => println!("{id}"),
                Err(error) => status = failed(format!("{error:#}")),
            }
        }
        Ok(status)
    })
}
