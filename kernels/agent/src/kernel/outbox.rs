//! What clients send to a kernel, until its process takes it.
//!
//! A process that runs code takes a thousand requests and then none; one that starts takes none
//! at all. Messages wait here then, so that none is lost and none is given up half sent, and a
//! client that sends too much is held back. Channels wait for themselves: an answer on control
//! must not stand behind requests on shell.

use super::Life;
use super::fanout::Channel;
use super::message::Message;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

/// Messages that may wait on one channel.
const MESSAGES: usize = 1024;

/// Bytes that may wait on one channel. A single larger message waits alone.
const BYTES: u32 = 16 << 20;

/// What a message counts besides its bytes.
const OVERHEAD: usize = 512;

struct Waiting {
    message: Message,
    _room: OwnedSemaphorePermit,
}

struct Queue {
    messages: mpsc::Sender<Waiting>,
    room: Arc<Semaphore>,
}

impl Queue {
    fn new(channel: Channel, life: watch::Receiver<Life>) -> Self {
        let (messages, waiting) = mpsc::channel(MESSAGES);
        tokio::spawn(forward(channel, waiting, life));
        Self {
            messages,
            room: Arc::new(Semaphore::new(BYTES as usize)),
        }
    }

    async fn send(&self, message: Message) {
        let bytes = u32::try_from(message.size() + OVERHEAD).unwrap_or(BYTES);
        let Ok(room) = self.room.clone().acquire_many_owned(bytes.min(BYTES)).await else {
            return;
        };
        // Fails only when the kernel is gone, which its clients are told.
        let _ = self
            .messages
            .send(Waiting {
                message,
                _room: room,
            })
            .await;
    }
}

/// The queues in front of one kernel. They end when it is dropped.
pub struct Outbox {
    shell: Queue,
    control: Queue,
    stdin: Queue,
}

impl Outbox {
    /// For the kernel whose life this is.
    pub fn new(life: watch::Receiver<Life>) -> Self {
        Self {
            shell: Queue::new(Channel::Shell, life.clone()),
            control: Queue::new(Channel::Control, life.clone()),
            stdin: Queue::new(Channel::Stdin, life),
        }
    }

    /// Adds a message at the end of its channel, when there is room.
    pub async fn send(&self, channel: Channel, message: Message) {
        match channel {
            Channel::Control => self.control.send(message).await,
            Channel::Stdin => self.stdin.send(message).await,
            Channel::Shell | Channel::Iopub => self.shell.send(message).await,
        }
    }
}

async fn forward(
    channel: Channel,
    mut waiting: mpsc::Receiver<Waiting>,
    mut life: watch::Receiver<Life>,
) {
    while let Some(next) = waiting.recv().await {
        let live = life.wait_for(|life| match life {
            Life::Live(link) => link.loss().is_none(),
            // Nobody will take it: a kernel that is started again is another one to clients.
            Life::Dead(_) => true,
            Life::Unstarted | Life::Starting | Life::Restarting => false,
        });
        let link = match live.await.map(|life| life.clone()) {
            Ok(Life::Live(link)) => link,
            Ok(_) => continue,
            Err(_) => return,
        };
        // A process that is gone takes nothing more, even if a child of it holds its sockets.
        let replaced =
            life.wait_for(|life| !matches!(life, Life::Live(other) if Arc::ptr_eq(other, &link)));
        tokio::select! {
            sent = link.pass(channel, &next.message) => {
                if sent.is_err() {
                    tracing::debug!("a message did not reach its kernel");
                }
            }
            _ = replaced => {}
        }
    }
}
