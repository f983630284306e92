//! Stories of the code interpreter, through the agent's front door: the real program, the real
//! Python kernel of `kernels/python`, as ordinary processes of this machine.
//!
//! They need a Python with ipykernel, named by `SOULBOX_TEST_PYTHON`; `make test` makes one.

#![allow(clippy::unwrap_used, reason = "a story that cannot go on fails")]

mod contexts;
mod deaths;
mod executions;
mod harness;
mod objects;
mod pictures;
mod requests;
mod streams;
mod transports;
