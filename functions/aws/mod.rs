//! The edge to AWS: clients, the few calls that no generated client makes, and what an AWS error means.

pub mod aps;
pub mod calls;
mod clients;
pub mod ec2;
mod failure;
pub mod plain;

pub use clients::{Account, Aws, patience};
pub(crate) use failure::unless;
