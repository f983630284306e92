//! The configuration file: TOML with the same keys as the flags. Unknown keys are refused,
//! so that a typing error is told and not ignored.

use super::{ConfigError, Overrides};
use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

/// Read when it exists and no other file is named.
const DEFAULT_FILE: &str = "/etc/soulbox/soulbox.toml";

/// The settings of the named file, or of the default one if there is one.
pub fn read(named: Option<&PathBuf>) -> Result<Overrides, ConfigError> {
    let path = named.map_or(Path::new(DEFAULT_FILE), PathBuf::as_path);
    let wrong = |reason: String| ConfigError::File {
        path: path.display().to_string(),
        reason,
    };
    match fs::read_to_string(path) {
        Ok(text) => {
            toml::from_str(&text).map_err(|error| wrong(error.to_string().trim().to_owned()))
        }
        Err(error) if named.is_none() && error.kind() == ErrorKind::NotFound => {
            Ok(Overrides::default())
        }
        Err(error) => Err(wrong(error.to_string())),
    }
}
