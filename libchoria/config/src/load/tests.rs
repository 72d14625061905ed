//! Tests of the order and merging of files.
