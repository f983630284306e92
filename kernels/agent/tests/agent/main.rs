//! Stories of the agent, through its front door: the real program, with a socket pair as its
//! channel, as an ordinary process of this machine.

#![allow(
    clippy::unwrap_used,
    reason = "a story that cannot go on ends with a panic"
)]

mod envd;
mod files;
mod filesystem;
mod harness;
mod limits;
mod process;
mod sudo;
mod watch;
