//! One rule, from its text. Addresses in rules have one spelling each: a rule is written by
//! an owner who can be told that it is wrong, so nothing is guessed.

use super::{Host, Name, RULES};
use ipnet::{IpNet, Ipv4Net};
use std::{fmt, net::IpAddr};
use thiserror::Error;

/// Prefix of the IPv6 addresses that are written for IPv4 ones, in bits.
const MAPPED_BITS: u8 = 96;

/// Why rules cannot be used. The first two are the contract's texts.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BadRule {
    /// No block, address or name.
    #[error("invalid allowed address {0}")]
    Allowed(String),
    /// No block and no address.
    #[error("invalid denied CIDR {0}")]
    Denied(String),
    /// A name is allowed, though nothing is denied.
    #[error(
        "a domain in allowOut needs 0.0.0.0/0 in denyOut: without it everything is allowed anyway"
    )]
    NameWithoutDenial,
    /// More than anybody writes by hand.
    #[error("allowOut and denyOut take {RULES} entries each")]
    TooMany,
}

/// What may be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Allowed {
    /// Addresses.
    Block(IpNet),
    /// Names.
    Names(Names),
}

/// A name, or all names below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Names {
    /// This one.
    One(Name),
    /// Those that end in a dot and this one.
    Below(Name),
}

impl Allowed {
    /// Reads one rule.
    ///
    /// # Errors
    /// [`BadRule::Allowed`].
    pub fn parse(text: &str) -> Result<Self, BadRule> {
        if let Some(block) = parse_block(text) {
            return Ok(Self::Block(block));
        }
        let (below, rest) = match text.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        match Host::parse(rest) {
            Ok(Host::Name(name)) if below => Ok(Self::Names(Names::Below(name))),
            Ok(Host::Name(name)) => Ok(Self::Names(Names::One(name))),
            _ => Err(BadRule::Allowed(text.to_owned())),
        }
    }
}

impl Names {
    /// Whether a name is meant.
    pub fn has(&self, name: &Name) -> bool {
        match self {
            Self::One(one) => one == name,
            Self::Below(above) => name
                .as_str()
                .strip_suffix(above.as_str())
                .is_some_and(|front| front.ends_with('.')),
        }
    }
}

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Block(block) => block.fmt(f),
            Self::Names(Names::One(name)) => name.as_str().fmt(f),
            Self::Names(Names::Below(name)) => write!(f, "*.{}", name.as_str()),
        }
    }
}

/// Reads a block of addresses, or one address. `None` when it is neither.
pub fn parse_block(text: &str) -> Option<IpNet> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(IpNet::from(address.to_canonical()));
    }
    let block = text.parse::<IpNet>().ok()?.trunc();
    let IpNet::V6(v6) = block else {
        return Some(block);
    };
    let mapped = v6.addr().to_ipv4_mapped();
    let v4 = mapped.zip(v6.prefix_len().checked_sub(MAPPED_BITS));
    match v4 {
        Some((address, bits)) => Ipv4Net::new(address, bits).ok().map(IpNet::V4),
        None => Some(block),
    }
}
