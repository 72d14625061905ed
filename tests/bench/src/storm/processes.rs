//! What a process and its children use.

use std::fs;

/// Usage at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// Processor time so far, milliseconds.
    pub(crate) cpu_ms: f64,
    /// Resident memory, KiB.
    pub(crate) rss_kib: f64,
}

impl Usage {
    /// Of the process `root` and all that descend from it; processes that end meanwhile count nothing.
    pub(crate) fn of(root: u32) -> Self {
        let mut family = vec![root];
        let mut next = 0;
        let parents = parents();
        while let Some(parent) = family.get(next).copied() {
            family.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(child, _)| *child));
            next += 1;
        }
        family.iter().fold(Self::default(), |sum, pid| {
            let one = Self::of_one(*pid).unwrap_or_default();
            Self { cpu_ms: sum.cpu_ms + one.cpu_ms, rss_kib: sum.rss_kib + one.rss_kib }
        })
    }

    fn of_one(pid: u32) -> Option<Self> {
        let fields = stat(pid)?;
        let number = |index: usize| fields.get(index)?.parse::<f64>().ok();
        // Fields 14, 15 and 24 of proc(5), counted behind the name; ticks are 10 ms on every Linux that Rust runs on.
        let (user, system, pages) = (number(11)?, number(12)?, number(21)?);
        Some(Self { cpu_ms: (user + system) * 10.0, rss_kib: pages * 4.0 })
    }
}

/// Every process and its parent.
fn parents() -> Vec<(u32, u32)> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    pids.filter_map(|pid| Some((pid, stat(pid)?.get(1)?.parse().ok()?))).collect()
}

/// The fields of `/proc/PID/stat` behind the name, which may hold anything.
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(") ")?;
    Some(rest.split_ascii_whitespace().map(str::to_owned).collect())
}
