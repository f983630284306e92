//! What the host counts for this sandbox and the sandbox cannot see: out-of-memory kills and
//! refused forks.
//!
//! The node holds one stream open (`GET /questions` of the control plane). When a kernel was
//! lost, the agent asks on it, and the node answers with `POST /hardship`. The node also tells
//! of its own accord when a counter has moved, so that what happened before is known before.

use bytes::Bytes;
use futures_util::stream::{self, Stream};
use soulbox_protocol::control::Hardship;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::watch;

/// Longest wait for the node's answer. It reads two files; a busy machine takes longer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Longest wait of an execution for an answer that is on its way when it begins.
const SETTLED: Duration = Duration::from_millis(500);

/// What was counted since the sandbox began. Absent when nobody can say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Processes that were ended for want of memory.
    pub oom_kills: Option<u64>,
    /// Forks that the process limit refused.
    pub forks_refused: Option<u64>,
}

/// The last known counters, and the way to ask for present ones.
#[derive(Default)]
pub struct HardshipDesk {
    /// How often was told, and what.
    told: watch::Sender<(u64, Counters)>,
    /// How often was asked.
    asked: watch::Sender<u64>,
    /// Whether an answer is on its way.
    pending: AtomicBool,
}

impl HardshipDesk {
    /// What is known without asking.
    pub fn known(&self) -> Counters {
        self.told.borrow().1
    }

    /// Asks without waiting: something may have happened that must not be taken for new later.
    pub fn refresh(&self) {
        if self.asked.receiver_count() > 0 {
            self.pending.store(true, Ordering::Release);
            self.asked.send_modify(|asked| *asked += 1);
        }
    }

    /// What is known, after an answer that is on its way.
    pub async fn settled(&self) -> Counters {
        let mut told = self.told.subscribe();
        let before = told.borrow_and_update().0;
        if self.pending.load(Ordering::Acquire) {
            let answered = told.wait_for(|(number, _)| *number > before);
            let _ = tokio::time::timeout(SETTLED, answered).await;
            self.pending.store(false, Ordering::Release);
        }
        self.known()
    }

    /// What is so now, if somebody is there to say it; else what is known.
    pub async fn fresh(&self) -> Counters {
        if self.asked.receiver_count() > 0 {
            let mut told = self.told.subscribe();
            let before = told.borrow_and_update().0;
            self.asked.send_modify(|asked| *asked += 1);
            let answered = told.wait_for(|(number, _)| *number > before);
            // Without an answer, what is known has to do.
            let _ = tokio::time::timeout(PATIENCE, answered).await;
        }
        self.known()
    }

    /// Takes the node's word.
    pub fn tell(&self, told: &Hardship) {
        let counters = Counters {
            oom_kills: told.oom_kills,
            forks_refused: told.forks_refused,
        };
        self.pending.store(false, Ordering::Release);
        self.told
            .send_modify(|(number, known)| (*number, *known) = (*number + 1, counters));
    }

    /// A line for every question, for as long as somebody reads.
    pub fn questions(self: &Arc<Self>) -> impl Stream<Item = Result<Bytes, Infallible>> + use<> {
        let asked = self.asked.subscribe();
        stream::unfold(asked, async |mut asked| {
            asked.changed().await.ok()?;
            asked.borrow_and_update();
            Some((Ok(Bytes::from_static(b"?\n")), asked))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::StreamExt as _;

    #[tokio::test]
    async fn a_question_is_answered_by_whoever_listens() {
        let desk = Arc::new(HardshipDesk::default());
        assert_eq!(desk.fresh().await, Counters::default());
        let mut questions = Box::pin(desk.questions());
        let node = async {
            questions.next().await;
            desk.tell(&Hardship {
                oom_kills: Some(1),
                forks_refused: None,
            });
        };
        let (counters, ()) = tokio::join!(desk.fresh(), node);
        assert_eq!(counters.oom_kills, Some(1));
        assert_eq!(desk.known(), counters);
        desk.refresh();
        let node = async {
            questions.next().await;
            desk.tell(&Hardship {
                oom_kills: Some(2),
                forks_refused: None,
            });
        };
        let (counters, ()) = tokio::join!(desk.settled(), node);
        assert_eq!(counters.oom_kills, Some(2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_does_not_answer_is_not_waited_for_long() {
        let desk = Arc::new(HardshipDesk::default());
        let _questions = desk.questions();
        assert_eq!(desk.fresh().await, Counters::default());
    }
}
