//! The operator's command `ampxa`, for AWS or a local cloud. Read-only.
//!
//! - [`credentials`]: access to the accounts of AWS or of a local cloud; [`account`]: one account and its clients.
//! - [`status`]: the status of all pairs; [`page`]: an HTML page of one execution.
//! - [`execution`]: starts, reads and watches executions; [`document`]: reads the roles of a pair.
//! - [`terminal`]: progress and results, for a terminal or a log.

pub mod account;
pub mod credentials;
pub mod document;
pub mod execution;
pub mod page;
pub mod status;
pub mod terminal;

/// The Region of the demo in a local cloud.
pub const LOCAL_REGION: &str = "us-west-2";
/// The source account of the demo in a local cloud.
pub const LOCAL_SOURCE: &str = "222222222222";
