//! Connects Amazon EKS clusters to an Amazon Managed Service for Prometheus (AMP) workspace in
//! another account: the steps of one Step Functions execution.
//!
//! To be read in this order:
//!
//! - `input`: how JSON from people is read; [`request`]: what a person asks for; [`scrape_configuration`]: its YAML,
//!   and AMP's rules for it.
//! - [`complete`]: the request with its defaults, as every later step is given it.
//! - [`arn`], [`pair`]: a cluster and a workspace; [`names`], [`tags`]: what follows from the two.
//! - [`policy`]: the policy documents, pure functions of the pair.
//! - [`turn`]: one execution at a time for a cluster.
//! - [`cluster`], [`network`]: the look before anything is touched.
//! - [`roles`], [`scraper`], [`trust`]: what is made, watched, patched, repaired and removed.
//! - [`ingestion`]: whether samples arrive, and where to look when none do.
//! - [`offboarding`]: which pairs are to be removed.
//! - [`event`], [`routing`], [`route_event`]: what happened in the accounts, which workspace gets which
//!   cluster, and which execution that starts.
//! - [`reconciliation`]: the clusters of many accounts and Regions, found, routed, and missed when they are gone.
//! - [`telemetry`]: what executions come to, as metrics.
//! - [`task`]: what a step is given; [`lambda`]: how it runs; [`error`]: the six names it may fail under.
//! - [`aws`]: clients, and what an AWS error means.
//!
//! Each program in `bin/` wires the clients of one step and names the function it calls.

pub mod arn;
pub mod aws;
pub mod check_request;
pub mod cluster;
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
pub mod policy;
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
