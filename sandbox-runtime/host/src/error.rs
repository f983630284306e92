//! One error for all calls of the host's kernel: which step, and what the kernel said.

use soulbox_runtime::StartError;
use std::fmt::Display;
use thiserror::Error;

/// A step that failed. Holds no user data: only paths of the node and words of the kernel.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[error("{step} failed: {why}")]
pub struct HostError {
    /// What was being done, e.g. `mount the root file system`.
    pub step: &'static str,
    /// The cause.
    pub why: String,
}

impl From<HostError> for StartError {
    fn from(error: HostError) -> Self {
        Self::Step {
            step: error.step,
            why: error.why,
        }
    }
}

/// Names the step that a result belongs to.
pub trait Step<T> {
    /// Turns any error into one that names `step`.
    ///
    /// # Errors
    /// The error of the result itself.
    fn step(self, step: &'static str) -> Result<T, HostError>;
}

impl<T, E: Display> Step<T> for Result<T, E> {
    fn step(self, step: &'static str) -> Result<T, HostError> {
        self.map_err(|error| HostError {
            step,
            why: error.to_string(),
        })
    }
}
