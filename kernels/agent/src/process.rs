//! Processes of the sandbox: how they are started, watched, fed and reaped.
//!
//! Everything that forks goes through [`spawn`], because the agent reaps all children of the
//! sandbox and would otherwise take exits away from whoever waits for them. [`service`] is
//! `process.Process` of the contract (section 4.4) on top of that.

pub mod environment;
pub mod event;
pub mod input;
pub mod live;
pub mod message;
pub mod output;
pub mod reaper;
pub mod registry;
pub mod service;
pub mod session;
pub mod spawn;
pub mod start;
pub mod terminal;
pub mod user;
