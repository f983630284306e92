//! Reaps what nobody waits for.
//!
//! The node is a subreaper, so every orphan of a cell becomes its child. The tiers reap what
//! they know, at once. What is still a zombie long after is nobody's, and is
//! reaped here, by its own pid and never with a wait for any child, which would steal from the
//! tiers.

use rustix::process::{Pid, WaitOptions, waitpid};
use std::{collections::BTreeMap, fs, time::Duration};
use tracing::debug;

/// Pause between looks.
const PERIOD: Duration = Duration::from_secs(10);
/// Looks that a zombie must be seen in: whoever waits for a child does so long before.
const LOOKS: u32 = 3;

/// A process of which a later one with the same number is told apart by its start.
type Identity = (i32, u64);

/// Looks until the node ends.
pub async fn reap() {
    let mut seen = BTreeMap::new();
    loop {
        tokio::time::sleep(PERIOD).await;
        let now = tokio::task::spawn_blocking(zombies)
            .await
            .unwrap_or_default();
        for (number, _) in forgotten(&mut seen, now) {
            let Some(pid) = Pid::from_raw(number).filter(|_| number > 1) else {
                continue;
            };
            let reaped = waitpid(Some(pid), WaitOptions::NOHANG);
            debug!(
                number,
                ok = reaped.is_ok(),
                "reaped a process that nobody waited for"
            );
        }
    }
}

/// Counts looks, and gives those that were seen often enough.
fn forgotten(seen: &mut BTreeMap<Identity, u32>, now: Vec<Identity>) -> Vec<Identity> {
    seen.retain(|zombie, _| now.contains(zombie));
    now.into_iter()
        .filter(|zombie| {
            let looks = seen.entry(*zombie).or_insert(0);
            *looks += 1;
            *looks >= LOOKS
        })
        .collect()
}

fn zombies() -> Vec<Identity> {
    let own = std::process::id();
    let Ok(processes) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    processes
        .flatten()
        .filter_map(|entry| {
            let number: i32 = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            Some((number, started_if_zombie_of(own, &stat)?))
        })
        .collect()
}

/// When a process started, if it is a zombie and a child of `parent`. A program may put
/// anything into its name, so what counts begins after the last bracket.
fn started_if_zombie_of(parent: u32, stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    let is_ours = fields.first() == Some(&"Z") && fields.get(1)?.parse() == Ok(parent);
    // Field 22 of proc(5); the first here is field 3.
    is_ours.then(|| fields.get(19)?.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_zombies_count() {
        let stat = |state, parent| {
            format!("7 (a) Z 1 (b) {state} {parent} 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4711 0")
        };
        assert_eq!(started_if_zombie_of(5, &stat("Z", 5)), Some(4711));
        assert_eq!(started_if_zombie_of(5, &stat("S", 5)), None);
        assert_eq!(started_if_zombie_of(5, &stat("Z", 6)), None);
        assert_eq!(started_if_zombie_of(5, "rubbish"), None);
    }

    #[test]
    fn a_zombie_must_be_seen_long_enough() {
        let mut seen = BTreeMap::new();
        assert!(forgotten(&mut seen, vec![(7, 1)]).is_empty());
        assert!(forgotten(&mut seen, vec![(7, 1)]).is_empty());
        // Another process of the same number begins anew.
        assert!(forgotten(&mut seen, vec![(7, 2)]).is_empty());
        assert!(forgotten(&mut seen, vec![(7, 2)]).is_empty());
        assert_eq!(forgotten(&mut seen, vec![(7, 2)]), vec![(7, 2)]);
    }
}
