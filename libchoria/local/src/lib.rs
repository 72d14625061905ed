//! The Varlink interfaces under `/run/choria`: what local programs ask the daemons of this machine, both halves.
