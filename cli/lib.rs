//! The operator's command `ampxa`, for AWS or a local cloud.
//!
//! - [`arguments`]: the arguments; [`commands`]: what each command does, and its exit code.
//! - [`credentials`]: access to the accounts of AWS or of a local cloud; [`account`]: one account and its clients;
//!   [`api`]: calls without a generated client; [`hub`]: the stack of the hub.
//! - [`execution`]: starts, reads and watches executions; [`progress`]: prints their states.
//! - [`plan`]: the plan of a pair; [`report`]: the report of a reconciliation; [`routes`]: checks and explains routing
//!   tables; [`doctor`]: checks an installation.
//! - [`status`]: the status of all pairs; [`page`]: an HTML page of one execution; [`document`]: reads the roles of a
//!   pair.
//! - [`terminal`], [`style`]: progress and results, for a terminal or a log.

pub mod account;
pub mod api;
pub mod arguments;
pub mod commands;
pub mod credentials;
pub mod doctor;
pub mod document;
pub mod execution;
pub mod hub;
pub mod page;
pub mod plan;
pub mod progress;
pub mod report;
pub mod routes;
pub mod status;
pub mod style;
pub mod terminal;

/// The Region of the demo in a local cloud.
pub const LOCAL_REGION: &str = "us-west-2";
/// The hub of the demo in a local cloud.
pub const LOCAL_HUB: &str = "111111111111";
/// The source account of the demo in a local cloud.
pub const LOCAL_SOURCE: &str = "222222222222";
