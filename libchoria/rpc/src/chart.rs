//! A line chart drawn with box characters: 60 columns, up to 16 rows (spec 03a §4, 09 §4).

/// Draws `values` from left to right, stretched or squeezed to 60 columns, with a caption below unless it is empty.
/// Lines are separated by newlines, without one at the end. Values that are not finite are left out; without any, the
/// text is empty.
#[must_use]
pub fn line_chart(values: &[f64], caption: &str) -> String {
    let values: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    if values.is_empty() {
        return String::new();
    }
    let scale = Scale::of(&stretch(&values));
    let mut lines: Vec<String> = scale.draw(&stretch(&values));
    if !caption.is_empty() {
        let indent = OFFSET + scale.label_width() + WIDTH.saturating_sub(caption.chars().count()) / 2;
        lines.push(" ".repeat(indent) + caption);
    }
    lines.join("\n")
}

/// How values become rows, counted from the bottom.
#[derive(Debug)]
struct Scale {
    minimum: f64,
    maximum: f64,
    ratio: f64,
    lowest: f64,
    rows: usize,
    decimals: usize,
}

impl Scale {
    fn of(values: &[f64]) -> Self {
        let minimum = values.iter().copied().fold(f64::INFINITY, f64::min);
        let maximum = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let interval = maximum - minimum;
        let ratio = if interval == 0.0 { 1.0 } else { HEIGHT / interval };
        let lowest = (minimum * ratio).round();
        let rows = ((maximum * ratio).round() - lowest).abs();
        let rows = rows.clamp(0.0, 2.0 * HEIGHT) as usize;
        Self { minimum, maximum, ratio, lowest, rows, decimals: decimals(minimum, maximum) }
    }

    fn row(&self, value: f64) -> usize {
        let row = ((value * self.ratio).round() - self.lowest).max(0.0) as usize;
        row.min(self.rows)
    }

    fn label_width(&self) -> usize {
        let width = |value: f64| format!("{value:.*}", self.decimals).len();
        width(self.minimum).max(width(self.maximum))
    }

    /// All lines, the topmost first.
    fn draw(&self, points: &[f64]) -> Vec<String> {
        let mut cells = vec![[' '; WIDTH]; self.rows + 1];
        for (column, pair) in points.windows(2).enumerate() {
            let (from, to) = (self.row(pair[0]), self.row(pair[1]));
            if from == to {
                cells[from][column] = '─';
                continue;
            }
            let (at_start, at_end) = if from > to { ('╮', '╰') } else { ('╯', '╭') };
            cells[from][column] = at_start;
            cells[to][column] = at_end;
            for row in cells.iter_mut().take(from.max(to)).skip(from.min(to) + 1) {
                row[column] = '│';
            }
        }
        let first = points.first().map(|value| self.row(*value));
        let lines = cells.iter().enumerate().rev();
        lines
            .map(|(row, cells)| self.axis(row, first == Some(row)) + cells.iter().collect::<String>().trim_end())
            .collect()
    }

    /// The label and the axis in front of one row; the axis is crossed where the line starts.
    fn axis(&self, row: usize, starts_here: bool) -> String {
        let below_top = (self.rows - row) as f64 / self.rows.max(1) as f64;
        let magnitude = self.maximum - below_top * (self.maximum - self.minimum);
        let (width, decimals) = (self.label_width() + 1, self.decimals);
        let label = format!("{magnitude:>width$.decimals$}");
        let before = " ".repeat(OFFSET.saturating_sub(label.len()));
        let after = " ".repeat(if before.is_empty() { OFFSET - 2 } else { OFFSET - 2 - before.len() });
        let axis = if starts_here { '┼' } else { '┤' };
        format!("{before}{label}{after}{axis}")
    }
}

/// Decimals of the labels: two, more for values that would all read as zero, none when the largest exceeds 100.
fn decimals(minimum: f64, maximum: f64) -> usize {
    let largest = minimum.abs().max(maximum.abs());
    if largest == 0.0 {
        return 2;
    }
    let logarithm = largest.log10();
    if logarithm > 2.0 {
        return 0;
    }
    let zeros = (-logarithm).max(0.0);
    let extra = if zeros.fract() == 0.0 && zeros > 0.0 { zeros - 1.0 } else { zeros.trunc() } as usize;
    2 + extra
}

/// `WIDTH` points on the line through `values`.
fn stretch(values: &[f64]) -> Vec<f64> {
    let last = values.len() - 1;
    let step = last as f64 / (WIDTH - 1) as f64;
    let point = |column: usize| {
        let position = column as f64 * step;
        let (before, after) = (position.floor() as usize, (position.ceil() as usize).min(last));
        values[before] + (values[after] - values[before]) * (position - position.floor())
    };
    (0..WIDTH).map(|column| if column == WIDTH - 1 { values[last] } else { point(column) }).collect()
}

const WIDTH: usize = 60;
const HEIGHT: f64 = 15.0;
/// Columns of the label part, as far as labels fit into it.
const OFFSET: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_what_the_existing_tools_draw() {
        let wave: Vec<f64> = (0..100).map(|x| 10.0 * (f64::from(x) / 8.0).sin()).collect();
        let rows: &[(&[f64], &str)] = &[
            (&[1.0, 7.0, 50.0], ""),
            (&[3.0], ""),
            (&[0.0, 0.0, 0.0], ""),
            (&[-5.0, 100.5, 250.0], ""),
            (&[0.001, 0.002, 0.004], ""),
            (&[5.0, 5.0], ""),
            (&[1e6, 2e6], ""),
            (&wave, ""),
            (&[1.0, 5.0, 2.0], "Responses per 50ms"),
        ];
        let expected: Vec<&str> =
            include_str!("../tests/charts.txt").trim_end_matches("\n====\n").split("\n====\n").collect();
        assert_eq!(rows.len(), expected.len());
        for ((values, caption), expected) in rows.iter().zip(expected) {
            let drawn = line_chart(values, caption);
            assert_eq!(drawn, expected, "\n{drawn}\nis not\n{expected}");
        }
    }

    #[test]
    fn odd_values_draw_something() {
        assert_eq!(line_chart(&[], "caption"), "");
        assert_eq!(line_chart(&[f64::NAN, f64::INFINITY], ""), "");
        for values in
            [&[f64::MIN, f64::MAX][..], &[1e300, 1.000_000_000_000_000_2e300], &[5e-324, 0.0], &[-1.0, f64::NAN, 1.0]]
        {
            assert!(line_chart(values, "").contains('┼'), "{values:?}");
        }
    }
}
