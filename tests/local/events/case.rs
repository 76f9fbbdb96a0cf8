//! All cases, in the order they are played.

use super::{aft, cost, examples, ground::Ground, life, rights, routes, strangers, sweep, trouble};
use anyhow::Result;
use std::pin::Pin;

/// A case on its way: what was seen, or what was wrong; and lines of a table of its own.
pub type Playing<'a> = Pin<Box<dyn Future<Output = Result<Seen>> + 'a>>;

/// What was seen of a case that ended as it must.
#[derive(Debug, Default)]
pub struct Seen {
    /// In a few words.
    pub words: String,
    /// A table of its own, line by line.
    pub table: Vec<String>,
}

impl From<String> for Seen {
    fn from(words: String) -> Self {
        Self {
            words,
            table: Vec::new(),
        }
    }
}

/// Something to play, and what must come of it.
pub struct Case {
    /// Its name: the group, a stroke, and the fact.
    pub name: &'static str,
    /// Plays it.
    pub play: fn(&Ground) -> Playing<'_>,
}

/// Every case.
pub fn all() -> Vec<Case> {
    macro_rules! cases {
        ($($name:literal => $play:expr,)*) => {
            vec![$(Case { name: $name, play: |ground| Box::pin($play(ground)) }),*]
        };
    }
    cases! {
        "life/a-new-cluster-is-connected-and-a-deleted-one-leaves-nothing" => life::born_and_deleted,
        "life/an-event-that-comes-three-times-starts-one-execution" => life::three_times,
        "strangers/a-failed-call-starts-nothing" => strangers::failed_call,
        "strangers/another-services-cluster-starts-nothing" => strangers::another_service,
        "strangers/an-event-about-another-account-starts-nothing" => strangers::about_another_account,
        "strangers/an-account-outside-the-organization-starts-nothing" => strangers::outside,
        "strangers/the-bus-refuses-who-may-not-put-events" => strangers::refused_by_the_bus,
        "examples/eks-CreateCluster" => examples::create,
        "examples/eks-CreateCluster-clusterName" => examples::create_with_cluster_name,
        "examples/eks-CreateCluster-failed" => examples::create_failed,
        "examples/eks-DeleteCluster" => examples::delete,
        "examples/controltower-CreateManagedAccount" => examples::control_tower,
        "examples/organizations-CreateAccountResult" => examples::organizations,
        "examples/organizations-CreateAccountResult-failed" => examples::organizations_failed,
        "aft/the-pipeline-starts-a-sweep-and-goes-on-with-its-input" => aft::works,
        "aft/the-pipeline-goes-on-whatever-fails" => aft::fails,
        "routes/each-cluster-goes-where-the-table-says" => routes::table,
        "trouble/a-malformed-table-raises-the-alarm" => trouble::malformed_table,
        "trouble/a-failed-execution-is-told-in-a-sentence" => trouble::failed_execution,
        "rights/the-router-starts-three-machines-and-reads-its-parameters" => rights::router,
        "sweep/forty-clusters-of-which-five-are-broken" => sweep::forty,
        "sweep/the-schedule-removes-what-two-sweeps-saw-gone" => sweep::gone,
        "sweep/an-account-without-a-provisioner-ends-as-nothing-to-do" => sweep::unreachable,
        "cost/a-cluster-costs-the-same-among-ten-and-among-many" => cost::per_cluster,
    }
}
