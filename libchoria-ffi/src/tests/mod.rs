//! The boundary as a program in C meets it.

mod header;
mod rules;
mod tokens;
