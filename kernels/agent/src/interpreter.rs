//! The code interpreter's plane (section 5 of the contract).
//!
//! It turns HTTP into executions on kernels and what kernels say into lines. Kernels do not
//! know it: it is one of their clients, like any other.

mod answer;
pub mod context;
mod events;
mod executions;
mod refusal;
mod routes;

use crate::execution::picture::Pictures;
use crate::execution::registry::Executions;
use crate::execution::store::Store;
use crate::hardship::HardshipDesk;
use crate::kernel::Life;
use crate::kernel::loss::Loss;
use crate::kernel::spec::Specs;
use crate::process::reaper::Reaper;
use crate::sandbox::Sandbox;
use context::{Contexts, DEFAULT_LANGUAGE};
use futures_util::future::join_all;
use soulbox_protocol::control::{Claim, KernelHealth};
use std::path::PathBuf;
use std::sync::Arc;

/// Where kernelspecs are looked for: ours first, then those that a template installed.
const KERNEL_DIRECTORIES: [&str; 4] = [
    "/opt/soulbox/kernels",
    "/usr/local/share/jupyter/kernels",
    "/usr/share/jupyter/kernels",
    "/root/.local/share/jupyter/kernels",
];

/// Names another directory to look in before all others. For tests outside a sandbox.
const KERNEL_DIRECTORY_VARIABLE: &str = "SOULBOX_AGENT_KERNELS";

/// The kernels of this sandbox and what serves them.
pub struct Interpreter {
    contexts: Contexts,
    executions: Arc<Executions>,
    desk: Arc<HardshipDesk>,
}

impl Interpreter {
    /// Starts the default kernel in the background. Called once, inside the runtime.
    pub fn start(sandbox: Arc<Sandbox>, reaper: Arc<Reaper>) -> Arc<Self> {
        let named = std::env::var_os(KERNEL_DIRECTORY_VARIABLE).map(PathBuf::from);
        let roots: Vec<PathBuf> = named
            .into_iter()
            .chain(KERNEL_DIRECTORIES.map(PathBuf::from))
            .collect();
        let pictures = Pictures::new(sandbox.clone(), reaper.clone());
        let executions = Executions::new(Store::of_the_sandbox(), pictures);
        let desk = Arc::new(HardshipDesk::default());
        let contexts = Contexts::new(
            Specs::under(roots),
            sandbox,
            reaper,
            executions.clone(),
            desk.clone(),
        );
        if let Ok(context) = contexts.default_of(DEFAULT_LANGUAGE) {
            context.kernel().start();
        }
        Arc::new(Self {
            contexts,
            executions,
            desk,
        })
    }

    /// Where the host's counters are told.
    pub fn desk(&self) -> &Arc<HardshipDesk> {
        &self.desk
    }

    /// All contexts, which are the kernels that Jupyter clients see.
    pub fn contexts(&self) -> &Contexts {
        &self.contexts
    }

    /// Hands the claim's variables to kernels that already run. Called after `Sandbox::claim`.
    pub async fn claim(&self, claim: &Claim) {
        let entropy = Some(claim.entropy.clone()).filter(|entropy| !entropy.is_empty());
        self.renew(entropy).await;
    }

    /// Hands the sandbox's variables, as they are now, to kernels that already run.
    pub async fn renew(&self, entropy: Option<String>) {
        let contexts = self.contexts.all();
        join_all(
            contexts
                .iter()
                .map(|context| context.kernel().renew(entropy.clone())),
        )
        .await;
    }

    /// State of the default kernel, for the control plane.
    pub fn kernel_health(&self) -> KernelHealth {
        let Ok(context) = self.contexts.default_of(DEFAULT_LANGUAGE) else {
            return KernelHealth::None;
        };
        match context.kernel().life() {
            Life::Unstarted | Life::Starting | Life::Restarting => KernelHealth::Starting,
            Life::Live(_) => KernelHealth::Ready,
            Life::Dead(Loss::Unavailable) => KernelHealth::None,
            Life::Dead(_) => KernelHealth::Failed,
        }
    }
}

/// The routes of the `interpreter` authority.
pub fn service(interpreter: Arc<Interpreter>) -> axum::Router {
    routes::router(interpreter)
}
