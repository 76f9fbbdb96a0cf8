//! Tests of the deployed product on the local cloud, with IAM enforced: templates, functions and state machines.
//!
//! Two clouds serve all tests. In the cloud of `deployment`, each test starts the state machines itself, and uses a
//! Region or accounts of its own. The functions of that cloud call AWS through a proxy that can make calls fail. In the
//! cloud of `events`, the accounts forward their events to the hub, so that events and the schedule start the machines.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod access;
mod attacks;
mod boundaries;
mod command;
mod consent;
mod deployment;
mod events;
mod faults;
mod guardrails;
mod ingestion;
mod least_privilege;
mod offboarding;
mod onboarding;
mod operator;
mod partitions;
mod plans;
mod process;
mod races;
mod refusals;
mod removal;
mod rerun;
mod rollback;
mod scraper_drift;
mod status;
mod telemetry;
