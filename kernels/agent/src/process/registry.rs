//! All processes that were started for clients, by pid and by tag.
//!
//! One that has ended stays for half a minute, so that a client that connects late still
//! learns how it ended (section 4.4 of the contract).

use super::live::Process;
use super::message::{ProcessInfo, Selector};
use super::reaper::Pid;
use crate::connect::{Code, ConnectError};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long the result of an ended process is kept.
const KEEP: Duration = Duration::from_secs(30);

/// Processes at a time, those that ended in the last half minute included.
const MAX_PROCESSES: usize = 4096;

/// The table.
#[derive(Default)]
pub struct Registry {
    processes: Mutex<BTreeMap<Pid, Arc<Process>>>,
}

impl Registry {
    /// Makes room for one more: forgets the oldest result if it must. Fails when all run.
    pub fn make_room(&self) -> Result<(), ConnectError> {
        let mut processes = self.lock();
        if processes.len() < MAX_PROCESSES {
            return Ok(());
        }
        let ended = processes
            .values()
            .find(|process| process.output.exit().is_some());
        let Some(pid) = ended.map(|process| process.pid()) else {
            return Err(ConnectError::new(
                Code::ResourceExhausted,
                format!("{MAX_PROCESSES} processes of this sandbox are running"),
            ));
        };
        processes.remove(&pid);
        Ok(())
    }

    /// Adds a process. An ended one with the same number has been replaced by the system.
    pub fn insert(&self, process: Arc<Process>) {
        self.lock().insert(process.pid(), process);
    }

    /// Forgets a process some time from now.
    pub async fn expire(&self, process: &Arc<Process>) {
        tokio::time::sleep(KEEP).await;
        let mut processes = self.lock();
        let pid = process.pid();
        if processes
            .get(&pid)
            .is_some_and(|known| Arc::ptr_eq(known, process))
        {
            processes.remove(&pid);
        }
    }

    /// Finds a process, or one that has just ended.
    pub fn find(&self, selector: &Selector) -> Result<Arc<Process>, ConnectError> {
        let processes = self.lock();
        match selector {
            Selector { pid: Some(pid), .. } => i32::try_from(pid.0)
                .ok()
                .and_then(Pid::new)
                .and_then(|pid| processes.get(&pid).cloned())
                .ok_or_else(|| not_found(&format!("pid {}", pid.0))),
            Selector { tag: Some(tag), .. } => {
                let tagged = || processes.values().filter(|p| p.tag() == Some(tag.as_str()));
                let running = tagged().rfind(|process| process.is_running());
                running
                    .or_else(|| tagged().next_back())
                    .cloned()
                    .ok_or_else(|| not_found(&format!("tag {tag}")))
            }
            Selector { .. } => Err(ConnectError::invalid("neither pid nor tag is given")),
        }
    }

    /// Finds a process that still runs.
    pub fn find_running(&self, selector: &Selector) -> Result<Arc<Process>, ConnectError> {
        let process = self.find(selector)?;
        if process.is_running() {
            return Ok(process);
        }
        Err(not_found(&match &selector.tag {
            Some(tag) if selector.pid.is_none() => format!("tag {tag}"),
            _ => format!("pid {}", process.pid().as_u32()),
        }))
    }

    /// Those that still run.
    pub fn list(&self) -> Vec<ProcessInfo> {
        let processes = self.lock();
        processes
            .values()
            .filter(|p| p.is_running())
            .map(|process| process.info())
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Pid, Arc<Process>>> {
        self.processes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn not_found(what: &str) -> ConnectError {
    ConnectError::new(Code::NotFound, format!("process with {what} not found"))
}
