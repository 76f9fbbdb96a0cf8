//! Fuzz targets: one for each parser of external input. A target panics if the parser violates a property.
//!
//! `tests/fuzz/run <target> <seconds>` fuzzes a target, guided by coverage. It needs a C++ compiler. It stores inputs
//! that reach new code in `target/fuzz/corpus/<target>`, and inputs that fail in `target/fuzz/artifacts/<target>`.
//!
//! `tests/fuzz/run <target> minimize` selects the smallest corpus that reaches the same code, and packs it into
//! `tests/fuzz/corpus/<target>.jsonl`, which `cargo test` replays. `tests/fuzz/corpus.py` packs and unpacks it. The
//! corpus also contains each input that failed, with a descriptive name such as `a-merge-key-in-quotes`.

#![allow(clippy::unwrap_used, clippy::expect_used)]

pub mod arn;
pub mod policy;
pub mod request;
pub mod scrape_configuration;

/// Asserts that a message is one short line without control characters.
fn assert_one_short_line(message: &str) {
    assert!(message.chars().count() < 600, "{} characters: {message}", message.len());
    assert!(!message.chars().any(char::is_control), "{message:?}");
}

/// Asserts that a message is at most 21 short lines: 20 problems of a scrape configuration, and the number of the
/// others.
fn assert_short_lines(message: &str) {
    assert!(message.split('\n').count() <= 21, "{message}");
    message.split('\n').for_each(assert_one_short_line);
}
