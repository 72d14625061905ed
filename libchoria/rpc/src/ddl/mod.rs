//! What agents can do, and what their inputs may be: the DDL documents (spec 03a §2, §3, §6).

pub mod embedded;
mod find;
mod input;
mod model;
mod pattern;
mod registry;
mod validate;

pub use find::{FindError, Library};
pub use input::{Given, Inputs, InvalidInput};
pub use model::{
    AGENT_SCHEMA, Action, AgentDdl, AggregateItem, DATA_SCHEMA, DataDdl, Display, Input, Metadata, Output,
    UnknownAction,
};
pub use registry::RegistryError;
pub use validate::{InputType, Unfit, UnfitRequest, Warning};
