//! What one client has not taken yet, and what it has taken but may not have seen.
//!
//! A WebSocket acknowledges nothing, so what was sent stays here until the client has answered a
//! ping that was sent after it. When the connection is lost instead, it is sent once more. A large
//! message during whose sending the client vanishes twice is not sent a third time: it would do
//! the same to every further connection. Beyond its bound a backlog gives up the oldest text first, states and
//! answers last, and says how much it was.

use super::announcement;
use super::fanout::{Channel, Incoming};
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::Arc;

/// What a message costs besides its bytes.
const OVERHEAD: usize = 512;

/// Bytes of sent messages that are kept until they are acknowledged. The last one always is.
const UNSEEN_BYTES: usize = 4 << 20;

/// Times that a large message is sent.
const MOST_TRIES: u8 = 2;

/// From this size on, in bytes, a message may be what ends a connection.
const LARGE_BYTES: usize = 1 << 20;

/// Counts the messages of one client.
pub type Sequence = u64;

/// How dear a message is to whoever comes back for it: the first go first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Worth {
    Text,
    Output,
    Display,
    State,
}

impl Worth {
    const CHEAPEST_FIRST: [Self; 4] = [Self::Text, Self::Output, Self::Display, Self::State];

    fn of(incoming: &Incoming) -> Self {
        let content = &incoming.message.content;
        match (incoming.channel, incoming.msg_type.as_str()) {
            (Channel::Iopub, "stream") => Self::Text,
            (Channel::Iopub, "status") => Self::State,
            (Channel::Iopub, "display_data" | "update_display_data")
                if memchr::memmem::find(content, b"\"display_id\"").is_some() =>
            {
                Self::Display
            }
            (Channel::Iopub, _) => Self::Output,
            _ => Self::State,
        }
    }
}

struct Queued {
    incoming: Arc<Incoming>,
    tries: u8,
}

impl Queued {
    fn size(&self) -> usize {
        size(&self.incoming)
    }
}

/// Bytes that a message counts.
pub fn size(incoming: &Incoming) -> usize {
    incoming.message.size() + OVERHEAD
}

/// What was given up since the client was last told.
struct LeftOut {
    parent_header: Bytes,
    messages: usize,
    bytes: usize,
}

/// The messages of one client, in order.
#[derive(Default)]
pub struct Backlog {
    waiting: VecDeque<Queued>,
    waiting_bytes: usize,
    unseen: VecDeque<Queued>,
    unseen_bytes: usize,
    /// Number of the next message that is taken.
    next: Sequence,
    left_out: Option<LeftOut>,
    /// Bytes that were given up since the client last had everything.
    behind: usize,
}

impl Backlog {
    /// Adds a message at the end.
    pub fn push(&mut self, incoming: Arc<Incoming>) {
        self.waiting_bytes += size(&incoming);
        self.waiting.push_back(Queued { incoming, tries: 0 });
    }

    /// Whether `bytes` more would go beyond the bound. A single larger message may wait alone.
    ///
    /// What was given up counts until the client has caught up: the room that it made is not
    /// that of a client who keeps up, and another one who is full must not lose by it.
    pub fn is_full(&self, bytes: usize, bound: usize) -> bool {
        !self.waiting.is_empty() && self.waiting_bytes + self.behind + bytes > bound
    }

    /// Gives up messages until a quarter of the bound is free, if it is exceeded. States and
    /// answers may take twice the bound.
    pub fn trim(&mut self, bound: usize) {
        if self.waiting_bytes <= bound || self.waiting.len() < 2 {
            return;
        }
        for worth in Worth::CHEAPEST_FIRST {
            let room = match worth {
                Worth::State if self.waiting_bytes <= 2 * bound => return,
                Worth::State => 2 * bound,
                _ => bound / 4 * 3,
            };
            let before = std::mem::take(&mut self.waiting);
            let newest = before.len() - 1;
            for (at, queued) in before.into_iter().enumerate() {
                let goes = self.waiting_bytes > room
                    && at != newest
                    && Worth::of(&queued.incoming) == worth;
                if goes {
                    self.waiting_bytes -= queued.size();
                    self.behind += queued.size();
                    self.leave_out(&queued);
                } else {
                    self.waiting.push_back(queued);
                }
            }
            if self.waiting_bytes <= bound {
                return;
            }
        }
    }

    fn leave_out(&mut self, queued: &Queued) {
        let message = &queued.incoming.message;
        let left_out = self.left_out.get_or_insert_with(|| LeftOut {
            parent_header: message.parent_header.clone(),
            messages: 0,
            bytes: 0,
        });
        left_out.messages += 1;
        left_out.bytes += message.size();
    }

    /// Takes the next messages, about as many bytes, with the number of the last one.
    pub fn take(&mut self, bytes: usize) -> (Vec<Arc<Incoming>>, Sequence) {
        let mut taken = Vec::new();
        let mut room = bytes;
        if let Some(left_out) = self.left_out.take() {
            let text = format!(
                "{} messages with {} bytes of output were left out: this client was away or too slow.",
                left_out.messages, left_out.bytes
            );
            taken.push(announcement::notice(&text, left_out.parent_header));
        }
        while room > 0
            && let Some(mut queued) = self.waiting.pop_front()
        {
            room = room.saturating_sub(queued.size());
            self.waiting_bytes -= queued.size();
            taken.push(queued.incoming.clone());
            queued.tries = queued.tries.saturating_add(1);
            self.next += 1;
            self.unseen_bytes += queued.size();
            self.unseen.push_back(queued);
        }
        if self.waiting.is_empty() {
            self.behind = 0;
        }
        while self.unseen_bytes > UNSEEN_BYTES && self.unseen.len() > 1 {
            self.forget_oldest();
        }
        (taken, self.next)
    }

    /// The client has seen everything up to this number.
    pub fn seen(&mut self, sequence: Sequence) {
        while !self.unseen.is_empty() && self.next - (self.unseen.len() as Sequence) < sequence {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some(queued) = self.unseen.pop_front() {
            self.unseen_bytes -= queued.size();
        }
    }

    /// The connection is lost: what was not seen is sent again.
    pub fn give_back(&mut self) {
        self.next -= self.unseen.len() as Sequence;
        self.unseen_bytes = 0;
        for queued in std::mem::take(&mut self.unseen).into_iter().rev() {
            if queued.tries >= MOST_TRIES && queued.size() >= LARGE_BYTES {
                self.leave_out(&queued);
            } else {
                self.waiting_bytes += queued.size();
                self.waiting.push_front(queued);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::message::Message;
    use proptest::prelude::*;

    fn incoming(msg_type: &str, number: usize, bytes: usize) -> Arc<Incoming> {
        let message = Message {
            header: format!(r#"{{"msg_id":"{number}","session":"k","msg_type":"{msg_type}"}}"#)
                .into(),
            parent_header: Bytes::from_static(b"{}"),
            metadata: Bytes::from_static(b"{}"),
            content: vec![b' '; bytes].into(),
            buffers: vec![],
        };
        Arc::new(Incoming::new(Channel::Iopub, message).expect("a header"))
    }

    fn ids(taken: &[Arc<Incoming>]) -> Vec<String> {
        taken.iter().map(|one| one.msg_id.clone()).collect()
    }

    proptest! {
        #[test]
        fn every_message_is_seen_once_and_in_order_however_often_the_connection_is_lost(
            steps in prop::collection::vec(0_u8..5, 1..80),
        ) {
            let mut backlog = Backlog::default();
            let (mut pushed, mut seen, mut last) = (0, Vec::new(), 0);
            let mut flying = Vec::new();
            for step in steps {
                match step {
                    0 | 1 => {
                        backlog.push(incoming("status", pushed, 10));
                        pushed += 1;
                    }
                    2 => {
                        let (taken, sequence) = backlog.take(1);
                        flying.extend(ids(&taken));
                        last = sequence;
                    }
                    3 => {
                        backlog.seen(last);
                        seen.append(&mut flying);
                    }
                    _ => {
                        backlog.give_back();
                        flying.clear();
                        last = backlog.next;
                    }
                }
            }
            backlog.seen(last);
            seen.append(&mut flying);
            seen.extend(ids(&backlog.take(usize::MAX).0));
            prop_assert_eq!(seen, (0..pushed).map(|number| number.to_string()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn text_goes_first_and_states_stay_and_the_loss_is_said() {
        let mut backlog = Backlog::default();
        for number in 0..100 {
            backlog.push(incoming("stream", number, 1000));
            backlog.push(incoming("status", 100 + number, 10));
        }
        backlog.trim(100_000);
        assert!(backlog.waiting_bytes <= 100_000);
        let (taken, _) = backlog.take(usize::MAX);
        assert_eq!(taken[0].msg_type, "stream");
        let said = String::from_utf8_lossy(&taken[0].message.content).into_owned();
        assert!(said.contains("were left out"), "{said}");
        let states = taken.iter().filter(|one| one.msg_type == "status").count();
        assert_eq!(states, 100);
        assert_eq!(taken.last().map(|one| one.msg_id.as_str()), Some("199"));
    }

    #[test]
    fn who_has_given_up_text_is_full_until_everything_was_taken() {
        let (mut backlog, bound) = (Backlog::default(), 100_000);
        for number in 0..100 {
            backlog.push(incoming("stream", number, 1000));
        }
        backlog.trim(bound);
        assert!(backlog.waiting_bytes <= bound / 4 * 3);
        assert!(backlog.is_full(1, bound));
        backlog.take(bound / 2);
        assert!(backlog.is_full(1, bound), "there is more to take");
        backlog.take(bound);
        assert!(!backlog.is_full(bound, bound));
    }

    #[test]
    fn what_ended_two_connections_is_not_sent_a_third_time() {
        let mut backlog = Backlog::default();
        backlog.push(incoming("display_data", 7, LARGE_BYTES));
        for _ in 0..MOST_TRIES {
            assert_eq!(ids(&backlog.take(1).0), ["7"]);
            backlog.give_back();
        }
        let (taken, _) = backlog.take(1);
        assert_eq!((taken.len(), taken[0].msg_type.as_str()), (1, "stream"));
    }
}
