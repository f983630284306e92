//! Tells the agent of a cell what the host counts for it: out-of-memory kills, refused forks.
//!
//! Inside the sandbox nobody can see these, and without them a killed kernel is only a killed
//! kernel. The agent asks when it has lost one; besides, what has changed is told from time to
//! time, so that the agent can tell a new kill from an old one. The agent lives with hostile
//! code, so questions are answered at a bounded rate and nothing that they say is read.

use crate::cell::LiveCell;
use http_body_util::BodyExt;
use soulbox_protocol::control::Hardship;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};

/// Pause between looks at the counters when nobody asks.
const PERIOD: Duration = Duration::from_secs(5);
/// Shortest pause between answers.
const PAUSE: Duration = Duration::from_millis(50);
/// Before the questions are asked for again, when the agent refused.
const AGAIN: Duration = Duration::from_secs(5);
/// One answer. The agent shares its cell's processor time with the client's code.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Answers for as long as the cell lives. Never ends.
pub async fn tell(live: &LiveCell) {
    let mut told = Hardship::default();
    loop {
        if let Ok(mut questions) = live.agent.questions().await {
            let mut next = Instant::now();
            loop {
                tokio::select! {
                    frame = questions.frame() => match frame {
                        Some(Ok(_)) => {
                            told = counted(live);
                            // A late answer is asked for again.
                            let _ = live.agent.tell_hardship(&told, ANSWER_TIMEOUT).await;
                            sleep(PAUSE).await;
                        }
                        _ => break,
                    },
                    () = sleep_until(next) => {
                        next = Instant::now() + PERIOD;
                        let now = counted(live);
                        if now != told && live.agent.tell_hardship(&now, ANSWER_TIMEOUT).await.is_ok() {
                            told = now;
                        }
                    }
                }
            }
        }
        sleep(AGAIN).await;
    }
}

fn counted(live: &LiveCell) -> Hardship {
    let evidence = live.handle.hardship();
    Hardship {
        oom_kills: evidence.oom_kills,
        forks_refused: evidence.forks_refused,
    }
}
