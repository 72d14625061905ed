//! Messages of the Choria network, versions 1 and 2, the filters they carry and the subjects they travel on.

pub mod filter;

pub use filter::Filter;
