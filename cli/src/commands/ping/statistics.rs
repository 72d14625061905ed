//! What a ping says when it is over (spec 09 §4).

use crate::duration::render_go;
use crate::output::footer::to_milliseconds;
use rpc::chart::line_chart;
use std::io::{self, Write};
use std::time::Duration;

/// Answers that came within this time of each other share one point of the graph.
const BUCKET: Duration = Duration::from_millis(50);

/// More points than this cannot be told apart in a graph of 60 columns.
const MOST_BUCKETS: usize = 100_000;

/// Writes the shortest, longest and mean time; `overhead` passed before the question was sent.
pub(super) fn write(out: &mut impl Write, times: &[Duration], overhead: Duration) -> io::Result<()> {
    let (Some(shortest), Some(longest)) = (times.iter().min(), times.iter().max()) else { return Ok(()) };
    let count = u32::try_from(times.len()).unwrap_or(u32::MAX);
    let average = times.iter().sum::<Duration>() / count;
    let [longest, shortest, average, overhead] =
        [*longest, *shortest, average, overhead].map(|time| render_go(to_milliseconds(time)));
    writeln!(out, "{count} replies max: {longest} min: {shortest} avg: {average} overhead: {overhead}")
}

/// Writes how many answers came in each 50 milliseconds.
pub(super) fn graph(out: &mut impl Write, times: &[Duration]) -> io::Result<()> {
    let bucket = |time: &Duration| usize::try_from(time.as_millis() / BUCKET.as_millis()).unwrap_or(MOST_BUCKETS);
    let Some(last) = times.iter().map(bucket).max() else { return Ok(()) };
    let mut buckets = vec![0.0; last.min(MOST_BUCKETS) + 1];
    for time in times {
        if let Some(count) = buckets.get_mut(bucket(time)) {
            *count += 1.0;
        }
    }
    writeln!(out, "\n{}\n", line_chart(&buckets, "Responses per 50ms"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn milliseconds(times: &[u64]) -> Vec<Duration> {
        times.iter().map(|time| Duration::from_millis(*time)).collect()
    }

    #[test]
    fn times_are_rounded_to_milliseconds() {
        let times = [Duration::from_micros(3_400), Duration::from_micros(11_499), Duration::from_micros(4_300)];
        let mut out = Vec::new();
        write(&mut out, &times, Duration::from_micros(1_039_600)).expect("written");
        assert_eq!(String::from_utf8_lossy(&out), "3 replies max: 11ms min: 3ms avg: 6ms overhead: 1.04s\n");
    }

    #[test]
    fn the_graph_is_that_of_the_existing_client() {
        let mut out = Vec::new();
        graph(&mut out, &milliseconds(&[3, 4, 11])).expect("written");
        let line = "─".repeat(59);
        let expected = format!("\n 3.00   ┼{line}\n                              Responses per 50ms\n\n");
        assert_eq!(String::from_utf8_lossy(&out), expected);
    }

    #[test]
    fn an_absurd_time_makes_no_absurd_graph() {
        let mut out = Vec::new();
        graph(&mut out, &[Duration::ZERO, Duration::from_secs(1 << 40)]).expect("written");
        assert!(out.len() < 10_000);
    }
}
