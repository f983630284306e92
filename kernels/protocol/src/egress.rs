//! How a connection leaves a sandbox.
//!
//! The node holds a few `POST /egress/accept` requests of the control plane open. The agent
//! answers one of them when something inside wants to connect, and names the destination in
//! [`DESTINATION`]. The node decides, connects, and says an [`Outcome`] as the first byte of
//! the request's body; upon [`Outcome::Connected`] the two bodies carry the connection. The
//! agent decides nothing: whatever it names is parsed and judged by the node.

use serde::{Deserialize, Serialize};

/// Port on the sandbox's `127.0.0.1` where the agent's proxies listen. Below the range from
/// which systems take ports for outgoing connections, and no port that programs are known for.
pub const PORT: u16 = 28128;

/// Path of the requests that the node holds open.
pub const ACCEPT_PATH: &str = "/egress/accept";

/// Path of [`Switch`].
pub const SWITCH_PATH: &str = "/egress";

/// Header of the agent's answer: host and port, as the program inside wrote them.
pub const DESTINATION: &str = "x-soulbox-destination";

/// Longest value of [`DESTINATION`], in bytes. A name has at most 253; escapes take more.
pub const DESTINATION_BYTES: usize = 1024;

/// `PUT /egress`: whether connections may leave at all, so that the agent listens and tells
/// processes and kernels of the proxies. What may be reached is the node's to decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Switch {
    /// Whether to listen.
    pub on: bool,
}

/// What became of the wish to connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Bytes flow from now on.
    Connected,
    /// The sandbox may not connect there.
    Refused,
    /// The destination is no host and port.
    Malformed,
    /// No address has this name.
    Unknown,
    /// The destination refused or cannot be reached.
    Unreachable,
    /// The destination did not answer in time.
    Late,
}

impl Outcome {
    const ALL: [Self; 6] = [
        Self::Connected,
        Self::Refused,
        Self::Malformed,
        Self::Unknown,
        Self::Unreachable,
        Self::Late,
    ];

    /// Its byte.
    pub fn byte(self) -> u8 {
        self as u8
    }

    /// The outcome with this byte.
    pub fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.get(usize::from(byte)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_comes_back_from_its_byte() {
        for outcome in Outcome::ALL {
            assert_eq!(Outcome::from_byte(outcome.byte()), Some(outcome));
        }
        assert_eq!(Outcome::from_byte(6), None);
    }
}
