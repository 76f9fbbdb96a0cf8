//! What starts the product by itself: events of clusters, accounts and AFT, and the schedule.
//!
//! One cloud serves all of these tests. `fixture` deploys it and wires its accounts to the hub.

mod aft;
mod alarms;
mod clusters;
mod examples;
pub mod fixture;
mod reconciliations;
mod router_permissions;
mod routes;
mod untrusted_senders;
