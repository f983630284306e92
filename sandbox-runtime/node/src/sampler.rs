//! Looks about once a second at what each sandbox uses, from the host's side: its control
//! group and its disk. Code inside can't touch these numbers.

use crate::{history::History, node::Node};
use soulbox_runtime::{Limits, api::Sample, tier::Usage};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::time::{MissedTickBehavior, interval};

const PERIOD: Duration = Duration::from_secs(1);

/// What is remembered of one cell's use.
#[derive(Debug, Default)]
pub struct Meter(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    history: History,
    /// The processor time at the last look.
    before: Option<(Instant, u64)>,
}

impl Meter {
    /// Notes what is used now. The first look only begins the measuring of processor time.
    fn look(&self, usage: Usage, limits: &Limits) {
        let now = Instant::now();
        let mut inner = self.lock();
        if let Some((at, cpu_usec)) = inner.before.replace((now, usage.cpu_usec)) {
            let spent = usage.cpu_usec.saturating_sub(cpu_usec);
            let possible =
                now.duration_since(at).as_micros() as f64 * f64::from(limits.cpu_count());
            inner.history.add(Sample {
                at: jiff::Timestamp::now(),
                cpu_percent: percent(spent as f64, possible),
                memory_bytes: usage.memory_bytes.saturating_sub(usage.cache_bytes),
                cache_bytes: usage.cache_bytes,
                disk_used_bytes: usage.disk_used_bytes,
                disk_total_bytes: usage.disk_total_bytes,
            });
        }
    }

    /// What was noted, from `start` to `end` in seconds since 1970.
    pub fn between(&self, start: Option<i64>, end: Option<i64>) -> Vec<Sample> {
        self.lock().history.between(start, end)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks at all sandboxes until the node ends.
pub async fn keep(node: Arc<Node>) {
    let mut clock = interval(PERIOD);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        clock.tick().await;
        let running = node.registry.all_running();
        let looked = tokio::task::spawn_blocking(move || {
            for live in running {
                live.meter.look(live.handle.usage(), &live.limits);
            }
        });
        if let Err(error) = looked.await {
            tracing::error!(%error, "a look at the sandboxes broke off");
        }
    }
}

/// In percent with two digits.
fn percent(spent: f64, possible: f64) -> f64 {
    if possible <= 0.0 {
        return 0.0;
    }
    let percent = (spent * 100.0 / possible).clamp(0.0, 100.0);
    (percent * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_between_nothing_and_everything() {
        for (spent, possible, want) in [
            (0.0, 1.0, 0.0),
            (1.0, 3.0, 33.33),
            (5.0, 1.0, 100.0),
            (1.0, 0.0, 0.0),
        ] {
            assert!((percent(spent, possible) - want).abs() < f64::EPSILON);
        }
    }

    #[test]
    fn the_first_look_is_no_sample() {
        let meter = Meter::default();
        let usage = Usage {
            memory_bytes: 10,
            cache_bytes: 4,
            ..Usage::default()
        };
        meter.look(usage, &Limits::default());
        assert!(meter.between(None, None).is_empty());
        meter.look(usage, &Limits::default());
        let samples = meter.between(None, None);
        assert_eq!(
            (
                samples.len(),
                samples[0].memory_bytes,
                samples[0].cache_bytes
            ),
            (1, 6, 4)
        );
    }
}
