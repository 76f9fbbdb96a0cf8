//! Calls to AWS: clients, calls that no generated client makes, the mapping of AWS errors to ours, the log of calls.

pub mod aps;
mod clients;
pub mod ec2;
mod failure;
pub mod logs;
pub mod request_log;
pub mod s3;
pub mod sigv4;

pub use clients::{Account, Aws, Unreachable, timeouts};
pub(crate) use failure::none_if;
