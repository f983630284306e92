//! Looking up names, with the settings of this machine: `/etc/hosts` and `/etc/resolv.conf`,
//! read again when they change. A static binary has no resolver of the C library to ask.
//!
//! Every name is looked up as it stands: a sandbox's `intranet` is not completed to a name of
//! the operator's own network.

use hickory_resolver::{
    TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolverConfig},
    net::{NetError, runtime::TokioRuntimeProvider},
};
use soulbox_runtime::network::Name;
use std::{
    fs,
    net::{IpAddr, SocketAddr},
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

/// What the settings come from.
const FILES: [&str; 2] = ["/etc/resolv.conf", "/etc/hosts"];
/// One question to one name server.
const QUESTION: Duration = Duration::from_secs(5);
/// Questions in all.
const ATTEMPTS: usize = 2;
/// Answers that are kept for all sandboxes, as long as they say that they may be.
const CACHE_ANSWERS: u64 = 4096;
/// Addresses of one name that are looked at.
const ADDRESSES: usize = 16;

/// When each of [`FILES`] was changed last.
type Stamp = [Option<SystemTime>; 2];

/// The resolver, and what it was made of.
pub struct Names {
    servers: Vec<SocketAddr>,
    made: Mutex<Option<(Stamp, TokioResolver)>>,
}

impl std::fmt::Debug for Names {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Names").finish_non_exhaustive()
    }
}

impl Names {
    /// Asks these servers, or those of the machine when there are none.
    pub fn new(servers: Vec<SocketAddr>) -> Self {
        Self {
            servers,
            made: Mutex::default(),
        }
    }

    /// The addresses of a name, IPv4 first: where IPv6 leads nowhere, it is no use to try it.
    /// None when there are none or nobody answers.
    pub async fn look_up(&self, name: &Name) -> Vec<IpAddr> {
        let Ok(resolver) = self.resolver() else {
            return Vec::new();
        };
        let Ok(found) = resolver.lookup_ip(format!("{}.", name.as_str())).await else {
            return Vec::new();
        };
        let mut addresses: Vec<IpAddr> = found.iter().map(|it| it.to_canonical()).collect();
        addresses.sort_by_key(IpAddr::is_ipv6);
        addresses.truncate(ADDRESSES);
        addresses
    }

    fn resolver(&self) -> Result<TokioResolver, NetError> {
        let stamp = FILES.map(|file| fs::metadata(file).and_then(|it| it.modified()).ok());
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, resolver)) = &*made
            && *of == stamp
        {
            return Ok(resolver.clone());
        }
        let resolver = self.make()?;
        *made = Some((stamp, resolver.clone()));
        Ok(resolver)
    }

    fn make(&self) -> Result<TokioResolver, NetError> {
        let mut builder = if self.servers.is_empty() {
            TokioResolver::builder_tokio()?
        } else {
            let servers = self.servers.iter().map(server).collect();
            let config = ResolverConfig::from_name_servers(servers);
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        };
        let options = builder.options_mut();
        options.timeout = QUESTION;
        options.attempts = ATTEMPTS;
        options.cache_size = CACHE_ANSWERS;
        builder.build()
    }
}

fn server(address: &SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = address.port();
        connection
    });
    NameServerConfig::new(address.ip(), true, connections.into())
}
