//! Each step against scripted HTTP responses of AWS. A script is the exact sequence of expected calls: a call that is
//! unexpected, out of order or missing fails the test.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod checks;
mod collector_logs;
mod endpoints;
mod expressions;
mod failures;
mod ingestion;
mod inventory;
mod locks;
mod policies;
mod prepare;
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
