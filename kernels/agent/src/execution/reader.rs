//! A reader of a log: attaches at a number, gets everything from there, or is told the gap.
//!
//! It holds nothing but its position, so one that stops reading costs nothing.

use super::log::{Found, Log, Position};
use bytes::Bytes;
use memchr::{memchr, memchr_iter};
use std::sync::Arc;
use tokio::sync::watch;

/// What a reader gets. Bytes of following pieces are one stream of lines.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// Some of the log. Not always whole lines: one line may be large.
    Bytes {
        /// The event that the first byte belongs to.
        event: u64,
        /// The bytes.
        bytes: Bytes,
    },
    /// Events that are nowhere any more.
    Gap {
        /// The first of them.
        first: u64,
        /// How many.
        events: u64,
    },
    /// A line broke off: its rest is gone.
    Broken,
    /// The log has ended, and all of it was read.
    End,
}

/// One look at the log.
enum Step {
    Piece(Piece),
    /// Only the position has changed.
    Moved,
    /// Nothing is there at the moment.
    Waits,
}

/// A place in a log that moves on.
pub struct Reader {
    log: Arc<Log>,
    position: Position,
    /// Events before this one are passed over.
    from: u64,
    /// Whether the position is in the middle of a line.
    inside: bool,
    hold: Option<u64>,
    growth: watch::Receiver<()>,
}

impl Reader {
    /// Attaches before an event; 0 and 1 are the start.
    pub fn attach(log: &Arc<Log>, from: u64) -> Self {
        Self {
            log: log.clone(),
            position: log.near(from),
            from,
            inside: false,
            hold: None,
            growth: log.growth(),
        }
    }

    /// Attaches to the start, and has the writer wait where this reader would lose something.
    pub fn complete(log: &Arc<Log>) -> Self {
        let mut reader = Self::attach(log, 1);
        reader.hold = Some(log.hold(0));
        reader
    }

    /// The next piece; waits for one. May be cancelled.
    pub async fn next(&mut self) -> Piece {
        loop {
            match self.step().await {
                Step::Piece(piece) => return piece,
                Step::Moved => {}
                Step::Waits => {
                    // The sender lives in the log.
                    let _ = self.growth.changed().await;
                }
            }
        }
    }

    /// The next piece if there is one already.
    pub async fn now(&mut self) -> Option<Piece> {
        loop {
            match self.step().await {
                Step::Piece(piece) => return Some(piece),
                Step::Moved => {}
                Step::Waits => return None,
            }
        }
    }

    async fn step(&mut self) -> Step {
        self.growth.borrow_and_update();
        match self.log.at(self.position) {
            Found::Bytes(bytes) => self.take(bytes),
            Found::File(file, length) => match file.read(self.position.byte, length).await {
                Ok(bytes) if !bytes.is_empty() => self.take(bytes),
                // Somebody in the sandbox has changed it, or it was taken back just now.
                _ => self.leap(self.log.tail()),
            },
            Found::Gap(to) => self.leap(to),
            Found::Nothing => Step::Waits,
            Found::End => Step::Piece(Piece::End),
        }
    }

    /// Moves over bytes that are there.
    fn take(&mut self, mut bytes: Bytes) -> Step {
        while self.position.event < self.from && !bytes.is_empty() {
            let end = memchr(b'\n', &bytes).map_or(bytes.len(), |end| end + 1);
            self.advance(&bytes.split_to(end));
        }
        if bytes.is_empty() {
            return Step::Moved;
        }
        let event = self.position.event;
        self.advance(&bytes);
        Step::Piece(Piece::Bytes { event, bytes })
    }

    fn advance(&mut self, bytes: &[u8]) {
        self.position.event += memchr_iter(b'\n', bytes).count() as u64;
        self.position.byte += bytes.len() as u64;
        self.inside = !bytes.ends_with(b"\n");
        if let Some(holder) = self.hold {
            self.log.held(holder, Some(self.position.byte));
        }
    }

    fn leap(&mut self, to: Position) -> Step {
        let first = self.position.event.max(self.from).max(1);
        let broken = self.inside && self.position.event >= self.from;
        self.position = to;
        self.inside = false;
        if let Some(holder) = self.hold {
            self.log.held(holder, Some(to.byte));
        }
        if broken {
            return Step::Piece(Piece::Broken);
        }
        let events = to.event.saturating_sub(first);
        if events == 0 {
            return Step::Moved;
        }
        Step::Piece(Piece::Gap { first, events })
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some(holder) = self.hold {
            self.log.held(holder, None);
        }
    }
}
