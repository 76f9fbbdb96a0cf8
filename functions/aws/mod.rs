//! The edge to AWS: clients, the few EC2 calls, and what an AWS error means.

mod clients;
pub mod ec2;
mod failure;

pub use clients::{Account, Aws, patience};
pub(crate) use failure::unless;
