//! The product on the local cloud, with IAM enforced: the deployed templates, the real binaries,
//! the real state machine. One cloud serves all tests; each works in a Region of its own.

mod access;
mod fence;
mod ingestion;
mod least_privilege;
mod offboarding;
mod onboarding;
mod races;
mod refusals;
mod rerun;
mod scraper_drift;
mod status;
mod telemetry;
mod undo;
mod world;
