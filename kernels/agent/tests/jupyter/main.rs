//! Stories of Jupyter clients, through the agent's front door: the real program, the real Python
//! kernel of `kernels/python`, and a WebSocket client whose bytes go through the channel.
//!
//! They need a Python with ipykernel, named by `SOULBOX_TEST_PYTHON`; `make test` makes one.

#![allow(clippy::unwrap_used, reason = "a story that cannot go on fails")]

mod bytes;
mod channels;
mod client;
mod crowd;
mod harness;
mod kernels;
mod lives;
mod proxy;
mod sessions;
