//! What a process finds when it starts: its user, its variables, its directory.
//!
//! The rules are those of section 4.3 of the contract, and kernels follow them too.

use super::spawn::DEFAULT_PATH;
use super::user::{self, User};
use crate::connect::{Code, ConnectError};
use crate::filesystem::path::resolve;
use crate::sandbox::Identity;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The user of a request: the named one, or the sandbox's default.
pub fn user(identity: &Identity, name: Option<&str>) -> Result<User, ConnectError> {
    let name = name.unwrap_or(&identity.default_user);
    match user::find(name) {
        Ok(Some(user)) => Ok(user),
        Ok(None) => Err(ConnectError::new(
            Code::Unauthenticated,
            format!("invalid username: '{name}'"),
        )),
        Err(error) => Err(ConnectError::internal(format!(
            "error looking up user '{name}': {error}"
        ))),
    }
}

/// Variables of a process: the user's, then the sandbox's, then the request's. Later wins;
/// nothing else is inherited.
pub fn variables(
    identity: &Identity,
    user: &User,
    request: impl IntoIterator<Item = (String, String)>,
) -> BTreeMap<String, String> {
    let path = std::env::var("PATH").unwrap_or_else(|_| DEFAULT_PATH.into());
    let mut variables: BTreeMap<String, String> = [
        ("PATH".into(), path),
        ("HOME".into(), user.home.to_string_lossy().into_owned()),
        ("USER".into(), user.name.clone()),
        ("LOGNAME".into(), user.name.clone()),
    ]
    .into();
    variables.extend(identity.env.clone());
    let request = request.into_iter().collect();
    crate::egress::variables::give_way(&mut variables, &request);
    variables.extend(request);
    variables
}

/// Working directory of a process. One that was asked for must exist; the default gives way
/// to the root directory, since a user may have removed it and must still be able to look.
pub fn directory(
    identity: &Identity,
    user: &User,
    request: Option<&str>,
) -> Result<PathBuf, ConnectError> {
    let request = request.filter(|path| !path.is_empty());
    let path = resolve(
        request.unwrap_or_default(),
        user,
        identity.default_workdir.as_deref(),
    )
    .map_err(|error| ConnectError::invalid(error.to_string()))?;
    if path.is_dir() {
        return Ok(path);
    }
    match request {
        Some(_) => Err(ConnectError::invalid(format!(
            "cwd '{}' does not exist",
            path.display()
        ))),
        None if user.home.is_dir() => Ok(user.home.clone()),
        None => Ok(Path::new("/").to_owned()),
    }
}
