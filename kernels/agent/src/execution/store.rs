//! The files of executions whose output is too much for memory, inside the sandbox.
//!
//! They are on the sandbox's own disk and count against its quota, so they are kept from
//! filling it: each file and all together have a bound, and a part of the disk stays free for
//! the code that runs. When there is no room, files of the oldest ended executions go first.
//! Whoever is root in the sandbox may change or remove them; that harms nobody else.

use super::log::Log;
use bytes::Bytes;
use std::collections::VecDeque;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, IoSlice, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Where the files are.
const DIRECTORY: &str = "/var/lib/soulbox/executions";

/// Names another directory. For tests outside a sandbox.
const DIRECTORY_VARIABLE: &str = "SOULBOX_AGENT_EXECUTIONS";

/// The largest file: a gigabyte of prints with what is around them.
const FILE_BYTES: u64 = 2 << 30;

/// All files together.
const ALL_BYTES: u64 = 4 << 30;

/// Part of the disk that these files leave free: one of so many.
const FREE_PART: u64 = 4;

/// The free space is looked at once for so many written bytes.
const LOOK_BYTES: u64 = 8 << 20;

/// Ended executions whose files are remembered as the first to go. More are not kept.
const MOST_ENDED: usize = 4096;

/// What the files of all executions have in common.
pub struct Store {
    directory: PathBuf,
    bounds: Bounds,
    used: Mutex<Used>,
}

/// How much may be written.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// To one file, in bytes.
    pub file: u64,
    /// To all files, in bytes.
    pub all: u64,
    /// Part of the disk that is left free: one of so many.
    pub free_part: u64,
}

#[derive(Default)]
struct Used {
    bytes: u64,
    ended: VecDeque<Weak<Log>>,
}

/// The file of one log. It is made by the first write.
#[derive(Clone)]
pub struct Spill {
    store: Arc<Store>,
    path: PathBuf,
    /// Held for a moment only.
    file: Arc<Mutex<Option<Arc<File>>>>,
    /// The writer's own.
    written: Arc<Mutex<Written>>,
}

#[derive(Default)]
struct Written {
    bytes: u64,
    next_look: u64,
}

impl Store {
    /// The store of this sandbox.
    pub fn of_the_sandbox() -> Arc<Self> {
        let named = std::env::var_os(DIRECTORY_VARIABLE).map(PathBuf::from);
        let bounds = Bounds {
            file: FILE_BYTES,
            all: ALL_BYTES,
            free_part: FREE_PART,
        };
        Self::new(named.unwrap_or_else(|| DIRECTORY.into()), bounds)
    }

    /// A store in this directory, which need not exist.
    pub fn new(directory: PathBuf, bounds: Bounds) -> Arc<Self> {
        Arc::new(Self {
            directory,
            bounds,
            used: Mutex::default(),
        })
    }

    /// The file of the log with this name, not yet made.
    pub fn file(self: &Arc<Self>, name: &str) -> Spill {
        Spill {
            store: self.clone(),
            path: self.directory.join(format!("{name}.jsonl")),
            file: Arc::default(),
            written: Arc::default(),
        }
    }

    /// Writes a file that belongs to a log, such as the original of a picture. Blocks. An error
    /// when there is no room.
    pub fn keep(&self, log: &Log, name: &str, bytes: &[u8]) -> io::Result<PathBuf> {
        self.make_directory()?;
        let length = bytes.len() as u64;
        if length > self.bounds.file || !self.take(log, length, true) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let path = self.directory.join(name);
        let written = new_file(&path).and_then(|file| write_all(&file, vec![IoSlice::new(bytes)]));
        if let Err(error) = written {
            let _ = std::fs::remove_file(&path);
            self.give_back(length);
            return Err(error);
        }
        Ok(path)
    }

    fn make_directory(&self) -> io::Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(&self.directory)
    }

    /// Notes that a log has ended, so that its file may go when others need the room.
    pub fn ended(&self, log: &Arc<Log>) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.ended.retain(|log| log.strong_count() > 0);
        let oldest = if used.ended.len() >= MOST_ENDED {
            used.ended.pop_front()
        } else {
            None
        };
        used.ended.push_back(Arc::downgrade(log));
        drop(used);
        if let Some(oldest) = oldest.and_then(|log| log.upgrade()) {
            self.give_back(oldest.forget_files());
        }
    }

    /// Notes that a file of this size is gone.
    pub fn give_back(&self, bytes: u64) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.bytes = used.bytes.saturating_sub(bytes);
    }

    /// Takes room for a write by `log`, if need be that of logs which have ended.
    fn take(&self, log: &Log, bytes: u64, look: bool) -> bool {
        loop {
            let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
            let fits = used.bytes + bytes <= self.bounds.all;
            if fits && (!look || self.disk_has_room(bytes)) {
                used.bytes += bytes;
                return true;
            }
            let Some(oldest) = used.ended.pop_front() else {
                return false;
            };
            drop(used);
            if let Some(oldest) = oldest.upgrade()
                && !std::ptr::eq(Arc::as_ptr(&oldest), log)
            {
                self.give_back(oldest.forget_files());
            }
        }
    }

    fn disk_has_room(&self, bytes: u64) -> bool {
        let Ok(disk) = rustix::fs::statvfs(&self.directory) else {
            return false;
        };
        let free = disk.f_bavail * disk.f_frsize;
        free >= bytes + disk.f_blocks * disk.f_frsize / self.bounds.free_part
    }
}

impl Spill {
    /// Its path inside the sandbox.
    pub fn path(&self) -> String {
        self.path.to_string_lossy().into_owned()
    }

    /// Writes at the end. `false` when there is no room, and then the file takes no more.
    pub async fn append(&self, log: &Arc<Log>, bytes: Vec<Bytes>) -> bool {
        let (this, log) = (self.clone(), log.clone());
        let written = tokio::task::spawn_blocking(move || this.write(&log, &bytes)).await;
        matches!(written, Ok(Ok(true)))
    }

    fn write(&self, log: &Log, bytes: &[Bytes]) -> io::Result<bool> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let file = match self.open_file() {
            Some(file) => file,
            None if written.bytes == 0 => self.make()?,
            None => return Ok(false),
        };
        let length: u64 = bytes.iter().map(|part| part.len() as u64).sum();
        let look = written.bytes >= written.next_look;
        let fits = written.bytes + length <= self.store.bounds.file;
        if !fits || !self.store.take(log, length, look) {
            return Ok(false);
        }
        if look {
            written.next_look = written.bytes + LOOK_BYTES;
        }
        let slices: Vec<IoSlice<'_>> = bytes.iter().map(|part| IoSlice::new(part)).collect();
        if let Err(error) = write_all(&file, slices) {
            // What is a part of a write is no line.
            let _ = file.set_len(written.bytes);
            self.store.give_back(length);
            return Err(error);
        }
        written.bytes += length;
        Ok(true)
    }

    fn open_file(&self) -> Option<Arc<File>> {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.clone()
    }

    fn make(&self) -> io::Result<Arc<File>> {
        self.store.make_directory()?;
        let made = Arc::new(new_file(&self.path)?);
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        *file = Some(made.clone());
        Ok(made)
    }

    /// At most `length` bytes from an offset; fewer when somebody has cut the file.
    pub async fn read(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        let file = self.open_file().ok_or(io::ErrorKind::NotFound)?;
        let read = move || {
            let mut bytes = vec![0; length];
            let count = file.read_at(&mut bytes, offset)?;
            bytes.truncate(count);
            Ok(Bytes::from(bytes))
        };
        tokio::task::spawn_blocking(read)
            .await
            .map_err(io::Error::other)?
    }

    /// Removes the file. Readers that are in it get to the end of what they asked for.
    pub fn remove(&self) {
        // Whoever has removed it before has done what is wanted.
        let _ = std::fs::remove_file(&self.path);
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        *file = None;
    }
}

/// A file that did not exist, so nobody's link leads us elsewhere.
fn new_file(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .append(true)
        .create_new(true)
        .mode(0o644)
        .open(path)
}

fn write_all(mut file: &File, mut slices: Vec<IoSlice<'_>>) -> io::Result<()> {
    let mut rest = slices.as_mut_slice();
    while !rest.is_empty() {
        match file.write_vectored(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => IoSlice::advance_slices(&mut rest, count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
