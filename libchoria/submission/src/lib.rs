//! Submitted messages: what they are, the spool that keeps them until they are delivered, their delivery and their proof (spec 04 §5).
