//! The edge to AWS: clients, the few calls that no generated client makes, and what an AWS error means.

pub mod aps;
mod clients;
pub mod ec2;
mod failure;
pub mod request_log;
pub mod sigv4;

pub use clients::{Account, Aws, timeouts};
pub(crate) use failure::unless;
