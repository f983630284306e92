//! From a destination to a connection, or to the reason why there is none.

use super::{EgressOptions, Network, Policy, names::Names, policy};
use ipnet::IpNet;
use soulbox_protocol::egress::Outcome;
use soulbox_runtime::network::{Destination, Host};
use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};
use tokio::{net::TcpStream, time::timeout};

/// One address. A server on the other side of the world takes half a second.
const ATTEMPT: Duration = Duration::from_secs(10);
/// The lookup and all addresses together.
const CONNECT: Duration = Duration::from_secs(30);

/// Opens connections for all sandboxes of a node.
#[derive(Debug)]
pub struct Dialler {
    opened: Vec<IpNet>,
    names: Names,
}

/// What was judged to allow a connection, so that it can be judged again.
pub struct Judged {
    host: Host,
    address: IpAddr,
}

impl Dialler {
    /// With the operator's settings.
    pub fn new(options: &EgressOptions) -> Self {
        Self {
            opened: options.allow.clone(),
            names: Names::new(options.dns.clone()),
        }
    }

    /// Connects to a destination that the rules permit.
    ///
    /// # Errors
    /// The outcome that the sandbox is told.
    pub async fn open(
        &self,
        destination: Destination,
        network: &Network,
    ) -> Result<(TcpStream, Judged), Outcome> {
        let opening = timeout(CONNECT, self.try_open(destination, network));
        opening.await.unwrap_or(Err(Outcome::Late))
    }

    /// Whether rules still permit a connection.
    pub fn still_permits(&self, judged: &Judged, network: &Network) -> bool {
        policy::own_addresses().is_ok_and(|own| {
            let policy = self.policy(network, &own);
            policy.permits(&judged.host, judged.address)
        })
    }

    fn policy<'a>(&'a self, network: &'a Network, own: &'a [IpAddr]) -> Policy<'a> {
        Policy {
            network,
            opened: &self.opened,
            own,
        }
    }

    async fn try_open(
        &self,
        Destination { host, port }: Destination,
        network: &Network,
    ) -> Result<(TcpStream, Judged), Outcome> {
        let own = policy::own_addresses().map_err(|_| Outcome::Unreachable)?;
        let policy = self.policy(network, &own);
        let mut addresses = match &host {
            Host::Address(address) => vec![*address],
            Host::Name(name) if policy.may_look_up(name) => self.names.look_up(name).await,
            Host::Name(_) => return Err(Outcome::Refused),
        };
        if addresses.is_empty() {
            return Err(Outcome::Unknown);
        }
        addresses.retain(|address| policy.permits(&host, *address));
        let mut failed = Outcome::Refused;
        for address in addresses {
            let connecting = TcpStream::connect(SocketAddr::new(address, port));
            match timeout(ATTEMPT, connecting).await {
                Ok(Ok(stream)) => {
                    // What is carried is passed on at once; delays would add up.
                    let _ = stream.set_nodelay(true);
                    return Ok((stream, Judged { host, address }));
                }
                Ok(Err(_)) => failed = Outcome::Unreachable,
                Err(_) => failed = Outcome::Late,
            }
        }
        Err(failed)
    }
}
