//! What a program says about itself: the page `/choria/` and the metrics of its process.

use super::scrape::Scrape;
use config::build;
use serde_json::json;
use std::path::PathBuf;
use sysinfo::{Pid, Process, ProcessRefreshKind, ProcessesToUpdate, System};

/// Facts of the program that do not change while it runs.
#[derive(Clone, Debug)]
pub struct About {
    /// How it was built.
    pub build: Build,
    /// The identity in its configuration.
    pub identity: String,
    /// Its configuration file.
    pub config_file: PathBuf,
    /// Whether its connections are encrypted.
    pub tls: bool,
    /// Whether its messages are signed and verified.
    pub secure: bool,
    /// The most clients of its broker; 0 for a program that is none.
    pub max_broker_clients: u32,
}

/// How a program was built.
#[derive(Clone, Copy, Debug)]
pub struct Build {
    /// Its version.
    pub version: &'static str,
    /// The commit, `unknown` where the build did not say.
    pub sha: &'static str,
    /// When.
    pub date: &'static str,
    /// SPDX expression.
    pub license: &'static str,
    /// The oldest Rust that builds it.
    pub rust: &'static str,
}

impl Build {
    /// This workspace, of which all programs have one version.
    #[must_use]
    pub const fn this() -> Self {
        Self { version: build::VERSION, sha: build::SHA, date: build::DATE, license: build::LICENSE, rust: build::RUST }
    }
}

impl About {
    /// The page `/choria/`, with the keys of the original. Its key `go`, the compiler's version, holds ours.
    pub(crate) fn page(&self) -> String {
        let Build { version, sha, date, license, rust } = self.build;
        let figures = Figures::of_this_process().unwrap_or_default();
        json!({
            "build": {
                "version": version,
                "sha": sha,
                "build_date": date,
                "license": license,
                "tls": self.tls,
                "secure": self.secure,
                "go": format!("none, Rust {rust} or newer"),
                "max_broker_clients": self.max_broker_clients,
            },
            "system": {
                "rss": figures.resident_bytes,
                "cpu_percent": figures.cpu_percent(),
                "cpu_cores": std::thread::available_parallelism().map_or(1, usize::from),
            },
            "config_file": self.config_file.display().to_string(),
            "identity": self.identity,
        })
        .to_string()
    }

    /// `choria_build_info` and `process_*`, the latter with the names and meanings of Prometheus' own libraries.
    pub(crate) fn export(&self, scrape: &mut Scrape) {
        let Build { version, sha, .. } = self.build;
        let labels = [("version", version), ("sha", sha), ("identity", self.identity.as_str())];
        scrape.counter("choria_build_info", "Build information about the running server", &labels, 1);
        let Some(figures) = Figures::of_this_process() else { return };
        let mut gauge = |name, help, value: u64| scrape.gauge(name, help, &[], value as f64);
        gauge("process_resident_memory_bytes", "Resident memory size in bytes.", figures.resident_bytes);
        gauge("process_virtual_memory_bytes", "Virtual memory size in bytes.", figures.virtual_bytes);
        gauge(
            "process_start_time_seconds",
            "Start time of the process since unix epoch in seconds.",
            figures.start_seconds,
        );
        if let Some(open) = figures.open_files {
            gauge("process_open_fds", "Number of open file descriptors.", open);
        }
        if let Some(most) = figures.most_files {
            gauge("process_max_fds", "Maximum number of open file descriptors.", most);
        }
        let seconds = figures.cpu_milliseconds as f64 / 1000.0;
        let help = "Total user and system CPU time spent in seconds.";
        scrape.counter_of("process_cpu_seconds_total", help, &[], seconds);
    }
}

/// What the system knows of this process.
#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    resident_bytes: u64,
    virtual_bytes: u64,
    start_seconds: u64,
    run_seconds: u64,
    cpu_milliseconds: u64,
    open_files: Option<u64>,
    most_files: Option<u64>,
}

impl Figures {
    fn of_this_process() -> Option<Self> {
        let this = Pid::from_u32(std::process::id());
        let mut system = System::new();
        let wanted = ProcessRefreshKind::nothing().with_memory().with_cpu().without_tasks();
        system.refresh_processes_specifics(ProcessesToUpdate::Some(&[this]), false, wanted);
        system.process(this).map(Self::read)
    }

    fn read(process: &Process) -> Self {
        let count = |number: Option<usize>| number.and_then(|number| u64::try_from(number).ok());
        Self {
            resident_bytes: process.memory(),
            virtual_bytes: process.virtual_memory(),
            start_seconds: process.start_time(),
            run_seconds: process.run_time(),
            cpu_milliseconds: process.accumulated_cpu_time(),
            open_files: count(process.open_files()),
            most_files: count(process.open_files_limit()),
        }
    }

    /// As ps(1) means it: of one processor, since the start.
    fn cpu_percent(&self) -> f64 {
        self.cpu_milliseconds as f64 / 10.0 / self.run_seconds.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_known() {
        let figures = Figures::of_this_process().expect("this process");
        assert!(figures.resident_bytes > 1024 * 1024 && figures.virtual_bytes > figures.resident_bytes, "{figures:?}");
        assert!(figures.start_seconds > 1_700_000_000, "{figures:?}");
        assert!(figures.open_files.is_some_and(|open| open > 2), "{figures:?}");
        assert!(figures.most_files > figures.open_files, "{figures:?}");
    }
}
