//! choria req
mod arguments;
