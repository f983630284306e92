//! The data directory: readable by all on its way down, the gateway's part by its user only.

use super::{LaunchError, system};
use crate::config::{Account, Settings};
use rustix::{
    fs::{FlockOperation, Gid, Mode, Uid, chmod, chown, flock},
    io::Errno,
};
use std::{
    fs::{self, File},
    path::Path,
};

/// Makes what is missing and gives the gateway's directory to its user.
pub fn prepare(settings: &Settings, account: Option<Account>) -> Result<(), LaunchError> {
    make(&settings.data_dir)?;
    let own = settings.gateway_dir();
    make(&own)?;
    let Some(account) = account else {
        return Ok(());
    };
    let refused = |what: &str, path: &Path| system(format!("{what} {}", path.display()));
    give(&own, account)?;
    for entry in fs::read_dir(&own).map_err(refused("read", &own))? {
        let path = entry.map_err(refused("read", &own))?.path();
        // The settings may name another user than last time.
        if path.is_file() {
            give(&path, account)?;
        }
    }
    let errno = chmod(&own, Mode::RWXU).map_err(Into::into);
    errno.map_err(refused("close", &own))
}

/// Held as long as this process lives: two gateways on one store would end each other's
/// sandboxes.
pub fn lock(settings: &Settings) -> Result<File, LaunchError> {
    let path = settings.gateway_dir().join("serve.lock");
    let file = File::create(&path).map_err(system(format!("make {}", path.display())))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(Errno::WOULDBLOCK) => Err(LaunchError::InUse(settings.data_dir.clone())),
        Err(error) => Err(system(format!("lock {}", path.display()))(error.into())),
    }
}

fn make(path: &Path) -> Result<(), LaunchError> {
    fs::create_dir_all(path).map_err(system(format!("make {}", path.display())))
}

fn give(path: &Path, account: Account) -> Result<(), LaunchError> {
    let (uid, gid) = (Uid::from_raw(account.uid), Gid::from_raw(account.gid));
    let given = chown(path, Some(uid), Some(gid)).map_err(Into::into);
    given.map_err(system(format!("give {} to its user", path.display())))
}
