//! Metadata of files whose file system keeps none, as gVisor's root does not.
//!
//! It is kept here, by device and inode, for as long as the file is there: it follows a rename
//! and it is gone with the file. A number alone would not do, since the next new file may get
//! it, so each file is held open. A file that was removed is found out by the name of its
//! descriptor (gVisor counts its links wrongly), and let go within [`LOOK`], as it takes room on
//! the disk until then. It belongs to the file system, of which there is one, hence the static.

use super::Metadata;
use rustix::io::Errno;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Files with metadata at a time. Each costs a descriptor here and one on the host.
const MAX_FILES: usize = 2048;

/// How often removed files are looked for.
const LOOK: Duration = Duration::from_secs(5);

/// What the system puts behind the name of a file that was removed.
const REMOVED: &str = " (deleted)";

/// Device and inode.
type Key = (u64, u64);

struct Kept {
    file: File,
    metadata: Metadata,
}

#[derive(Default)]
struct Table {
    files: HashMap<Key, Kept>,
    /// Whether somebody looks for removed files.
    is_swept: bool,
}

static TABLE: LazyLock<Mutex<Table>> = LazyLock::new(Mutex::default);

/// Makes this the whole metadata of a file.
pub fn replace(file: &File, metadata: &Metadata) -> Result<(), Errno> {
    let errno = |error: io::Error| Errno::from_io_error(&error).unwrap_or(Errno::IO);
    let mut table = table();
    if table.files.is_empty() && metadata.is_empty() {
        return Ok(());
    }
    let meta = file.metadata().map_err(errno)?;
    let key = (meta.dev(), meta.ino());
    if metadata.is_empty() {
        table.files.remove(&key);
        return Ok(());
    }
    if table.files.len() >= MAX_FILES && !table.files.contains_key(&key) {
        table.files.retain(|_, kept| kept.is_there());
        if table.files.len() >= MAX_FILES {
            return Err(Errno::NOSPC);
        }
    }
    let kept = Kept {
        // Not the descriptor itself: a program that is open for writing cannot be run.
        file: File::open(link(file)).map_err(errno)?,
        metadata: metadata.clone(),
    };
    table.files.insert(key, kept);
    if !table.is_swept
        && let Ok(runtime) = tokio::runtime::Handle::try_current()
    {
        table.is_swept = true;
        runtime.spawn(let_go());
    }
    Ok(())
}

/// The metadata of a path, links not followed.
pub fn read(path: &Path) -> Metadata {
    let table = table();
    if table.files.is_empty() {
        return Metadata::new();
    }
    let known = fs::symlink_metadata(path)
        .ok()
        .and_then(|meta| table.files.get(&(meta.dev(), meta.ino())));
    known.map(|kept| kept.metadata.clone()).unwrap_or_default()
}

/// Lets removed files go, until there are none.
async fn let_go() {
    let sweep = || {
        let mut table = table();
        table.files.retain(|_, kept| kept.is_there());
        table.is_swept = !table.files.is_empty();
        !table.is_swept
    };
    loop {
        tokio::time::sleep(LOOK).await;
        // A sweep that panicked has let nothing go; the next one tries again.
        if tokio::task::spawn_blocking(sweep).await.unwrap_or(false) {
            return;
        }
    }
}

impl Kept {
    /// Whether the file still has a name. One that really ends like a removed one is asked for.
    fn is_there(&self) -> bool {
        let Ok(name) = fs::read_link(link(&self.file)) else {
            return true;
        };
        let is_marked = name.to_string_lossy().ends_with(REMOVED);
        !is_marked
            || self.file.metadata().is_ok_and(|own| {
                fs::symlink_metadata(&name)
                    .is_ok_and(|found| (found.dev(), found.ino()) == (own.dev(), own.ino()))
            })
    }
}

/// The name of an open file, as the system has it.
fn link(file: &File) -> PathBuf {
    format!("/proc/self/fd/{}", file.as_raw_fd()).into()
}

fn table() -> MutexGuard<'static, Table> {
    // Every change is a single insert or remove, whole even if a holder panicked.
    TABLE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_follows_its_file_and_goes_with_it() {
        let place = tempfile::tempdir_in(".").unwrap();
        let (a, b) = (place.path().join("a"), place.path().join("b (deleted)"));
        let file = File::create(&a).unwrap();
        let set = Metadata::from([("key".into(), "value".into())]);
        replace(&file, &set).unwrap();
        fs::rename(&a, &b).unwrap();
        assert_eq!(read(&b), set);
        assert_eq!(read(&a), Metadata::new());
        let is_there = || table().files.values().all(Kept::is_there);
        assert!(is_there());
        fs::remove_file(&b).unwrap();
        assert!(!is_there());
        replace(&file, &Metadata::new()).unwrap();
        assert!(table().files.is_empty());
    }
}
