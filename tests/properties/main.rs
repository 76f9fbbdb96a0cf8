//! Values that could break out stay data: in messages, policy documents, tags, labels, the log, and
//! the machines' expressions.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod arns;
mod machines;
mod request;

use properties::{CLUSTER, WORKSPACE, hostile_texts, one_short_line, refusal, with};
