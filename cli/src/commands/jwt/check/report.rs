//! The result of a check in the forms that monitoring systems read.

use crate::output::table::Table;
use clap::ValueEnum;
use serde::Serialize;
use std::fmt::Display;
use std::process::ExitCode;

/// How a result is printed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(super) enum Format {
    /// One line for Nagios and its relatives
    Nagios,
    /// One JSON document
    Json,
    /// Metrics for a textfile collector; the exit code is always 0
    Prometheus,
    /// Tables for people
    Text,
}

/// What a check found, in the order of finding.
#[derive(Debug)]
pub(super) struct Report {
    name: String,
    criticals: Vec<String>,
    oks: Vec<String>,
    /// Seconds until the token expires; negative afterwards.
    expires: Option<f64>,
}

/// The JSON document.
#[derive(Serialize)]
struct Document<'a> {
    status: &'static str,
    check_suite: &'static str,
    check_name: &'a str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    critical: &'a [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    ok: &'a [String],
    perf_data: Vec<PerformanceData>,
}

#[derive(Serialize)]
struct PerformanceData {
    name: &'static str,
    value: f64,
    warning: u8,
    critical: u8,
    unit: &'static str,
}

impl Report {
    /// An empty report about the token file `name`.
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), criticals: Vec::new(), oks: Vec::new(), expires: None }
    }

    /// Notes what is wrong.
    pub(super) fn critical(&mut self, message: impl Display) {
        self.criticals.push(message.to_string());
    }

    /// Notes what is right.
    pub(super) fn ok(&mut self, message: impl Display) {
        self.oks.push(message.to_string());
    }

    /// Notes the seconds until expiry.
    pub(super) fn expires(&mut self, seconds: f64) {
        self.expires = Some(seconds);
    }

    /// 0 when nothing is wrong, else 2; always 0 for metrics, which carry the status themselves.
    pub(super) fn exit_code(&self, format: Format) -> ExitCode {
        if format == Format::Prometheus { ExitCode::SUCCESS } else { ExitCode::from(self.status_code()) }
    }

    /// The report as text that ends in a newline.
    pub(super) fn render(&self, format: Format) -> anyhow::Result<String> {
        match format {
            Format::Nagios => Ok(self.nagios()),
            Format::Json => Ok(serde_json::to_string_pretty(&self.document())? + "\n"),
            Format::Prometheus => Ok(self.prometheus()),
            Format::Text => self.tables(),
        }
    }

    fn status(&self) -> &'static str {
        if self.criticals.is_empty() { "OK" } else { "CRITICAL" }
    }

    fn status_code(&self) -> u8 {
        if self.criticals.is_empty() { 0 } else { 2 }
    }

    fn nagios(&self) -> String {
        let criticals = self.criticals.iter().map(|message| format!(" Crit:{message}"));
        let messages: String = criticals.chain(self.oks.iter().map(|message| format!(" OK:{message}"))).collect();
        let metrics = self.expires.map_or_else(String::new, |seconds| format!(" | expires={seconds:.4}s"));
        format!("{} {}{messages}{metrics}\n", self.status(), self.name)
    }

    fn document(&self) -> Document<'_> {
        let metric = |value| PerformanceData { name: "expires", value, warning: 0, critical: 0, unit: "s" };
        Document {
            status: self.status(),
            check_suite: "jwt",
            check_name: &self.name,
            critical: &self.criticals,
            ok: &self.oks,
            perf_data: self.expires.map(metric).into_iter().collect(),
        }
    }

    fn prometheus(&self) -> String {
        let item = self.name.replace('"', ".").replace('\\', "\\\\").replace('\n', "\\n");
        let mut text = String::new();
        if let Some(seconds) = self.expires {
            text += "# HELP choria_jwt_expires Seconds until expiry\n# TYPE choria_jwt_expires gauge\n";
            text += &format!("choria_jwt_expires{{item=\"{item}\"}} {seconds}\n");
        }
        text += "# HELP choria_jwt_status_code Nagios compatible status code for jwt\n";
        text += "# TYPE choria_jwt_status_code gauge\n";
        let (status, code) = (self.status(), self.status_code());
        text + &format!("choria_jwt_status_code{{item=\"{item}\",status=\"{status}\"}} {code}\n")
    }

    fn tables(&self) -> anyhow::Result<String> {
        let mut out = format!("{}: {}\n\n", self.name, self.status()).into_bytes();
        let mut messages = Table::new(&["Status", "Message"]);
        self.oks.iter().for_each(|message| messages.row(&["OK", message]));
        self.criticals.iter().for_each(|message| messages.row(&["Critical", message]));
        out.extend_from_slice(b"Status Detail\n\n");
        messages.write(&mut out)?;
        if let Some(seconds) = self.expires {
            let headings = ["Metric", "Value", "Unit", "Critical Threshold", "Warning Threshold", "Description"];
            let mut metrics = Table::new(&headings);
            metrics.row(&["expires", &format!("{seconds:.3}"), "s", "0", "0", "Seconds until expiry"]);
            out.extend_from_slice(b"Check Metrics\n\n");
            metrics.write(&mut out)?;
        }
        Ok(String::from_utf8(out)?)
    }
}
