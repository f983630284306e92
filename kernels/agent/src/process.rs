//! Processes of the sandbox: how they are started, watched, fed and reaped.
//!
//! Everything that forks goes through [`spawn`], because the agent reaps all children of the
//! sandbox and would otherwise take exits away from whoever waits for them.

pub mod reaper;
pub mod spawn;
pub mod user;
