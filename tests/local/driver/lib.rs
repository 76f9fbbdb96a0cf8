//! The local cloud: the whole product on this machine, without an AWS account.
//!
//! - [`project`]: this repository, its functions, and the Python that the emulator runs on.
//! - [`cloud`]: one emulated AWS, started and stopped.
//! - [`deploy`]: the templates of `infra/`, unchanged, into its accounts.
//! - [`demo`]: clusters and workspaces to connect.
//! - [`graph`]: pictures of the state machines.
//! - [`onboard`], [`up`], [`mod@bench`]: the commands.
//! - [`http`]: HTTP on the loopback, and [`runtime_api`]: a function's process under a Lambda Runtime API.

pub mod bench;
pub mod cloud;
pub mod demo;
pub mod deploy;
pub mod graph;
pub mod http;
pub mod onboard;
pub mod project;
pub mod runtime_api;
pub mod up;

/// The Region that the commands and most tests use.
pub const REGION: &str = ampxa_cli::LOCAL_REGION;
/// The account of the hub: state machine and functions.
pub const HUB: &str = "111111111111";
/// The account of the clusters.
pub const SOURCE: &str = ampxa_cli::LOCAL_SOURCE;
/// The account of the workspaces.
pub const TARGET: &str = "333333333333";
/// The organization that all accounts are in, but for those that begin with a 9.
pub const ORGANIZATION: &str = "o-ampxalocal01";
