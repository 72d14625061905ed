//! choria ping
mod statistics;
