//! The progress bar (spec 09 §2.4), drawn on standard error and only when that is a terminal.

use super::colour::{Colour, Palette};
use std::io::{self, Write};
use std::time::{Duration, Instant};

/// How often the bar is drawn again at most.
const BETWEEN_DRAWINGS: Duration = Duration::from_millis(50);

/// Narrower terminals get no bar.
const NARROWEST: u16 = 35;

/// A bar that counts up to `total`.
#[derive(Debug)]
pub(crate) struct Bar {
    total: usize,
    done: usize,
    width: usize,
    palette: Palette,
    first: Option<Instant>,
    drawn: Option<Instant>,
}

impl Bar {
    /// A bar at zero for a terminal of `columns`, or `None` when it would not fit.
    pub(crate) fn new(total: usize, columns: u16, palette: Palette) -> Option<Self> {
        let width = usize::from(columns).checked_sub(30).filter(|_| columns >= NARROWEST)?.min(80);
        Some(Self { total, done: 0, width, palette, first: None, drawn: None })
    }

    /// Counts one answer and draws, unless it was drawn just before.
    pub(crate) fn advance(&mut self, out: &mut impl Write, now: Instant) -> io::Result<()> {
        self.done += 1;
        self.first.get_or_insert(now);
        if self.done < self.total && self.drawn.is_some_and(|last| now < last + BETWEEN_DRAWINGS) {
            return Ok(());
        }
        self.draw(out, now)
    }

    /// Draws over the line drawn before.
    pub(crate) fn draw(&mut self, out: &mut impl Write, now: Instant) -> io::Result<()> {
        self.drawn = Some(now);
        let took = self.first.map(|first| now.saturating_duration_since(first));
        write!(out, "\r\x1b[2K{}", line(self.done, self.total, took, self.width, self.palette))?;
        out.flush()
    }

    /// Leaves the bar in its last state.
    pub(crate) fn finish(mut self, out: &mut impl Write, now: Instant) -> io::Result<()> {
        self.draw(out, now)?;
        writeln!(out, "\n")
    }
}

/// One line: count, time since the first answer, bar, percentage.
fn line(done: usize, total: usize, took: Option<Duration>, width: usize, palette: Palette) -> String {
    let shown = done.min(total);
    let colour = if done < total { Colour::Red } else { Colour::Green };
    let count = palette.paint(colour, format!("{done} / {total}"));
    let took = took.map_or_else(|| "---".to_owned(), |took| whole_seconds(took.as_secs()));
    let filled = (width * shown).checked_div(total).unwrap_or(width);
    let percent = (200 * shown + total).checked_div(2 * total).unwrap_or(100);
    format!("{count} {took:>5} {} {percent:>3}%", cells(filled, width))
}

/// `[===>---]`: the frame takes the first and the last cell.
fn cells(filled: usize, width: usize) -> String {
    let cell = |position: usize| match position {
        0 => '[',
        last if last + 1 == width => ']',
        head if head + 1 == filled && filled < width => '>',
        done if done < filled => '=',
        _ => '-',
    };
    (0..width).map(cell).collect()
}

/// `1h2m3s` without the parts that lead with zero.
fn whole_seconds(seconds: u64) -> String {
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m{seconds}s"),
        (hours, minutes, seconds) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_those_of_the_existing_client() {
        let cases = [
            (0, 3, None, "0 / 3   --- [------------------------------------------------]   0%"),
            (1, 3, Some(0), "1 / 3    0s [==============>---------------------------------]  33%"),
            (2, 3, Some(1), "2 / 3    1s [===============================>----------------]  67%"),
            (3, 3, Some(2), "3 / 3    2s [================================================] 100%"),
            (4, 10, Some(61), "4 / 10  1m1s [==================>-----------------------------]  40%"),
        ];
        for (done, total, took, expected) in cases {
            let took = took.map(Duration::from_secs);
            assert_eq!(line(done, total, took, 50, Palette::PLAIN), expected);
        }
    }

    #[test]
    fn a_narrow_terminal_gets_no_bar() {
        for (columns, width) in [(34, None), (35, Some(5)), (80, Some(50)), (200, Some(80))] {
            assert_eq!(Bar::new(1, columns, Palette::PLAIN).map(|bar| bar.width), width, "{columns}");
        }
    }

    #[test]
    fn many_answers_at_once_are_drawn_once() {
        let (mut bar, now) = (Bar::new(1000, 80, Palette::PLAIN).expect("fits"), Instant::now());
        let mut out = Vec::new();
        for _ in 0..999 {
            bar.advance(&mut out, now).expect("written");
        }
        assert_eq!(out.iter().filter(|byte| **byte == b'\r').count(), 1);
        bar.advance(&mut out, now).expect("written");
        assert!(String::from_utf8_lossy(&out).ends_with("100%"));
    }
}
