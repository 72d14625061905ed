//! `choria-aaasvc`: arguments in, exit code out; the work is in the library of the role.

fn main() {}
