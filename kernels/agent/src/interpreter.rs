//! The code interpreter's plane (section 5 of the contract). Written by agent-kernel.

use crate::process::reaper::Reaper;
use crate::sandbox::Sandbox;
use soulbox_protocol::control::{Claim, KernelHealth};
use std::sync::Arc;

/// The kernels of this sandbox and what serves them.
pub struct Interpreter;

impl Interpreter {
    /// Starts the default kernel in the background. Called once, inside the runtime.
    pub fn start(_sandbox: Arc<Sandbox>, _reaper: Arc<Reaper>) -> Arc<Self> {
        Arc::new(Self)
    }

    /// Hands the claim's variables to kernels that already run. Called after `Sandbox::claim`.
    pub async fn claim(&self, _claim: &Claim) {}

    /// State of the default kernel, for the control plane.
    pub fn kernel_health(&self) -> KernelHealth {
        KernelHealth::None
    }
}

/// The routes of the `interpreter` authority.
pub fn service(_interpreter: Arc<Interpreter>) -> axum::Router {
    axum::Router::new()
}
