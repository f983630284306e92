//! The numbered, bounded log of one execution's events.
//!
//! Events are JSON lines, numbered from 1. The first ones and the last ones are in memory; when
//! that is full, everything goes into a file inside the sandbox as well, so the file is always
//! a prefix of the log, and offsets in it are offsets in the log. When no file can be had (its
//! bound, a full disk), what falls out of the tail is gone, and counted. So there is at most
//! one gap, and a reader that meets it is told its exact size.
//!
//! One writer, any number of readers. The writer never waits for a reader, except for one that
//! asked to hold it, and for that one only where an event would be gone otherwise.

use super::chunk::Chunk;
use super::store::{Spill, Store};
use bytes::Bytes;
use soulbox_protocol::execution::{Kept, Output, Span};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// First events of an execution that stay in memory, in bytes.
const HEAD_BYTES: usize = 32 << 10;

/// Last events that stay in memory while it runs, in bytes. A reader that keeps up never needs
/// the file.
const TAIL_BYTES: usize = 512 << 10;

/// Last events that stay in memory once everything is in a file and nothing more comes.
const ENDED_TAIL_BYTES: usize = 32 << 10;

/// Written to the file at once; fewer and larger calls, since each crosses into the sandbox's
/// kernel.
const WRITE_BYTES: usize = 256 << 10;

/// Files beside the log. Every one of them is named in an event.
const MOST_BESIDE: u64 = 1000;

/// Handed to a reader at once.
pub const PIECE_BYTES: usize = 64 << 10;

/// Known places in the file, from which a reader's first event is searched. When there are as
/// many, every other one is forgotten.
const MARKS: usize = 512;

/// Where a reader is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Number of the event that the next byte belongs to.
    pub event: u64,
    /// The next byte, from the start of the log.
    pub byte: u64,
}

impl Position {
    /// Before the first event.
    pub const START: Self = Self { event: 1, byte: 0 };
}

/// What a reader finds at its position.
pub enum Found {
    /// Bytes from here on, beginning at this position.
    Bytes(Bytes),
    /// The same, in the file: this many bytes from the position on.
    File(Spill, usize),
    /// Nothing from here to there, which is further on.
    Gap(Position),
    /// Nothing yet.
    Nothing,
    /// Nothing any more.
    End,
}

#[derive(Default)]
struct Inner {
    head: Vec<u8>,
    head_events: u64,
    tail: VecDeque<Chunk>,
    tail_bytes: usize,
    file: Option<Spill>,
    /// The file takes no more: its bound, a full disk, or it was taken back.
    file_closed: bool,
    file_events: u64,
    file_bytes: u64,
    marks: Vec<Position>,
    events: u64,
    bytes: u64,
    closed: bool,
    next_holder: u64,
    holders: HashMap<u64, u64>,
    /// Files that results of this execution name, each with its bytes.
    beside: Vec<(PathBuf, u64)>,
    next_beside: u64,
}

/// The log, for its readers.
pub struct Log {
    inner: Mutex<Inner>,
    store: Arc<Store>,
    name: String,
    /// Wakes readers.
    grown: watch::Sender<()>,
    /// Wakes the writer that waits for a holder.
    read: watch::Sender<()>,
}

/// The right to write to a log. The log is closed when it is dropped.
pub struct Writer(Arc<Log>);

/// What has to leave the tail.
enum Surplus {
    None,
    /// To the file, at its end: these bytes, up to this position.
    Write(Spill, Vec<Bytes>, Position),
    /// There is no file for it, but somebody has not read it yet.
    Held,
}

impl Log {
    /// An empty log, whose file would have this name.
    pub fn new(store: Arc<Store>, name: &str) -> (Arc<Self>, Writer) {
        let log = Arc::new(Self {
            inner: Mutex::default(),
            store,
            name: name.into(),
            grown: watch::Sender::new(()),
            read: watch::Sender::new(()),
        });
        let writer = Writer(log.clone());
        (log, writer)
    }

    /// What is where.
    pub fn output(&self) -> Output {
        let inner = self.lock();
        let tail = inner.tail_start();
        let file = inner.file.as_ref().filter(|_| inner.file_bytes > 0);
        let kept = file.map(|file| Kept {
            path: file.path(),
            events: inner.file_events,
            bytes: inner.file_bytes,
        });
        let gone = inner.gap().map(|(from, to)| Span {
            first: from.event,
            events: to.event - from.event,
            bytes: to.byte - from.byte,
        });
        Output {
            events: inner.events,
            bytes: inner.bytes,
            head: Span {
                first: 1,
                events: inner.head_events,
                bytes: inner.head.len() as u64,
            },
            tail: Span {
                first: tail.event,
                events: inner.events + 1 - tail.event,
                bytes: inner.bytes - tail.byte,
            },
            file: kept,
            gone,
        }
    }

    /// Bytes of memory that it takes, with the allocations' own needs left out.
    pub fn resident(&self) -> usize {
        let inner = self.lock();
        inner.head.capacity() + inner.tail_bytes + inner.tail.capacity() * size_of::<Chunk>()
    }

    /// A place at or before an event, from which lines have to be counted.
    pub fn near(&self, event: u64) -> Position {
        let inner = self.lock();
        let tail = inner.tail.iter().rev();
        let places = tail
            .map(|chunk| Position {
                event: chunk.first_event,
                byte: chunk.first_byte,
            })
            .chain(inner.marks.iter().rev().copied());
        let near = places
            .into_iter()
            .find(|place| place.event <= event)
            .unwrap_or(Position::START);
        // What is behind the newest event is waited for at the end.
        if event > inner.events {
            inner.end()
        } else {
            near
        }
    }

    /// What a reader at this position gets, at most [`PIECE_BYTES`] from memory.
    pub fn at(&self, position: Position) -> Found {
        let inner = self.lock();
        let at = position.byte;
        if at < inner.head.len() as u64 {
            let from = usize::try_from(at).unwrap_or(0);
            let to = inner.head.len().min(from + PIECE_BYTES);
            return Found::Bytes(Bytes::copy_from_slice(&inner.head[from..to]));
        }
        if at >= inner.bytes {
            return if inner.closed {
                Found::End
            } else {
                Found::Nothing
            };
        }
        let tail = inner.tail_start();
        if at >= tail.byte {
            let next = inner.tail.partition_point(|chunk| chunk.end_byte() <= at);
            let chunk = &inner.tail[next];
            let offset = usize::try_from(at - chunk.first_byte).unwrap_or(0);
            let bytes = chunk.from(offset);
            return Found::Bytes(bytes.slice(..bytes.len().min(PIECE_BYTES)));
        }
        match &inner.file {
            Some(file) if at < inner.file_bytes => {
                let length = (inner.file_bytes - at).min(WRITE_BYTES as u64);
                Found::File(file.clone(), usize::try_from(length).unwrap_or(PIECE_BYTES))
            }
            _ => Found::Gap(tail),
        }
    }

    /// Where the tail begins: what a reader gets whose file turned out to be damaged.
    pub fn tail(&self) -> Position {
        self.lock().tail_start()
    }

    /// Wakes when something was added, or at the end.
    pub fn growth(&self) -> watch::Receiver<()> {
        self.grown.subscribe()
    }

    /// Makes the writer wait for a reader at this byte; gives the name of the hold.
    pub fn hold(&self, byte: u64) -> u64 {
        let mut inner = self.lock();
        inner.next_holder += 1;
        let holder = inner.next_holder;
        inner.holders.insert(holder, byte);
        holder
    }

    /// Moves a hold; `None` ends it.
    pub fn held(&self, holder: u64, byte: Option<u64>) {
        let mut inner = self.lock();
        match byte {
            Some(byte) => inner.holders.insert(holder, byte),
            None => inner.holders.remove(&holder),
        };
        drop(inner);
        self.read.send_replace(());
    }

    /// Takes its files back, for others need their room. Gives the bytes that they had.
    pub fn forget_files(&self) -> u64 {
        let mut inner = self.lock();
        inner.file_closed = true;
        inner.marks.clear();
        let beside = std::mem::take(&mut inner.beside);
        let beside: u64 = beside.iter().map(remove).sum();
        let Some(file) = inner.file.take() else {
            return beside;
        };
        file.remove();
        inner.file_events = 0;
        beside + std::mem::take(&mut inner.file_bytes)
    }

    /// Keeps a file as long as the log's own. An error when there is no room.
    pub async fn keep(self: &Arc<Self>, suffix: &'static str, bytes: Bytes) -> io::Result<PathBuf> {
        let log = self.clone();
        let keep = move || {
            let number = {
                let mut inner = log.lock();
                inner.next_beside += 1;
                inner.next_beside
            };
            if number > MOST_BESIDE {
                return Err(io::ErrorKind::QuotaExceeded.into());
            }
            let name = format!("{}-{number}.{suffix}", log.name);
            let path = log.store.keep(&log, &name, &bytes)?;
            let kept = (path.clone(), bytes.len() as u64);
            log.lock().beside.push(kept);
            Ok(path)
        };
        tokio::task::spawn_blocking(keep)
            .await
            .map_err(io::Error::other)?
    }

    /// Removes a file that was kept.
    pub fn let_go(&self, path: &Path) {
        let mut inner = self.lock();
        let at = inner.beside.iter().position(|(kept, _)| kept == path);
        let freed = at.map_or(0, |at| remove(&inner.beside.swap_remove(at)));
        drop(inner);
        self.store.give_back(freed);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing in here panics half way through a change.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes a file, and gives the bytes that it had.
fn remove((path, bytes): &(PathBuf, u64)) -> u64 {
    // Whoever has removed it before has done what is wanted.
    let _ = std::fs::remove_file(path);
    *bytes
}

impl Inner {
    fn end(&self) -> Position {
        Position {
            event: self.events + 1,
            byte: self.bytes,
        }
    }

    fn tail_start(&self) -> Position {
        match self.tail.front() {
            Some(chunk) => Position {
                event: chunk.first_event,
                byte: chunk.first_byte,
            },
            None => self.end(),
        }
    }

    /// From where to where nothing is left.
    fn gap(&self) -> Option<(Position, Position)> {
        let head = Position {
            event: self.head_events + 1,
            byte: self.head.len() as u64,
        };
        let file = Position {
            event: self.file_events + 1,
            byte: self.file_bytes,
        };
        let known = if file.byte > head.byte { file } else { head };
        let tail = self.tail_start();
        (tail.byte > known.byte).then_some((known, tail))
    }

    fn push(&mut self, line: Vec<u8>) {
        let length = line.len();
        if self.tail.is_empty() && self.bytes == self.head.len() as u64 && self.fits_head(length) {
            self.head.extend_from_slice(&line);
            self.head_events += 1;
        } else {
            let rest = match self.tail.back_mut() {
                Some(chunk) => chunk.add(line).err(),
                None => Some(line),
            };
            if let Some(line) = rest {
                let chunk = Chunk::new(self.events + 1, self.bytes, line);
                self.tail.push_back(chunk);
            }
            self.tail_bytes += length;
        }
        self.events += 1;
        self.bytes += length as u64;
    }

    fn fits_head(&self, length: usize) -> bool {
        self.head.len() + length <= HEAD_BYTES
    }

    /// What has to leave the tail now.
    fn surplus(&mut self, store: &Arc<Store>, name: &str) -> Surplus {
        while self.tail_bytes > TAIL_BYTES {
            let Some(oldest) = self.tail.front() else {
                break;
            };
            // It is in the file already.
            if oldest.end_byte() <= self.file_bytes {
                self.drop_oldest();
                continue;
            }
            if !self.file_closed {
                let file = self.file.get_or_insert_with(|| store.file(name)).clone();
                let (bytes, to) = self.unwritten();
                return Surplus::Write(file, bytes, to);
            }
            if self.is_held() {
                return Surplus::Held;
            }
            self.drop_oldest();
        }
        Surplus::None
    }

    /// What comes next in the file, about [`WRITE_BYTES`] of it, and where that ends.
    fn unwritten(&mut self) -> (Vec<Bytes>, Position) {
        let mut bytes = Vec::new();
        let mut to = Position {
            event: self.file_events + 1,
            byte: self.file_bytes,
        };
        if self.file_bytes == 0 && !self.head.is_empty() {
            bytes.push(Bytes::copy_from_slice(&self.head));
            to = Position {
                event: self.head_events + 1,
                byte: self.head.len() as u64,
            };
        }
        let mut length = 0;
        let next = self
            .tail
            .partition_point(|chunk| chunk.end_byte() <= to.byte);
        for chunk in self.tail.iter_mut().skip(next) {
            if length >= WRITE_BYTES {
                break;
            }
            chunk.seal();
            length += chunk.len();
            bytes.push(chunk.from(0));
            to = Position {
                event: chunk.end_event(),
                byte: chunk.end_byte(),
            };
        }
        (bytes, to)
    }

    /// Whether somebody has still to read the oldest of the tail.
    fn is_held(&self) -> bool {
        let end = self.tail.front().map_or(0, Chunk::end_byte);
        self.holders.values().any(|read| *read < end)
    }

    fn drop_oldest(&mut self) {
        if let Some(chunk) = self.tail.pop_front() {
            self.tail_bytes -= chunk.len();
        }
    }

    /// Notes what the file holds now; `None` says that it takes no more.
    fn written(&mut self, to: Option<Position>) {
        let (Some(to), Some(_), false) = (to, &self.file, self.file_closed) else {
            self.file_closed = true;
            return;
        };
        if self.marks.len() == MARKS {
            let mut even = false;
            self.marks.retain(|_| {
                even = !even;
                even
            });
        }
        self.marks.push(to);
        (self.file_events, self.file_bytes) = (to.event - 1, to.byte);
    }

    /// Gives memory back that nothing is going to be added to.
    fn trim(&mut self) {
        while self.tail_bytes > ENDED_TAIL_BYTES
            && let Some(oldest) = self.tail.front()
            && oldest.end_byte() <= self.file_bytes
        {
            self.drop_oldest();
        }
        if let Some(last) = self.tail.back_mut() {
            last.seal();
        }
        self.tail.shrink_to_fit();
        self.head.shrink_to_fit();
        self.marks.shrink_to_fit();
    }
}

impl Writer {
    /// Adds a line. Waits for the disk, and for a holder that has not read what would be gone.
    pub async fn append(&self, line: Vec<u8>) {
        debug_assert!(line.ends_with(b"\n"));
        self.0.lock().push(line);
        self.0.grown.send_replace(());
        self.shrink().await;
    }

    /// Before the end: when there is a file, all of the log goes there, if there is room.
    pub async fn flush(&self) {
        loop {
            let write = {
                let mut inner = self.0.lock();
                match inner.file.clone() {
                    Some(file) if !inner.file_closed && inner.file_bytes < inner.bytes => {
                        let (bytes, to) = inner.unwritten();
                        Some((file, bytes, to))
                    }
                    _ => None,
                }
            };
            match write {
                Some((file, bytes, to)) => self.write(file, bytes, to).await,
                None => break,
            }
        }
        self.0.lock().trim();
    }

    async fn shrink(&self) {
        let log = &self.0;
        loop {
            let surplus = log.lock().surplus(&log.store, &log.name);
            match surplus {
                Surplus::None => return,
                Surplus::Held => {
                    let mut read = log.read.subscribe();
                    // It may have read just before this listened.
                    if log.lock().is_held() {
                        // The sender lives in the log.
                        let _ = read.changed().await;
                    }
                }
                Surplus::Write(file, bytes, to) => self.write(file, bytes, to).await,
            }
        }
    }

    async fn write(&self, file: Spill, bytes: Vec<Bytes>, to: Position) {
        let kept = file.append(&self.0, bytes).await;
        self.0.lock().written(kept.then_some(to));
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.grown.send_replace(());
    }
}
