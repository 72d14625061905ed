//! How a request went, below its answers (spec 09 §2.6).

use super::colour::{Colour, Palette};
use super::columns::{across, aligned};
use crate::duration::render_go;
use names::Identity;
use rpc::stats::Stats;
use std::io::{self, Write};
use std::time::Duration;
use time::OffsetDateTime;
use time::macros::format_description;

/// More silent nodes than this are not all listed, unless all statistics are wanted.
const MOST_NAMES: usize = 200;

/// Writes one line with the counts, then who did not answer and who answered unasked.
pub(crate) fn short(out: &mut impl Write, stats: &Stats, palette: Palette) -> io::Result<()> {
    let colour = match stats.responses {
        0 => Colour::Red,
        responses if responses == stats.discovered => Colour::Green,
        _ => Colour::Yellow,
    };
    let [responses, discovered] = [stats.responses, stats.discovered].map(|count| palette.paint(colour, count));
    let took = render_go(to_milliseconds(stats.request_time + stats.discovery_time));
    writeln!(out, "Finished processing {responses} / {discovered} hosts in {took}")?;
    names(out, "No Responses from", &stats.silent, MOST_NAMES)?;
    names(out, "Unexpected Responses from", &stats.unexpected, MOST_NAMES)
}

/// Writes all statistics, then everyone who did not answer or answered unasked.
pub(crate) fn full(out: &mut impl Write, stats: &Stats, palette: Palette) -> io::Result<()> {
    let agent_time = stats.request_time.saturating_sub(stats.publish_time);
    let rows = [
        ("Nodes", format!("{} / {}", stats.responses, stats.discovered)),
        ("Pass / Fail", format!("{} / {}", stats.ok, stats.failed)),
        ("No Responses", stats.silent.len().to_string()),
        ("Unexpected Responses", stats.unexpected.len().to_string()),
        ("Start Time", start_time(stats)),
        ("Discovery Time", render_go(stats.discovery_time)),
        ("Publish Time", render_go(stats.publish_time)),
        ("Agent Time", render_go(agent_time)),
        ("Total Time", render_go(stats.request_time + stats.discovery_time)),
    ];
    writeln!(out, "{}", palette.paint(Colour::Yellow, "---- request stats ----"))?;
    for (label, value) in rows {
        writeln!(out, "{label:>20}: {value}")?;
    }
    if stats.lost > 0 {
        writeln!(out, "{:>20}: {}", "Lost Messages", stats.lost)?;
    }
    names(out, "No Responses from", &stats.silent, usize::MAX)?;
    names(out, "Unexpected Responses from", &stats.unexpected, usize::MAX)
}

/// A list of nodes under a heading, or nothing.
fn names(out: &mut impl Write, heading: &str, nodes: &[Identity], most: usize) -> io::Result<()> {
    if nodes.is_empty() {
        return Ok(());
    }
    let cut = if nodes.len() > most { format!(" (showing first {most})") } else { String::new() };
    writeln!(out, "\n{heading}{cut}: {}\n", nodes.len())?;
    let shown: Vec<&str> = nodes.iter().take(most).map(Identity::as_str).collect();
    aligned(out, &across(&shown, 3))
}

fn start_time(stats: &Stats) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]+0000");
    // Only years beyond 9999 cannot be written.
    OffsetDateTime::from(stats.started).format(format).unwrap_or_default()
}

/// Rounded to the nearest millisecond.
pub(crate) fn to_milliseconds(time: Duration) -> Duration {
    let milliseconds = (time + Duration::from_micros(500)).as_millis();
    Duration::from_millis(u64::try_from(milliseconds).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    fn stats(silent: usize) -> Stats {
        Stats {
            request: "3MPX6Dc3omI5tWJx7tpNWUtkvJi".parse().expect("an id"),
            agent: "rpcutil".parse().expect("an agent"),
            action: "ping".into(),
            discovered: 10,
            responses: 10 - silent.min(10),
            ok: 9,
            failed: 1,
            silent: (0..silent).map(|number| format!("n{number}").parse().expect("an identity")).collect(),
            unexpected: vec![],
            signed: 0,
            lost: 0,
            started: SystemTime::UNIX_EPOCH + Duration::from_secs(1_740_996_000),
            request_time: Duration::from_micros(212_277),
            publish_time: Duration::from_micros(1_200),
            discovery_time: Duration::from_nanos(2_001_223_000),
        }
    }

    fn written(write: impl Fn(&mut Vec<u8>) -> io::Result<()>) -> String {
        let mut out = Vec::new();
        write(&mut out).expect("written");
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn one_line_says_how_it_went() {
        let text = written(|out| short(out, &stats(0), Palette::PLAIN));
        assert_eq!(text, "Finished processing 10 / 10 hosts in 2.214s\n");
    }

    #[test]
    fn all_statistics_are_labelled() {
        let expected = "\
---- request stats ----
               Nodes: 10 / 10
         Pass / Fail: 9 / 1
        No Responses: 0
Unexpected Responses: 0
          Start Time: 2025-03-03T10:00:00+0000
      Discovery Time: 2.001223s
        Publish Time: 1.2ms
          Agent Time: 211.077ms
          Total Time: 2.2135s
";
        assert_eq!(written(|out| full(out, &stats(0), Palette::PLAIN)), expected);
    }

    #[test]
    fn long_lists_are_cut_unless_everything_is_wanted() {
        let cut = written(|out| short(out, &stats(300), Palette::PLAIN));
        assert!(cut.contains("\nNo Responses from (showing first 200): 300\n\n    n0 "), "{cut}");
        assert!(cut.contains("n199") && !cut.contains("n200"), "{cut}");
        let whole = written(|out| full(out, &stats(300), Palette::PLAIN));
        assert!(whole.contains("\nNo Responses from: 300\n") && whole.contains("n299"), "{whole}");
    }
}
