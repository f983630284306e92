//! Where code in a sandbox may connect to: what its owner allowed and denied.
//!
//! The words are those of the E2B contract (section 3.9): everything may be reached unless it
//! is denied, and what is allowed beats what is denied. These types only say and parse; the
//! node judges with them. Hosts are read by one parser, [`Host::parse`], for rules and for
//! destinations alike, so that no spelling means one thing here and another there.

mod destination;
mod host;
mod public;
mod rule;

pub use destination::{BadDestination, Destination};
pub use host::{BadHost, Host, Name};
pub use public::is_public;
pub use rule::{Allowed, BadRule, Names, parse_block};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Rules of one sandbox and kind. Each connection is compared with all of them.
pub const RULES: usize = 1000;

/// All IPv4 addresses: in `denyOut` it stands for everything, names and IPv6 included.
pub const ALL_TRAFFIC: &str = "0.0.0.0/0";

/// The rules of one sandbox. The default lets nothing out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Network {
    allowed: Vec<Allowed>,
    denied: Vec<IpNet>,
}

/// The rules as text, as they are sent.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    allow_out: Vec<String>,
    deny_out: Vec<String>,
}

impl Default for Network {
    fn default() -> Self {
        Self::off()
    }
}

impl Network {
    /// Nothing leaves.
    pub fn off() -> Self {
        Self {
            allowed: Vec::new(),
            denied: vec![IpNet::default()],
        }
    }

    /// Everything that is public may be reached.
    pub fn open() -> Self {
        Self {
            allowed: Vec::new(),
            denied: Vec::new(),
        }
    }

    /// Reads rules. `allow` takes blocks, addresses, names and names with `*.` before them;
    /// `deny` takes blocks and addresses.
    ///
    /// # Errors
    /// When a rule makes no sense, there are too many, or a name is allowed where nothing
    /// else is denied, which would allow nothing that is not allowed anyway.
    pub fn parse<S: AsRef<str>>(allow: &[S], deny: &[S]) -> Result<Self, BadRule> {
        if allow.len().max(deny.len()) > RULES {
            return Err(BadRule::TooMany);
        }
        let denied = deny.iter().map(|text| {
            parse_block(text.as_ref()).ok_or_else(|| BadRule::Denied(text.as_ref().to_owned()))
        });
        let network = Self {
            allowed: allow
                .iter()
                .map(|text| Allowed::parse(text.as_ref()))
                .collect::<Result<_, _>>()?,
            denied: denied.collect::<Result<_, _>>()?,
        };
        let has_name = |rule: &Allowed| matches!(rule, Allowed::Names(_));
        if network.allowed.iter().any(has_name) && !network.denies_all() {
            return Err(BadRule::NameWithoutDenial);
        }
        Ok(network)
    }

    /// Whether no rule lets anything out.
    pub fn is_off(&self) -> bool {
        self.denies_all() && self.allowed.is_empty()
    }

    /// Whether only what is allowed by a rule may be reached.
    pub fn denies_all(&self) -> bool {
        let all_v4 = |block: &IpNet| block.prefix_len() == 0 && block.addr().is_ipv4();
        self.denied.iter().any(all_v4)
    }

    /// Whether a rule allows this name, whatever its addresses.
    pub fn allows_name(&self, name: &Name) -> bool {
        let names = |rule: &Allowed| matches!(rule, Allowed::Names(names) if names.has(name));
        self.allowed.iter().any(names)
    }

    /// Whether the rules let an address be reached, by whatever name.
    pub fn allows_address(&self, address: IpAddr) -> bool {
        let block = |rule: &Allowed| matches!(rule, Allowed::Block(net) if net.contains(&address));
        if self.allowed.iter().any(block) {
            return true;
        }
        let behind = public::translated(address).map(IpAddr::V4);
        let hit = |net: &IpNet| {
            net.contains(&address) || behind.is_some_and(|address| net.contains(&address))
        };
        !self.denies_all() && !self.denied.iter().any(hit)
    }
}

impl TryFrom<Written> for Network {
    type Error = BadRule;

    fn try_from(written: Written) -> Result<Self, BadRule> {
        Self::parse(&written.allow_out, &written.deny_out)
    }
}

impl From<Network> for Written {
    fn from(network: Network) -> Self {
        let text = |block: &IpNet| block.to_string();
        Self {
            allow_out: network.allowed.iter().map(ToString::to_string).collect(),
            deny_out: network.denied.iter().map(text).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        match Host::parse(text).expect("a host") {
            Host::Name(name) => name,
            Host::Address(address) => panic!("{address}"),
        }
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn what_is_allowed_beats_what_is_denied() {
        let network =
            Network::parse(&["8.8.8.0/24", "1.1.1.1"], &["8.0.0.0/8", "9.9.9.9"]).unwrap();
        assert!(network.allows_address(address("8.8.8.8")));
        assert!(!network.allows_address(address("8.8.4.4")));
        assert!(!network.allows_address(address("9.9.9.9")));
        assert!(
            network.allows_address(address("9.9.9.10")),
            "the rest is open"
        );
        assert!(!network.denies_all());
    }

    #[test]
    fn all_traffic_is_every_name_and_every_family() {
        let network = Network::parse(&["*.Example.com", "1.1.1.1"], &[ALL_TRAFFIC]).unwrap();
        assert!(network.allows_name(&name("a.b.EXAMPLE.com.")));
        assert!(!network.allows_name(&name("example.com")));
        assert!(!network.allows_name(&name("badexample.com")));
        assert!(network.allows_address(address("1.1.1.1")));
        assert!(!network.allows_address(address("2606:4700::1111")));
        assert!(Network::off().is_off() && !network.is_off() && !Network::open().is_off());
    }

    #[test]
    fn a_denied_address_is_denied_behind_a_translator_too() {
        let network = Network::parse(&[], &["8.8.8.8"]).unwrap();
        assert!(!network.allows_address(address("64:ff9b::808:808")));
        assert!(network.allows_address(address("64:ff9b::808:809")));
    }

    #[test]
    fn a_bad_rule_is_named() {
        let parse = |allow: &[&str], deny: &[&str]| Network::parse(allow, deny).map(drop);
        let bad = |text: &str| Err(BadRule::Allowed(text.to_owned()));
        for text in [
            "",
            "*",
            "*.",
            "a b",
            "0x7f.1",
            "1.2.3.4/33",
            "http://a.b",
            "a..b",
            "[::1]",
        ] {
            assert_eq!(parse(&[text], &[ALL_TRAFFIC]), bad(text));
        }
        assert_eq!(parse(&[], &["a.b"]), Err(BadRule::Denied("a.b".to_owned())));
        assert_eq!(
            parse(&["a.b"], &["10.0.0.0/8"]),
            Err(BadRule::NameWithoutDenial)
        );
        assert_eq!(
            parse(&["::/0", "::1", "::ffff:1.2.3.4"], &["::ffff:0:0/96"]),
            Ok(())
        );
        let many = vec!["1.1.1.1"; RULES + 1];
        assert_eq!(parse(&many, &[]), Err(BadRule::TooMany));
    }

    #[test]
    fn rules_survive_being_written() {
        let network = Network::parse(&["*.a.b", "1.2.3.4/8", "::1"], &[ALL_TRAFFIC]).unwrap();
        let text = serde_json::to_string(&network).unwrap();
        assert_eq!(
            text,
            r#"{"allow_out":["*.a.b","1.0.0.0/8","::1/128"],"deny_out":["0.0.0.0/0"]}"#
        );
        assert_eq!(serde_json::from_str::<Network>(&text).unwrap(), network);
    }
}
