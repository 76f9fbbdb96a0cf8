//! Automatic starts of the state machines: by events of clusters, accounts and AFT, and by the schedule.
//!
//! One cloud serves all of these tests. `fixture` deploys it and lets its accounts forward their events to the hub.

pub mod adoption;
mod aft;
mod alarms;
mod clusters;
mod collector_logs;
mod configurations;
mod consent;
mod examples;
pub mod fixture;
mod fleet_plans;
mod preparation;
mod reconciliations;
mod router_permissions;
mod routes;
mod untrusted_senders;
