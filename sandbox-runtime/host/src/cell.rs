//! A cell made of processes of this host, whatever isolates them: a control group, a root
//! file system, one process whose end is the cell's end, and a task that watches it.
//!
//! The watch reaps at once (a zombie sentry makes others wait for seconds) and reads the
//! counters before anybody removes the control group, so every death has its evidence.

use crate::{
    cgroup::Cgroup,
    console::Console,
    error::{HostError, Step},
    orphans,
    process::{Exit, Process},
    root::{self, Root},
};
use async_trait::async_trait;
use soulbox_runtime::{Cell, CellEnd, Evidence, StartError, tier::Usage};
use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{
    sync::watch,
    task::spawn_blocking,
    time::{Instant, sleep},
};

/// How long a killed process may take to die: one that hangs in the kernel is waited for,
/// but not for good.
const DEATH_WITHIN: Duration = Duration::from_secs(20);
/// How long an empty control group may be busy.
const CGROUP_FREE_WITHIN: Duration = Duration::from_secs(5);
/// How long orphans may take from the group's list to their grave.
const ORPHANS_WITHIN: Duration = Duration::from_secs(2);
/// Between two looks at them.
const LOOK: Duration = Duration::from_millis(2);

/// What a cell occupies on the host.
#[derive(Debug, Clone)]
pub struct Holdings {
    /// Its control group.
    pub cgroup: Cgroup,
    /// Its directory.
    pub scratch: PathBuf,
    /// Where its mechanism keeps state besides, if it does.
    pub state: Option<PathBuf>,
    /// Where its users on the host begin, when that is known. Not for what a dead node left:
    /// those processes are not our children.
    pub first_host_id: Option<u32>,
}

impl Holdings {
    /// Kills what runs and gives everything back. Works when any part is gone already.
    ///
    /// # Errors
    /// The first thing that could not be given back.
    pub async fn clear(&self) -> Result<(), HostError> {
        self.cgroup.kill_all(DEATH_WITHIN).await?;
        if let Some(first) = self.first_host_id {
            bury(first).await;
        }
        self.cgroup.remove(CGROUP_FREE_WITHIN).await?;
        let scratch = self.scratch.clone();
        let taken_apart = spawn_blocking(move || root::dismantle(&scratch)).await;
        taken_apart.step("take the cell's file system apart")??;
        match &self.state {
            Some(state) => remove_tree(state),
            None => Ok(()),
        }
    }
}

fn remove_tree(path: &Path) -> Result<(), HostError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).step("remove the mechanism's state")
        }
        _ => Ok(()),
    }
}

/// A running cell, see the module.
#[derive(Debug)]
pub struct HostCell {
    holdings: Holdings,
    root: Root,
    end: watch::Receiver<Option<CellEnd>>,
}

/// The processes of a cell that are our own children.
#[derive(Debug)]
pub struct Family {
    /// Its end is the cell's end.
    pub main: Process,
    /// Others that the mechanism needs; they end with it.
    pub companions: Vec<Process>,
}

impl HostCell {
    /// Takes over a started cell and watches it. Must be called inside a tokio runtime.
    pub fn watch(holdings: Holdings, root: Root, family: Family, console: Console) -> Self {
        let (tell, end) = watch::channel(None);
        let cgroup = holdings.cgroup.clone();
        let users = holdings.first_host_id;
        // The task ends with the cell, and the cell's processes end at the latest with
        // `kill`; a node that stops kills every cell first.
        tokio::spawn(async move {
            family.main.gone().await;
            let exit = family.main.reap().unwrap_or_default();
            let mut evidence = cgroup.counters();
            if let Err(error) = cgroup.kill_all(DEATH_WITHIN).await {
                tracing::error!(%error, "a cell's processes do not die");
            }
            for companion in &family.companions {
                companion.gone().await;
                companion.reap();
            }
            if let Some(first) = users {
                bury(first).await;
            }
            // A kill of the kernel may be counted a little after the process is gone.
            evidence.oom_kills = cgroup.counters().oom_kills.or(evidence.oom_kills);
            let Exit { status, signal } = exit;
            evidence.exit_status = status;
            evidence.signal = signal;
            evidence.console = console.last_line();
            tell.send_replace(Some(CellEnd { evidence }));
        });
        Self {
            holdings,
            root,
            end,
        }
    }
}

/// Reaps everything that a cell left to us.
async fn bury(first_host_id: u32) {
    let deadline = Instant::now() + ORPHANS_WITHIN;
    while orphans::reap_users(first_host_id) > 0 && Instant::now() < deadline {
        sleep(LOOK).await;
    }
}

#[async_trait]
impl Cell for HostCell {
    async fn ended(&self) -> CellEnd {
        let mut end = self.end.clone();
        match end.wait_for(Option::is_some).await {
            Ok(end) => (*end).clone().unwrap_or_default(),
            // The task that watches is gone: the runtime is shutting down.
            Err(_) => CellEnd::default(),
        }
    }

    async fn kill(&self) {
        if self.end.borrow().is_some() {
            return;
        }
        if let Err(error) = self.holdings.cgroup.kill_all(DEATH_WITHIN).await {
            tracing::error!(%error, "a cell's processes do not die");
            return;
        }
        self.ended().await;
    }

    async fn clear(&self) -> Result<(), StartError> {
        self.kill().await;
        Ok(self.holdings.clear().await?)
    }

    fn usage(&self) -> Usage {
        let group = self.holdings.cgroup.usage();
        let disk = self.root.usage();
        Usage {
            cpu_usec: group.cpu_usec,
            memory_bytes: group.memory_bytes,
            cache_bytes: group.cache_bytes,
            disk_used_bytes: disk.used_bytes,
            disk_total_bytes: disk.total_bytes,
        }
    }

    fn hardship(&self) -> Evidence {
        self.holdings.cgroup.counters()
    }
}
