//! Cells that Jupyter clients run, as executions.
//!
//! A listener of the kernel's broadcasts sees what clients other than ours cause: a cell begins
//! with its `execute_input`, and is over when the kernel is idle for it. It writes to a log and
//! waits for no reader, so it holds no client up; a large picture that is being scaled does for a
//! moment.

use super::registry::{Duty, Executions};
use super::{Birth, End, death, item};
use crate::hardship::HardshipDesk;
use crate::kernel::Life;
use crate::kernel::fanout::{Attachment, Channel, Hears, Incoming};
use crate::kernel::link::Link;
use crate::kernel::loss::Loss;
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::watch;

/// Cells of one kernel at a time. One runs, unless the kernel has subshells.
const MOST_OPEN: usize = 16;

#[derive(Deserialize)]
struct Input {
    execution_count: Option<u64>,
}

#[derive(Deserialize)]
struct Status {
    execution_state: String,
}

#[derive(Deserialize)]
struct Raised {
    #[serde(default)]
    ename: String,
}

struct Cell {
    duty: Duty,
    end: End,
}

/// Records the cells of one kernel, through all of its lives.
pub async fn record(
    mut lives: watch::Receiver<Life>,
    birth: Birth,
    executions: Arc<Executions>,
    desk: Arc<HardshipDesk>,
) {
    loop {
        let live = match &*lives.borrow_and_update() {
            Life::Live(link) => Some(link.clone()),
            _ => None,
        };
        if let Some(link) = live
            && let Some(client) = link.attach(Hears::Others)
        {
            follow(&link, client, &birth, &executions, &desk).await;
        }
        if lives.changed().await.is_err() {
            return;
        }
    }
}

/// Follows one process to its end.
async fn follow(
    link: &Link,
    mut client: Attachment,
    birth: &Birth,
    executions: &Arc<Executions>,
    desk: &HardshipDesk,
) {
    let mut open: HashMap<String, Cell> = HashMap::new();
    let mut before = desk.known();
    while let Some(delivery) = client.next().await {
        let incoming = &delivery.incoming;
        if incoming.channel != Channel::Iopub || incoming.parent_id.is_empty() {
            continue;
        }
        let content = incoming.message.content.as_ref();
        if incoming.msg_type == "execute_input" {
            if open.len() >= MOST_OPEN || open.contains_key(&incoming.parent_id) {
                continue;
            }
            before = desk.known();
            // Without a key there is no conflict.
            let Ok((execution, Some(duty))) = executions.add(birth.clone(), None) else {
                continue;
            };
            execution.begin();
            let input = serde_json::from_slice::<Input>(content).ok();
            if let Some(count) = input.and_then(|input| input.execution_count) {
                duty.write(item::number(count)).await;
            }
            let cell = Cell { duty, end: End::Ok };
            open.insert(incoming.parent_id.clone(), cell);
        } else if is_idle(incoming) {
            if let Some(Cell { duty, end }) = open.remove(&incoming.parent_id) {
                duty.end(end).await;
            }
        } else if let Some(cell) = open.get_mut(&incoming.parent_id) {
            cell.take(incoming).await;
        }
    }
    if open.is_empty() {
        return;
    }
    let loss = link.loss().unwrap_or(&Loss::Broken);
    let now = desk.fresh().await;
    for (_, Cell { duty, .. }) in open {
        let death = death::of(loss, before, now, death::disk_free());
        duty.write(item::failure(death.reason.as_str(), &death.message))
            .await;
        duty.end(End::Death(death)).await;
    }
}

fn is_idle(incoming: &Incoming) -> bool {
    incoming.msg_type == "status"
        && serde_json::from_slice::<Status>(&incoming.message.content)
            .is_ok_and(|status| status.execution_state == "idle")
}

impl Cell {
    async fn take(&mut self, incoming: &Incoming) {
        let content = incoming.message.content.as_ref();
        let line = match incoming.msg_type.as_str() {
            "stream" => item::output(content),
            "execute_result" => self.duty.result(content, true).await,
            "display_data" | "update_display_data" => self.duty.result(content, false).await,
            "error" => {
                let raised = serde_json::from_slice::<Raised>(content);
                let interrupted = raised.is_ok_and(|raised| raised.ename == "KeyboardInterrupt");
                self.end = if interrupted {
                    End::Interrupted {
                        kernel_restarted: false,
                    }
                } else {
                    End::Error
                };
                item::error(content)
            }
            _ => None,
        };
        if let Some(line) = line {
            self.duty.write(line).await;
        }
    }
}
