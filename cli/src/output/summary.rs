//! Summaries over all answers, below them (spec 09 §2.7).

use super::colour::{Colour, Palette};
use super::printable;
use rpc::aggregate::Summaries;
use rpc::ddl::Action;
use std::io::{self, Write};

/// Writes every summary under a heading with the output's label.
pub(crate) fn texts(out: &mut impl Write, action: &Action, summaries: &Summaries, palette: Palette) -> io::Result<()> {
    for summary in summaries.texts() {
        let output = action.outputs.get(&summary.output);
        let label = output.map_or(summary.output.as_str(), |output| output.label(&summary.output));
        writeln!(out, "{}\n", palette.paint(Colour::White, format_args!("Summary of {label}:")))?;
        if summary.lines.is_empty() {
            writeln!(out, "   {}", palette.paint(Colour::Yellow, "No summary received"))?;
        }
        for line in &summary.lines {
            // A chart brings its own indentation.
            let indent = if line.contains('\n') { "" } else { "   " };
            writeln!(out, "{indent}{}", printable(line))?;
        }
        writeln!(out)?;
    }
    Ok(())
}
