//! Puts our `sudo` where programs look for it.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

/// Where `sudo` is called from. The first one is found by its name even after a package has
/// put its own program to the second one again.
const PLACES: [&str; 2] = ["/usr/local/bin/sudo", "/usr/bin/sudo"];

/// Whether this process is the first one of a sandbox in which set-uid programs gain nothing.
pub fn is_needed() -> bool {
    // SAFETY: a system call that takes no pointers; it asks and changes nothing.
    let no_new_privs = unsafe { libc::prctl(libc::PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) };
    std::process::id() == 1 && no_new_privs == 1 && rustix::process::geteuid().is_root()
}

/// Makes `sudo` this program.
pub fn install() -> io::Result<()> {
    let this = std::env::current_exe()?;
    for place in PLACES {
        let place = Path::new(place);
        let beside = place.with_file_name(".sudo.soulbox");
        let _ = fs::remove_file(&beside);
        // By a rename, so that there is always one.
        symlink(&this, &beside)?;
        fs::rename(&beside, place)?;
    }
    Ok(())
}

/// Makes the directory of the socket: everybody may look for the socket, only root may put
/// something there.
pub fn make_directory(socket: &Path) -> io::Result<()> {
    if let Some(directory) = socket.parent() {
        fs::create_dir_all(directory)?;
        fs::set_permissions(directory, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}
