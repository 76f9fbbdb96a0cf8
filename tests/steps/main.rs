//! Each step against a scripted AWS, on the wire: an unplanned call, one out of order, or one that
//! is missing fails the test, so a script *is* the conversation that is expected.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod checks;
mod expressions;
mod failures;
mod ingestion;
mod inventory;
mod locks;
mod policies;
mod reconciliations;
mod removals;
mod replies;
mod roles;
mod routes;
mod scrapers;
mod script;
mod sessions;
mod tasks;
mod telemetry;
mod updates;
