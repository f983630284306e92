//! Listing: which sandboxes, in which order, page by page.
//!
//! The order key is (start, id): newest first and then by id, or the exact reverse
//! (e2b-wire.md, section 3.2). A page goes on after a key, so sandboxes that come and go
//! between two pages neither repeat nor hide others.

use super::{Sandbox, Sandboxes};
use jiff::Timestamp;
use soulbox_runtime::SandboxId;
use std::{cmp::Ordering, collections::BTreeMap, sync::Arc};

/// Which end of the list comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Oldest first.
    Ascending,
    /// Newest first.
    Descending,
}

/// Which sandboxes are wanted. Everything given must hold.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// These pairs, exactly.
    pub metadata: BTreeMap<String, String>,
    /// Started at this time or later.
    pub started_after: Option<Timestamp>,
    /// Started from this template.
    pub template: Option<String>,
}

/// The place after which a page begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// Start of the last sandbox of the page before.
    pub started_at: Timestamp,
    /// Its id.
    pub id: SandboxId,
}

/// One page.
#[derive(Debug)]
pub struct Page {
    /// Its sandboxes, in order.
    pub sandboxes: Vec<Arc<Sandbox>>,
    /// Where the next page begins, if there is more.
    pub next: Option<Cursor>,
    /// Matches on all pages.
    pub total: usize,
}

impl Sandboxes {
    /// One page of the running sandboxes.
    pub fn page(
        &self,
        selection: &Selection,
        order: Order,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Page {
        let mut matches = self.all_running();
        matches.retain(|sandbox| selection.wants(sandbox));
        let total = matches.len();
        matches.sort_by(|a, b| order.compare(&a.cursor(), &b.cursor()));
        if let Some(after) = after {
            matches.retain(|one| order.compare(&one.cursor(), after) == Ordering::Greater);
        }
        let more = matches.len() > limit;
        matches.truncate(limit);
        let next = matches.last().filter(|_| more).map(|last| last.cursor());
        Page {
            sandboxes: matches,
            next,
            total,
        }
    }
}

impl Sandbox {
    fn cursor(&self) -> Cursor {
        Cursor {
            started_at: self.record.started_at,
            id: self.record.id.clone(),
        }
    }
}

impl Selection {
    fn wants(&self, sandbox: &Sandbox) -> bool {
        let record = &sandbox.record;
        let metadata = || {
            self.metadata
                .iter()
                .all(|(k, v)| record.metadata.get(k) == Some(v))
        };
        self.started_after
            .is_none_or(|after| record.started_at >= after)
            && self
                .template
                .as_ref()
                .is_none_or(|name| record.template.as_str() == name)
            && metadata()
    }
}

impl Order {
    fn compare(self, a: &Cursor, b: &Cursor) -> Ordering {
        let newest_first = b
            .started_at
            .cmp(&a.started_at)
            .then_with(|| a.id.cmp(&b.id));
        match self {
            Self::Descending => newest_first,
            Self::Ascending => newest_first.reverse(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor(second: i64, letter: char) -> Cursor {
        Cursor {
            started_at: Timestamp::from_second(second).expect("in range"),
            id: SandboxId::new(format!("i{}", letter.to_string().repeat(20))).expect("valid"),
        }
    }

    #[test]
    fn ascending_is_the_exact_reverse_of_newest_first() {
        let mut places = vec![cursor(1, 'b'), cursor(2, 'a'), cursor(1, 'a')];
        places.sort_by(|a, b| Order::Descending.compare(a, b));
        assert_eq!(places, [cursor(2, 'a'), cursor(1, 'a'), cursor(1, 'b')]);
        let forward = places.clone();
        places.sort_by(|a, b| Order::Ascending.compare(a, b));
        assert!(places.iter().eq(forward.iter().rev()));
    }
}
