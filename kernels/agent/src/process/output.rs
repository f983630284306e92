//! Output of one process on its way to everybody who watches it.
//!
//! Nobody watches: it is dropped, and the process never waits. Somebody watches: he gets
//! everything, so a slow reader slows the process down, as a pipe would. Several watch: each
//! gets everything, but one that takes nothing for [`STALL`] while others wait is cut off,
//! and told so. What a watcher can hold back is bounded by its queue.

use super::reaper::Exit;
use bytes::Bytes;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;

/// Pieces that wait for one watcher; each has at most 32 KiB.
const QUEUE: usize = 16;

/// Watchers of one process.
const MAX_WATCHERS: usize = 64;

/// How long one watcher may hold the others up.
const STALL: Duration = Duration::from_secs(30);

/// Where a piece of output came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Descriptor 1.
    Stdout,
    /// Descriptor 2.
    Stderr,
    /// The terminal of the process.
    Terminal,
}

/// A piece of output, as read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Where it came from.
    pub source: Source,
    /// The bytes; UTF-8 sequences may be split.
    pub bytes: Bytes,
}

/// What a watcher is told next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// More output.
    Output(Piece),
    /// The process has ended, and this watcher has had all of its output.
    End(Exit),
    /// This watcher was too slow for the others.
    CutOff,
}

/// The fan-out of one process.
#[derive(Default)]
pub struct Output {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    watchers: Vec<Place>,
    exit: Option<Exit>,
}

/// The agent's end of one watcher.
#[derive(Clone)]
struct Place {
    pieces: mpsc::Sender<Piece>,
    /// Set when the watcher is cut off: it has not had everything.
    cut: Arc<AtomicBool>,
}

/// One reader. Dropping it detaches.
pub struct Watcher {
    pieces: mpsc::Receiver<Piece>,
    cut: Arc<AtomicBool>,
    output: Arc<Output>,
}

impl Output {
    /// Attaches a reader: it gets all output from now on. `None` when there are too many.
    pub fn attach(self: &Arc<Self>) -> Option<Watcher> {
        let (sender, pieces) = mpsc::channel(QUEUE);
        let cut = Arc::new(AtomicBool::new(false));
        let mut state = self.lock();
        if state.exit.is_none() {
            state.watchers.retain(|place| !place.pieces.is_closed());
            if state.watchers.len() >= MAX_WATCHERS {
                return None;
            }
            state.watchers.push(Place {
                pieces: sender,
                cut: cut.clone(),
            });
        }
        Some(Watcher {
            pieces,
            cut,
            output: self.clone(),
        })
    }

    /// Hands a piece to all watchers; waits for those that are behind.
    pub async fn publish(&self, source: Source, bytes: &[u8]) {
        let watchers = self.lock().watchers.clone();
        if watchers.is_empty() {
            return;
        }
        let piece = Piece {
            source,
            bytes: Bytes::copy_from_slice(bytes),
        };
        for place in watchers {
            if self.deliver(&place.pieces, &piece).await.is_err() {
                place.cut.store(true, Ordering::Release);
                self.lock()
                    .watchers
                    .retain(|other| !other.pieces.same_channel(&place.pieces));
            }
        }
    }

    /// Fails when the watcher has gone or must go.
    async fn deliver(&self, watcher: &mpsc::Sender<Piece>, piece: &Piece) -> Result<(), ()> {
        loop {
            match tokio::time::timeout(STALL, watcher.reserve()).await {
                Ok(Ok(place)) => {
                    place.send(piece.clone());
                    return Ok(());
                }
                Ok(Err(_)) => return Err(()),
                // Alone it only holds up the process that it watches, as a pipe does.
                Err(_) if self.lock().watchers.len() > 1 => return Err(()),
                Err(_) => {}
            }
        }
    }

    /// Says that all output has been published and how the process ended.
    pub fn finish(&self, exit: Exit) {
        let mut state = self.lock();
        state.exit = Some(exit);
        state.watchers.clear();
    }

    /// How it ended, once [`Self::finish`] was called.
    pub fn exit(&self) -> Option<Exit> {
        self.lock().exit
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watcher {
    /// Waits for what comes next. May be cancelled without loss.
    pub async fn next(&mut self) -> Next {
        match self.pieces.recv().await {
            Some(piece) => Next::Output(piece),
            None if self.cut.load(Ordering::Acquire) => Next::CutOff,
            None => self.output.exit().map_or(Next::CutOff, Next::End),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(text: &'static str) -> Next {
        Next::Output(Piece {
            source: Source::Stdout,
            bytes: Bytes::from_static(text.as_bytes()),
        })
    }

    #[tokio::test(start_paused = true)]
    async fn output_that_nobody_watches_is_dropped() {
        let fan = Arc::new(Output::default());
        for _ in 0..1000 {
            fan.publish(Source::Stdout, b"x").await;
        }
        let mut late = fan.attach().unwrap();
        fan.publish(Source::Stdout, b"y").await;
        fan.finish(Exit::Code(0));
        assert_eq!(late.next().await, output("y"));
        assert_eq!(late.next().await, Next::End(Exit::Code(0)));
        assert_eq!(fan.attach().unwrap().next().await, Next::End(Exit::Code(0)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_watcher_that_stalls_others_is_cut_off() {
        let fan = Arc::new(Output::default());
        let mut stalled = fan.attach().unwrap();
        let mut lively = fan.attach().unwrap();
        let writer = tokio::spawn({
            let fan = fan.clone();
            async move {
                for _ in 0..100 {
                    fan.publish(Source::Stdout, b"x").await;
                }
                fan.finish(Exit::Code(1));
            }
        });
        for _ in 0..100 {
            assert_eq!(lively.next().await, output("x"));
        }
        assert_eq!(lively.next().await, Next::End(Exit::Code(1)));
        writer.await.unwrap();
        for _ in 0..QUEUE {
            assert_eq!(stalled.next().await, output("x"));
        }
        // The process has ended by now, but this one must not believe that it saw everything.
        assert_eq!(stalled.next().await, Next::CutOff);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lone_slow_watcher_loses_nothing() {
        let fan = Arc::new(Output::default());
        let mut slow = fan.attach().unwrap();
        let writer = tokio::spawn({
            let fan = fan.clone();
            async move {
                for _ in 0..100 {
                    fan.publish(Source::Stdout, b"x").await;
                }
                fan.finish(Exit::Code(0));
            }
        });
        tokio::time::sleep(STALL * 5).await;
        for _ in 0..100 {
            assert_eq!(slow.next().await, output("x"));
        }
        assert_eq!(slow.next().await, Next::End(Exit::Code(0)));
        writer.await.unwrap();
    }
}
