//! The gVisor tier: between the code in a sandbox and the host's kernel stands another
//! kernel, in user space (`runsc`).
//!
//! A cell is one `runsc` container with its own user ids, its own control group and its own
//! disk, without any network. The only way in is a socket pair that becomes the agent's
//! standard input and output. Nothing that `runsc` says about processes is believed
//! unchecked: a pid counts only when it is in the cell's own control group, and is then held
//! by a pidfd. The tier needs a process that is a child subreaper with its own mount
//! namespace, see `soulbox_host::node::prepare`.

#![forbid(unsafe_code)]

mod bundle;
mod probe;
mod runsc;
mod start;

pub use runsc::Platform;

use async_trait::async_trait;
use runsc::Runsc;
use soulbox_host::{Cgroups, Holdings};
use soulbox_runtime::{CellId, CellSpec, StartError, StartedCell, Tier, TierName, TierStatus};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::sync::OnceCell;

/// How the tier is set up.
#[derive(Debug, Clone)]
pub struct GvisorOptions {
    /// The `runsc` to use; `None` looks in PATH.
    pub runsc: Option<PathBuf>,
    /// How gVisor intercepts system calls; `None` chooses by what works on this machine.
    pub platform: Option<Platform>,
    /// Where `runsc` keeps the state of its containers, and where probes run. Short, since
    /// the paths of Unix sockets below it end at 107 bytes; the cell's root must be able to
    /// pass through (mode 0711 from / downwards).
    pub state_dir: PathBuf,
    /// Names the node among others on this machine; the same after a restart.
    pub node: CellId,
}

/// The tier. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Gvisor(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    options: GvisorOptions,
    /// What works here, found out once, at the first probe or start.
    verdict: OnceCell<probe::Verdict>,
}

impl Gvisor {
    /// Sets the tier up. Nothing is looked for before the first probe or start.
    pub fn new(options: GvisorOptions) -> Self {
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
    runsc: Runsc,
    platform: Platform,
    cgroups: Cgroups,
    state_dir: PathBuf,
}

impl Mechanism {
    /// Everything that a cell may hold on this host.
    fn holdings(&self, spec: &CellSpec) -> Holdings {
        Holdings {
            cgroup: self.cgroups.of(&spec.id),
            scratch: spec.scratch.clone(),
            state: Some(self.state_dir.join(spec.id.as_str())),
            first_host_id: Some(spec.first_host_id),
        }
    }
}

#[async_trait]
impl Tier for Gvisor {
    fn name(&self) -> TierName {
        TierName::Gvisor
    }

    async fn probe(&self) -> TierStatus {
        self.verdict().await.status.clone()
    }

    async fn start(&self, spec: CellSpec) -> Result<StartedCell, StartError> {
        match &self.verdict().await.mechanism {
            Ok(mechanism) => start::start(mechanism.clone(), spec).await,
            Err(why) => Err(StartError::Unavailable {
                tier: TierName::Gvisor,
                why: why.clone(),
            }),
        }
    }

    async fn clear_leftover(&self, id: &CellId, scratch: &Path) -> Result<(), StartError> {
        // Works without a `runsc`: its containers are processes in our control group and
        // files in our directory, and nothing else.
        let options = &self.0.options;
        let holdings = Holdings {
            cgroup: Cgroups::new(&options.node)?.of(id),
            scratch: scratch.to_owned(),
            state: Some(options.state_dir.join(id.as_str())),
            first_host_id: None,
        };
        Ok(holdings.clear().await?)
    }
}
