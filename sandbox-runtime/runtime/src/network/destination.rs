//! Where a program wants to connect: a host and a port, from the text that it wrote.

use super::{BadHost, Host};
use thiserror::Error;

/// Not a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BadDestination {
    /// The host makes no sense.
    #[error(transparent)]
    Host(#[from] BadHost),
    /// The port is missing or no number from 1 to 65535.
    #[error("this is no port")]
    Port,
}

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// The host, in its only spelling.
    pub host: Host,
    /// The port; never 0.
    pub port: u16,
}

impl Destination {
    /// Reads `host:port`, with IPv6 addresses in brackets.
    ///
    /// # Errors
    /// When there is no port or the host is none.
    pub fn parse(text: &str) -> Result<Self, BadDestination> {
        let (host, port) = text.rsplit_once(':').ok_or(BadDestination::Port)?;
        // The parser of numbers takes a sign.
        let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse().ok().filter(|port| digits && *port > 0);
        Ok(Self {
            port: port.ok_or(BadDestination::Port)?,
            host: Host::parse(host)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_and_a_port() {
        let read = |text| Destination::parse(text).map(|it| (it.host, it.port));
        let address = |text: &str| Host::Address(text.parse().expect("an address"));
        assert_eq!(read("0x7f.1:80"), Ok((address("127.0.0.1"), 80)));
        assert_eq!(read("[::1]:443"), Ok((address("::1"), 443)));
        for wrong in [
            "a", "a:", ":80", "a:0", "a:65536", "a:+80", "a:8 0", "a:80:80", "::1:80", "u@a:80",
            "[::1]",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
