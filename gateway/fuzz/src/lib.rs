//! The gateway's parsers of untrusted bytes, for the fuzz targets.
//!
//! The gateway is a program and has no library, so the very files are compiled here, under the
//! module paths that they know each other by. Run one with `cargo fuzz run signature` in `gateway`.
#![allow(dead_code, reason = "only the parsers are called")]

/// Secrets and their comparison.
#[path = "../../src/auth"]
pub mod auth {
    mod secret;
    pub use secret::{Secret, same};
}

/// Signed requests.
#[path = "../../src/dataplane"]
pub mod dataplane {
    pub mod signature;
}
