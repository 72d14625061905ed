//! choria inventory
mod collectives;
mod node;
