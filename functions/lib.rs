//! Connects Amazon EKS clusters to an Amazon Managed Service for Prometheus (AMP) workspace in another account, in the
//! steps of AWS Step Functions executions.
//!
//! The modules, in reading order:
//!
//! - [`request`]: the request, and its parser; `input`: reads JSON field by field, with errors that name the field.
//! - [`scrape_configuration`]: the request's Prometheus configuration, and AMP's rules for it.
//! - [`check_request`]: completes a request with its defaults.
//! - [`arn`], [`pair`]: the cluster and its workspace; [`names`], [`tags`], [`policy`]: names, tags and policy documents
//!   that follow from them.
//! - [`lock`]: one execution at a time for each cluster.
//! - [`cluster`], [`network`], [`consent`]: the checks before anything is created; `problems`: all
//!   prerequisites that are not met.
//! - `difference`: what differs between a resource and its desired state.
//! - [`roles`], [`scraper`], [`patch`]: create, read, update, patch and delete roles and scrapers.
//! - [`ingestion`]: whether the workspace receives samples, and the possible causes if it does not; [`collector_logs`]:
//!   the logs of AMP's collector.
//! - `permission`: what a source account allows beyond that; [`prepare`]: changes of a cluster that a scraper needs.
//! - [`plan`]: what an onboarding would change.
//! - [`offboarding`]: the pairs to disconnect.
//! - [`event`], [`routing`], [`route_event`]: an event, the routing table, and the execution that an event starts.
//! - [`reconcile`]: the clusters of many accounts and Regions, and clusters that no longer exist.
//! - [`telemetry`]: metrics of ended executions.
//! - [`task`]: the input of a step; [`lambda`]: how a step runs in Lambda; [`error`]: the names of its errors;
//!   [`environment`]: its environment variables.
//! - [`aws`]: clients, and the mapping of AWS errors to ours.
//!
//! Each program in `bin/` creates the clients of one step and calls one function.

pub mod arn;
pub mod aws;
pub mod check_request;
pub mod cluster;
pub mod collector_logs;
pub mod configurations;
pub mod consent;
mod difference;
pub mod environment;
pub mod error;
pub mod event;
pub mod ingestion;
mod input;
pub mod lambda;
pub mod lock;
pub mod names;
pub mod network;
pub mod offboarding;
pub mod pair;
pub mod patch;
mod permission;
pub mod plan;
pub mod policy;
pub mod prepare;
mod problems;
pub mod reconcile;
pub mod request;
pub mod roles;
pub mod route_event;
pub mod routing;
pub mod scrape_configuration;
pub mod scraper;
pub mod tags;
pub mod task;
pub mod telemetry;

pub use aws::Aws;
pub use error::Error;

/// The version of ampxa: that of the functions, of the templates and of the command.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
