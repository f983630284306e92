//! A kernel as Jupyter clients see it (section 2.4 of the Jupyter wire contract).

use crate::interpreter::context::Context;
use crate::kernel::Life;
use jiff::Timestamp;
use serde::Serialize;

/// The model of one kernel.
#[derive(Debug, Serialize)]
pub struct Model {
    id: String,
    /// Name of its kernelspec.
    name: String,
    language: String,
    cwd: String,
    execution_state: &'static str,
    /// Six digits and `Z`: one widespread client accepts nothing else.
    last_activity: String,
    connections: usize,
    /// Why it is dead.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl Model {
    /// As it is now.
    pub fn of(context: &Context) -> Self {
        let kernel = context.kernel();
        let audience = kernel.audience();
        let (execution_state, reason) = match kernel.life() {
            Life::Unstarted | Life::Starting => ("starting", None),
            Life::Restarting => ("restarting", None),
            Life::Dead(loss) => ("dead", Some(loss.to_string())),
            Life::Live(_) if audience.busy() => ("busy", None),
            Life::Live(_) => ("idle", None),
        };
        Self {
            id: context.id().into(),
            name: kernel.spec().name.clone(),
            language: context.language().into(),
            cwd: context.cwd().into(),
            execution_state,
            last_activity: six_digits(audience.last_activity()),
            connections: audience.connections(),
            reason,
        }
    }
}

fn six_digits(time: Timestamp) -> String {
    format!("{time:.6}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_six_digits_even_when_they_are_zero() {
        let time: Timestamp = "2026-01-31T12:34:56Z".parse().expect("a time");
        assert_eq!(six_digits(time), "2026-01-31T12:34:56.000000Z");
        let time: Timestamp = "2026-01-31T12:34:56.789012345Z".parse().expect("a time");
        assert_eq!(six_digits(time), "2026-01-31T12:34:56.789012Z");
    }
}
