//! The connection to one kernel process: its sockets, its clients, the process itself.
//!
//! A link belongs to one incarnation of a kernel. When the process is gone the link is closed
//! with the reason, every client's queue ends, and a restarted kernel has another link, so a
//! message can never reach the wrong incarnation.

use super::audience::Audience;
use super::connection::Connection;
use super::fanout::{Attachment, Channel, Fanout, Hears, Incoming};
use super::loss::Loss;
use super::message::{Key, Message};
use super::request::{self, Request};
use super::spec::InterruptMode;
use super::wire;
use super::zmq::{self, SocketError};
use super::zmtp::{self, Writer};
use crate::process::reaper::Child;
use bytes::Bytes;
use std::collections::HashSet;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Between two repetitions of the first question, for kernels that announce no subscription.
const NUDGE_AGAIN: Duration = Duration::from_millis(500);

/// When nothing has come for this long after the process is gone, nothing more will.
const DRAINED: Duration = Duration::from_millis(30);

/// Longest wait for clients to take what a dead kernel had still said.
const DRAIN_DEADLINE: Duration = Duration::from_secs(5);

/// Requests that may be under way at once before the kernel counts as busy anyway.
const MOST_OUTSTANDING: usize = 4096;

/// One kernel process, as its clients reach it. The directory of its sockets goes with it.
pub struct Link {
    key: Key,
    shell: Sender,
    control: Sender,
    stdin: Sender,
    fanout: Arc<Fanout>,
    traffic: Arc<Traffic>,
    readers: Mutex<JoinSet<()>>,
    /// Streams that are read; each ends once.
    streams: usize,
    child: Arc<Child>,
    interrupt: InterruptMode,
    loss: OnceLock<Loss>,
    /// The subscription to broadcasts, and the directory of the sockets.
    _sockets: Option<(Writer, Connection)>,
}

/// Where the requests of one channel are sent.
enum Sender {
    Zmq(zmq::Sender),
    Wire(Channel, Arc<wire::Sender>),
}

impl Sender {
    async fn send(&self, frames: &[Bytes]) -> Result<(), SocketError> {
        match self {
            Self::Zmq(sender) => sender.send(frames).await,
            Self::Wire(channel, sender) => sender.send(*channel, frames).await,
        }
    }

    async fn send_patiently(&self, frames: &[Bytes]) -> Result<(), SocketError> {
        match self {
            Self::Zmq(sender) => sender.send_patiently(frames).await,
            Self::Wire(channel, sender) => sender.send_patiently(*channel, frames).await,
        }
    }
}

/// One stream from the kernel.
enum Reader {
    Zmq(Channel, zmtp::Reader),
    Wire(wire::Reader),
}

impl Reader {
    async fn next(&mut self) -> io::Result<(Channel, Vec<Bytes>)> {
        match self {
            Self::Zmq(channel, reader) => Ok((*channel, reader.next().await?)),
            Self::Wire(reader) => reader.next().await,
        }
    }
}

/// What the readers count.
#[derive(Default)]
struct Traffic {
    received: AtomicU64,
    delivered: AtomicU64,
    refused: AtomicU64,
    /// Channels whose stream has ended.
    ended: watch::Sender<usize>,
    outstanding: Mutex<HashSet<String>>,
}

impl Traffic {
    /// Keeps the set of requests that the kernel works on, from its own status messages. The
    /// last status alone would not do: subshells work side by side.
    fn status(&self, incoming: &Incoming) {
        if incoming.channel != Channel::Iopub || incoming.msg_type != "status" {
            return;
        }
        let mut outstanding = self
            .outstanding
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let content = &incoming.message.content;
        if memchr::memmem::find(content, b"\"busy\"").is_some()
            && outstanding.len() < MOST_OUTSTANDING
        {
            outstanding.insert(incoming.parent_id.clone());
        } else if memchr::memmem::find(content, b"\"idle\"").is_some() {
            outstanding.remove(&incoming.parent_id);
        }
    }
}

impl Link {
    /// Connects all sockets of a process that is starting. The caller watches whether it ends.
    pub async fn connect(
        connection: Connection,
        child: Arc<Child>,
        interrupt: InterruptMode,
        audience: Arc<Audience>,
        until: Instant,
    ) -> Result<Self, SocketError> {
        let key = connection.key();
        let identity = format!("soulbox-{}", uuid::Uuid::new_v4().simple());
        // The broadcasts first: no answer may be there before somebody listens.
        let (subscription, iopub) = zmq::subscriber(&connection.iopub(), until).await?;
        let (shell, shell_answers) = zmq::dealer(&connection.shell(), &identity, until).await?;
        let (control, control_answers) =
            zmq::dealer(&connection.control(), &identity, until).await?;
        let (stdin, questions) = zmq::dealer(&connection.stdin(), &identity, until).await?;
        let readers = vec![
            Reader::Zmq(Channel::Iopub, iopub),
            Reader::Zmq(Channel::Shell, shell_answers),
            Reader::Zmq(Channel::Control, control_answers),
            Reader::Zmq(Channel::Stdin, questions),
        ];
        let [shell, control, stdin] = [shell, control, stdin].map(Sender::Zmq);
        let mut link = Self::over(
            key,
            [shell, control, stdin],
            readers,
            child,
            interrupt,
            audience,
        );
        link._sockets = Some((subscription, connection));
        Ok(link)
    }

    /// The link to a process that was forked with the other ends of these: one for cells and
    /// what they broadcast, one for what must not wait for cells.
    pub fn wired(
        cells: UnixStream,
        control: UnixStream,
        child: Arc<Child>,
        interrupt: InterruptMode,
        audience: Arc<Audience>,
    ) -> Self {
        let (answers, requests) = wire::split(cells, &[Channel::Shell, Channel::Iopub]);
        let (asides, orders) = wire::split(control, &[Channel::Control, Channel::Stdin]);
        let (requests, orders) = (Arc::new(requests), Arc::new(orders));
        let senders = [
            Sender::Wire(Channel::Shell, requests),
            Sender::Wire(Channel::Control, orders.clone()),
            Sender::Wire(Channel::Stdin, orders),
        ];
        let readers = vec![Reader::Wire(answers), Reader::Wire(asides)];
        Self::over(Key::none(), senders, readers, child, interrupt, audience)
    }

    fn over(
        key: Key,
        [shell, control, stdin]: [Sender; 3],
        streams: Vec<Reader>,
        child: Arc<Child>,
        interrupt: InterruptMode,
        audience: Arc<Audience>,
    ) -> Self {
        let fanout = Arc::new(Fanout::new(audience));
        let traffic = Arc::new(Traffic::default());
        let count = streams.len();
        let mut readers = JoinSet::new();
        for reader in streams {
            readers.spawn(read(reader, key.clone(), fanout.clone(), traffic.clone()));
        }
        Self {
            key,
            shell,
            control,
            stdin,
            fanout,
            traffic,
            readers: Mutex::new(readers),
            streams: count,
            child,
            interrupt,
            loss: OnceLock::new(),
            _sockets: None,
        }
    }

    /// Becomes a client of this process. `None` when it has ended.
    pub fn attach(&self, hears: Hears) -> Option<Attachment> {
        self.fanout.attach(&uuid::Uuid::new_v4().to_string(), hears)
    }

    /// Sends a request on shell or control.
    pub async fn ask(
        &self,
        client: &Attachment,
        channel: Channel,
        request: &Request,
    ) -> Result<(), SocketError> {
        self.fanout.note(client, &request.id);
        let frames = self.key.frames(&request.message);
        match channel {
            Channel::Control => self.control.send(&frames).await,
            Channel::Stdin => self.stdin.send(&frames).await,
            _ => self.shell.send(&frames).await,
        }
    }

    /// Sends a message of a client who is known elsewhere, however long the kernel takes to
    /// take it. Not to be given up in the middle, which would end the channel for everybody.
    pub async fn pass(&self, channel: Channel, message: &Message) -> Result<(), SocketError> {
        let frames = self.key.frames(message);
        match channel {
            Channel::Control => self.control.send_patiently(&frames).await,
            Channel::Stdin => self.stdin.send_patiently(&frames).await,
            Channel::Shell | Channel::Iopub => self.shell.send_patiently(&frames).await,
        }
    }

    /// Asks and waits for the answer on the same channel.
    pub async fn answer(
        &self,
        channel: Channel,
        until: Instant,
        make: impl Fn(&str) -> Request,
    ) -> Result<Arc<Incoming>, SocketError> {
        let mut client = self.attach(Hears::Answers).ok_or(SocketError::Stuck)?;
        let request = make(client.session());
        self.ask(&client, channel, &request).await?;
        loop {
            match tokio::time::timeout_at(until, client.next()).await {
                Ok(Some(delivery)) if delivery.incoming.channel == channel => {
                    return Ok(delivery.incoming.clone());
                }
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => return Err(SocketError::Stuck),
            }
        }
    }

    /// Waits until the kernel has answered on its shell and its broadcasts are heard.
    pub async fn ready(&self, until: Instant) -> Result<(), SocketError> {
        let mut client = self.attach(Hears::Everything).ok_or(SocketError::Stuck)?;
        let (mut answered, mut broadcast) = (false, false);
        let request = request::kernel_info(client.session());
        self.ask(&client, Channel::Shell, &request).await?;
        while !(answered && broadcast) {
            // A kernel that welcomes subscribers is heard from the first; for any other one
            // the question is repeated until its idle state is heard.
            let again = (Instant::now() + NUDGE_AGAIN).min(until);
            match tokio::time::timeout_at(again, client.next()).await {
                Ok(Some(delivery)) if delivery.incoming.channel == Channel::Iopub => {
                    broadcast = true
                }
                Ok(Some(delivery)) => answered |= delivery.incoming.channel == Channel::Shell,
                Ok(None) => return Err(SocketError::Stuck),
                Err(_) if Instant::now() >= until => return Err(SocketError::Missing),
                Err(_) if answered => {
                    let request = request::kernel_info(client.session());
                    self.ask(&client, Channel::Shell, &request).await?;
                }
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// Interrupts what runs, in the way that the kernel wants it.
    pub async fn interrupt(&self) {
        match self.interrupt {
            InterruptMode::Signal => {
                self.child.signal_group(libc::SIGINT);
            }
            InterruptMode::Message => {
                if let Some(client) = self.attach(Hears::Answers) {
                    let request = request::interrupt(client.session());
                    // A kernel that does not take it is not interrupted; the caller repeats.
                    let _ = self.ask(&client, Channel::Control, &request).await;
                }
            }
        }
    }

    /// The process behind the link.
    pub fn child(&self) -> &Arc<Child> {
        &self.child
    }

    /// Whether any client's request is being worked on.
    pub fn busy(&self) -> bool {
        !self
            .traffic
            .outstanding
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_empty()
    }

    /// Why the link was closed, once it is.
    pub fn loss(&self) -> Option<&Loss> {
        self.loss.get()
    }

    /// Waits until the kernel has closed a channel, or has sent what no kernel may send.
    pub async fn broken(&self) {
        // The sender lives as long as the link.
        let _ = self
            .traffic
            .ended
            .subscribe()
            .wait_for(|ended| *ended > 0)
            .await;
    }

    /// Waits until clients have what the ended process had still said: to the end of all
    /// channels, or, where a child of it holds them open, until nothing more comes.
    pub async fn drain(&self) {
        let until = Instant::now() + DRAIN_DEADLINE;
        let counts = || {
            let delivered = self.traffic.delivered.load(Ordering::Acquire);
            (self.traffic.received.load(Ordering::Acquire), delivered)
        };
        loop {
            let before = counts();
            let mut ended = self.traffic.ended.subscribe();
            if let Ok(Ok(_)) =
                tokio::time::timeout(DRAINED, ended.wait_for(|ended| *ended == self.streams)).await
            {
                return;
            }
            let after = counts();
            if (before == after && after.0 == after.1) || Instant::now() >= until {
                return;
            }
        }
    }

    /// Ends every client's queue; they find the reason in [`Link::loss`].
    pub fn close(&self, loss: Loss) {
        let _ = self.loss.set(loss);
        self.fanout.close();
        self.readers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .abort_all();
        let refused = self.traffic.refused.load(Ordering::Relaxed);
        if refused > 0 {
            tracing::warn!(
                refused,
                "messages of a kernel were dropped: bad signature or shape"
            );
        }
    }
}

async fn read(mut reader: Reader, key: Key, fanout: Arc<Fanout>, traffic: Arc<Traffic>) {
    while let Ok((channel, frames)) = reader.next().await {
        match key
            .open(frames)
            .and_then(|message| Incoming::new(channel, message))
        {
            Ok(incoming) => {
                traffic.received.fetch_add(1, Ordering::AcqRel);
                traffic.status(&incoming);
                fanout.deliver(incoming).await;
                traffic.delivered.fetch_add(1, Ordering::AcqRel);
            }
            Err(_) => {
                traffic.refused.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
    traffic.ended.send_modify(|ended| *ended += 1);
}
