//! What an examination found, and how it is told: one line for each finding, what to do below it; or a JSON document.

use crate::output::colour::{Colour, Palette};
use crate::output::printable;
use serde::Serialize;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

/// Everything found so far.
#[derive(Debug, Default)]
pub(super) struct Report {
    findings: Vec<Finding>,
}

/// One thing found about one topic.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    check: &'static str,
    result: Verdict,
    text: String,
    /// What to do. Nothing fails or warns without saying that.
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

/// How it is; the worst is the last.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    /// As it should be.
    Ok,
    /// Not looked at, because of something earlier.
    Skipped,
    /// It works, and will not for ever or not for everybody.
    Warn,
    /// It does not work.
    Fail,
}

/// What was examined.
#[derive(Debug, Serialize)]
pub(super) struct Patient<'a> {
    /// `client`, `server` or `broker`.
    pub(super) role: &'a str,
    /// The configuration file.
    pub(super) config: String,
}

/// The report as a JSON document.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    patient: &'a Patient<'a>,
    result: Verdict,
    checks: &'a [Finding],
}

impl Report {
    /// Something is as it should be.
    pub(super) fn ok(&mut self, check: &'static str, text: impl Into<String>) {
        self.add(check, Verdict::Ok, text, None);
    }

    /// Something works and needs a look; `fix` says what to do.
    pub(super) fn warn(&mut self, check: &'static str, text: impl Into<String>, fix: impl Into<String>) {
        self.add(check, Verdict::Warn, text, Some(fix.into()));
    }

    /// Something does not work; `fix` says what to do.
    pub(super) fn fail(&mut self, check: &'static str, text: impl Into<String>, fix: impl Into<String>) {
        self.add(check, Verdict::Fail, text, Some(fix.into()));
    }

    /// Something cannot be examined, for this reason.
    pub(super) fn skip(&mut self, check: &'static str, reason: impl Into<String>) {
        self.add(check, Verdict::Skipped, reason, None);
    }

    /// Marks what was never reached as skipped because of what failed last.
    pub(super) fn skip_unreached(&mut self, checks: &[&'static str]) {
        let cause = self.findings.iter().rev().find(|finding| finding.result == Verdict::Fail);
        let reason = cause
            .map_or_else(|| "nothing to examine it with".to_owned(), |cause| format!("because of {}", cause.check));
        for check in checks {
            if !self.mentions(check) {
                self.skip(check, reason.clone());
            }
        }
    }

    /// Whether anything was said about this topic.
    pub(super) fn mentions(&self, check: &str) -> bool {
        self.findings.iter().any(|finding| finding.check == check)
    }

    /// Whether nothing of this topic failed, and it was looked at.
    pub(super) fn holds(&self, check: &str) -> bool {
        let mut verdicts = self.findings.iter().filter(|finding| finding.check == check).peekable();
        verdicts.peek().is_some() && verdicts.all(|finding| finding.result != Verdict::Fail)
    }

    /// The worst of all findings.
    pub(super) fn verdict(&self) -> Verdict {
        let worst = self.findings.iter().map(|finding| finding.result).max();
        worst.filter(|worst| *worst > Verdict::Skipped).unwrap_or(Verdict::Ok)
    }

    /// 0 all is well, 1 something failed, 2 warnings only.
    pub(super) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self.verdict() {
            Verdict::Ok | Verdict::Skipped => 0,
            Verdict::Fail => 1,
            Verdict::Warn => 2,
        })
    }

    /// Writes a line for each finding and one about all of them.
    pub(super) fn write_text(&self, out: &mut impl Write, patient: &Patient<'_>, palette: Palette) -> io::Result<()> {
        writeln!(out, "Examining the {} of {}\n", patient.role, patient.config)?;
        let width = self.findings.iter().map(|finding| finding.check.len()).max().unwrap_or_default();
        let margin = " ".repeat(WORD + width + 4);
        for group in self.findings.chunk_by(|one, next| one.is_skipped_like(next)) {
            let Some(finding) = group.first() else { continue };
            let (word, colour) = finding.result.shown();
            let word = palette.paint(colour, format!("{word:<WORD$}"));
            if group.len() > 1 {
                let checks: Vec<&str> = group.iter().map(|finding| finding.check).collect();
                writeln!(out, "{word}  {:<width$}  {}: {}", "", finding.text, checks.join(", "))?;
                continue;
            }
            let text = printable(&finding.text).replace('\n', &format!("\n{margin}"));
            writeln!(out, "{word}  {:<width$}  {text}", finding.check)?;
            if let Some(fix) = &finding.fix {
                let fix = printable(fix).replace('\n', &format!("\n{margin}     "));
                writeln!(out, "{margin}{} {fix}", palette.paint(Colour::White, "fix:"))?;
            }
        }
        writeln!(out, "\n{}", self.summary())
    }

    /// Writes the findings as a JSON document.
    pub(super) fn write_json(&self, out: &mut impl Write, patient: &Patient<'_>) -> io::Result<()> {
        let document = Document { patient, result: self.verdict(), checks: &self.findings };
        serde_json::to_writer_pretty(&mut *out, &document)?;
        writeln!(out)
    }

    fn summary(&self) -> String {
        let count = |verdict| self.findings.iter().filter(|finding| finding.result == verdict).count();
        let counted = [(Verdict::Fail, "failed"), (Verdict::Warn, "to look at"), (Verdict::Skipped, "skipped")];
        let parts = counted.map(|(verdict, word)| (count(verdict), word));
        let parts: Vec<String> =
            parts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
        if parts.is_empty() {
            "All is well.".to_owned()
        } else {
            format!("{} ok, {}", count(Verdict::Ok), parts.join(", "))
        }
    }

    fn add(&mut self, check: &'static str, result: Verdict, text: impl Into<String>, fix: Option<String>) {
        let branded = |text: String| config::branded(&text).into_owned();
        self.findings.push(Finding { check, result, text: branded(text.into()), fix: fix.map(branded) });
    }
}

impl Finding {
    /// Whether both were not looked at for the same reason.
    fn is_skipped_like(&self, next: &Self) -> bool {
        let skipped = self.result == Verdict::Skipped && next.result == Verdict::Skipped;
        skipped && self.text == next.text
    }
}

impl Verdict {
    /// The word in a report and its colour.
    fn shown(self) -> (&'static str, Colour) {
        match self {
            Self::Ok => ("ok", Colour::Green),
            Self::Skipped => ("skip", Colour::White),
            Self::Warn => ("warn", Colour::Yellow),
            Self::Fail => ("FAIL", Colour::Red),
        }
    }
}

/// A duration in its largest unit, for people.
pub(super) fn roughly(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (count, unit) = match seconds {
        0..120 => (seconds, "second"),
        120..7_200 => (seconds / 60, "minute"),
        7_200..172_800 => (seconds / 3_600, "hour"),
        172_800..63_072_000 => (seconds / 86_400, "day"),
        _ => (seconds / 31_536_000, "year"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

/// A short time in milliseconds.
pub(super) fn milliseconds(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1000.0)
}

/// Width of the longest word.
const WORD: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn text(report: &Report) -> String {
        let mut out = Vec::new();
        let patient = Patient { role: "client", config: "/c".to_owned() };
        report.write_text(&mut out, &patient, Palette::PLAIN).expect("room");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn a_report_is_a_line_for_each_finding_and_what_to_do() {
        let mut report = Report::default();
        report.ok("configuration", "/c");
        assert!(text(&report).ends_with("\n\nAll is well.\n"));
        assert_eq!(report.verdict(), Verdict::Ok);
        report.warn("token", "expires soon", "renew it");
        assert_eq!(format!("{:?}", report.exit_code()), format!("{:?}", ExitCode::from(2)));
        report.fail("port", "closed\x1b[2J", "start it\nor not");
        report.skip_unreached(&["token", "login", "fleet"]);
        let expected = "\
Examining the client of /c

ok    configuration  /c
warn  token          expires soon
                     fix: renew it
FAIL  port           closed\\u{1b}[2J
                     fix: start it
                          or not
skip                 because of port: login, fleet

1 ok, 1 failed, 1 to look at, 2 skipped
";
        assert_eq!(text(&report), expected);
        assert_eq!(format!("{:?}", report.exit_code()), format!("{:?}", ExitCode::from(1)));
        assert!(report.holds("token") && !report.holds("port") && !report.holds("nothing"));
    }

    #[test]
    fn durations_are_short() {
        let rows = [
            (0, "0 seconds"),
            (1, "1 second"),
            (119, "119 seconds"),
            (120, "2 minutes"),
            (86_399, "23 hours"),
            (172_800, "2 days"),
            (40_000_000, "462 days"),
            (315_360_000, "10 years"),
        ];
        for (seconds, expected) in rows {
            assert_eq!(roughly(Duration::from_secs(seconds)), expected);
        }
        assert_eq!(milliseconds(Duration::from_micros(1_250)), "1.2 ms");
    }

    #[test]
    fn programs_read_the_same() {
        let mut report = Report::default();
        report.fail("port", "closed", "start it");
        let mut out = Vec::new();
        report.write_json(&mut out, &Patient { role: "server", config: "/c".to_owned() }).expect("room");
        let document: serde_json::Value = serde_json::from_slice(&out).expect("JSON");
        let expected = serde_json::json!({"role": "server", "config": "/c", "result": "fail",
            "checks": [{"check": "port", "result": "fail", "text": "closed", "fix": "start it"}]});
        assert_eq!(document, expected);
    }
}
