//! The operator's command `ampxa`: what people run against AWS, or against a local cloud.
//!
//! - [`credentials`]: accounts of AWS or of a local cloud; [`account`]: one of them, and its clients.
//! - [`status`]: every pair of some accounts; [`page`]: a picture of a run.
//! - [`execution`]: an execution, watched to its end; [`document`]: the roles that it left.
//! - [`terminal`]: progress and results, for a terminal or a log.

pub mod account;
pub mod credentials;
pub mod document;
pub mod execution;
pub mod page;
pub mod status;
pub mod terminal;

/// The Region of a local cloud's demonstration.
pub const LOCAL_REGION: &str = "us-west-2";
/// The account of the clusters of a local cloud's demonstration.
pub const LOCAL_SOURCE: &str = "222222222222";
