//! `soulbox-agent`: PID 1 of every sandbox.
//!
//! It lives with hostile code and is trusted with nothing but its own sandbox. It reaps every
//! child, serves HTTP/2 on the one stream that it is given on descriptors 0 and 1, and keeps
//! processes and kernels when that stream ends. It knows no tenant and no key: whoever reaches
//! it through the channel has been checked outside.

mod channel;
mod connect;
mod control;
mod egress;
mod envd;
mod execution;
mod filesystem;
mod first;
mod hardship;
mod inside;
mod interpreter;
mod jupyter;
mod kernel;
mod metrics;
mod planes;
mod ports;
mod process;
mod sandbox;
mod sudo;

use anyhow::Context as _;
use process::reaper::Reaper;
use std::sync::Arc;

/// Threads that run the planes. Two, so that one long computation (gzip of a large file, a
/// huge message) does not stop the other streams; more would only cost memory.
const WORKERS: usize = 2;

/// Threads for file system calls that block. Above this they queue.
const BLOCKING_THREADS: usize = 16;

/// Stack of each thread, in bytes. Nothing here recurses deeply.
const THREAD_STACK: usize = 512 << 10;

fn main() -> anyhow::Result<()> {
    if sudo::client::is_called() {
        std::process::exit(sudo::client::run());
    }
    if execution::picture::worker::is_called() {
        std::process::exit(execution::picture::worker::run());
    }
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("SOULBOX_AGENT_LOG")
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info")),
        )
        .init();
    let descriptor = channel::take_descriptor().context("descriptor 0 is not a channel")?;
    first::prepare().context("cannot become the reaper of orphans")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_stack_size(THREAD_STACK)
        .enable_all()
        .build()
        .context("no runtime")?;
    runtime.block_on(serve(descriptor))
}

/// Serves one channel after the other, for as long as the sandbox lives.
async fn serve(descriptor: std::os::fd::OwnedFd) -> anyhow::Result<()> {
    let reaper = Reaper::start().context("SIGCHLD cannot be watched")?;
    let sandbox = Arc::new(sandbox::Sandbox::unclaimed());
    sudo::server::start(sandbox.clone(), reaper.clone());
    let interpreter = interpreter::Interpreter::start(sandbox.clone(), reaper.clone());
    let has_interpreter = !interpreter.contexts().all().is_empty();
    let planes = planes::Planes::new(sandbox, reaper, interpreter);
    inside::open(&planes, has_interpreter);
    let mut channel = channel::Channel::new(descriptor);
    loop {
        let stream = channel.next().await?;
        if let Err(error) = channel::serve(stream, planes.clone()).await {
            tracing::warn!(%error, "the channel broke");
        }
        tracing::info!("the channel ended; processes and kernels stay");
    }
}
