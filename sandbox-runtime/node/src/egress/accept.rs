//! The streams that are held open for an agent to take, and the life of one that was taken.
//!
//! Few are open ahead; one is added when one is taken, up to a bound per sandbox. What the
//! agent names is hostile input. A connection ends with its sandbox, with its rules, with a
//! long silence, or as TCP connections do.

use super::{
    Gate, Network,
    dial::{Dialler, Judged},
};
use crate::{agent::AgentClient, body};
use http::{HeaderValue, Response};
use hyper::body::Incoming as Body;
use soulbox_carrier::{Incoming, Outgoing};
use soulbox_protocol::egress::{DESTINATION, DESTINATION_BYTES, Outcome};
use soulbox_runtime::network::Destination;
use std::{sync::Arc, time::Duration};
use tokio::{
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{sleep, timeout},
};
use tracing::debug;

/// Streams that wait for the agent.
const AHEAD: usize = 4;
/// Connections of one sandbox at a time, with those that are being opened. Each may hold a
/// stream's window in memory.
const CONNECTIONS: usize = 256;
/// Silence in both directions after which a connection is given up.
const IDLE: Duration = Duration::from_secs(30 * 60);
/// Pause after an agent that refuses our streams, so that it does not keep this node busy.
const REFUSED_PAUSE: Duration = Duration::from_millis(200);
/// How long an agent may take to end its half after it was told that there is no connection.
const FAREWELL: Duration = Duration::from_secs(5);

/// Holds streams open until the agent's channel ends.
pub async fn keep(agent: AgentClient, gate: Gate, dialler: Arc<Dialler>) {
    let (ahead, all) = (
        Arc::new(Semaphore::new(AHEAD)),
        Arc::new(Semaphore::new(CONNECTIONS)),
    );
    let turns = async {
        loop {
            let Ok(waiting) = ahead.clone().acquire_owned().await else {
                return;
            };
            let Ok(place) = all.clone().acquire_owned().await else {
                return;
            };
            let (agent, gate, dialler) = (agent.clone(), gate.clone(), dialler.clone());
            tokio::spawn(async move {
                let closed = agent.closed_token();
                tokio::select! {
                    () = one(&agent, waiting, &gate, &dialler) => {}
                    () = closed.cancelled() => {}
                }
                drop(place);
            });
        }
    };
    tokio::select! {
        () = turns => {}
        () = agent.closed() => {}
    }
}

/// Offers one stream, and sees through what comes of it.
async fn one(agent: &AgentClient, waiting: OwnedSemaphorePermit, gate: &Gate, dialler: &Dialler) {
    let (outgoing, sent) = soulbox_carrier::outgoing();
    let answer = match agent.offer_exit(body::boxed(sent)).await {
        Ok(answer) if answer.status().is_success() => answer,
        refused => {
            debug!(failed = refused.is_err(), "an agent refused a way out");
            sleep(REFUSED_PAUSE).await;
            return;
        }
    };
    drop(waiting);
    let destination = destination(&answer);
    let incoming = Incoming::new(answer.into_body());
    let mut rules = gate.rules();
    let network = rules.borrow_and_update().clone();
    let opened = match destination {
        Some(destination) => dialler.open(destination, &network).await,
        None => Err(Outcome::Malformed),
    };
    match opened {
        Ok(connection) => carry(connection, (incoming, outgoing), rules, dialler).await,
        Err(outcome) => refuse(outcome, incoming, outgoing).await,
    }
}

/// What the agent named, if it can be one.
fn destination(answer: &Response<Body>) -> Option<Destination> {
    let named = answer.headers().get(DESTINATION).map(HeaderValue::as_bytes);
    let text = named.filter(|text| text.len() <= DESTINATION_BYTES)?;
    Destination::parse(std::str::from_utf8(text).ok()?).ok()
}

async fn carry(
    (stream, judged): (TcpStream, Judged),
    (incoming, outgoing): (Incoming<Body>, Outgoing),
    mut rules: watch::Receiver<Arc<Network>>,
    dialler: &Dialler,
) {
    // Rules may have changed while the connection was made.
    if !dialler.still_permits(&judged, &rules.borrow_and_update().clone()) {
        return refuse(Outcome::Refused, incoming, outgoing).await;
    }
    if say(&outgoing, Outcome::Connected).await.is_none() {
        return;
    }
    let forbidden = async {
        while rules.changed().await.is_ok() {
            let network = rules.borrow_and_update().clone();
            if !dialler.still_permits(&judged, &network) {
                return;
            }
        }
        std::future::pending().await
    };
    tokio::select! {
        carried = soulbox_carrier::carry(stream.into_split(), incoming, outgoing, IDLE) => {
            if let Err(error) = carried {
                debug!(%error, "a connection of a sandbox broke");
            }
        }
        () = forbidden => debug!("rules cut a connection"),
    }
}

/// Tells why there is no connection, and lets the agent end its half in peace.
async fn refuse(outcome: Outcome, mut incoming: Incoming<Body>, outgoing: Outgoing) {
    if say(&outgoing, outcome).await.is_none() || outgoing.end().await.is_err() {
        return;
    }
    let _ = timeout(FAREWELL, incoming.next()).await;
}

async fn say(outgoing: &Outgoing, outcome: Outcome) -> Option<()> {
    outgoing.send(vec![outcome.byte()].into()).await.ok()
}
