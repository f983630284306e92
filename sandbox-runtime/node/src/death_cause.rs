//! Which name a death gets, decided from what was counted and from nothing else.

use soulbox_runtime::{Evidence, Reason, tier::Usage};

/// Free bytes below which a disk counts as full: an ext4 of any size refuses writes of
/// ordinary users before the last block is gone.
const DISK_FULL_BYTES: u64 = 1 << 20;

/// Names a death that nobody asked for. The order is that of certainty: the host counts its
/// out-of-memory kills and refused forks, while a full disk may be a coincidence.
pub fn name(evidence: &Evidence, usage: &Usage) -> Reason {
    if evidence.oom_kills.is_some_and(|n| n > 0) {
        Reason::Oom
    } else if evidence.forks_refused.is_some_and(|n| n > 0) {
        Reason::Pids
    } else if usage.disk_total_bytes > 0
        && usage.disk_total_bytes.saturating_sub(usage.disk_used_bytes) < DISK_FULL_BYTES
    {
        Reason::Disk
    } else {
        Reason::AgentLost
    }
}

/// Joins what was seen while the cell ran with what was seen at its end. The end wins, but
/// a counter never falls.
pub fn join(before: Evidence, end: Evidence) -> Evidence {
    Evidence {
        oom_kills: before.oom_kills.max(end.oom_kills),
        forks_refused: before.forks_refused.max(end.forks_refused),
        memory_peak_bytes: before.memory_peak_bytes.max(end.memory_peak_bytes),
        exit_status: end.exit_status.or(before.exit_status),
        signal: end.signal.or(before.signal),
        console: end.console.or(before.console),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evidence(oom: Option<u64>, forks: Option<u64>) -> Evidence {
        Evidence {
            oom_kills: oom,
            forks_refused: forks,
            ..Evidence::default()
        }
    }

    fn disk(used: u64, total: u64) -> Usage {
        Usage {
            disk_used_bytes: used,
            disk_total_bytes: total,
            ..Usage::default()
        }
    }

    #[test]
    fn counters_of_the_host_name_a_death() {
        let free = disk(0, 1 << 30);
        assert_eq!(name(&evidence(Some(1), Some(9)), &free), Reason::Oom);
        assert_eq!(name(&evidence(Some(0), Some(9)), &free), Reason::Pids);
        assert_eq!(name(&evidence(Some(0), Some(0)), &free), Reason::AgentLost);
        assert_eq!(
            name(&evidence(None, None), &disk(1 << 30, 1 << 30)),
            Reason::Disk
        );
        assert_eq!(name(&evidence(None, None), &disk(0, 0)), Reason::AgentLost);
    }

    #[test]
    fn a_counter_that_is_gone_with_its_cgroup_is_remembered() {
        let joined = join(evidence(Some(2), None), evidence(None, Some(1)));
        assert_eq!(joined, evidence(Some(2), Some(1)));
    }
}
