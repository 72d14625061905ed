//! Tables in a frame with round corners (spec 09 §2.3). A newline in a cell makes a line of the cell.

use comfy_table::{ColumnConstraint, ContentArrangement, Table as Layout, Width};
use std::io::{self, Write};

/// Round corners, no lines between rows.
const FRAME: &str = "││──├─┼┤│    ┬┴╭╮╰╯";

/// A table that grows row by row.
#[derive(Debug)]
pub(crate) struct Table {
    title: Option<String>,
    layout: Layout,
}

impl Table {
    /// An empty table with these headings.
    pub(crate) fn new<Heading: AsRef<str>>(headings: &[Heading]) -> Self {
        let mut layout = Layout::new();
        layout.load_preset(FRAME).set_content_arrangement(ContentArrangement::Disabled);
        layout.set_header(headings.iter().map(|heading| visible(heading.as_ref())));
        Self { title: None, layout }
    }

    /// Sets a title above the headings.
    pub(crate) fn titled(mut self, title: String) -> Self {
        self.title = Some(title);
        self
    }

    /// Lets cells take several lines where the table is wider than `columns`, the width of a terminal; nothing leaves it
    /// as wide as it is, for files and pipes.
    pub(crate) fn fitted(mut self, columns: Option<u16>) -> Self {
        if let Some(columns) = columns {
            self.layout.set_content_arrangement(ContentArrangement::Dynamic).set_width(columns);
        }
        self
    }

    /// Adds one row.
    pub(crate) fn row<Cell: AsRef<str>>(&mut self, cells: &[Cell]) {
        self.layout.add_row(cells.iter().map(|cell| visible(cell.as_ref())));
    }

    /// Writes the frame and one empty line.
    pub(crate) fn write(mut self, out: &mut impl Write) -> io::Result<()> {
        let Some(title) = self.title.take() else {
            return writeln!(out, "{}\n", self.layout);
        };
        self.make_room(title.chars().count());
        let frame = self.layout.to_string();
        let (top, rest) = frame.split_once('\n').unwrap_or((&frame, ""));
        let inner = top.chars().count().saturating_sub(2);
        writeln!(out, "╭{}╮", "─".repeat(inner))?;
        writeln!(out, "│{title:^inner$}│")?;
        writeln!(out, "{}\n{rest}\n", top.replace('╭', "├").replace('╮', "┤"))
    }

    /// Widens the last column when a title of `length` characters does not fit.
    fn make_room(&mut self, length: usize) {
        let widths = self.layout.column_max_content_widths();
        let inner: usize = widths.iter().map(|width| usize::from(*width) + 3).sum::<usize>().saturating_sub(1);
        let Some((last, missing)) = widths.len().checked_sub(1).zip((length + 2).checked_sub(inner)) else { return };
        let width = usize::from(widths.get(last).copied().unwrap_or_default()) + missing + 2;
        if let (Some(column), Ok(width)) = (self.layout.column_mut(last), u16::try_from(width)) {
            column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(width)));
        }
    }
}

/// Cells come from nodes: tabs and control characters would break the frame or steer the terminal.
fn visible(cell: &str) -> String {
    let clean = |character: char| match character {
        '\t' => "    ".to_owned(),
        '\n' => "\n".to_owned(),
        other if other.is_control() => other.escape_default().to_string(),
        other => other.to_string(),
    };
    cell.trim_end_matches('\n').chars().map(clean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(table: Table) -> String {
        let mut out = Vec::new();
        table.write(&mut out).expect("written");
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn a_title_spans_the_columns() {
        let mut table = Table::new(&["Collective", "Nodes"]).titled("Collective Report for 12 nodes".to_owned());
        table.row(&["mcollective", "12"]);
        table.row(&["uk", "4"]);
        let expected = "\
╭────────────────────────────────╮
│ Collective Report for 12 nodes │
├─────────────┬──────────────────┤
│ Collective  │ Nodes            │
├─────────────┼──────────────────┤
│ mcollective │ 12               │
│ uk          │ 4                │
╰─────────────┴──────────────────╯

";
        assert_eq!(written(table), expected);
    }

    #[test]
    fn a_short_title_is_centred_with_the_odd_space_on_the_right() {
        let mut table = Table::new(&["Collective", "Nodes"]).titled("All".to_owned());
        table.row(&["uk", "4"]);
        assert!(written(table).contains("│        All         │"));
    }

    #[test]
    fn lines_of_a_cell_stay_inside_the_frame() {
        let mut table = Table::new(&["Fact", "Nodes"]);
        table.row(&["x\u{1b}[2J", "n1\nn2"]);
        let expected = "\
╭────────────┬───────╮
│ Fact       │ Nodes │
├────────────┼───────┤
│ x\\u{1b}[2J │ n1    │
│            │ n2    │
╰────────────┴───────╯

";
        assert_eq!(written(table), expected);
    }

    #[test]
    fn tables_fit_a_terminal_that_is_wide_enough_for_words() {
        let table = || {
            let mut table = Table::new(&["Node", "Agents"]);
            table.row(&["n1.example.net", "choria_util, discovery, rpcutil, scout"]);
            table
        };
        let expected = "\
╭────────────────┬─────────────────────╮
│ Node           │ Agents              │
├────────────────┼─────────────────────┤
│ n1.example.net │ choria_util,        │
│                │ discovery, rpcutil, │
│                │ scout               │
╰────────────────┴─────────────────────╯

";
        assert_eq!(written(table().fitted(Some(40))), expected);
        assert_eq!(written(table().fitted(Some(200))), written(table()));
        assert_eq!(written(table().fitted(None)), written(table()));
    }

    #[test]
    fn an_empty_table_is_its_heading() {
        assert_eq!(written(Table::new(&["A"])), "╭───╮\n│ A │\n├───┤\n╰───╯\n\n");
    }
}
