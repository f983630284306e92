//! The domain of a server: its API is `api.<domain>`, its sandboxes are `<port>-<id>.<domain>`
//! (e2b-wire.md, section 1.2).

use super::{ConfigError, settings::wrong};
use serde::{Deserialize, Serialize};

/// Longest name that leaves room for `<port>-<id>.` in the 253 characters of a host name.
const LONGEST: usize = 200;
/// The port that is not written in an address.
const HTTPS: u16 = 443;

/// A domain, perhaps with the port that clients use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Domain {
    /// The name, in lower case.
    pub name: String,
    /// The port, if it was said.
    pub port: Option<u16>,
}

impl Domain {
    /// Reads `box.example.org` or `box.example.org:8443`.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let explain = || {
            let reason = format!(
                "expected a host name such as box.example.org, a port or none, not `{text}`"
            );
            wrong("domain", reason)
        };
        let (name, port) = match text.split_once(':') {
            Some((name, port)) => (name, Some(port.parse().map_err(|_| explain())?)),
            None => (text, None),
        };
        let label = |label: &str| {
            let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
            !label.is_empty() && label.len() < 64 && label.bytes().all(fits)
        };
        if name.len() > LONGEST || !name.split('.').all(label) || port == Some(0) {
            return Err(explain());
        }
        Ok(Self {
            name: name.to_ascii_lowercase(),
            port,
        })
    }

    /// What clients are to have in `E2B_DOMAIN`, if HTTPS is served on this port.
    pub fn with_port(&self, tls: Option<u16>) -> String {
        match self.port.or(tls) {
            None | Some(HTTPS) => self.name.clone(),
            Some(port) => format!("{}:{port}", self.name),
        }
    }

    /// The domain as a client wrote it who asked this host, if that is `api.<domain>`.
    pub fn as_written<'a>(&self, host: &'a str) -> Option<&'a str> {
        let written = host
            .get(..4)?
            .eq_ignore_ascii_case("api.")
            .then(|| &host[4..])?;
        let name = written.split(':').next()?;
        name.eq_ignore_ascii_case(&self.name).then_some(written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_gets_back_the_domain_that_it_used() {
        let domain = Domain::parse("Box.Example").expect("a domain");
        assert_eq!(
            domain.as_written("api.box.example:8443"),
            Some("box.example:8443")
        );
        assert_eq!(domain.as_written("API.box.example"), Some("box.example"));
        for other in [
            "127.0.0.1:3000",
            "api.example",
            "api",
            "box.example",
            "äpi.box.example",
        ] {
            assert_eq!(domain.as_written(other), None, "{other}");
        }
        assert_eq!(domain.with_port(Some(443)), "box.example");
        assert_eq!(domain.with_port(Some(3443)), "box.example:3443");
        let behind_a_proxy = Domain::parse("box.example:443").expect("a domain");
        assert_eq!(behind_a_proxy.with_port(Some(3443)), "box.example");
    }

    #[test]
    fn what_is_no_host_name_is_refused() {
        for bad in [
            "", "a b", "a..b", "a:b", "a:0", "a/b", "*.a", ".a", "a.", "[::1]",
        ] {
            assert!(Domain::parse(bad).is_err(), "{bad:?}");
        }
    }
}
