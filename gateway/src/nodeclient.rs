//! How the gateway speaks with the node: HTTP/2 over its Unix socket.
//!
//! One connection carries control calls, and each sandbox has a connection of its own, so
//! that a client who stops reading holds up only its own sandbox. Connections are made when
//! first needed and again after they broke; every wait has a deadline. Nothing here knows
//! keys, clients or the E2B protocol.

mod agent;
mod connection;
mod control;
mod events;

pub use agent::{AgentError, AgentLink};
pub use control::{Control, ControlError};
pub use events::Events;
