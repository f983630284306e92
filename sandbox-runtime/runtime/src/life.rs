//! The states of a sandbox as its node sees it. Every arrow is a method that
//! consumes the old state; there is no setter.

use crate::{Death, SandboxId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A client's hold on a sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Whom it is leased as.
    pub sandbox: SandboxId,
    /// When it ends, unless it is extended before.
    pub expires_at: Timestamp,
}

/// A sandbox as its node sees it. `C` is what holds the running cell.
#[derive(Debug)]
pub enum Life<C> {
    /// Its cell is being started.
    Starting,
    /// Ready, and nobody's.
    Warm(C),
    /// A client has it.
    Running(C, Lease),
    /// It is over.
    Dead(Death),
}

/// Why a sandbox was not handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotClaimable {
    /// It is still starting.
    Starting,
    /// Somebody has it.
    Taken,
    /// It is dead.
    Dead,
}

impl<C> Life<C> {
    /// The cell is ready for a client.
    #[must_use]
    pub fn warmed(self, cell: C) -> Self {
        match self {
            Self::Starting => Self::Warm(cell),
            other => other,
        }
    }

    /// Hands a warm sandbox to a client.
    ///
    /// # Errors
    /// Gives the sandbox back when it can't be claimed.
    pub fn claim(self, lease: Lease) -> Result<Self, (Self, NotClaimable)> {
        match self {
            Self::Warm(cell) => Ok(Self::Running(cell, lease)),
            Self::Starting => Err((Self::Starting, NotClaimable::Starting)),
            taken @ Self::Running(..) => Err((taken, NotClaimable::Taken)),
            dead @ Self::Dead(_) => Err((dead, NotClaimable::Dead)),
        }
    }

    /// Ends it. The first death stays: a later one is only a consequence.
    /// Gives back the cell, to be killed and cleared.
    pub fn die(self, death: Death) -> (Self, Option<C>) {
        match self {
            Self::Warm(cell) | Self::Running(cell, _) => (Self::Dead(death), Some(cell)),
            Self::Starting => (Self::Dead(death), None),
            Self::Dead(first) => (Self::Dead(first), None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Evidence, Reason};

    fn lease() -> Lease {
        let sandbox = SandboxId::new("i0123456789abcdefghij").expect("a valid id");
        Lease {
            sandbox,
            expires_at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_warm_sandbox_is_claimed_once() {
        let running = Life::<u8>::Starting.warmed(7).claim(lease()).expect("warm");
        let (running, why) = running.claim(lease()).expect_err("taken");
        assert_eq!(why, NotClaimable::Taken);
        assert!(matches!(running, Life::Running(7, _)));
    }

    #[test]
    fn the_first_death_stays() {
        let (dead, cell) = Life::Warm(7).die(Death::now(Reason::Oom, Evidence::default()));
        assert_eq!(cell, Some(7));
        let (dead, cell) = dead.die(Death::now(Reason::Killed, Evidence::default()));
        assert_eq!(cell, None);
        assert!(matches!(
            dead,
            Life::Dead(Death {
                reason: Reason::Oom,
                ..
            })
        ));
    }
}
