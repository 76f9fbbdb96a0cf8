//! Shared by several test suites.
//!
//! - [`wire`]: the AWS operation of an HTTP request.
//! - [`jsonata`]: JSONata as Step Functions evaluates it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

pub mod jsonata;
pub mod wire;

use serde_json::Value;
use std::{fs, path::Path};

/// The definition of a state machine: `onboard`, `offboard` or `reconcile`, deployed in the partition `aws`. The
/// placeholders for ARNs of functions and of other machines remain.
///
/// # Panics
/// If `statemachine/<name>.asl.yaml` cannot be read.
pub fn machine(name: &str) -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../statemachine/{name}.asl.yaml"));
    let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let text = text.replace("${Partition}", "aws");
    serde_yaml_ng::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}
