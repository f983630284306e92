//! The judgement on one address: the operator's word, then the sandbox's rules.
//!
//! What is not public, and what is this machine itself, is refused whatever a sandbox's
//! owner allows; only the operator opens it. The addresses of this machine are asked for each
//! time, since they change while a node runs.

use ipnet::IpNet;
use soulbox_runtime::network::{Host, Name, Network, is_public};
use std::{io, net::IpAddr};

/// Rules of a sandbox and what stands above them.
#[derive(Debug, Clone, Copy)]
pub struct Policy<'a> {
    /// The sandbox's.
    pub network: &'a Network,
    /// What the operator opened.
    pub opened: &'a [IpNet],
    /// Addresses of this machine.
    pub own: &'a [IpAddr],
}

impl Policy<'_> {
    /// Whether a name may be looked up. A lookup tells the name's owner something, so none is
    /// made when no answer could lead to a connection.
    pub fn may_look_up(&self, name: &Name) -> bool {
        self.network.allows_name(name) || !self.network.denies_all()
    }

    /// Whether an address of a host may be connected to.
    pub fn permits(&self, host: &Host, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let opened = self.opened.iter().any(|net| net.contains(&address));
        if !opened && (!is_public(address) || self.own.contains(&address)) {
            return false;
        }
        let named = matches!(host, Host::Name(name) if self.network.allows_name(name));
        named || self.network.allows_address(address)
    }
}

/// The addresses of this machine's interfaces now.
pub fn own_addresses() -> io::Result<Vec<IpAddr>> {
    let interfaces = if_addrs::get_if_addrs()?;
    let address = |interface: if_addrs::Interface| interface.ip().to_canonical();
    Ok(interfaces.into_iter().map(address).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use soulbox_runtime::network::ALL_TRAFFIC;

    fn permits(network: &Network, opened: &str, host: &str, address: &str) -> bool {
        let opened: Vec<IpNet> = opened
            .split_whitespace()
            .map(|net| net.parse().unwrap())
            .collect();
        let policy = Policy {
            network,
            opened: &opened,
            own: &["8.8.4.4".parse().unwrap()],
        };
        policy.permits(&Host::parse(host).unwrap(), address.parse().unwrap())
    }

    #[test]
    fn what_is_not_public_is_the_operators_to_open() {
        let all = Network::open();
        let greedy = Network::parse(&["127.0.0.0/8", "evil.example"], &[ALL_TRAFFIC]).unwrap();
        for address in [
            "127.0.0.1",
            "169.254.169.254",
            "::ffff:127.0.0.1",
            "fd00:ec2::254",
        ] {
            assert!(!permits(&all, "", "evil.example", address), "{address}");
            assert!(!permits(&greedy, "", "evil.example", address), "{address}");
        }
        assert!(permits(&all, "127.0.0.2/32", "127.0.0.2", "127.0.0.2"));
        assert!(permits(
            &all,
            "127.0.0.2/32",
            "127.0.0.2",
            "::ffff:127.0.0.2"
        ));
        assert!(!permits(&all, "127.0.0.2/32", "127.0.0.1", "127.0.0.1"));
        assert!(!permits(
            &Network::off(),
            "127.0.0.2/32",
            "127.0.0.2",
            "127.0.0.2"
        ));
    }

    #[test]
    fn this_machine_is_refused_under_its_public_address_too() {
        assert!(permits(&Network::open(), "", "a.example", "8.8.8.8"));
        assert!(!permits(&Network::open(), "", "a.example", "8.8.4.4"));
        assert!(permits(
            &Network::open(),
            "8.8.4.4/32",
            "a.example",
            "8.8.4.4"
        ));
    }

    #[test]
    fn a_name_that_cannot_be_reached_is_not_looked_up() {
        let look = |network: &Network, name: &str| {
            let policy = Policy {
                network,
                opened: &[],
                own: &[],
            };
            match Host::parse(name).unwrap() {
                Host::Name(name) => policy.may_look_up(&name),
                Host::Address(_) => panic!("a name"),
            }
        };
        let one = Network::parse(&["a.example", "9.9.9.9"], &[ALL_TRAFFIC]).unwrap();
        assert!(look(&one, "A.example.") && !look(&one, "b.example"));
        assert!(!look(&Network::off(), "a.example") && look(&Network::open(), "a.example"));
        let some = Network::parse(&[], &["9.0.0.0/8"]).unwrap();
        assert!(look(&some, "b.example"));
        assert!(
            permits(&one, "", "a.example", "1.1.1.1"),
            "by its name, whatever its address"
        );
        assert!(
            !permits(&one, "", "1.1.1.1", "1.1.1.1") && permits(&one, "", "9.9.9.9", "9.9.9.9")
        );
    }
}
