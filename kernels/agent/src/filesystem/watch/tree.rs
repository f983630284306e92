//! Which directories are covered by which watchers, and what the kernel says of them.
//!
//! A directory that comes to be below a recursive watcher is covered when its CREATE is taken
//! up. What was made in it before that is found by a look into it and told as if the kernel
//! had told it; what the kernel tells as well, because it happened in between, is told once.

use super::event::{Event, Kind};
use super::{WatchError, Watcher};
use crate::filesystem::entry::{Entry, Names};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;
use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Directories that one watcher covers. Each costs the kernel about a kilobyte.
const MAX_DIRECTORIES: usize = 65_536;

/// Bytes of events that are read at a time: some thousand.
const BUFFER: usize = 64 << 10;

/// Events that are taken up at a time: more than the kernel keeps, so everything that was
/// there at the start, and an end even if somebody makes them faster than they are read.
const MAX_TAKEN: usize = 65_536;

/// What is asked of the kernel.
const EVENTS: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::ATTRIB)
    .union(WatchFlags::MODIFY)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::ONLYDIR);

/// One directory, as one watcher has it.
struct Cover {
    watcher: u64,
    /// Below the watcher's directory; empty for that itself.
    below: PathBuf,
    /// Names that were found and told before the kernel told them.
    found: HashSet<OsString>,
    /// It was moved away, and nothing is told of it unless it turns up again.
    is_away: bool,
}

/// A watcher and how many directories it covers.
struct Member {
    watcher: Arc<Watcher>,
    directories: usize,
}

/// A directory that was moved away, until it is known where to.
struct Moved {
    cookie: u32,
    watcher: u64,
    from: PathBuf,
}

/// All covered directories.
#[derive(Default)]
pub struct Tree {
    inotify: Option<Arc<OwnedFd>>,
    /// By the kernel's number of the watch.
    covers: HashMap<i32, Vec<Cover>>,
    members: HashMap<u64, Member>,
    last: u64,
}

impl Tree {
    /// Opens the descriptor, and returns it when it is new.
    pub fn open(&mut self) -> io::Result<Option<Arc<OwnedFd>>> {
        if self.inotify.is_some() {
            return Ok(None);
        }
        let new = Arc::new(inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?);
        self.inotify = Some(new.clone());
        Ok(Some(new))
    }

    /// Adds a watcher and covers its directory.
    pub fn add(&mut self, watcher: Arc<Watcher>) -> Result<u64, WatchError> {
        self.last += 1;
        let number = self.last;
        let member = Member {
            watcher,
            directories: 0,
        };
        self.members.insert(number, member);
        let covered = self.cover(number, Path::new(""), None);
        if covered.is_err() {
            self.remove(number);
        }
        covered.map(|()| number)
    }

    /// Removes a watcher and everything it covers.
    pub fn remove(&mut self, number: u64) {
        self.uncover(number, Path::new(""));
        self.members.remove(&number);
    }

    /// Takes up what the kernel has to say. Returns whether there may be more.
    pub fn take_up(&mut self) -> bool {
        let Some(descriptor) = self.inotify.clone() else {
            return false;
        };
        let mut buffer = vec![MaybeUninit::uninit(); BUFFER];
        let mut reader = Reader::new(descriptor, &mut buffer);
        let mut names = Names::default();
        let mut moved = Vec::new();
        let mut taken = 0;
        let mut more = true;
        while more && (taken < MAX_TAKEN || !reader.is_buffer_empty()) {
            match reader.next() {
                Ok(event) => {
                    taken += 1;
                    let name = event
                        .file_name()
                        .map(|name| OsStr::from_bytes(name.to_bytes()).to_owned());
                    let (watch, flags, cookie) = (event.wd(), event.events(), event.cookie());
                    self.event(watch, flags, cookie, name, &mut moved, &mut names);
                }
                Err(Errno::INTR) => {}
                // Nothing more; or an error that the next event will meet again.
                Err(_) => more = false,
            }
        }
        // Those that went out of sight.
        for gone in moved {
            self.uncover(gone.watcher, &gone.from);
        }
        more
    }

    fn event(
        &mut self,
        watch: i32,
        flags: ReadFlags,
        cookie: u32,
        name: Option<OsString>,
        moved: &mut Vec<Moved>,
        names: &mut Names,
    ) {
        if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
            return self.overflowed();
        }
        if flags.contains(ReadFlags::IGNORED) {
            for cover in self.covers.remove(&watch).unwrap_or_default() {
                self.count(cover.watcher, -1);
            }
            return;
        }
        let Some(kind) = kind(flags) else { return };
        let is_directory = flags.contains(ReadFlags::ISDIR);
        for (number, below) in self.told(watch, kind, name.as_deref()) {
            let Some(member) = self.members.get(&number) else {
                continue;
            };
            let watcher = member.watcher.clone();
            tell(&watcher, &below, kind, names);
            if !watcher.recursive || !is_directory || name.is_none() {
                continue;
            }
            if flags.contains(ReadFlags::MOVED_FROM) {
                self.put_away(number, &below);
                moved.push(Moved {
                    cookie,
                    watcher: number,
                    from: below,
                });
                continue;
            }
            let from = moved
                .iter()
                .position(|old| old.cookie == cookie && old.watcher == number && cookie != 0);
            let covered = match (kind, from) {
                (Kind::Create, Some(place)) => {
                    let old = moved.swap_remove(place);
                    self.rename(number, &old.from, &below);
                    Ok(())
                }
                // What came with its content tells nothing of it: nothing happened to that.
                (Kind::Create, None) if flags.contains(ReadFlags::MOVED_TO) => {
                    self.cover(number, &below, None)
                }
                (Kind::Create, None) => self.cover(number, &below, Some(names)),
                _ => Ok(()),
            };
            if covered.is_err() {
                // From here on some directory is not seen, and the client must know.
                watcher.lose();
            }
        }
    }

    /// Who is told of this event, and under which path.
    fn told(&mut self, watch: i32, kind: Kind, name: Option<&OsStr>) -> Vec<(u64, PathBuf)> {
        let mut told = Vec::new();
        let covers = self.covers.get_mut(&watch).into_iter().flatten();
        for cover in covers.filter(|cover| !cover.is_away) {
            match name {
                Some(name) => {
                    let was_found = match kind {
                        Kind::Create | Kind::Remove | Kind::Rename => cover.found.remove(name),
                        Kind::Write | Kind::Chmod => false,
                    };
                    if !(was_found && kind == Kind::Create) {
                        told.push((cover.watcher, cover.below.join(name)));
                    }
                }
                // The directory above tells the same of a directory below the root.
                None if cover.below.as_os_str().is_empty() => {
                    told.push((cover.watcher, PathBuf::new()));
                }
                None => {}
            }
        }
        told
    }

    /// Covers a directory and, for a recursive watcher, everything below it. With `names`
    /// what is found there is told as new.
    fn cover(
        &mut self,
        number: u64,
        below: &Path,
        mut names: Option<&mut Names>,
    ) -> Result<(), WatchError> {
        let (Some(descriptor), Some(member)) = (self.inotify.clone(), self.members.get(&number))
        else {
            return Ok(());
        };
        let watcher = member.watcher.clone();
        let mut waiting = vec![below.to_owned()];
        while let Some(below) = waiting.pop() {
            let is_root = below.as_os_str().is_empty();
            let path = watcher.root.join(&below);
            let mut flags = EVENTS;
            // The root may be a link; below it none is followed.
            flags.set(WatchFlags::DONT_FOLLOW, !is_root);
            let watch = match inotify::add_watch(&descriptor, &path, flags) {
                Ok(watch) => watch,
                Err(Errno::NOSPC) => return Err(WatchError::TooManyDirectories(MAX_DIRECTORIES)),
                Err(error) if is_root => return Err(io::Error::from(error).into()),
                // It has gone again, or was replaced by something else.
                Err(_) => continue,
            };
            let covers = self.covers.entry(watch).or_default();
            let known = covers
                .iter()
                .any(|cover| cover.watcher == number && cover.below == below && !cover.is_away);
            if known && names.is_some() {
                continue;
            }
            if !known {
                covers.push(Cover {
                    watcher: number,
                    below: below.clone(),
                    found: HashSet::new(),
                    is_away: false,
                });
                if self.count(number, 1) > MAX_DIRECTORIES {
                    return Err(WatchError::TooManyDirectories(MAX_DIRECTORIES));
                }
            }
            if !watcher.recursive {
                continue;
            }
            for child in std::fs::read_dir(&path).into_iter().flatten().flatten() {
                let (name, kind) = (child.file_name(), child.file_type());
                let inside = below.join(&name);
                if let Some(names) = names.as_deref_mut() {
                    tell(&watcher, &inside, Kind::Create, names);
                    let is_filled = kind.as_ref().is_ok_and(std::fs::FileType::is_file)
                        && child.metadata().is_ok_and(|meta| meta.len() > 0);
                    if is_filled {
                        tell(&watcher, &inside, Kind::Write, names);
                    }
                    let covers = self.covers.get_mut(&watch).into_iter().flatten();
                    for cover in covers.filter(|cover| cover.watcher == number) {
                        cover.found.insert(name.clone());
                    }
                }
                if kind.is_ok_and(|kind| kind.is_dir()) {
                    waiting.push(inside);
                }
            }
        }
        Ok(())
    }

    /// Ends the covering of a directory and of everything below it.
    fn uncover(&mut self, number: u64, below: &Path) {
        let mut ended = 0;
        let mut unused = Vec::new();
        for (watch, covers) in &mut self.covers {
            let before = covers.len();
            covers.retain(|cover| cover.watcher != number || !cover.below.starts_with(below));
            ended += before - covers.len();
            if covers.is_empty() {
                unused.push(*watch);
            }
        }
        for watch in unused {
            self.covers.remove(&watch);
            if let Some(descriptor) = &self.inotify {
                // Fails when the directory has gone by itself.
                let _ = inotify::remove_watch(descriptor, watch);
            }
        }
        if let Some(member) = self.members.get_mut(&number) {
            member.directories = member.directories.saturating_sub(ended);
        }
    }

    /// A covered directory has another name now.
    fn rename(&mut self, number: u64, from: &Path, to: &Path) {
        for cover in self.covers.values_mut().flatten() {
            if cover.watcher != number {
                continue;
            }
            if let Ok(rest) = cover.below.strip_prefix(from) {
                cover.is_away = false;
                // Joining an empty path would add a slash.
                cover.below = if rest.as_os_str().is_empty() {
                    to.to_owned()
                } else {
                    to.join(rest)
                };
            }
        }
    }

    /// A covered directory has left its place.
    fn put_away(&mut self, number: u64, from: &Path) {
        for cover in self.covers.values_mut().flatten() {
            if cover.watcher == number && cover.below.starts_with(from) {
                cover.is_away = true;
            }
        }
    }

    /// The kernel could not keep all events: everybody is told, and what may have been missed
    /// is covered again.
    fn overflowed(&mut self) {
        let numbers: Vec<u64> = self.members.keys().copied().collect();
        for number in numbers {
            // Whether this succeeds or not, the client has to look for itself.
            let _ = self.cover(number, Path::new(""), None);
            if let Some(member) = self.members.get(&number) {
                member.watcher.lose();
            }
        }
    }

    /// Counts a watcher's directories.
    fn count(&mut self, number: u64, change: isize) -> usize {
        let Some(member) = self.members.get_mut(&number) else {
            return 0;
        };
        member.directories = member.directories.saturating_add_signed(change);
        member.directories
    }
}

/// Tells one watcher.
fn tell(watcher: &Watcher, below: &Path, kind: Kind, names: &mut Names) {
    let is_described =
        watcher.include_entry && matches!(kind, Kind::Create | Kind::Write | Kind::Chmod);
    let (name, path) = if below.as_os_str().is_empty() {
        (".".into(), watcher.root.clone())
    } else {
        (
            below.to_string_lossy().into_owned(),
            watcher.root.join(below),
        )
    };
    watcher.push(Event {
        name,
        kind,
        entry: is_described.then(|| Entry::of(&path, names).ok()).flatten(),
    });
}

/// What the contract calls it.
fn kind(flags: ReadFlags) -> Option<Kind> {
    let any = |of: ReadFlags| flags.intersects(of);
    if any(ReadFlags::CREATE | ReadFlags::MOVED_TO) {
        Some(Kind::Create)
    } else if any(ReadFlags::MODIFY) {
        Some(Kind::Write)
    } else if any(ReadFlags::DELETE | ReadFlags::DELETE_SELF) {
        Some(Kind::Remove)
    } else if any(ReadFlags::MOVED_FROM | ReadFlags::MOVE_SELF) {
        Some(Kind::Rename)
    } else if any(ReadFlags::ATTRIB) {
        Some(Kind::Chmod)
    } else {
        None
    }
}
