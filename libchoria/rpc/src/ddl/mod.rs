//! What agents can do, and what their inputs may be: the DDL documents (spec 03a §2, §3, §6).

pub mod embedded;
mod model;

pub use model::{
    AGENT_SCHEMA, Action, AgentDdl, AggregateItem, DATA_SCHEMA, DataDdl, Display, Input, Metadata, Output,
};
