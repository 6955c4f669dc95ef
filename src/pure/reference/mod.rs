//! The reference: what stands in which document, as rows and texts that help, the man page and the
//! JSON Schemas share. It is the only home of these words; tests hold them to the code.
//!
//! Must not decide anything.

pub mod config_fields;
pub mod dispatch_fields;
pub mod field;
pub mod markup;
pub mod page;
pub mod report_fields;
pub mod schema;
pub mod schema_of_config;
pub mod status_fields;
pub mod topic;
pub mod words;
