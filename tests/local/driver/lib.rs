//! The commands of the local cloud: the whole product on this machine, without an AWS account.
//!
//! - [`project`]: this repository, its functions, and the Python environment of the emulator.
//! - [`cloud`]: starts and stops the emulated AWS.
//! - [`deploy`]: deploys the unchanged templates of `infra/` into its accounts.
//! - [`demo`]: creates clusters and workspaces.
//! - [`graph`]: draws the state machines.
//! - [`onboard`], [`up`], [`mod@bench`]: the commands.
//! - [`http`]: an HTTP server on the loopback interface; [`runtime_api`]: runs a function with a Lambda Runtime API.

pub mod bench;
pub mod cloud;
pub mod demo;
pub mod deploy;
pub mod fleet;
pub mod graph;
pub mod http;
pub mod onboard;
pub mod project;
pub mod runtime_api;
pub mod up;

/// The Region that the commands and most tests use.
pub const REGION: &str = ampxa_cli::LOCAL_REGION;
/// The hub account: state machines and functions.
pub const HUB: &str = "111111111111";
/// The source account: clusters.
pub const SOURCE: &str = ampxa_cli::LOCAL_SOURCE;
/// The target account: workspaces.
pub const TARGET: &str = "333333333333";
/// The organization of all accounts except those whose id begins with 9.
pub const ORGANIZATION: &str = "o-ampxalocal01";
