//! One run of code on a live kernel, from its request to its last event.
//!
//! It is over when the kernel has answered *and* is idle: the two come on different sockets,
//! in any order. Whoever wants it to end before its time has the kernel interrupted until it
//! does; code that does not heed that for [`HEED`] loses its kernel, so that the next
//! execution of the context runs.

use super::death;
use super::item;
use super::registry::Duty;
use super::{End, Execution, Stop};
use crate::hardship::{Counters, HardshipDesk};
use crate::kernel::Kernel;
use crate::kernel::fanout::{Attachment, Channel, Delivery, Hears, Incoming};
use crate::kernel::link::Link;
use crate::kernel::loss::Loss;
use crate::kernel::request::{self, Request};
use serde::Deserialize;
use soulbox_protocol::execution::{Death, Evidence, Reason};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// Pauses after each interrupt: code can swallow one, and is given time to clean up.
const INTERRUPT_PAUSES: [Duration; 4] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(3),
    Duration::from_secs(4),
];

/// How long code may go on after it was first told to end: the sum of the pauses. Then its
/// kernel is restarted.
const HEED: Duration = Duration::from_secs(10);

/// How long a kernel that announced its own end has for it, so that the next run meets its
/// successor.
const LEAVE: Duration = Duration::from_secs(2);

/// A run that is shorter cannot have used up the memory of a sandbox, so the host's counters
/// are not asked for after it.
const HARDSHIP_TAKES: Duration = Duration::from_millis(100);

/// What to run.
pub struct Run {
    /// The code, as it came.
    pub code: String,
    /// Variables of this run only.
    pub env: BTreeMap<String, String>,
}

/// Where a run stands.
struct Progress<'a> {
    duty: &'a Duty,
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
pub async fn run(
    kernel: &Kernel,
    link: &Link,
    run: Run,
    counter: &AtomicU64,
    duty: &Duty,
    desk: &HardshipDesk,
) -> End {
    let (before, begun) = (desk.settled().await, Instant::now());
    let Some(mut client) = link.attach(Hears::Answers) else {
        return lost(link, duty, before, desk).await;
    };
    let request = request::execute(client.session(), run.code, &run.env);
    if link.ask(&client, Channel::Shell, &request).await.is_err() {
        return lost(link, duty, before, desk).await;
    }
    let mut progress = Progress {
        duty,
        counter,
        numbered: false,
        failed: false,
        replied: false,
        idle: false,
        leaves: false,
        failure: None,
    };
    let kernel_restarted = AtomicBool::new(false);
    let done = tokio::select! {
        biased;
        done = follow(&mut client, &request, &mut progress) => done,
        // It never ends by itself: what it causes ends the other one.
        () = insist(kernel, link, &duty.execution, &kernel_restarted) => false,
    };
    let kernel_restarted = kernel_restarted.load(Ordering::Relaxed);
    let stopped = duty.execution.stopped();
    if done {
        let (leaves, failed) = (progress.leaves, progress.end().await);
        if begun.elapsed() >= HARDSHIP_TAKES {
            desk.refresh();
        }
        if leaves {
            let _ = tokio::time::timeout(LEAVE, link.child().wait()).await;
        }
        return match stopped {
            Some(Stop::Deadline) => timeout(duty, kernel_restarted).await,
            Some(_) if failed => End::Interrupted { kernel_restarted },
            _ if failed => End::Error,
            _ => End::Ok,
        };
    }
    match stopped {
        Some(Stop::Deadline) if kernel_restarted => timeout(duty, true).await,
        Some(_) if kernel_restarted => {
            let text = "The code did not heed the interrupt, so its kernel was restarted";
            duty.write(item::failure("KernelRestarted", text)).await;
            End::Interrupted { kernel_restarted }
        }
        _ => lost(link, duty, before, desk).await,
    }
}

/// Tells that the deadline has passed.
pub async fn timeout(duty: &Duty, kernel_restarted: bool) -> End {
    let seconds = duty.execution.birth().deadline_seconds.unwrap_or_default();
    let death = Death {
        reason: Reason::Timeout,
        message: format!("The execution was ended at its deadline of {seconds} s"),
        evidence: Evidence {
            kernel_restarted,
            ..Evidence::default()
        },
    };
    duty.write(item::failure(death.reason.as_str(), &death.message))
        .await;
    End::Death(death)
}

/// Tells that there is no kernel (any more).
pub async fn without_kernel(
    loss: &Loss,
    duty: &Duty,
    before: Counters,
    desk: &HardshipDesk,
) -> End {
    if *loss == Loss::Restarted {
        // The contract's own name (section 5).
        duty.write(item::failure("ContextRestarting", &loss.to_string()))
            .await;
        return End::Death(death::of(loss, before, before, None));
    }
    let now = desk.fresh().await;
    let death = death::of(loss, before, now, death::disk_free());
    // The contract's name for a lost kernel (section 5.1), then ours, which says why.
    duty.write(item::failure("UnexpectedEndOfExecution", &death.message))
        .await;
    duty.write(item::failure(death.reason.as_str(), &death.message))
        .await;
    End::Death(death)
}

async fn lost(link: &Link, duty: &Duty, before: Counters, desk: &HardshipDesk) -> End {
    let loss = link.loss().unwrap_or(&Loss::Broken);
    without_kernel(loss, duty, before, desk).await
}

/// Writes events until the run is over (`true`) or the kernel is gone (`false`).
async fn follow(client: &mut Attachment, request: &Request, progress: &mut Progress<'_>) -> bool {
    while !(progress.replied && progress.idle) {
        let Some(delivery) = client.next().await else {
            return false;
        };
        progress.take(&delivery, request).await;
    }
    true
}

/// Waits until the run is to end before its time, and then sees to it.
async fn insist(
    kernel: &Kernel,
    link: &Link,
    execution: &Execution,
    kernel_restarted: &AtomicBool,
) {
    execution.stopping().await;
    for pause in INTERRUPT_PAUSES {
        link.interrupt().await;
        tokio::time::sleep(pause).await;
    }
    debug_assert_eq!(INTERRUPT_PAUSES.iter().sum::<Duration>(), HEED);
    kernel_restarted.store(true, Ordering::Relaxed);
    // Whether it starts is told to whoever comes next.
    let _ = kernel.restart().await;
    std::future::pending().await
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

    /// Writes what a message says, if anything.
    async fn take(&mut self, delivery: &Delivery, request: &Request) {
        let incoming = &delivery.incoming;
        self.watch(incoming, request);
        if incoming.parent_id != request.id {
            return;
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
                    self.number(Some(count)).await;
                }
                if reply.is_some_and(|reply| reply.status != "ok") {
                    self.failure = Some(content.to_vec());
                }
                return;
            }
            (Channel::Iopub, "execute_input") => {
                let count = serde_json::from_slice::<Counted>(content)
                    .ok()
                    .and_then(|input| input.execution_count);
                return self.number(count).await;
            }
            (Channel::Iopub, "stream") => item::output(content),
            (Channel::Iopub, "execute_result") => self.duty.result(content, true).await,
            (Channel::Iopub, "display_data" | "update_display_data") => {
                self.duty.result(content, false).await
            }
            (Channel::Iopub, "error") if !self.failed => {
                self.failed = true;
                item::error(content)
            }
            _ => return,
        };
        match line {
            Some(line) => {
                self.number(None).await;
                self.duty.write(line).await;
            }
            None => {
                tracing::warn!(kind = %incoming.msg_type, "content of a kernel could not be read");
            }
        }
    }

    /// Writes the first event, once.
    async fn number(&mut self, count: Option<u64>) {
        if self.numbered {
            return;
        }
        self.numbered = true;
        let count = count.unwrap_or(self.counter.load(Ordering::Relaxed) + 1);
        self.counter.store(count, Ordering::Relaxed);
        self.duty.write(item::number(count)).await;
    }

    /// Writes what only the reply said. `true` when the code failed.
    async fn end(mut self) -> bool {
        self.number(None).await;
        if let Some(content) = self.failure.take().filter(|_| !self.failed) {
            let untold = || item::failure("ExecutionAborted", "The kernel did not run the code");
            let line = item::error(&content).unwrap_or_else(untold);
            self.duty.write(line).await;
            self.failed = true;
        }
        self.failed
    }
}
