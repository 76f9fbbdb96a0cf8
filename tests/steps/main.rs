//! Each step against a scripted AWS, on the wire: an unplanned call, one out of order, or one that
//! is missing fails the test, so a script *is* the conversation that is expected.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod checks;
mod failures;
mod ingestion;
mod policies;
mod removals;
mod replies;
mod roles;
mod routes;
mod scrapers;
mod script;
mod sessions;
mod standing;
mod sums;
mod sweeps;
mod tasks;
mod telemetry;
mod turns;
mod updates;
