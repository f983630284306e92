//! The clients of a kernel that outlive its processes: sessions, as Jupyter clients have them.
//!
//! A session hears every broadcast, and the answers to what it asked. It keeps what it missed
//! for a while when its connection is lost, also while others stay, and gets it in order when it
//! comes back. It knows nothing of how its client is connected.
//!
//! A kernel waits when no client has room for what it broadcasts. Where one of them keeps up,
//! those that have fallen far behind give up their oldest text instead, and are told.

use super::activity::{Activity, Status};
use super::announcement;
use super::backlog::{Backlog, Sequence, size};
use super::fanout::{Channel, Incoming};
use super::message::Message;
use super::request::ENVIRONMENT_REQUEST;
use jiff::Timestamp;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Bytes that wait for a connected client (section 4.9 of the Jupyter wire contract).
const CONNECTED_BYTES: usize = 64 << 20;

/// Bytes that wait for a client that is away (section 4.5).
const AWAY_BYTES: usize = 16 << 20;

/// How long a client that is away is waited for (section 4.5).
const AWAY: Duration = Duration::from_secs(600);

/// Sessions that are kept without a connection. Clients that never come back are the rule.
const MOST_AWAY: usize = 32;

/// Connections to one kernel.
const MOST_CONNECTIONS: usize = 4096;

/// Requests whose asker is remembered. Answers to older ones are found by their session.
const REMEMBERED_REQUESTS: usize = 4096;

/// Longest wait of an answer for the broadcasts of its request, which come another way.
const HELD: Duration = Duration::from_secs(2);

struct Session {
    backlog: Backlog,
    /// Number of the connection, while there is one.
    connection: Option<u64>,
    wake: Arc<Notify>,
    /// Whether the client can name this session again.
    keeps: bool,
    left: Instant,
    /// The kernel is gone; the connection ends after what is waiting.
    dismissed: bool,
}

struct Asked {
    session: String,
    /// The kernel is done with it, as its broadcasts say.
    idle: bool,
    /// The answer, while broadcasts are still on their way.
    answer: Option<Arc<Incoming>>,
}

#[derive(Default)]
struct State {
    sessions: HashMap<String, Session>,
    asked: HashMap<String, Asked>,
    order: VecDeque<String>,
    connections: u64,
    activity: Activity,
    /// Answer of the present process to the question what it is.
    info: Option<Message>,
}

/// What became of a message.
enum Put {
    Done,
    /// Nobody has room.
    Full,
    /// It follows after the broadcasts.
    Held,
}

impl State {
    fn observe(&mut self, incoming: &Incoming) {
        self.activity.observe(incoming);
        if incoming.channel == Channel::Shell && incoming.msg_type == "kernel_info_reply" {
            self.info = Some(incoming.message.clone());
        }
    }

    fn put(&mut self, incoming: &Arc<Incoming>, others: bool) -> Put {
        if incoming.channel == Channel::Iopub {
            return self.broadcast(incoming, others);
        }
        if let Some(asked) = self.asked.get_mut(&incoming.parent_id) {
            if incoming.msg_type == "execute_reply" && !asked.idle {
                asked.answer = Some(incoming.clone());
                return Put::Held;
            }
            let session = asked.session.clone();
            self.push(&session, incoming.clone());
        } else {
            self.push(&incoming.parent_session, incoming.clone());
        }
        Put::Done
    }

    fn broadcast(&mut self, incoming: &Arc<Incoming>, others: bool) -> Put {
        let bytes = size(incoming);
        let mut connected = self.sessions.values().filter(|s| s.connection.is_some());
        let anybody = connected.clone().next().is_some();
        if !others
            && anybody
            && connected.all(|session| session.backlog.is_full(bytes, CONNECTED_BYTES))
        {
            return Put::Full;
        }
        self.sessions.retain(|_, session| {
            session.push(incoming.clone());
            session.is_kept()
        });
        if Status::of(incoming) == Some(Status::Idle)
            && let Some(asked) = self.asked.get_mut(&incoming.parent_id)
        {
            asked.idle = true;
            self.release(&incoming.parent_id);
        }
        Put::Done
    }

    /// Sends an answer on that waited for broadcasts.
    fn release(&mut self, request: &str) {
        if let Some(asked) = self.asked.get_mut(request)
            && let Some(answer) = asked.answer.take()
        {
            let session = asked.session.clone();
            self.push(&session, answer);
        }
    }

    fn push(&mut self, session: &str, incoming: Arc<Incoming>) {
        if let Some(session) = self.sessions.get_mut(session) {
            session.push(incoming);
        }
    }

    /// Lets go of sessions that nobody came back for.
    fn expire(&mut self) {
        self.sessions.retain(|_, session| session.is_kept());
        let mut away: Vec<(Instant, String)> = self
            .sessions
            .iter()
            .filter(|(_, session)| session.connection.is_none())
            .map(|(name, session)| (session.left, name.clone()))
            .collect();
        if away.len() > MOST_AWAY {
            away.sort();
            let surplus = away.len() - MOST_AWAY;
            for (_, name) in away.into_iter().take(surplus) {
                self.sessions.remove(&name);
            }
        }
    }
}

impl Session {
    /// Whether its client is there, or may still come back.
    fn is_kept(&self) -> bool {
        self.connection.is_some() || self.left.elapsed() < AWAY
    }

    fn push(&mut self, incoming: Arc<Incoming>) {
        if self.dismissed {
            return;
        }
        self.backlog.push(incoming);
        let bound = match self.connection {
            Some(_) => CONNECTED_BYTES,
            None => AWAY_BYTES,
        };
        self.backlog.trim(bound);
        self.wake.notify_one();
    }
}

/// The sessions of one kernel.
#[derive(Default)]
pub struct Audience {
    state: Mutex<State>,
    /// Somebody has room again, or has left.
    room: Notify,
}

impl Audience {
    /// Gives a message to those sessions that it concerns, and waits where nobody has room.
    /// `asked` says that another client asked for it, `others` that other clients took it.
    pub async fn deliver(self: &Arc<Self>, incoming: &Arc<Incoming>, asked: bool, others: bool) {
        let started = {
            let mut state = self.lock();
            state.observe(incoming);
            state.info.is_some()
        };
        if is_internal(incoming, started) || (asked && incoming.channel != Channel::Iopub) {
            return;
        }
        loop {
            let room = self.room.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            let put = self.lock().put(incoming, others);
            match put {
                Put::Done => return,
                Put::Held => {
                    let (audience, request) = (self.clone(), incoming.parent_id.clone());
                    tokio::spawn(async move {
                        tokio::time::sleep(HELD).await;
                        audience.lock().release(&request);
                    });
                    return;
                }
                Put::Full => room.await,
            }
        }
    }

    /// Takes a place. A session that has one already gives it up. `None` when there are too many.
    pub fn join(self: &Arc<Self>, session: Option<&str>) -> Option<Place> {
        let mut state = self.lock();
        state.expire();
        let taken = state.sessions.values().filter(|s| s.connection.is_some());
        if taken.count() >= MOST_CONNECTIONS {
            return None;
        }
        let name = match session {
            Some(name) => name.to_owned(),
            None => uuid::Uuid::new_v4().to_string(),
        };
        state.connections += 1;
        let connection = state.connections;
        let wake = Arc::new(Notify::new());
        let entry = state
            .sessions
            .entry(name.clone())
            .or_insert_with(|| Session {
                backlog: Backlog::default(),
                connection: None,
                wake: wake.clone(),
                keeps: session.is_some(),
                left: Instant::now(),
                dismissed: false,
            });
        let former = std::mem::replace(&mut entry.wake, wake.clone());
        if entry.connection.replace(connection).is_some() {
            entry.backlog.give_back();
        }
        if std::mem::take(&mut entry.dismissed) {
            // What the former connection was to be told is of no use to one that starts anew.
            entry.backlog = Backlog::default();
        }
        former.notify_one();
        Some(Place {
            audience: self.clone(),
            session: name,
            connection,
            wake,
        })
    }

    /// Connections at the moment.
    pub fn connections(&self) -> usize {
        let state = self.lock();
        let sessions = state.sessions.values();
        sessions.filter(|s| s.connection.is_some()).count()
    }

    /// Whether the kernel works on anything that counts.
    pub fn busy(&self) -> bool {
        self.lock().activity.busy()
    }

    /// When something last happened in the kernel.
    pub fn last_activity(&self) -> Timestamp {
        self.lock().activity.last()
    }

    /// Tells every session a state of the kernel that its process cannot tell.
    pub fn announce(&self, state: &str) {
        let message = announcement::state(state);
        for session in self.lock().sessions.values_mut() {
            session.push(message.clone());
        }
    }

    /// The kernel is gone: tells every session, and ends its connection after that.
    pub fn dismiss(&self) {
        let message = announcement::state("dead");
        let mut state = self.lock();
        state
            .sessions
            .retain(|_, session| session.connection.is_some());
        for session in state.sessions.values_mut() {
            session.push(message.clone());
            session.dismissed = true;
        }
        drop(state);
        self.room.notify_waiters();
    }

    /// What its process had under way is lost, and what it said of itself is void.
    pub fn process_ended(&self) {
        let mut state = self.lock();
        state.info = None;
        state.activity.process_ended();
        // Who asked is remembered: what still waits is sent to the next process.
        let answered: Vec<String> = state
            .asked
            .iter()
            .filter(|(_, asked)| asked.answer.is_some())
            .map(|(request, _)| request.clone())
            .collect();
        for request in answered {
            state.release(&request);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A holder that panicked has at worst lost one message of one client.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Messages between us and the kernel are nobody else's: they would look like work. Neither is
/// what a process says of its own before it answers, other than its state.
fn is_internal(incoming: &Incoming, started: bool) -> bool {
    let unasked = incoming.parent_id.is_empty() && incoming.msg_type != "status";
    incoming.msg_type == "iopub_welcome"
        || incoming.parent_type == ENVIRONMENT_REQUEST
        || (unasked && !started)
}

/// What a client gets next.
pub enum Next {
    /// Messages, and the number up to which they go.
    Messages(Vec<Arc<Incoming>>, Sequence),
    /// Nothing at the moment; [`Place::changed`] tells when to ask again.
    Nothing,
    /// Another connection of this session took the place.
    Replaced,
    /// The kernel is gone and everything was taken.
    Dismissed,
}

/// A connected client. Dropping it leaves the session behind, for the client to come back to.
pub struct Place {
    audience: Arc<Audience>,
    session: String,
    connection: u64,
    wake: Arc<Notify>,
}

impl Place {
    fn with<T>(&self, act: impl FnOnce(&mut Session) -> T) -> Option<T> {
        let mut state = self.audience.lock();
        let session = state.sessions.get_mut(&self.session)?;
        (session.connection == Some(self.connection)).then(|| act(session))
    }

    /// The next messages, of about as many bytes at most.
    pub fn next(&self, bytes: usize) -> Next {
        let taken = self.with(|session| match session.backlog.take(bytes) {
            (messages, _) if messages.is_empty() && session.dismissed => Next::Dismissed,
            (messages, _) if messages.is_empty() => Next::Nothing,
            (messages, sequence) => Next::Messages(messages, sequence),
        });
        self.audience.room.notify_waiters();
        taken.unwrap_or(Next::Replaced)
    }

    /// Waits until there may be something to take. Only one may wait at a time.
    pub async fn changed(&self) {
        self.wake.notified().await;
    }

    /// The client has everything up to this number.
    pub fn seen(&self, sequence: Sequence) {
        self.with(|session| session.backlog.seen(sequence));
    }

    /// The client ends the connection of its own will, so nothing that was sent is sent again.
    pub fn farewell(&self) {
        self.with(|session| session.backlog.seen(Sequence::MAX));
    }

    /// Notes that this client asks, before the request is sent.
    pub fn note(&self, request: &str) {
        let mut state = self.audience.lock();
        let asked = Asked {
            session: self.session.clone(),
            idle: false,
            answer: None,
        };
        if state.asked.insert(request.into(), asked).is_none() {
            state.order.push_back(request.into());
        }
        if state.order.len() > REMEMBERED_REQUESTS
            && let Some(oldest) = state.order.pop_front()
        {
            state.release(&oldest);
            state.asked.remove(&oldest);
        }
    }

    /// Answers the question what the kernel is from memory, if the kernel is busy and has
    /// answered it before: its shell would answer when the code has ended.
    pub fn answer_info(&self, question: &Message) -> bool {
        let mut state = self.audience.lock();
        if !state.activity.busy() {
            return false;
        }
        let Some(info) = &state.info else {
            return false;
        };
        let parent = question.header.clone();
        let answer = announcement::message(
            Channel::Shell,
            "kernel_info_reply",
            parent.clone(),
            info.content.clone(),
        );
        let idle = announcement::status("idle", parent.clone());
        // JupyterLab passes over the states that belong to this question, and would otherwise
        // know none before the cell has ended.
        let truth = announcement::state("busy");
        for message in [announcement::status("busy", parent), answer, idle, truth] {
            state.push(&self.session, message);
        }
        true
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let left = self.with(|session| {
            session.connection = None;
            session.left = Instant::now();
            session.backlog.give_back();
            session.backlog.trim(AWAY_BYTES);
            session.keeps && !session.dismissed
        });
        if left.is_some() {
            let mut state = self.audience.lock();
            if left == Some(false) {
                state.sessions.remove(&self.session);
            }
            state.expire();
        }
        self.audience.room.notify_waiters();
    }
}

#[cfg(test)]
#[path = "audience_tests.rs"]
mod tests;
