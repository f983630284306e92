//! The ways out that the node offers, and how one is taken.
//!
//! Each is a request of the control plane that waits for its answer. Whoever takes one
//! answers it with a destination, hears what became of it, and has a connection then.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, StatusCode};
use soulbox_carrier::{Broken, Incoming, Outgoing};
use soulbox_protocol::egress::{DESTINATION, DESTINATION_BYTES, Outcome};
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Notify, oneshot};

/// Offers that are kept. The node holds fewer open.
const OFFERS: usize = 64;

/// How long a connection waits for a way out while all are in use.
const WAIT: Duration = Duration::from_secs(30);

/// How long the node may take. It gives up sooner by itself.
const ANSWER: Duration = Duration::from_secs(60);

/// Silence in both directions after which a connection is given up. The node's is shorter.
const IDLE: Duration = Duration::from_secs(3600);

/// Why there is no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoExit {
    /// The node said so; never [`Outcome::Connected`].
    Said(Outcome),
    /// All ways out are in use.
    Busy,
    /// The node is gone, or broke off.
    Lost,
}

struct Offer {
    body: Body,
    answer: oneshot::Sender<Response>,
}

/// The ways out.
#[derive(Default)]
pub struct Exits {
    offers: Mutex<VecDeque<Offer>>,
    offered: Notify,
}

/// A connection to somewhere outside.
pub struct Exit {
    incoming: Incoming<Body>,
    outgoing: Outgoing,
}

impl Exits {
    /// Keeps an offer until somebody takes it. Dropped by the server when the node takes the
    /// offer back.
    pub async fn offer(&self, body: Body) -> Response {
        let (answer, answered) = oneshot::channel();
        {
            let mut offers = self.offers();
            offers.retain(|offer| !offer.answer.is_closed());
            if offers.len() >= OFFERS {
                return status(StatusCode::TOO_MANY_REQUESTS);
            }
            offers.push_back(Offer { body, answer });
        }
        self.offered.notify_one();
        let answered = answered.await;
        answered.unwrap_or_else(|_| status(StatusCode::SERVICE_UNAVAILABLE))
    }

    /// Connects to a destination: `host:port`, as it was written.
    pub async fn open(&self, destination: &str) -> Result<Exit, NoExit> {
        let malformed = NoExit::Said(Outcome::Malformed);
        if destination.len() > DESTINATION_BYTES {
            return Err(malformed);
        }
        let named = HeaderValue::from_bytes(destination.as_bytes()).map_err(|_| malformed)?;
        let taken = tokio::time::timeout(WAIT, self.take(&named)).await;
        let (incoming, outgoing) = taken.map_err(|_| NoExit::Busy)?;
        let mut exit = Exit { incoming, outgoing };
        let said = tokio::time::timeout(ANSWER, exit.incoming.byte()).await;
        let outcome = match said {
            Ok(Ok(Some(byte))) => Outcome::from_byte(byte).ok_or(NoExit::Lost)?,
            _ => return Err(NoExit::Lost),
        };
        match outcome {
            Outcome::Connected => Ok(exit),
            other => {
                // Nothing more is said here, and that is no break.
                let _ = exit.outgoing.end().await;
                Err(NoExit::Said(other))
            }
        }
    }

    async fn take(&self, destination: &HeaderValue) -> (Incoming<Body>, Outgoing) {
        loop {
            let Some(Offer { body, answer }) = self.next().await else {
                continue;
            };
            let (outgoing, sent) = soulbox_carrier::outgoing();
            let mut response = Response::new(Body::new(sent));
            response
                .headers_mut()
                .insert(DESTINATION, destination.clone());
            // Fails when the node has taken the offer back.
            if answer.send(response).is_ok() {
                return (Incoming::new(body), outgoing);
            }
        }
    }

    async fn next(&self) -> Option<Offer> {
        let offered = self.offered.notified();
        let (offer, more) = {
            let mut offers = self.offers();
            (offers.pop_front(), !offers.is_empty())
        };
        if offer.is_none() {
            offered.await;
        } else if more {
            // Two offers that came together leave one notice behind.
            self.offered.notify_one();
        }
        offer
    }

    fn offers(&self) -> MutexGuard<'_, VecDeque<Offer>> {
        // Every change is a single push or pop.
        self.offers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Exit {
    /// Carries a connection of the sandbox to its end.
    pub async fn carry(
        self,
        local: (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
    ) -> Result<(), Broken> {
        soulbox_carrier::carry(local, self.incoming, self.outgoing, IDLE).await
    }
}

fn status(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}
