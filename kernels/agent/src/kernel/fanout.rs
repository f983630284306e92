//! One kernel, many clients: who gets which message.
//!
//! Broadcasts (iopub) go to everybody who listens, answers and questions (shell, control,
//! stdin) only to whoever asked. All clients share one set of sockets, so the asker is known
//! by the id of the request, which is noted when it is sent, and failing that by the session.
//!
//! Clients that outlive the process are found in the [`Audience`]; what nobody here asked for is
//! theirs.
//!
//! Nothing is dropped: a client's queue has a budget in bytes, and when it is full the reader
//! of the kernel waits. A client that must not hold others up keeps its own queue empty.

use super::audience::Audience;
use super::message::{BadMessage, Message};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// Bytes of messages that may wait for one client. A single larger message waits alone.
const QUEUE_BYTES: u32 = 8 << 20;

/// Messages that may wait for one client, whatever their size.
const QUEUE_MESSAGES: usize = 1024;

/// Requests whose asker is remembered. Answers to older ones are found by their session.
const REMEMBERED_REQUESTS: usize = 4096;

/// Clients of one kernel: far more than people or programs share one.
const MOST_CLIENTS: usize = 4096;

/// Where a message came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// Answers to requests, in order.
    Shell,
    /// Answers to requests that do not wait for running code.
    Control,
    /// Questions of the kernel to whoever runs code.
    Stdin,
    /// Broadcasts.
    Iopub,
}

/// A message of the kernel, with what routing read from it.
#[derive(Debug)]
pub struct Incoming {
    /// Where it came from.
    pub channel: Channel,
    /// `msg_id` of its header.
    pub msg_id: String,
    /// `msg_type` of its header.
    pub msg_type: String,
    /// `msg_id` of the request that it belongs to; empty when to none.
    pub parent_id: String,
    /// `msg_type` of that request.
    pub parent_type: String,
    pub(super) parent_session: String,
    /// The frames, as they came.
    pub message: Message,
}

impl Incoming {
    /// Reads header and parent header.
    pub fn new(channel: Channel, message: Message) -> Result<Self, BadMessage> {
        let message = message.compact();
        let head = message.head()?;
        let (msg_id, msg_type) = (head.msg_id.into_owned(), head.msg_type.into_owned());
        let parent = message.parent();
        let (parent_id, parent_session) = (parent.msg_id.into_owned(), parent.session.into_owned());
        let parent_type = parent.msg_type.into_owned();
        Ok(Self {
            channel,
            msg_id,
            msg_type,
            parent_id,
            parent_type,
            parent_session,
            message,
        })
    }
}

/// Which broadcasts a client wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hears {
    /// All of them.
    Everything,
    /// Those that its own requests cause.
    Answers,
    /// Those that no client of the kind [`Hears::Answers`] has caused: what others do.
    Others,
}

/// A message on its way to one client. Its room in the queue is free again when it is dropped.
pub struct Delivery {
    /// The message.
    pub incoming: Arc<Incoming>,
    _room: OwnedSemaphorePermit,
}

#[derive(Clone)]
struct Seat {
    session: String,
    hears: Hears,
    queue: mpsc::Sender<Delivery>,
    room: Arc<Semaphore>,
}

type ClientId = u64;

#[derive(Default)]
struct Table {
    closed: bool,
    next: ClientId,
    seats: HashMap<ClientId, Seat>,
    /// Who asked, and what that client hears; it may have left since.
    askers: HashMap<String, (ClientId, Hears)>,
    asked: VecDeque<String>,
}

impl Table {
    fn asker(&self, incoming: &Incoming) -> Option<(ClientId, Hears)> {
        if incoming.parent_id.is_empty() && incoming.parent_session.is_empty() {
            return None;
        }
        let by_request = self.askers.get(&incoming.parent_id).copied();
        by_request.or_else(|| {
            let mut seats = self.seats.iter();
            seats
                .find(|(_, seat)| seat.session == incoming.parent_session)
                .map(|(id, seat)| (*id, seat.hears))
        })
    }

    /// Who gets a message, and whether one of them asked for it.
    fn receivers(&self, incoming: &Incoming) -> (Vec<Seat>, bool) {
        let asker = self.asker(incoming);
        let everybody = incoming.channel == Channel::Iopub;
        let private = asker.is_some_and(|(_, hears)| hears == Hears::Answers);
        let wants = |id: ClientId, seat: &Seat| {
            let listens = match seat.hears {
                Hears::Everything => true,
                Hears::Others => !private,
                Hears::Answers => false,
            };
            asker.is_some_and(|(asker, _)| asker == id) || (everybody && listens)
        };
        let seats = self.seats.iter().filter(|(id, seat)| wants(**id, seat));
        let receivers = seats.map(|(_, seat)| seat.clone()).collect();
        (receivers, asker.is_some())
    }
}

/// The clients of one kernel.
#[derive(Default)]
pub struct Fanout {
    table: Mutex<Table>,
    audience: Arc<Audience>,
}

impl Fanout {
    /// For a process whose further clients are these.
    pub fn new(audience: Arc<Audience>) -> Self {
        Self {
            table: Mutex::default(),
            audience,
        }
    }

    /// Adds a client with a session id of its own. `None` when the kernel has ended, or has
    /// too many clients.
    pub fn attach(self: &Arc<Self>, session: &str, hears: Hears) -> Option<Attachment> {
        let (queue, deliveries) = mpsc::channel(QUEUE_MESSAGES);
        let room = Arc::new(Semaphore::new(QUEUE_BYTES as usize));
        let mut table = self.lock();
        if table.closed || table.seats.len() >= MOST_CLIENTS {
            return None;
        }
        let id = table.next;
        table.next += 1;
        table.seats.insert(
            id,
            Seat {
                session: session.into(),
                hears,
                queue,
                room,
            },
        );
        Some(Attachment {
            id,
            session: session.into(),
            deliveries,
            fanout: self.clone(),
        })
    }

    /// Notes who asks, before the request is sent.
    pub fn note(&self, client: &Attachment, request: &str) {
        let mut table = self.lock();
        if table.asked.len() == REMEMBERED_REQUESTS
            && let Some(oldest) = table.asked.pop_front()
        {
            table.askers.remove(&oldest);
        }
        table.asked.push_back(request.into());
        let hears = table
            .seats
            .get(&client.id)
            .map_or(Hears::Answers, |seat| seat.hears);
        table.askers.insert(request.into(), (client.id, hears));
    }

    /// Hands a message to its receivers, and waits where a queue is full.
    pub async fn deliver(&self, incoming: Incoming) {
        let (receivers, asked) = self.lock().receivers(&incoming);
        let incoming = Arc::new(incoming);
        // One of ours that listens to everything is no client who keeps up.
        let others = receivers.iter().any(|seat| seat.hears == Hears::Answers);
        self.audience.deliver(&incoming, asked, others).await;
        for seat in receivers {
            let bytes = u32::try_from(incoming.message.size())
                .unwrap_or(QUEUE_BYTES)
                .min(QUEUE_BYTES);
            // Both fail only when the client has left, which is no loss.
            if let Ok(room) = seat.room.acquire_many_owned(bytes).await {
                let _ = seat
                    .queue
                    .send(Delivery {
                        incoming: incoming.clone(),
                        _room: room,
                    })
                    .await;
            }
        }
    }

    /// Ends every queue after what is in it, and takes no further client.
    pub fn close(&self) {
        let mut table = self.lock();
        table.closed = true;
        table.seats.clear();
        table.askers.clear();
        table.asked.clear();
        drop(table);
        self.audience.process_ended();
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // A holder that panicked has at worst lost one note of an asker.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A client of a kernel. Dropping it gives its place up.
pub struct Attachment {
    id: ClientId,
    session: String,
    deliveries: mpsc::Receiver<Delivery>,
    fanout: Arc<Fanout>,
}

impl Attachment {
    /// The session id that its requests carry.
    pub fn session(&self) -> &str {
        &self.session
    }

    /// The next message for this client; `None` when the kernel has ended.
    pub async fn next(&mut self) -> Option<Delivery> {
        self.deliveries.recv().await
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        self.fanout.lock().seats.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use std::time::Duration;

    fn incoming(channel: Channel, parent: &str, session: &str, bytes: usize) -> Incoming {
        let message = Message {
            header: Bytes::from_static(br#"{"msg_id":"m","session":"kernel","msg_type":"stream"}"#),
            parent_header: Bytes::from(format!(r#"{{"msg_id":"{parent}","session":"{session}"}}"#)),
            metadata: Bytes::from_static(b"{}"),
            content: Bytes::from(vec![b'x'; bytes]),
            buffers: vec![],
        };
        Incoming::new(channel, message).expect("a header")
    }

    async fn heard(client: &mut Attachment) -> usize {
        let mut count = 0;
        while tokio::time::timeout(Duration::from_millis(10), client.next())
            .await
            .is_ok_and(|next| next.is_some())
        {
            count += 1;
        }
        count
    }

    #[tokio::test]
    async fn answers_go_to_the_asker_and_broadcasts_to_all_who_listen() {
        let fanout = Arc::new(Fanout::default());
        let mut asker = fanout.attach("a", Hears::Answers).expect("a place");
        let mut listener = fanout.attach("b", Hears::Everything).expect("a place");
        let mut stranger = fanout.attach("c", Hears::Answers).expect("a place");
        let mut recorder = fanout.attach("d", Hears::Others).expect("a place");
        fanout.note(&asker, "1");
        fanout.note(&listener, "2");
        fanout
            .deliver(incoming(Channel::Shell, "1", "anything", 1))
            .await;
        fanout
            .deliver(incoming(Channel::Iopub, "1", "anything", 1))
            .await;
        fanout
            .deliver(incoming(Channel::Stdin, "unknown", "a", 1))
            .await;
        assert_eq!(
            (
                heard(&mut asker).await,
                heard(&mut listener).await,
                heard(&mut stranger).await
            ),
            (3, 1, 0)
        );
        fanout
            .deliver(incoming(Channel::Iopub, "2", "anything", 1))
            .await;
        drop((asker, listener));
        fanout
            .deliver(incoming(Channel::Iopub, "1", "anything", 1))
            .await;
        fanout
            .deliver(incoming(Channel::Iopub, "2", "anything", 1))
            .await;
        assert_eq!(heard(&mut recorder).await, 2, "what others asked for");
    }

    #[tokio::test]
    async fn a_full_queue_holds_the_reader_until_the_client_takes_or_leaves() {
        let fanout = Arc::new(Fanout::default());
        let mut client = fanout.attach("a", Hears::Answers).expect("a place");
        let large = 3 * QUEUE_BYTES as usize;
        fanout
            .deliver(incoming(Channel::Iopub, "", "a", large))
            .await;
        let blocked = tokio::spawn({
            let fanout = fanout.clone();
            async move {
                fanout.deliver(incoming(Channel::Iopub, "", "a", 1)).await;
                fanout
                    .deliver(incoming(Channel::Iopub, "", "a", large))
                    .await;
            }
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(!blocked.is_finished());
        drop(client.next().await);
        assert!(client.next().await.is_some());
        drop(client);
        blocked.await.expect("it ends when the client has left");
    }

    #[tokio::test]
    async fn what_was_delivered_before_the_end_is_still_read() {
        let fanout = Arc::new(Fanout::default());
        let mut client = fanout.attach("a", Hears::Answers).expect("a place");
        fanout.deliver(incoming(Channel::Iopub, "", "a", 1)).await;
        fanout.close();
        assert!(client.next().await.is_some());
        assert!(client.next().await.is_none());
        assert!(fanout.attach("b", Hears::Answers).is_none());
    }
}
