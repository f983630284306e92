//! Whether the machine has memory for one more cell.
//!
//! A cell's limit is a bound and no reservation: most use a tenth of it. So the rule is
//! simple: a cell starts when its limit fits into what is available now.

use crate::error::NotReady;
use soulbox_runtime::Limits;

/// Refuses a cell that could not use what it is promised.
///
/// # Errors
/// [`NotReady::NoRoom`] with both numbers.
pub fn check(limits: &Limits) -> Result<(), NotReady> {
    let Some(available_mib) = available_mib() else {
        return Ok(());
    };
    if available_mib >= u64::from(limits.memory_mib) {
        return Ok(());
    }
    Err(NotReady::NoRoom(format!(
        "{available_mib} MiB of memory are available on this node, and the sandbox may use {} MiB; end another one",
        limits.memory_mib
    )))
}

fn available_mib() -> Option<u64> {
    parse(&std::fs::read_to_string("/proc/meminfo").ok()?)
}

fn parse(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib >> 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn available_memory_is_read() {
        let text = "MemTotal:       25276808 kB\nMemFree: 1 kB\nMemAvailable:   24260608 kB\n";
        assert_eq!(parse(text), Some(23_692));
        assert_eq!(parse("MemTotal: 1 kB\n"), None);
    }
}
