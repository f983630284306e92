//! The data directory: readable by all on its way down, the gateway's part by its user only.

use super::{LaunchError, system};
use crate::config::{Account, Settings};
use rustix::{
    fs::{AtFlags, CWD, FlockOperation, Gid, Mode, Uid, chmod, chownat, flock},
    io::Errno,
};
use std::{
    fs::{self, File},
    path::Path,
};

/// Makes what is missing, takes the directory for this process, and gives the gateway's part
/// to its user.
pub fn take(settings: &Settings, account: Option<Account>) -> Result<File, LaunchError> {
    make(&settings.data_dir)?;
    let own = settings.gateway_dir();
    make(&own)?;
    let lock = lock(settings, account)?;
    if let Some(account) = account {
        give_all(&own, account)?;
    }
    Ok(lock)
}

/// Held as long as this process lives: two gateways on one store would end each other's
/// sandboxes.
fn lock(settings: &Settings, account: Option<Account>) -> Result<File, LaunchError> {
    // Root opens no file by name where another user could have put a link.
    let place = match account {
        Some(_) => settings.data_dir.clone(),
        None => settings.gateway_dir(),
    };
    let path = place.join("serve.lock");
    let file = File::create(&path).map_err(system(format!("make {}", path.display())))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(Errno::WOULDBLOCK) => Err(LaunchError::InUse(settings.data_dir.clone())),
        Err(error) => Err(system(format!("lock {}", path.display()))(error.into())),
    }
}

fn give_all(own: &Path, account: Account) -> Result<(), LaunchError> {
    let refused = |what: &str| system(format!("{what} {}", own.display()));
    give(own, account)?;
    for entry in fs::read_dir(own).map_err(refused("read"))? {
        let path = entry.map_err(refused("read"))?.path();
        // The settings may name another user than last time.
        give(&path, account)?;
    }
    let closed = chmod(own, Mode::RWXU).map_err(Into::into);
    closed.map_err(refused("close"))
}

fn make(path: &Path) -> Result<(), LaunchError> {
    fs::create_dir_all(path).map_err(system(format!("make {}", path.display())))
}

fn give(path: &Path, account: Account) -> Result<(), LaunchError> {
    let (uid, gid) = (Uid::from_raw(account.uid), Gid::from_raw(account.gid));
    // A link in the gateway's directory must not lead us to give away what it points at.
    let itself = AtFlags::SYMLINK_NOFOLLOW;
    let given = chownat(CWD, path, Some(uid), Some(gid), itself).map_err(Into::into);
    given.map_err(system(format!("give {} to its user", path.display())))
}
