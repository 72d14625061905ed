//! Names of nodes, one a line or as a JSON array.

use std::io::{self, Write};

/// Writes `names` one a line.
pub(crate) fn lines<Name: AsRef<str>>(out: &mut impl Write, names: &[Name]) -> io::Result<()> {
    names.iter().try_for_each(|name| writeln!(out, "{}", name.as_ref()))
}

/// Writes `names` as a JSON array indented by two spaces; no names are `[]`.
pub(crate) fn array<Name: AsRef<str>>(out: &mut impl Write, names: &[Name]) -> io::Result<()> {
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    serde_json::to_writer_pretty(&mut *out, &names)?;
    writeln!(out)
}
