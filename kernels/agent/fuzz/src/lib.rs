//! The agent's parsers of untrusted bytes, for the fuzz targets.
//!
//! The agent is a program and has no library, so the very files are compiled here, under the
//! module paths that they know each other by. Run one with `cargo fuzz run path` in `kernels/agent`.
#![allow(dead_code, reason = "only the parsers are called")]

/// Users, as the path resolver needs them.
#[path = "../../src/process"]
pub mod process {
    pub mod user;
}

/// Paths.
#[path = "../../src/filesystem"]
pub mod filesystem {
    pub mod path;
}

/// Envelopes.
#[path = "../../src/connect"]
pub mod connect {
    pub mod envelope;
    pub mod error;
    pub use error::{Code, ConnectError};
}
