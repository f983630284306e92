//! `GET /metrics` of the sandbox: what it uses now, and of how much (section 4.6).
//!
//! Totals come from the claim: inside a sandbox the system shows those of the machine, if any.
//! What is used is measured here, from the processes of this sandbox alone. One measurement
//! serves all who ask within a moment, so that asking often costs little.

use crate::sandbox::Sandbox;
use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use http::{HeaderValue, header};
use serde::Serialize;
use soulbox_protocol::control::Limits;
use std::fs;
use std::num::NonZero;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a measurement serves. The share of the processor needs some time to be one.
const FRESH: Duration = Duration::from_millis(500);

/// The root directory, whose file system is the sandbox's disk.
const DISK: &str = "/";

/// What is answered.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Metrics {
    /// When it was measured, in seconds since 1970.
    ts: i64,
    cpu_count: u32,
    /// Of all cores of the sandbox together.
    cpu_used_pct: f64,
    /// In bytes, as are those below without another unit.
    mem_total: u64,
    mem_used: u64,
    mem_cache: u64,
    mem_total_mib: u64,
    mem_used_mib: u64,
    disk_used: u64,
    disk_total: u64,
}

/// Processor time up to a moment.
#[derive(Clone, Copy)]
struct Spent {
    at: Instant,
    time: Duration,
}

/// Measures, and remembers the last measurement.
pub struct Meter {
    sandbox: Arc<Sandbox>,
    last: Mutex<(Spent, Option<Metrics>)>,
}

impl Meter {
    /// Begins to measure: the first share of the processor is that since now.
    pub fn new(sandbox: Arc<Sandbox>) -> Self {
        let spent = Spent {
            at: Instant::now(),
            time: Duration::ZERO,
        };
        Self {
            sandbox,
            last: Mutex::new((spent, None)),
        }
    }

    /// What is used now, or was a moment ago. Reads `/proc`, so it may block.
    fn measure(&self) -> Metrics {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let limits = self.sandbox.identity().limits;
        let (before, known) = &*last;
        if let Some(known) = known
            && before.at.elapsed() < FRESH
        {
            return known.clone();
        }
        let spent = Spent {
            at: Instant::now(),
            time: processor_time(),
        };
        let metrics = assemble(limits, share(*before, spent));
        *last = (spent, Some(metrics.clone()));
        metrics
    }
}

/// The route.
pub async fn answer(State(meter): State<Arc<Meter>>) -> impl IntoResponse {
    let no_store = (header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let measured = tokio::task::spawn_blocking(move || meter.measure()).await;
    match measured {
        Ok(metrics) => ([no_store], Json(metrics)).into_response(),
        Err(_) => http::StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn assemble(limits: Option<Limits>, cores_used: f64) -> Metrics {
    let memory = Memory::now();
    let disk = rustix::fs::statvfs(DISK).ok();
    let (size, free) = disk.map_or((0, 0), |disk| {
        let unit = disk.f_frsize;
        // gVisor shows a file system without a bound as one of 2^63 bytes.
        (
            disk.f_blocks.saturating_mul(unit),
            disk.f_bfree.saturating_mul(unit),
        )
    });
    let cpu_count = limits.map_or_else(
        || std::thread::available_parallelism().map_or(1, NonZero::get) as u32,
        |limits| limits.cpu_millis.div_ceil(1000).max(1),
    );
    let mem_total = limits.map_or(memory.total, |limits| limits.memory_bytes);
    // A file system without a size of its own has the whole limit.
    let disk_total = match limits.map(|limits| limits.disk_bytes) {
        Some(limit) if size == 0 || size > limit => limit,
        _ => size,
    };
    let mem_used = memory.used.min(mem_total);
    Metrics {
        ts: jiff::Timestamp::now().as_second(),
        cpu_count,
        cpu_used_pct: percent(cores_used, cpu_count),
        mem_total,
        mem_used,
        mem_cache: memory.cache,
        mem_total_mib: mem_total >> 20,
        mem_used_mib: mem_used >> 20,
        disk_used: size.saturating_sub(free).min(disk_total),
        disk_total,
    }
}

/// Of all cores, in percent with two digits.
fn percent(cores_used: f64, cores: u32) -> f64 {
    let percent = (cores_used * 100.0 / f64::from(cores)).clamp(0.0, 100.0);
    (percent * 100.0).round() / 100.0
}

/// Cores that were busy between two moments. A process that ended without being waited for
/// takes its time along, so the sum may shrink; then nothing is known to have been used.
fn share(before: Spent, now: Spent) -> f64 {
    let elapsed = now.at.duration_since(before.at).as_secs_f64();
    if elapsed == 0.0 {
        return 0.0;
    }
    now.time.saturating_sub(before.time).as_secs_f64() / elapsed
}

/// Processor time of everything that ran in this sandbox.
fn processor_time() -> Duration {
    let ticks: u64 = processes()
        .filter_map(|directory| fs::read_to_string(directory.join("stat")).ok())
        .filter_map(|stat| ticks(&stat))
        .sum();
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    Duration::from_millis(ticks.saturating_mul(1000) / per_second)
}

/// Time of a process and of its children that were waited for (proc_pid_stat(5), 14 to 17).
fn ticks(stat: &str) -> Option<u64> {
    // The name may hold anything, blanks and brackets included, and ends with the last bracket.
    let (_, fields) = stat.rsplit_once(')')?;
    let fields = fields.split_ascii_whitespace().skip(11).take(4);
    Some(fields.filter_map(|field| field.parse::<u64>().ok()).sum())
}

fn processes() -> impl Iterator<Item = std::path::PathBuf> {
    let is_number =
        |name: &std::ffi::OsStr| name.to_str().is_some_and(|n| n.parse::<u32>().is_ok());
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter(move |entry| is_number(&entry.file_name()))
        .map(|entry| entry.path())
}

/// Memory in bytes.
#[derive(Debug, Default, PartialEq, Eq)]
struct Memory {
    total: u64,
    used: u64,
    cache: u64,
}

impl Memory {
    /// A kernel of the sandbox's own (gVisor) counts for it alone; it is told from Linux by
    /// what it leaves out of `status`. Elsewhere the machine's numbers say nothing, and the
    /// memory of the sandbox's processes is added up.
    fn now() -> Self {
        let info = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let total = field(&info, "MemTotal:");
        let own = fs::read_to_string("/proc/self/status").unwrap_or_default();
        if !own.contains("RssAnon:") {
            let cache = field(&info, "Cached:");
            let used = total.saturating_sub(field(&info, "MemFree:") + cache);
            return Self { total, used, cache };
        }
        let group = Path::new("/sys/fs/cgroup");
        let current = fs::read_to_string(group.join("memory.current")).ok();
        if let Some(current) = current.and_then(|text| text.trim().parse::<u64>().ok()) {
            let stat = fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
            let cache = stat.lines().find_map(|line| line.strip_prefix("file "));
            let cache = cache.and_then(|value| value.parse().ok()).unwrap_or(0);
            let used = current.saturating_sub(cache);
            return Self { total, used, cache };
        }
        let used = processes()
            .filter_map(|directory| fs::read_to_string(directory.join("status")).ok())
            .map(|status| field(&status, "RssAnon:"))
            .sum();
        Self {
            total,
            used,
            cache: 0,
        }
    }
}

/// A line such as `MemTotal:   1024 kB`, in bytes; 0 when it is not there.
fn field(text: &str, name: &str) -> u64 {
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|value| value.split_ascii_whitespace().next());
    value
        .and_then(|value| value.parse::<u64>().ok())
        .unwrap_or(0)
        .saturating_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_processes_do_not_confuse_the_count() {
        let stat = "7 (a) b (c) R 1 1 1 0 0 0 0 0 0 0 10 20 3 4 20 0 1 0 9";
        assert_eq!(ticks(stat), Some(37));
        assert_eq!(ticks("nonsense"), None);
        assert_eq!(field("A: 1 kB\nMemFree:   3 kB\n", "MemFree:"), 3072);
        assert_eq!(field("", "MemFree:"), 0);
    }

    #[test]
    fn the_limits_of_the_claim_are_the_totals() {
        let limits = Limits {
            memory_bytes: 1 << 40,
            cpu_millis: 1500,
            disk_bytes: 1 << 20,
        };
        let metrics = assemble(Some(limits), 1.0);
        assert_eq!((metrics.cpu_count, metrics.cpu_used_pct), (2, 50.0));
        assert_eq!(metrics.mem_total_mib, 1 << 20);
        assert!(metrics.mem_used > 0 && metrics.mem_used < metrics.mem_total);
        assert!(metrics.disk_total <= 1 << 20 && metrics.disk_used <= metrics.disk_total);
    }

    #[test]
    fn work_shows() {
        let meter = Meter::new(Arc::new(Sandbox::unclaimed()));
        meter.measure();
        let begin = Instant::now();
        while begin.elapsed() < FRESH + Duration::from_millis(100) {
            std::hint::black_box(0);
        }
        assert!(meter.measure().cpu_used_pct > 1.0);
    }
}
