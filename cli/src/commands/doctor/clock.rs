//! This machine's clock, compared with whoever can be asked: requests count for the seconds of their `ttl` only.

use super::credentials::Claims;
use super::report::{Report, roughly};
use std::process::Stdio;
use std::time::{Duration, SystemTime};
use tokio::process::Command;
use tokio::time::timeout;

/// The name of this check.
pub(super) const CHECK: &str = "clock";

/// What this machine and the token tell about the clock, before anybody is asked.
pub(super) async fn examine(report: &mut Report, claims: Option<&Claims>, now: SystemTime) {
    let issued = claims.and_then(|claims| claims.standard().issued_at);
    if let Some(behind) = issued.and_then(|issued| issued.duration_since(now).ok()).filter(|behind| *behind > LEEWAY) {
        let text = format!("the token was made {} in the future by this clock", roughly(behind));
        report.fail(CHECK, text, SET);
        return;
    }
    match synchronised().await {
        Some(true) => report.ok(CHECK, "the system keeps it synchronised (timedatectl)"),
        Some(false) => report.warn(CHECK, "the system does not keep it synchronised (timedatectl)", SET),
        None if issued.is_some() => report.ok(CHECK, "agrees with the date of the token"),
        None => {}
    }
}

/// Compares with another clock that read `theirs` while this one went from `before` to `after`. `limit` is the time for
/// which requests count.
pub(super) fn compare(
    report: &mut Report,
    whose: &str,
    theirs: SystemTime,
    (before, after): (SystemTime, SystemTime),
    limit: Duration,
) {
    let (distance, direction) = offset(theirs, before, after);
    if distance <= LEEWAY {
        report.ok(CHECK, format!("within {} s of {whose}", rounded(distance)));
    } else {
        let text = format!("{} s {direction} that of {whose}", rounded(distance));
        if distance < limit {
            report.warn(CHECK, format!("{text}; requests count for {} s", limit.as_secs()), SET);
        } else {
            report.fail(CHECK, format!("{text}, and requests count for {} s only", limit.as_secs()), SET);
        }
    }
}

/// How far this clock is from another, at least, and on which side.
fn offset(theirs: SystemTime, before: SystemTime, after: SystemTime) -> (Duration, &'static str) {
    if let Ok(distance) = theirs.duration_since(after) {
        (distance, "behind")
    } else if let Ok(distance) = before.duration_since(theirs) {
        (distance, "ahead of")
    } else {
        (Duration::ZERO, "at")
    }
}

fn rounded(distance: Duration) -> String {
    match distance.as_secs() {
        0 => format!("{:.1}", distance.as_secs_f64().max(0.1)),
        seconds => seconds.to_string(),
    }
}

/// What systemd says; nothing where it does not run.
async fn synchronised() -> Option<bool> {
    let mut command = Command::new("timedatectl");
    command.args(["show", "--property=NTPSynchronized", "--value"]).stdin(Stdio::null()).stderr(Stdio::null());
    let output = timeout(LIMIT, command.kill_on_drop(true).output()).await.ok()?.ok()?;
    match String::from_utf8_lossy(&output.stdout).trim() {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

/// What helps.
const SET: &str = "set the clock and keep it right: timedatectl set-ntp true, or chrony";

/// How far clocks may differ without consequences (spec 02 §10).
const LEEWAY: Duration = Duration::from_secs(5);

/// A program on this machine.
const LIMIT: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use super::super::report::Verdict;
    use super::*;

    #[test]
    fn a_clock_is_judged_by_what_requests_bear() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let rows = [
            ("the same", 1000, Verdict::Ok),
            ("a little behind", 1006, Verdict::Ok),
            ("behind", 1030, Verdict::Warn),
            ("ahead", 970, Verdict::Warn),
            ("an hour behind", 4600, Verdict::Fail),
            ("a minute ahead", 940, Verdict::Fail),
        ];
        for (name, theirs, expected) in rows {
            let mut report = Report::default();
            compare(&mut report, "the broker", at(theirs), (at(1000), at(1001)), Duration::from_secs(60));
            assert_eq!(report.verdict(), expected, "{name}");
        }
    }
}
