//! Where settings come from: flags before `SOULBOX_*` variables before a file before the
//! defaults. A setting that makes no sense is named with the reason, and nothing starts.

mod domain;
mod file;
mod jupyter;
mod settings;
mod tls;
mod user;

pub use domain::Domain;
pub use jupyter::Jupyter;
pub use settings::{Overrides, Settings, default_data_dir};
pub use tls::{Certificate, TlsSettings};
pub use user::Account;

use thiserror::Error;

/// A configuration that can't be used.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// One setting makes no sense.
    #[error("setting `{key}`: {reason}")]
    Setting {
        /// Its name, as in the file; flags and variables are named after it.
        key: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The file can't be read or understood.
    #[error("configuration file {path}: {reason}")]
    File {
        /// Which file.
        path: String,
        /// What is wrong with it, with line and key.
        reason: String,
    },
}
