//! Hostile input for everything that is parsed from outside: a target each, which panics where a
//! promise is broken.
//!
//! `tests/fuzz/run <target> <seconds>` fuzzes a target, guided by coverage; it needs a C++ compiler.
//! It keeps what reaches new code in `target/fuzz/corpus/<target>`, and what breaks a promise in
//! `target/fuzz/artifacts/<target>`. `tests/fuzz/run <target> minimize` chooses the smallest corpus that reaches the same
//! code, and packs it into `tests/fuzz/corpus/<target>.jsonl`, which `cargo test` replays. `tests/fuzz/corpus.py` packs and
//! unpacks it. An input that broke a promise goes there too, under a name that says which.

#![allow(clippy::unwrap_used, clippy::expect_used)]

pub mod arn;
pub mod policy;
pub mod request;
pub mod scrape_configuration;

/// What a message is: one line without anything that a terminal or a log would act on, and not long.
fn short(message: &str) {
    assert!(message.chars().count() < 600, "{} characters: {message}", message.len());
    assert!(!message.chars().any(char::is_control), "{message:?}");
}
