//! The product on the local cloud, with IAM enforced: the deployed templates, the real binaries, the real state machines.
//!
//! Two clouds serve all tests. In `world`'s, whose functions call AWS through a proxy that can make calls fail, each test
//! starts the state machines itself and has a Region or accounts of its own. In `events`', the accounts are wired to the
//! hub, so that events and the schedule start them.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod access;
mod boundaries;
mod command;
mod events;
mod faults;
mod ingestion;
mod least_privilege;
mod offboarding;
mod onboarding;
mod process;
mod races;
mod refusals;
mod rerun;
mod rollback;
mod scraper_drift;
mod status;
mod telemetry;
mod world;
