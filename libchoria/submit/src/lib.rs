//! The submission service: takes messages from local programs into the spool, whatever the server is doing.
