//! The one parser of hosts.
//!
//! It reads as browsers do (WHATWG URL, section 3.5): percent escapes, capitals, full-width
//! letters and other languages become one ASCII form, and whatever ends in a number is an
//! IPv4 address in decimal, octal, hexadecimal or short form, or is refused. What comes out
//! is what is judged *and* what is dialled; the text that came in is used for nothing else.

use std::net::IpAddr;
use thiserror::Error;

/// Longest host that is looked at, in bytes: a name of 253 with each byte escaped.
const HOST_BYTES: usize = 768;
/// RFC 1035, section 2.3.4, without the final dot.
const NAME_BYTES: usize = 253;
/// RFC 1035, section 2.3.4.
const LABEL_BYTES: usize = 63;

/// Not a host. The text is not repeated: it belongs to the code of a sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("this is no name and no address of a host")]
pub struct BadHost;

/// An address or a name, each in its only spelling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// An address; an IPv4 address in IPv6 clothes (`::ffff:1.2.3.4`) is the IPv4 address.
    Address(IpAddr),
    /// A name that must be looked up.
    Name(Name),
}

/// A name of the domain name system: lower case, ASCII, without a final dot, and never
/// anything that could be taken for an address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Name(String);

impl Host {
    /// Reads a host. IPv6 addresses are in brackets.
    ///
    /// # Errors
    /// When it is none, has a user, port, path or zone, or is longer than any.
    pub fn parse(text: &str) -> Result<Self, BadHost> {
        if text.len() > HOST_BYTES {
            return Err(BadHost);
        }
        match url::Host::parse(text).map_err(|_| BadHost)? {
            url::Host::Ipv4(address) => Ok(Self::Address(address.into())),
            url::Host::Ipv6(address) => Ok(Self::Address(IpAddr::V6(address).to_canonical())),
            url::Host::Domain(name) => Name::checked(name).map(Self::Name),
        }
    }
}

impl Name {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn checked(mut text: String) -> Result<Self, BadHost> {
        if text.ends_with('.') {
            text.pop();
        }
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
        let label =
            |label: &str| (1..=LABEL_BYTES).contains(&label.len()) && label.bytes().all(fits);
        if text.len() > NAME_BYTES || !text.split('.').all(label) {
            return Err(BadHost);
        }
        Ok(Self(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Host {
        Host::Address(text.parse().expect("an address"))
    }

    #[test]
    fn every_spelling_of_an_address_is_that_address() {
        for text in [
            "127.0.0.1",
            "2130706433",
            "0x7f000001",
            "0X7F.1",
            "017700000001",
            "0177.0.0.1",
            "127.1",
            "127.0.1",
            "127.0.0.1.",
            "%31%32%37.1",
            "１２７.０.０.１",
            "127。0。0。1",
            "[::ffff:127.0.0.1]",
            "[::FFFF:7f00:1]",
            "[0:0:0:0:0:ffff:127.0.0.1]",
            "0x7f.0x0.0x0.0x1",
            "00000177.1",
        ] {
            assert_eq!(Host::parse(text), Ok(address("127.0.0.1")), "{text}");
        }
        assert_eq!(Host::parse("[::1]"), Ok(address("::1")));
        assert_eq!(Host::parse("[fd00:EC2::254]"), Ok(address("fd00:ec2::254")));
    }

    #[test]
    fn a_name_has_one_spelling() {
        for text in [
            "example.com",
            "EXAMPLE.com.",
            "ex%61mple.com",
            "ｅｘａｍｐｌｅ。com",
            "exam\u{ad}ple.com",
        ] {
            let Ok(Host::Name(name)) = Host::parse(text) else {
                panic!("{text}");
            };
            assert_eq!(name.as_str(), "example.com");
        }
        let Ok(Host::Name(name)) = Host::parse("Bücher.example") else {
            panic!("a name");
        };
        assert_eq!(name.as_str(), "xn--bcher-kva.example");
    }

    #[test]
    fn what_is_no_host_is_refused() {
        let long = format!("{}.com", "a".repeat(64));
        let longer = "a.".repeat(200);
        for text in [
            "",
            ".",
            "..",
            "a..b",
            ".a",
            "a.b..",
            "::1",
            "[::1",
            "::1]",
            "[fe80::1%eth0]",
            "[fe80::1%25eth0]",
            "[127.0.0.1]",
            "user@host",
            "a/b",
            "a\\b",
            "a?b",
            "a#b",
            "a b",
            "a\tb",
            "a\nb",
            "a\0b",
            "a:80",
            "1.2.3.4.5",
            "256.1.1.1",
            "1.2.3.08",
            "4294967296",
            "a.1",
            "a*b",
            "*",
            "a,b",
            "a%00b",
            "a%2fb",
            "a'b",
            "a;b",
            "a$b",
            "xn--",
            &long,
            &longer,
        ] {
            assert!(Host::parse(text).is_err(), "{text:?}");
        }
    }
}
