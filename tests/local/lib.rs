//! The local cloud: the whole product on this machine, without an AWS account.
//!
//! - [`project`]: this repository, its Lambda binaries, and the Python that the cloud runs on.
//! - [`cloud`]: one emulated AWS, started and stopped; [`account`]: an account of it.
//! - [`deploy`]: the templates of `infra/`, unchanged, into its accounts.
//! - [`demo`]: clusters and workspaces to connect.
//! - [`execution`]: an execution, watched to its end; [`document`]: what it left behind.
//! - [`reach`]: accounts of AWS or of a local cloud; [`status`]: every pair of some accounts, as it stands.
//! - [`page`]: a picture of a run; [`graph`]: pictures of the state machines.
//! - [`onboard`], [`up`], [`mod@bench`], [`faults`], [`events`]: the commands; [`terminal`]: what a person sees of them.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod account;
pub mod bench;
pub mod cloud;
pub mod demo;
pub mod deploy;
pub mod document;
pub mod events;
pub mod execution;
pub mod faults;
pub mod graph;
mod http;
pub mod onboard;
pub mod page;
pub mod project;
pub mod reach;
pub mod status;
pub mod terminal;
pub mod up;

/// The Region that the commands and most tests use.
pub const REGION: &str = "us-west-2";
/// The account of the hub: state machine and functions.
pub const HUB: &str = "111111111111";
/// The account of the clusters.
pub const SOURCE: &str = "222222222222";
/// The account of the workspaces.
pub const TARGET: &str = "333333333333";
/// The organization that all accounts are in, but for those that begin with a 9.
pub const ORGANIZATION: &str = "o-ampxalocal01";
