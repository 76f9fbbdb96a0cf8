//! What several kinds of tests need.
//!
//! - [`wire`]: which call of AWS a request is.
//! - [`jsonata`]: JSONata as Step Functions evaluates it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

pub mod jsonata;
pub mod wire;
