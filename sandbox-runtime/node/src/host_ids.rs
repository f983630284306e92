//! Ranges of host user ids: each cell has its own, so that no two cells share a user on the
//! host and a process that broke out of one owns nothing of another.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

/// Ids in one range: what a user namespace maps.
const IDS_PER_CELL: u32 = 65_536;
/// Ranges at one time; more than any machine holds cells.
const RANGES: u32 = 4096;

/// Gives out ranges.
#[derive(Debug)]
pub struct HostIds {
    first: u32,
    taken: Mutex<BTreeSet<u32>>,
}

/// One range; free again when dropped.
#[derive(Debug)]
pub struct IdRange {
    number: u32,
    owner: Arc<HostIds>,
}

impl HostIds {
    /// All ranges, from `first` on.
    pub fn new(first: u32) -> Arc<Self> {
        Arc::new(Self {
            first,
            taken: Mutex::default(),
        })
    }

    /// The lowest free range, or nothing when all are taken or past the last id.
    pub fn take(self: &Arc<Self>) -> Option<IdRange> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let number = (0..RANGES).find(|number| !taken.contains(number))?;
        self.first
            .checked_add((number + 1).checked_mul(IDS_PER_CELL)?)?;
        taken.insert(number);
        Some(IdRange {
            number,
            owner: Arc::clone(self),
        })
    }
}

impl IdRange {
    /// The first id of the range.
    pub fn first(&self) -> u32 {
        self.owner.first + self.number * IDS_PER_CELL
    }
}

impl Drop for IdRange {
    fn drop(&mut self) {
        let mut taken = self
            .owner
            .taken
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        taken.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_do_not_overlap_and_come_back() {
        let ids = HostIds::new(1_000_000);
        let (a, b) = (ids.take().expect("free"), ids.take().expect("free"));
        assert_eq!(b.first() - a.first(), IDS_PER_CELL);
        drop(a);
        assert_eq!(ids.take().expect("free").first(), 1_000_000);
    }

    #[test]
    fn no_range_passes_the_last_id() {
        let ids = HostIds::new(u32::MAX - IDS_PER_CELL - 1);
        let _first = ids.take().expect("free");
        assert!(ids.take().is_none());
    }
}
