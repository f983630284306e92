//! Warm cells per template and tier, and who waits for one.
//!
//! This file decides and does nothing: no I/O, no clock, no task, so every rule can be
//! tested. The keeper asks [`Pools::next`] what to start and tells how it went. A create
//! request that finds no warm cell waits here; the first cell that becomes ready is
//! its, whether it was started for this request or was on its way into the pool.

use crate::error::NotReady;
use soulbox_runtime::{CellId, TemplateName, TierName};
use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// Pause after the first failed start of a refill; doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause between tries, so that a repaired machine fills its pools soon.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Cells that can stand for each other.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PoolKey {
    /// What they were started from.
    pub template: TemplateName,
    /// What isolates them.
    pub tier: TierName,
}

/// What a waiting request gets in the end.
pub type Delivery = Result<CellId, NotReady>;

/// What the keeper is to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Start a cell; it is already counted as starting.
    Start(PoolKey),
    /// End a warm cell that nobody wants; it is no more in the pool.
    Retire(CellId),
    /// Nothing, until something changes or this moment comes.
    Wait(Option<Instant>),
}

/// All pools of a node.
#[derive(Debug, Default)]
pub struct Pools {
    pools: BTreeMap<PoolKey, Pool>,
}

#[derive(Debug, Default)]
struct Pool {
    wanted: u32,
    warm: VecDeque<CellId>,
    starting: u32,
    waiters: VecDeque<oneshot::Sender<Delivery>>,
    failures: u32,
    not_before: Option<Instant>,
}

impl Pools {
    /// Says how many warm cells there should be.
    pub fn want(&mut self, key: PoolKey, wanted: u32) {
        self.pools.entry(key).or_default().wanted = wanted;
    }

    /// Warm cells now, and wanted.
    pub fn size(&self, key: &PoolKey) -> (u32, u32) {
        self.pools.get(key).map_or((0, 0), |pool| {
            (
                u32::try_from(pool.warm.len()).unwrap_or(u32::MAX),
                pool.wanted,
            )
        })
    }

    /// Cells that are warm or on their way.
    pub fn unclaimed(&self) -> usize {
        self.pools
            .values()
            .map(|pool| pool.warm.len() + pool.starting as usize)
            .sum()
    }

    /// The oldest warm cell. The oldest, because a cell that was going to fail has.
    pub fn take(&mut self, key: &PoolKey) -> Option<CellId> {
        self.pools.get_mut(key)?.warm.pop_front()
    }

    /// Gets in line for the next cell.
    pub fn wait(&mut self, key: &PoolKey) -> oneshot::Receiver<Delivery> {
        let (sender, receiver) = oneshot::channel();
        let pool = self.pools.entry(key.clone()).or_default();
        pool.waiters.push_back(sender);
        receiver
    }

    /// A start went well.
    pub fn ready(&mut self, key: &PoolKey, cell: CellId) {
        let pool = self.pools.entry(key.clone()).or_default();
        pool.starting = pool.starting.saturating_sub(1);
        pool.failures = 0;
        pool.not_before = None;
        pool.hand_out(cell);
    }

    /// A cell that was handed out was not used after all.
    pub fn put_back(&mut self, key: &PoolKey, cell: CellId) {
        self.pools.entry(key.clone()).or_default().hand_out(cell);
    }

    /// A start failed. One request that waited for it is told, unless other starts are
    /// still under way for it.
    pub fn failed(&mut self, key: &PoolKey, error: &NotReady, now: Instant) {
        let pool = self.pools.entry(key.clone()).or_default();
        pool.starting = pool.starting.saturating_sub(1);
        let pause = FIRST_PAUSE
            .saturating_mul(1 << pool.failures.min(16))
            .min(LONGEST_PAUSE);
        pool.failures = pool.failures.saturating_add(1);
        pool.not_before = Some(now + pause);
        pool.forget_gone();
        if pool.waiters.len() > pool.starting as usize
            && let Some(waiter) = pool.waiters.pop_front()
        {
            // A waiter that has just gone needs no telling.
            let _ = waiter.send(Err(error.clone()));
        }
    }

    /// A warm cell is no more.
    pub fn remove(&mut self, key: &PoolKey, cell: &CellId) {
        if let Some(pool) = self.pools.get_mut(key) {
            pool.warm.retain(|warm| warm != cell);
        }
    }

    /// What to do next. Requests that wait come before refills, and do not
    /// care for the pause after failures: each gets its own try. `room` is how many
    /// more warm cells the machine may hold.
    pub fn next(&mut self, now: Instant, room: usize) -> Next {
        self.pools.values_mut().for_each(Pool::forget_gone);
        if let Some((key, pool)) = self.pools.iter_mut().find(|(_, pool)| pool.has_unserved()) {
            pool.starting += 1;
            return Next::Start(key.clone());
        }
        let surplus = self.pools.values_mut().find_map(Pool::surplus);
        if let Some(cell) = surplus {
            return Next::Retire(cell);
        }
        let mut wake = None;
        for (key, pool) in self.pools.iter_mut().filter(|(_, pool)| pool.is_short()) {
            match pool.not_before {
                Some(moment) if moment > now => {
                    wake = Some(wake.map_or(moment, |wake: Instant| wake.min(moment)));
                }
                _ if room > 0 => {
                    pool.starting += 1;
                    return Next::Start(key.clone());
                }
                _ => {}
            }
        }
        Next::Wait(wake)
    }
}

impl Pool {
    fn hand_out(&mut self, cell: CellId) {
        let mut cell = cell;
        while let Some(waiter) = self.waiters.pop_front() {
            match waiter.send(Ok(cell)) {
                Ok(()) => return,
                Err(Ok(back)) => cell = back,
                Err(Err(_)) => return,
            }
        }
        self.warm.push_back(cell);
    }

    fn forget_gone(&mut self) {
        self.waiters.retain(|waiter| !waiter.is_closed());
    }

    fn has_unserved(&self) -> bool {
        self.waiters.len() > self.starting as usize
    }

    fn is_short(&self) -> bool {
        let coming = (self.warm.len() + self.starting as usize).saturating_sub(self.waiters.len());
        coming < self.wanted as usize
    }

    fn surplus(&mut self) -> Option<CellId> {
        (self.warm.len() > self.wanted as usize)
            .then(|| self.warm.pop_front())
            .flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: usize = 10;

    fn key(name: &str) -> PoolKey {
        PoolKey {
            template: TemplateName::new(name).expect("a valid name"),
            tier: TierName::Gvisor,
        }
    }

    fn cell(name: &str) -> CellId {
        CellId::new(name).expect("a valid id")
    }

    fn failure() -> NotReady {
        NotReady::Failed("no".to_owned())
    }

    #[test]
    fn a_pool_is_filled_to_what_is_wanted_and_no_further() {
        let mut pools = Pools::default();
        let now = Instant::now();
        pools.want(key("a"), 2);
        assert_eq!(pools.next(now, ROOM), Next::Start(key("a")));
        assert_eq!(pools.next(now, ROOM), Next::Start(key("a")));
        assert_eq!(pools.next(now, ROOM), Next::Wait(None));
        pools.ready(&key("a"), cell("1"));
        pools.ready(&key("a"), cell("2"));
        assert_eq!(pools.next(now, ROOM), Next::Wait(None));
        assert_eq!(pools.take(&key("a")), Some(cell("1")));
        assert_eq!(pools.next(now, ROOM), Next::Start(key("a")));
    }

    #[test]
    fn a_request_takes_what_becomes_ready_first_and_the_pool_fills_again() {
        let mut pools = Pools::default();
        let now = Instant::now();
        pools.want(key("a"), 1);
        assert_eq!(pools.next(now, ROOM), Next::Start(key("a")));
        let mut request = pools.wait(&key("a"));
        // The start that is under way serves the request; one more is for the pool.
        assert_eq!(pools.next(now, ROOM), Next::Start(key("a")));
        assert_eq!(pools.next(now, ROOM), Next::Wait(None));
        pools.ready(&key("a"), cell("1"));
        assert_eq!(
            request.try_recv().expect("delivered").expect("ready"),
            cell("1")
        );
        pools.ready(&key("a"), cell("2"));
        assert_eq!(pools.size(&key("a")), (1, 1));
    }

    #[test]
    fn a_request_that_waits_comes_before_a_refill() {
        let mut pools = Pools::default();
        pools.want(key("a"), 5);
        let _request = pools.wait(&key("b"));
        assert_eq!(pools.next(Instant::now(), 0), Next::Start(key("b")));
    }

    #[test]
    fn a_request_that_went_away_leaves_its_cell_to_the_next() {
        let mut pools = Pools::default();
        drop(pools.wait(&key("a")));
        let mut second = pools.wait(&key("a"));
        pools.ready(&key("a"), cell("1"));
        assert_eq!(
            second.try_recv().expect("delivered").expect("ready"),
            cell("1")
        );
    }

    #[test]
    fn refills_pause_after_failures_and_requests_do_not() {
        let mut pools = Pools::default();
        let now = Instant::now();
        pools.want(key("a"), 1);
        assert_eq!(pools.next(now, ROOM), Next::Start(key("a")));
        pools.failed(&key("a"), &failure(), now);
        assert_eq!(pools.next(now, ROOM), Next::Wait(Some(now + FIRST_PAUSE)));
        let mut request = pools.wait(&key("a"));
        assert_eq!(pools.next(now, ROOM), Next::Start(key("a")));
        pools.failed(&key("a"), &failure(), now);
        assert!(request.try_recv().expect("told").is_err());
        assert_eq!(
            pools.next(now, ROOM),
            Next::Wait(Some(now + 2 * FIRST_PAUSE))
        );
        assert_eq!(
            pools.next(now + 2 * FIRST_PAUSE, ROOM),
            Next::Start(key("a"))
        );
    }

    #[test]
    fn pauses_are_bounded() {
        let mut pools = Pools::default();
        let now = Instant::now();
        pools.want(key("a"), 1);
        for _ in 0..100 {
            pools.failed(&key("a"), &failure(), now);
        }
        assert_eq!(pools.next(now, ROOM), Next::Wait(Some(now + LONGEST_PAUSE)));
    }

    #[test]
    fn a_cell_that_nobody_wants_is_retired() {
        let mut pools = Pools::default();
        let request = pools.wait(&key("a"));
        assert_eq!(pools.next(Instant::now(), ROOM), Next::Start(key("a")));
        drop(request);
        pools.ready(&key("a"), cell("1"));
        assert_eq!(pools.next(Instant::now(), ROOM), Next::Retire(cell("1")));
        assert_eq!(pools.next(Instant::now(), ROOM), Next::Wait(None));
    }

    #[test]
    fn nothing_is_refilled_without_room() {
        let mut pools = Pools::default();
        pools.want(key("a"), 1);
        assert_eq!(pools.next(Instant::now(), 0), Next::Wait(None));
    }
}
