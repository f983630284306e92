//! The agent's parsers of untrusted bytes, for the fuzz targets.
//!
//! The agent is a program and has no library, so the very files are compiled here, under the
//! module paths that they know each other by. Run one with `cargo fuzz run path` in `kernels/agent`.
#![allow(dead_code, reason = "only the parsers are called")]

/// Users, as the path resolver needs them.
pub mod process {
    #[path = "../../../src/process/user.rs"]
    pub mod user;
}

/// Paths.
pub mod filesystem {
    #[path = "../../../src/filesystem/path.rs"]
    pub mod path;
}

/// Envelopes.
pub mod connect {
    #[path = "../../../src/connect/envelope.rs"]
    pub mod envelope;
    #[path = "../../../src/connect/error.rs"]
    pub mod error;
    pub use error::{Code, ConnectError};
}
