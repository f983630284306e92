//! What a sandbox used over its life, in bounded memory: the last five minutes second by
//! second, and of the time before at most 400 moments, evenly apart. They move further apart
//! as the sandbox grows older, so that its whole life is always covered.

use soulbox_runtime::api::Sample;
use std::collections::VecDeque;

/// Samples, one a second, that are kept as they are.
const RECENT: usize = 300;
/// Samples of the time before. When there are as many, every second one goes.
const OLDER: usize = 400;

/// The samples of one sandbox, oldest first.
#[derive(Debug, Default)]
pub struct History {
    older: Vec<Sample>,
    recent: VecDeque<Sample>,
    /// One of `2^thinned` samples that grow old is kept.
    thinned: u32,
    /// Samples that grew old since the last that was kept.
    passed_over: u64,
}

impl History {
    /// Adds the newest sample.
    pub fn add(&mut self, sample: Sample) {
        self.recent.push_back(sample);
        if self.recent.len() <= RECENT {
            return;
        }
        let Some(old) = self.recent.pop_front() else {
            return;
        };
        if self.passed_over == 0 {
            self.older.push(old);
        }
        self.passed_over = (self.passed_over + 1) % (1 << self.thinned);
        if self.older.len() >= OLDER {
            let mut number = 0;
            self.older.retain(|_| {
                number += 1;
                number % 2 == 1
            });
            self.thinned += 1;
            // The last one that was kept just went, or the next one would have.
            self.passed_over = 0;
        }
    }

    /// Those from `start` to `end`, both included, in seconds since 1970.
    pub fn between(&self, start: Option<i64>, end: Option<i64>) -> Vec<Sample> {
        let wanted = |sample: &&Sample| {
            let at = sample.at.as_second();
            start.is_none_or(|start| at >= start) && end.is_none_or(|end| at <= end)
        };
        let all = self.older.iter().chain(&self.recent);
        all.filter(wanted).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use proptest::prelude::*;

    fn after(seconds: i64) -> History {
        let mut history = History::default();
        for second in 0..seconds {
            history.add(Sample {
                at: Timestamp::from_second(second).expect("in range"),
                ..Sample::default()
            });
        }
        history
    }

    #[test]
    fn a_young_sandbox_has_all_and_a_range_is_inclusive() {
        let history = after(200);
        assert_eq!(history.between(None, None).len(), 200);
        let some = history.between(Some(10), Some(12));
        let seconds: Vec<_> = some.iter().map(|sample| sample.at.as_second()).collect();
        assert_eq!(seconds, [10, 11, 12]);
        assert!(history.between(Some(500), None).is_empty());
    }

    #[test]
    fn a_day_is_covered_evenly() {
        let seconds: Vec<_> = after(86_400)
            .between(None, None)
            .iter()
            .map(|sample| sample.at.as_second())
            .collect();
        assert!(seconds.len() <= RECENT + OLDER);
        assert_eq!(seconds.last(), Some(&86_399));
        let widest = seconds.windows(2).map(|pair| pair[1] - pair[0]).max();
        assert!(widest <= Some(1024), "{widest:?}");
    }

    proptest! {
        #[test]
        fn it_is_bounded_ordered_and_keeps_both_ends(seconds in 1_i64..20_000) {
            let samples = after(seconds).between(None, None);
            prop_assert!(samples.len() <= RECENT + OLDER);
            prop_assert!(samples.windows(2).all(|pair| pair[0].at < pair[1].at));
            prop_assert_eq!(samples[0].at.as_second(), 0);
            prop_assert_eq!(samples[samples.len() - 1].at.as_second(), seconds - 1);
        }
    }
}
