//! What leaves a sandbox: the only way out there is, and the one place where it is judged.
//!
//! A sandbox has no network. Its agent names a destination on a stream that [`accept`] holds
//! open; the destination is parsed once, by `soulbox_runtime::network`; its name is looked up
//! here; every address is judged by [`policy`]; and exactly an address that was judged is
//! dialled. Nothing is looked up or parsed a second time, so there is nothing in which the
//! second look could differ from the first.

mod accept;
mod dial;
mod names;
mod policy;

pub use accept::keep;
pub use dial::Dialler;

use ipnet::IpNet;
use policy::Policy;
use soulbox_runtime::Network;
use std::{net::SocketAddr, sync::Arc};
use tokio::sync::watch;

/// What the owner of the machine says about the way out of all sandboxes.
#[derive(Debug, Clone, Default)]
pub struct EgressOptions {
    /// Blocks that are not public and that sandboxes may reach all the same, if their own
    /// rules let them.
    pub allow: Vec<IpNet>,
    /// Name servers to ask instead of those of this machine.
    pub dns: Vec<SocketAddr>,
}

/// The rules of one cell, which may change at any time. Closed until the cell is claimed.
#[derive(Debug, Clone)]
pub struct Gate(watch::Sender<Arc<Network>>);

impl Gate {
    /// Nothing leaves.
    pub fn closed() -> Self {
        Self(watch::Sender::new(Arc::new(Network::off())))
    }

    /// Sets the rules. Connections that they forbid are cut. Whether there was a way out
    /// before.
    pub fn set(&self, network: Network) -> bool {
        !self.0.send_replace(Arc::new(network)).is_off()
    }

    fn rules(&self) -> watch::Receiver<Arc<Network>> {
        self.0.subscribe()
    }
}
