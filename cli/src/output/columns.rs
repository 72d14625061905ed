//! Names in columns (spec 09 §2.6, §8).

use std::io::{self, Write};

/// Spaces behind the widest entry of a column.
const GAP: usize = 4;

/// Rows of cells, indented by four spaces; every column is as wide as its widest cell and a gap, the last one too.
pub(crate) fn aligned(out: &mut impl Write, rows: &[Vec<&str>]) -> io::Result<()> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default() + GAP
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in rows {
        write!(out, "    ")?;
        for (cell, width) in row.iter().zip(&widths) {
            write!(out, "{cell:width$}")?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// `words` in rows of `size`, read from left to right; the last row is filled with empty words.
pub(crate) fn across<'a>(words: &[&'a str], size: usize) -> Vec<Vec<&'a str>> {
    let row = |chunk: &[&'a str]| chunk.iter().copied().chain(std::iter::repeat("")).take(size).collect();
    words.chunks(size).map(row).collect()
}

/// `words` in rows of `size`, read from top to bottom; the last column is filled with empty words.
pub(crate) fn downwards<'a>(words: &[&'a str], size: usize) -> Vec<Vec<&'a str>> {
    let height = words.len().div_ceil(size);
    let row =
        |number: usize| (0..size).map(|column| words.get(number + column * height).copied().unwrap_or("")).collect();
    (0..height).map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_fit_their_widest_cell() {
        let mut out = Vec::new();
        aligned(&mut out, &across(&["a", "bbb", "c", "dd"], 3)).expect("written");
        assert_eq!(String::from_utf8_lossy(&out), "    a     bbb    c    \n    dd                \n");
    }

    #[test]
    fn words_run_down_the_columns() {
        assert_eq!(downwards(&["a", "b", "c", "d"], 3), [["a", "c", ""], ["b", "d", ""]]);
        assert!(downwards(&[], 3).is_empty());
    }
}
