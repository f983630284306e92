//! One run of code in a context, from its request to its last line.
//!
//! It is over when the kernel has answered *and* is idle: the two come on different sockets,
//! in any order. When the client hangs up, the kernel is interrupted until the run is over,
//! and only then is the context free for the next one.

use super::answer::{HungUp, Lines};
use super::item;
use super::result;
use crate::kernel::fanout::{Attachment, Channel, Delivery, Hears, Incoming};
use crate::kernel::link::Link;
use crate::kernel::loss::Loss;
use crate::kernel::request::{self, Request};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// First repetition of an interrupt that had no effect. Code can swallow it, so it is
/// repeated; a kernel is never killed for that.
const INTERRUPT_AGAIN: Duration = Duration::from_secs(1);

/// Longest time between two interrupts.
const INTERRUPT_LATEST: Duration = Duration::from_secs(30);

/// How long a kernel that announced its own end has for it, so that the next run meets its
/// successor.
const LEAVE: Duration = Duration::from_secs(2);

/// What to run.
pub struct Run {
    /// The code, as it came.
    pub code: String,
    /// Variables of this run only.
    pub env: BTreeMap<String, String>,
}

/// Where a run stands.
struct Progress<'a> {
    lines: &'a Lines,
    /// Runs of the context so far, for kernels that do not count.
    counter: &'a AtomicU64,
    numbered: bool,
    failed: bool,
    replied: bool,
    idle: bool,
    /// The code asked its kernel to end.
    leaves: bool,
    /// Content of a reply that says `error`; told when no broadcast did.
    failure: Option<Vec<u8>>,
}

#[derive(Deserialize)]
struct Counted {
    execution_count: Option<u64>,
}

#[derive(Deserialize)]
struct Reply {
    #[serde(default)]
    status: String,
    execution_count: Option<u64>,
    #[serde(default)]
    payload: Vec<Payload>,
}

#[derive(Deserialize)]
struct Payload {
    #[serde(default)]
    source: String,
}

#[derive(Deserialize)]
struct Status {
    execution_state: String,
}

/// Runs code on a live kernel and writes what it gives. Returns when the kernel is free again.
pub async fn run(link: &Link, run: Run, counter: &AtomicU64, lines: &Lines) {
    let Some(mut client) = link.attach(Hears::Answers) else {
        return lost(link, lines).await;
    };
    let request = request::execute(client.session(), run.code, &run.env);
    if link.ask(&client, Channel::Shell, &request).await.is_err() {
        return lost(link, lines).await;
    }
    let mut progress = Progress {
        lines,
        counter,
        numbered: false,
        failed: false,
        replied: false,
        idle: false,
        leaves: false,
        failure: None,
    };
    match follow(&mut client, &request, &mut progress).await {
        Ok(Some(())) => {
            let leaves = progress.leaves;
            // An error means that the client hung up after the end, which changes nothing.
            let _ = progress.end().await;
            if leaves {
                let _ = tokio::time::timeout(LEAVE, link.child().wait()).await;
            }
        }
        Ok(None) => lost(link, lines).await,
        Err(HungUp) => give_up(link, &mut client, &request, &mut progress).await,
    }
}

/// Tells that there is no kernel, and ends the answer.
pub async fn without_kernel(loss: &Loss, lines: &Lines) {
    let name = if *loss == Loss::Restarted {
        "ContextRestarting"
    } else {
        "UnexpectedEndOfExecution"
    };
    if lines
        .write(item::failure(name, &loss.to_string()))
        .await
        .is_ok()
    {
        let _ = lines.write(item::END.to_vec()).await;
    }
}

async fn lost(link: &Link, lines: &Lines) {
    without_kernel(link.loss().unwrap_or(&Loss::Broken), lines).await;
}

/// Writes items until the run is over (`Some`) or the kernel is gone (`None`).
async fn follow(
    client: &mut Attachment,
    request: &Request,
    progress: &mut Progress<'_>,
) -> Result<Option<()>, HungUp> {
    let lines = progress.lines;
    while !(progress.replied && progress.idle) {
        let delivery = tokio::select! {
            delivery = client.next() => delivery,
            () = lines.hung_up() => return Err(HungUp),
        };
        let Some(delivery) = delivery else {
            return Ok(None);
        };
        progress.take(&delivery, request).await?;
    }
    Ok(Some(()))
}

/// Interrupts until the run is over or the kernel is gone, and reads on meanwhile.
async fn give_up(
    link: &Link,
    client: &mut Attachment,
    request: &Request,
    progress: &mut Progress<'_>,
) {
    let mut again = INTERRUPT_AGAIN;
    while !(progress.replied && progress.idle) {
        link.interrupt().await;
        let until = tokio::time::Instant::now() + again;
        while !(progress.replied && progress.idle) {
            match tokio::time::timeout_at(until, client.next()).await {
                Ok(Some(delivery)) => progress.watch(&delivery.incoming, request),
                Ok(None) => return,
                Err(_) => break,
            }
        }
        again = (again * 2).min(INTERRUPT_LATEST);
    }
}

impl Progress<'_> {
    /// Notes the two signs of the end.
    fn watch(&mut self, incoming: &Incoming, request: &Request) {
        if incoming.parent_id != request.id {
            return;
        }
        match (incoming.channel, incoming.msg_type.as_str()) {
            (Channel::Shell, "execute_reply") => self.replied = true,
            (Channel::Iopub, "status") => {
                let status = serde_json::from_slice::<Status>(&incoming.message.content);
                self.idle |= status.is_ok_and(|status| status.execution_state == "idle");
            }
            _ => {}
        }
    }

    /// Writes what a message says to the client, if anything.
    async fn take(&mut self, delivery: &Delivery, request: &Request) -> Result<(), HungUp> {
        let incoming = &delivery.incoming;
        self.watch(incoming, request);
        if incoming.parent_id != request.id {
            return Ok(());
        }
        let content = incoming.message.content.as_ref();
        let line = match (incoming.channel, incoming.msg_type.as_str()) {
            (Channel::Shell, "execute_reply") => {
                let reply = serde_json::from_slice::<Reply>(content).ok();
                let payload = reply
                    .as_ref()
                    .map(|reply| reply.payload.as_slice())
                    .unwrap_or_default();
                self.leaves |= payload.iter().any(|payload| payload.source == "ask_exit");
                if let Some(count) = reply.as_ref().and_then(|reply| reply.execution_count) {
                    self.number(Some(count)).await?;
                }
                if reply.is_some_and(|reply| reply.status != "ok") {
                    self.failure = Some(content.to_vec());
                }
                return Ok(());
            }
            (Channel::Iopub, "execute_input") => {
                let count = serde_json::from_slice::<Counted>(content)
                    .ok()
                    .and_then(|input| input.execution_count);
                return self.number(count).await;
            }
            (Channel::Iopub, "stream") => item::output(content),
            (Channel::Iopub, "execute_result") => result::line(content, true),
            (Channel::Iopub, "display_data" | "update_display_data") => {
                result::line(content, false)
            }
            (Channel::Iopub, "error") if !self.failed => {
                self.failed = true;
                item::error(content)
            }
            _ => return Ok(()),
        };
        match line {
            Some(line) => {
                self.number(None).await?;
                self.lines.write(line).await
            }
            None => {
                tracing::warn!(kind = %incoming.msg_type, "content of a kernel could not be read");
                Ok(())
            }
        }
    }

    /// Writes the first line, once.
    async fn number(&mut self, count: Option<u64>) -> Result<(), HungUp> {
        if self.numbered {
            return Ok(());
        }
        self.numbered = true;
        let count = count.unwrap_or(self.counter.load(Ordering::Relaxed) + 1);
        self.counter.store(count, Ordering::Relaxed);
        self.lines.write(item::number(count)).await
    }

    async fn end(mut self) -> Result<(), HungUp> {
        self.number(None).await?;
        if let Some(content) = self.failure.take().filter(|_| !self.failed) {
            let untold = || item::failure("ExecutionAborted", "The kernel did not run the code");
            self.lines
                .write(item::error(&content).unwrap_or_else(untold))
                .await?;
        }
        self.lines.write(item::END.to_vec()).await
    }
}
