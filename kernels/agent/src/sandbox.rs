//! Who this sandbox is: its id, its variables, its default user and working directory.
//!
//! A warm sandbox is nobody's until the node claims it, so all of this changes once while
//! kernels already run. The whole identity is replaced at a time: a reader holds an `Arc` of
//! one state and never sees half of a claim.

use crate::egress::variables;
use soulbox_protocol::control::{Claim, Limits};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// User of requests that name none, until the claim says otherwise.
const UNCLAIMED_USER: &str = "user";

/// What a claim sets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// `None` until the sandbox is claimed.
    pub sandbox_id: Option<String>,
    /// Variables of the whole sandbox, `E2B_SANDBOX` and the two ids included. This is what
    /// `GET /envs` shows and what every process and kernel gets (section 4.3 of the contract).
    pub env: BTreeMap<String, String>,
    /// User of requests that name none.
    pub default_user: String,
    /// Working directory of requests that name none; `None` is the user's home.
    pub default_workdir: Option<String>,
    /// What the sandbox may use, if the node said it.
    pub limits: Option<Limits>,
    /// Longest side of a picture in a result, in pixels; 0 for any.
    pub image_side: u32,
}

impl From<&Claim> for Identity {
    fn from(claim: &Claim) -> Self {
        let mut env = claim.env.clone();
        if claim.egress {
            variables::add(&mut env);
        }
        // Not to be overridden by a client (section 4.3), so they come last.
        env.insert("E2B_SANDBOX".into(), "true".into());
        env.insert("E2B_SANDBOX_ID".into(), claim.sandbox_id.clone());
        env.insert("E2B_TEMPLATE_ID".into(), claim.template_id.clone());
        Self {
            sandbox_id: Some(claim.sandbox_id.clone()),
            env,
            default_user: claim.default_user.clone(),
            default_workdir: claim.default_workdir.clone(),
            limits: claim.limits,
            image_side: claim.image_side,
        }
    }
}

/// The sandbox that this agent is the first process of. Shared by all planes.
pub struct Sandbox {
    identity: watch::Sender<Arc<Identity>>,
    claimed: Mutex<Option<Claim>>,
}

impl Sandbox {
    /// A warm sandbox that nobody has yet.
    pub fn unclaimed() -> Self {
        let identity = Identity {
            default_user: UNCLAIMED_USER.into(),
            ..Identity::default()
        };
        Self {
            identity: watch::Sender::new(Arc::new(identity)),
            claimed: Mutex::default(),
        }
    }

    /// The identity as it is now. Cheap: keep it for one request, ask again for the next.
    pub fn identity(&self) -> Arc<Identity> {
        self.identity.borrow().clone()
    }

    /// Makes the sandbox somebody's. A second claim replaces the first: after a restore the
    /// same sandbox lives on under another id.
    pub fn claim(&self, claim: &Claim) {
        let mut claimed = self.claimed.lock().unwrap_or_else(PoisonError::into_inner);
        self.identity.send_replace(Arc::new(Identity::from(claim)));
        *claimed = Some(claim.clone());
    }

    /// Sets or removes the variables that tell of the way out. Nothing before a claim.
    pub fn switch_egress(&self, on: bool) {
        let mut claimed = self.claimed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(claim) = claimed.as_mut() {
            claim.egress = on;
            self.identity
                .send_replace(Arc::new(Identity::from(&*claim)));
        }
    }

    /// Wakes at every claim, for those who must hand the variables on.
    #[allow(
        dead_code,
        reason = "for kernels that start while a claim is under way"
    )]
    pub fn claims(&self) -> watch::Receiver<Arc<Identity>> {
        self.identity.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_cannot_override_the_identity_variables() {
        let sandbox = Sandbox::unclaimed();
        assert_eq!(sandbox.identity().sandbox_id, None);
        sandbox.claim(&Claim {
            sandbox_id: "iabc".into(),
            template_id: "base".into(),
            env: [
                ("A".into(), "1".into()),
                ("E2B_SANDBOX_ID".into(), "other".into()),
            ]
            .into(),
            default_user: "user".into(),
            default_workdir: None,
            entropy: String::new(),
            limits: None,
            image_side: 0,
            egress: false,
        });
        let identity = sandbox.identity();
        assert_eq!(identity.env["E2B_SANDBOX_ID"], "iabc");
        assert_eq!(identity.env["E2B_SANDBOX"], "true");
        assert_eq!(identity.env["A"], "1");
        assert_eq!(identity.env.len(), 4);
        sandbox.switch_egress(true);
        assert!(sandbox.identity().env.contains_key("https_proxy"));
        sandbox.switch_egress(false);
        assert_eq!(sandbox.identity(), identity);
    }
}
