//! The tiers of this node: probed once at start, chosen by name from then on.
//!
//! Without a choice of the owner, the strongest tier that works is the default. The
//! `namespace` tier shares the host's kernel with the code, so it is never picked
//! here: an owner who wants it says so.

use crate::{
    error::{NodeError, NotReady},
    options::NodeOptions,
};
use soulbox_gvisor::{Gvisor, GvisorOptions};
use soulbox_namespace::{Namespace, NamespaceOptions};
use soulbox_runtime::{CellId, Tier, TierName, TierStatus};
use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};
use tracing::{info, warn};

/// A probe starts a sandbox for real; on a slow machine that takes seconds.
const PROBE_TIMEOUT: Duration = Duration::from_secs(60);

/// The subcommand of the program that runs this node which becomes the first process of a
/// cell of the namespace tier.
pub const NAMESPACE_INIT: &str = "namespace-init";

/// The tiers and what is known of them.
pub struct Tiers {
    tiers: BTreeMap<TierName, Arc<dyn Tier>>,
    status: Vec<TierStatus>,
    default: TierName,
}

impl fmt::Debug for Tiers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tiers")
            .field("default", &self.default)
            .finish_non_exhaustive()
    }
}

/// All tiers of this build, without knowing whether they work here.
///
/// # Errors
/// When the node's name can't be one on this machine.
pub fn all(options: &NodeOptions) -> Result<Vec<Arc<dyn Tier>>, NodeError> {
    let name = options.machine_wide_name();
    let node = CellId::new(name.as_str()).map_err(|_| NodeError::Name(options.name.clone()))?;
    let gvisor = Gvisor::new(GvisorOptions {
        runsc: options.runsc.clone(),
        platform: options.gvisor_platform,
        state_dir: options.state_dir(),
        node: node.clone(),
    });
    let namespace = Namespace::new(NamespaceOptions {
        init_program: "/proc/self/exe".into(),
        init_arguments: vec![NAMESPACE_INIT.to_owned()],
        state_dir: options.state_dir(),
        node,
    });
    Ok(vec![Arc::new(gvisor), Arc::new(namespace)])
}

/// Asks each tier what works here.
pub async fn probe(tiers: &[Arc<dyn Tier>]) -> Vec<TierStatus> {
    let probes = tiers.iter().map(|tier| async move {
        match tokio::time::timeout(PROBE_TIMEOUT, tier.probe()).await {
            Ok(status) => status,
            Err(_) => TierStatus {
                tier: tier.name(),
                available: false,
                version: None,
                findings: vec![soulbox_runtime::tier::Finding {
                    what: "probe".to_owned(),
                    ok: false,
                    seen: format!("no result after {} s", PROBE_TIMEOUT.as_secs()),
                    fix: None,
                }],
            },
        }
    });
    futures_util::future::join_all(probes).await
}

impl Tiers {
    /// Probes the tiers and picks the default.
    ///
    /// # Errors
    /// [`NodeError::NoTier`] when the wanted one, or every one that may be picked, does
    /// not work; it says what to do.
    pub async fn open(
        tiers: Vec<Arc<dyn Tier>>,
        wanted: Option<TierName>,
    ) -> Result<Self, NodeError> {
        let status = probe(&tiers).await;
        for tier in &status {
            let (name, version) = (tier.tier, tier.version.as_deref().unwrap_or("-"));
            info!(tier = %name, available = tier.available, version, "probed a tier");
            for finding in tier.findings.iter().filter(|finding| !finding.ok) {
                let (what, seen) = (&finding.what, &finding.seen);
                warn!(tier = %name, %what, %seen, "a probe found something missing");
            }
        }
        let default = pick(&status, wanted).map_err(NodeError::NoTier)?;
        let tiers = tiers.into_iter().map(|tier| (tier.name(), tier)).collect();
        Ok(Self {
            tiers,
            status,
            default,
        })
    }

    /// The tier of sandboxes that name none.
    pub fn default_tier(&self) -> TierName {
        self.default
    }

    /// What the probes found.
    pub fn status(&self) -> &[TierStatus] {
        &self.status
    }

    /// The tier for a request.
    ///
    /// # Errors
    /// [`NotReady::TierUnavailable`] when it does not work here or is not allowed.
    pub fn choose(&self, wanted: Option<TierName>) -> Result<TierName, NotReady> {
        let tier = wanted.unwrap_or(self.default);
        let works = self
            .status
            .iter()
            .any(|status| status.tier == tier && status.available);
        // A node whose owner did not choose `namespace` does not run it for a client either.
        let allowed = tier != TierName::Namespace || self.default == TierName::Namespace;
        if works && allowed {
            Ok(tier)
        } else {
            let why = if works {
                "the node was not started with `--isolation namespace`"
            } else {
                "it does not work on this machine; `soulbox doctor` says why"
            };
            Err(NotReady::TierUnavailable(format!("{tier}: {why}")))
        }
    }

    /// The driver of a tier.
    ///
    /// # Errors
    /// [`NotReady::TierUnavailable`] when this build has none.
    pub fn get(&self, tier: TierName) -> Result<Arc<dyn Tier>, NotReady> {
        let found = self.tiers.get(&tier).cloned();
        found.ok_or_else(|| {
            NotReady::TierUnavailable(format!("{tier}: this build has no such tier"))
        })
    }
}

/// The default tier, or why there is none.
fn pick(status: &[TierStatus], wanted: Option<TierName>) -> Result<TierName, String> {
    let works = |name| {
        status
            .iter()
            .any(|tier| tier.tier == name && tier.available)
    };
    match wanted {
        Some(name) if works(name) => Ok(name),
        Some(name) => Err(format!(
            "`{name}` was asked for and does not work. {}",
            fixes(status, name)
        )),
        None => [TierName::Gvisor, TierName::Microvm]
            .into_iter()
            .find(|name| works(*name))
            .ok_or_else(|| {
                format!(
                    "{} For code that you trust, `--isolation namespace` runs without gVisor.",
                    fixes(status, TierName::Gvisor)
                )
            }),
    }
}

fn fixes(status: &[TierStatus], name: TierName) -> String {
    let Some(tier) = status.iter().find(|tier| tier.tier == name) else {
        return format!("This build has no tier `{name}`.");
    };
    let mut text = String::new();
    for finding in tier.findings.iter().filter(|finding| !finding.ok) {
        let fix = finding
            .fix
            .as_deref()
            .unwrap_or("`soulbox doctor` tells more");
        text.push_str(&format!("{}: {} ({fix}). ", finding.what, finding.seen));
    }
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(tier: TierName, available: bool) -> TierStatus {
        TierStatus {
            tier,
            available,
            version: None,
            findings: Vec::new(),
        }
    }

    #[test]
    fn namespace_is_never_a_silent_fallback() {
        let found = [
            status(TierName::Gvisor, false),
            status(TierName::Namespace, true),
        ];
        assert!(pick(&found, None).is_err());
        assert_eq!(
            pick(&found, Some(TierName::Namespace)),
            Ok(TierName::Namespace)
        );
    }

    #[test]
    fn a_tier_that_was_asked_for_is_not_replaced() {
        let found = [
            status(TierName::Gvisor, true),
            status(TierName::Namespace, false),
        ];
        assert!(pick(&found, Some(TierName::Namespace)).is_err());
        assert_eq!(pick(&found, None), Ok(TierName::Gvisor));
    }
}
