//! choria facts
mod report;
