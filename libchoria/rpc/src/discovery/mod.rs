//! Finding the nodes a request goes to (spec 03a §8).

pub mod flatfile;
