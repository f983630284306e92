//! Requests to end: Ctrl-C, SIGTERM, and a terminal that was closed. Each is heard from the first
//! moment on, and none is lost while something else is awaited.

use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a shell says of a program that Ctrl-C has ended.
pub const INTERRUPTED: u8 = 130;
const TERMINATED: u8 = 143;
const HUNG_UP: u8 = 129;

/// Listens.
pub struct Asked {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
    status: Option<u8>,
    times: u32,
}

impl Asked {
    /// From now on these signals end nothing by themselves.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
            status: None,
            times: 0,
        })
    }

    /// The exit status that the first request stands for, if there was one.
    pub fn status(&self) -> Option<u8> {
        self.status
    }

    /// Waits for one that was not told yet: its exit status, and how many there were. May be
    /// cancelled.
    pub async fn next(&mut self) -> (u8, u32) {
        let status = tokio::select! {
            _ = self.interrupt.recv() => INTERRUPTED,
            _ = self.terminate.recv() => TERMINATED,
            _ = self.hang_up.recv() => HUNG_UP,
        };
        self.status.get_or_insert(status);
        self.times += 1;
        (status, self.times)
    }

    /// Waits for the second one.
    pub async fn twice(&mut self) -> u8 {
        loop {
            let (status, times) = self.next().await;
            if times > 1 {
                return status;
            }
        }
    }
}
