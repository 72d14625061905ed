//! The `choria` command.

fn main() {}
