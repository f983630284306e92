//! Which addresses belong to the public internet. All others, be they of a machine, of a
//! network behind it or of nobody, are refused to sandboxes unless the operator opens them.
//!
//! From the IANA registries of special-purpose addresses (RFC 6890 and its successors). For
//! IPv6 the question is turned round: only 2000::/3 has been given out for unicast, so what
//! is not in there is refused without being listed.

use ipnet::{Ipv4Net, Ipv6Net};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Not public, though it may look so.
const V4: [Ipv4Net; 16] = [
    v4([0, 0, 0, 0], 8),        // this network; Linux takes 0.0.0.0 for itself
    v4([10, 0, 0, 0], 8),       // private
    v4([100, 64, 0, 0], 10),    // carrier-grade NAT, and some clouds' metadata
    v4([127, 0, 0, 0], 8),      // loopback
    v4([168, 63, 129, 16], 32), // Azure's metadata, the one that is in public space
    v4([169, 254, 0, 0], 16),   // link-local, and most clouds' metadata
    v4([172, 16, 0, 0], 12),    // private
    v4([192, 0, 0, 0], 24),     // protocol assignments, and Oracle's metadata
    v4([192, 0, 2, 0], 24),     // documentation
    v4([192, 88, 99, 0], 24),   // relays of 6to4
    v4([192, 168, 0, 0], 16),   // private
    v4([198, 18, 0, 0], 15),    // benchmarks
    v4([198, 51, 100, 0], 24),  // documentation
    v4([203, 0, 113, 0], 24),   // documentation
    v4([224, 0, 0, 0], 4),      // multicast
    v4([240, 0, 0, 0], 4),      // reserved, and broadcast
];

/// What has been given out.
const V6_GIVEN: Ipv6Net = v6([0x2000, 0], 3);

/// Special within it.
const V6: [Ipv6Net; 4] = [
    v6([0x2001, 0], 23), // protocol assignments; Teredo, which hides an IPv4 address
    v6([0x2001, 0xdb8], 32), // documentation
    v6([0x2002, 0], 16), // 6to4, which hides an IPv4 address
    v6([0x3fff, 0], 20), // documentation
];

/// IPv4 addresses behind a translator (RFC 6052): the last 32 bits are the address.
const TRANSLATED: Ipv6Net = v6([0x64, 0xff9b], 96);

/// Whether an address belongs to the public internet.
pub fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => !V4.iter().any(|net| net.contains(&address)),
        IpAddr::V6(address) => match translated(IpAddr::V6(address)) {
            Some(behind) => is_public(IpAddr::V4(behind)),
            None => V6_GIVEN.contains(&address) && !V6.iter().any(|net| net.contains(&address)),
        },
    }
}

/// The IPv4 address that a translator makes of this one.
pub(super) fn translated(address: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(address) = address else {
        return None;
    };
    let [.., a, b, c, d] = address.octets();
    TRANSLATED
        .contains(&address)
        .then_some(Ipv4Addr::new(a, b, c, d))
}

const fn v4([a, b, c, d]: [u8; 4], bits: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), bits)
}

const fn v6([a, b]: [u16; 2], bits: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, 0), bits)
}

#[cfg(test)]
mod tests {
    use super::super::Host;
    use super::*;
    use ipnet::IpNet;
    use proptest::prelude::*;

    /// Every block that is refused.
    fn refused() -> impl Iterator<Item = IpNet> {
        let below = ["::/3", "4000::/2", "8000::/1"].map(|net| net.parse().expect("a block"));
        let v4 = V4.into_iter().map(IpNet::V4);
        v4.chain(V6.into_iter().map(IpNet::V6)).chain(below)
    }

    #[test]
    fn what_everybody_knows() {
        for text in [
            "0.0.0.0",
            "10.1.2.3",
            "100.100.100.200",
            "127.0.0.1",
            "168.63.129.16",
            "169.254.169.254",
            "172.31.255.255",
            "192.0.0.192",
            "192.168.0.1",
            "198.19.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::8.8.8.8",
            "2002:7f00:1::",
            "2001::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "100::1",
        ] {
            assert!(!is_public(text.parse().expect(text)), "{text}");
        }
        for text in [
            "1.1.1.1",
            "172.32.0.1",
            "192.0.1.1",
            "2606:4700::1111",
            "64:ff9b::8.8.8.8",
            "::ffff:8.8.8.8",
        ] {
            assert!(is_public(text.parse().expect(text)), "{text}");
        }
    }

    fn refused_v4() -> impl Strategy<Value = Ipv4Addr> {
        (prop::sample::select(V4.to_vec()), any::<u32>()).prop_map(|(net, bits)| {
            Ipv4Addr::from_bits(net.network().to_bits() | (bits & net.hostmask().to_bits()))
        })
    }

    /// One number of an IPv4 address, as C's `inet_aton` and browsers read it.
    fn number(value: u32, base: u8, zeros: usize) -> String {
        let zeros = "0".repeat(zeros);
        match base {
            0 => format!("{value}"),
            1 => format!("0{zeros}{value:o}"),
            2 => format!("0x{zeros}{value:x}"),
            _ => format!("0X{zeros}{value:X}"),
        }
    }

    fn spelling(address: Ipv4Addr, parts: usize, bases: [u8; 4], zeros: usize) -> String {
        let octets = address.octets();
        let rest = octets[parts - 1..]
            .iter()
            .fold(0, |sum, &octet| sum << 8 | u32::from(octet));
        let front = octets[..parts - 1].iter().map(|&octet| u32::from(octet));
        let numbers = front.chain([rest]).zip(bases);
        let numbers: Vec<_> = numbers
            .map(|(value, base)| number(value, base, zeros))
            .collect();
        numbers.join(".")
    }

    /// The same host for whoever decodes escapes and full-width digits.
    fn disguised(text: &str, disguises: &[u8]) -> String {
        let pairs = text.chars().zip(disguises.iter().cycle());
        pairs
            .map(|(letter, disguise)| match (letter, disguise % 4) {
                (_, 0) => format!("%{:02x}", letter as u32),
                ('0'..='9', 1) => char::from_u32(0xff10 + letter as u32 - '0' as u32)
                    .expect("a full-width digit")
                    .to_string(),
                ('.', 2) => "\u{3002}".to_owned(),
                _ => letter.to_string(),
            })
            .collect()
    }

    proptest! {
        #[test]
        fn a_refused_ipv4_address_is_refused_in_every_spelling(
            address in refused_v4(), parts in 1usize..=4, bases in any::<[u8; 4]>().prop_map(|b| b.map(|b| b % 4)),
            zeros in 0usize..4, dot in any::<bool>(), disguises in prop::collection::vec(any::<u8>(), 1..40),
        ) {
            let mut text = spelling(address, parts, bases, zeros);
            if dot {
                text.push('.');
            }
            for text in [disguised(&text, &disguises), text] {
                prop_assert_eq!(Host::parse(&text), Ok(Host::Address(address.into())), "{}", text);
            }
            prop_assert!(!is_public(address.into()));
        }

        #[test]
        fn a_refused_ipv4_address_is_refused_inside_ipv6(address in refused_v4(), six in any::<[u16; 4]>()) {
            let [.., high, low] = address.to_ipv6_mapped().segments();
            let [a, b, c, d] = six;
            for text in [
                format!("[::ffff:{address}]"),
                format!("[::FFFF:{high:x}:{low:X}]"),
                format!("[0:0:0:0:0:ffff:{high:04x}:{low:04x}]"),
                format!("[::{address}]"),
                format!("[64:ff9b::{address}]"),
                format!("[64:FF9B:0:0:0:0:{high:x}:{low:x}]"),
                format!("[64:ff9b:1:{a:x}:{b:x}:{c:x}:{high:x}:{low:x}]"),
                format!("[2002:{high:x}:{low:x}:{a:x}:{b:x}:{c:x}:{d:x}:1]"),
                format!("[2001:0:{high:x}:{low:x}:{a:x}:{b:x}:{c:x}:{d:x}]"),
            ] {
                let Ok(Host::Address(read)) = Host::parse(&text) else {
                    return Err(TestCaseError::fail(text));
                };
                prop_assert!(!is_public(read), "{}", text);
            }
        }

        #[test]
        fn no_address_of_a_refused_block_is_public(
            net in prop::sample::select(refused().collect::<Vec<_>>()), bits in any::<u128>(),
        ) {
            let address: IpAddr = match net {
                IpNet::V4(net) => Ipv4Addr::from_bits(net.network().to_bits() | (bits as u32 & net.hostmask().to_bits())).into(),
                IpNet::V6(net) => Ipv6Addr::from_bits(net.network().to_bits() | (bits & net.hostmask().to_bits())).into(),
            };
            // Translated public addresses are the one exception below 2000::.
            prop_assume!(translated(address).is_none());
            prop_assume!(address.to_canonical() == address);
            prop_assert!(!is_public(address), "{}", address);
        }

        #[test]
        fn any_text_is_read_or_refused_and_read_again_the_same(text in "\\PC{0,60}") {
            match Host::parse(&text) {
                Ok(Host::Name(name)) => {
                    prop_assert_eq!(Host::parse(name.as_str()), Ok(Host::Name(name.clone())));
                    prop_assert!(name.as_str().parse::<IpAddr>().is_err());
                }
                Ok(Host::Address(address)) => {
                    let again = match address {
                        IpAddr::V4(address) => address.to_string(),
                        IpAddr::V6(address) => format!("[{address}]"),
                    };
                    prop_assert_eq!(Host::parse(&again), Ok(Host::Address(address)));
                }
                Err(_) => {}
            }
        }
    }
}
