//! Signals to everything that runs in one session, where the system does not send them itself.
//!
//! Linux tells the programs in front of a terminal of a new size, and that the terminal is gone
//! when its session's leader ends. gVisor does neither, and does not say who is in front. So
//! there every group of the session is told of a new size, and everywhere of a terminal that we
//! end: who does not care about a new size ignores it, and who is to outlive its terminal
//! ignores its end.

use super::reaper::Pid;
use std::collections::BTreeSet;
use std::fs;

/// Groups that are told. A shell has one per job.
const MAX_GROUPS: usize = 1024;

/// Fields of `/proc/<pid>/stat` after the name, by their place behind it.
const GROUP: usize = 2;
const SESSION: usize = 3;

/// The process groups of a session, but for the one that its leader leads.
pub fn groups(leader: Pid) -> BTreeSet<Pid> {
    let mut groups = BTreeSet::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let name = entry.file_name();
        let is_process = name
            .as_encoded_bytes()
            .first()
            .is_some_and(u8::is_ascii_digit);
        if !is_process || groups.len() == MAX_GROUPS {
            continue;
        }
        // Processes come and go meanwhile.
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else {
            continue;
        };
        if let Some((group, session)) = parse(&stat)
            && session == leader
            && group != leader
        {
            groups.insert(group);
        }
    }
    groups
}

/// Group and session. The name stands in brackets and may hold anything, brackets too.
fn parse(stat: &str) -> Option<(Pid, Pid)> {
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().take(SESSION + 1).collect();
    let number = |place: usize| fields.get(place)?.parse().ok().and_then(Pid::new);
    Some((number(GROUP)?, number(SESSION)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_forge_numbers() {
        let pid = |number| Pid::new(number).unwrap();
        let stat = "30 (a) S 1 7 8 9) S 20 30 40 0 -1";
        assert_eq!(parse(stat), Some((pid(30), pid(40))));
        for bad in ["", "1 (x", "1 (x) S 1", "5 (x) S 1 0 0", "5 (x) S 1 -3 4"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
