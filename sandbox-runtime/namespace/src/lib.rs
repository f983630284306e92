//! The namespace tier: the host's own kernel, divided by namespaces. For trusted code,
//! development and highest density; it is used only when an owner asks for it by name.
//!
//! A cell has its own users, mounts, processes, network, IPC, host name and control group
//! view; a root of which the host knows nothing (shifted ids, no capability outside, few
//! inside); a filter on system calls; and a Landlock rule that keeps even a leaked directory
//! from leading out. The node only assembles the root file system and starts a helper
//! program; the helper, a process with a single thread, does the rest (see [`init_main`]),
//! so nothing is done between fork and exec of a process with many threads.

mod init;
mod plan;
mod probe;
mod start;

pub use init::init_main;

use async_trait::async_trait;
use soulbox_host::{Cgroups, Holdings};
use soulbox_runtime::{CellId, CellSpec, StartError, StartedCell, Tier, TierName, TierStatus};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::sync::OnceCell;

/// How the tier is set up.
#[derive(Debug, Clone)]
pub struct NamespaceOptions {
    /// A program that calls [`init_main`] with the number that it gets as its last argument.
    pub init_program: PathBuf,
    /// Arguments before that number, e.g. the name of a hidden subcommand.
    pub init_arguments: Vec<String>,
    /// Where probes run; the cell's root must be able to pass through (mode 0711 from /
    /// downwards).
    pub state_dir: PathBuf,
    /// Names the node among others on this machine; the same after a restart.
    pub node: CellId,
}

/// The tier. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Namespace(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    options: NamespaceOptions,
    /// What works here, found out once, at the first probe or start.
    verdict: OnceCell<probe::Verdict>,
}

impl Namespace {
    /// Sets the tier up. Nothing is looked for before the first probe or start.
    pub fn new(options: NamespaceOptions) -> Self {
        Self(Arc::new(Shared {
            options,
            verdict: OnceCell::new(),
        }))
    }

    async fn verdict(&self) -> &probe::Verdict {
        let look = || probe::look(&self.0.options);
        self.0.verdict.get_or_init(look).await
    }
}

/// What a start needs besides the cell's own specification.
#[derive(Debug, Clone)]
struct Mechanism {
    options: NamespaceOptions,
    cgroups: Cgroups,
}

impl Mechanism {
    /// Everything that a cell may hold on this host.
    fn holdings(&self, spec: &CellSpec) -> Holdings {
        Holdings {
            cgroup: self.cgroups.of(&spec.id),
            scratch: spec.scratch.clone(),
            state: None,
            first_host_id: Some(spec.first_host_id),
        }
    }
}

#[async_trait]
impl Tier for Namespace {
    fn name(&self) -> TierName {
        TierName::Namespace
    }

    async fn probe(&self) -> TierStatus {
        self.verdict().await.status.clone()
    }

    async fn start(&self, spec: CellSpec) -> Result<StartedCell, StartError> {
        match &self.verdict().await.mechanism {
            Ok(mechanism) => start::start(mechanism.clone(), spec).await,
            Err(why) => Err(StartError::Unavailable {
                tier: TierName::Namespace,
                why: why.clone(),
            }),
        }
    }

    async fn clear_leftover(&self, id: &CellId, scratch: &Path) -> Result<(), StartError> {
        let holdings = Holdings {
            cgroup: Cgroups::new(&self.0.options.node)?.of(id),
            scratch: scratch.to_owned(),
            state: None,
            first_host_id: None,
        };
        Ok(holdings.clear().await?)
    }
}
