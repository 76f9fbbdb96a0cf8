//! Property tests for hostile input: it remains data in messages, policy documents, tags, labels, and the expressions
//! of the state machines.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod arns;
mod machines;
mod relabelling;
mod request;

use properties::{CLUSTER, EXECUTION, WORKSPACE, assert_one_short_line, assert_rejected, hostile_texts, with};
