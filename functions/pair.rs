//! A cluster and the workspace it writes to. Every name follows from the two, so nothing is
//! stored, and a second run finds what the first one made.

use crate::{
    arn::{ClusterArn, ScraperArn, WorkspaceArn},
    names,
};

/// One cluster connected to one workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The cluster; its account is the source account.
    pub cluster: ClusterArn,
    /// The workspace; its account is the target account.
    pub workspace: WorkspaceArn,
}

impl Pair {
    /// The name of the role that the scraper wears in the source account.
    pub fn source_role_name(&self) -> String {
        names::role(names::SOURCE_ROLE_PREFIX, &self.cluster, &self.workspace.to_string())
    }

    /// The name of the role that the scraper wears in the target account.
    pub fn target_role_name(&self) -> String {
        names::role(names::TARGET_ROLE_PREFIX, &self.cluster, &self.workspace.to_string())
    }

    /// The ARN of the source role, whether it exists or not.
    pub fn source_role_arn(&self) -> String {
        self.source_arn("role", &self.source_role_name())
    }

    /// The ARN of the target role, whether it exists or not.
    pub fn target_role_arn(&self) -> String {
        self.target_arn("role", &self.target_role_name())
    }

    /// The ARN of a role or policy of IAM's in the source account.
    pub fn source_arn(&self, kind: &str, name: &str) -> String {
        let partition = self.cluster.partition();
        format!("arn:{partition}:iam::{}:{kind}/{name}", self.cluster.account())
    }

    /// The ARN of a role or policy of IAM's in the target account.
    pub fn target_arn(&self, kind: &str, name: &str) -> String {
        let partition = self.workspace.partition();
        format!("arn:{partition}:iam::{}:{kind}/{name}", self.workspace.account())
    }

    /// The ARN pattern that stands in both trust policies while the scraper's own is not known.
    ///
    /// In the source role's `ArnEquals` it admits this account's scrapers in this Region. In the
    /// target role's `StringEquals` it is a literal that no scraper can send: `*` is not legal in
    /// an external id (STS API reference, AssumeRole).
    pub fn placeholder(&self) -> String {
        let (partition, region) = (self.cluster.partition(), self.cluster.region());
        format!("arn:{partition}:aps:{region}:{}:scraper/*", self.cluster.account())
    }

    /// Whether a scraper lies where this pair's scraper must lie.
    pub fn may_own(&self, scraper: &ScraperArn) -> bool {
        (scraper.partition(), scraper.region(), scraper.account())
            == (self.cluster.partition(), self.cluster.region(), self.cluster.account())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(cluster: &str, workspace: &str) -> Pair {
        Pair {
            cluster: format!("arn:aws:eks:us-west-2:222222222222:cluster/{cluster}")
                .parse()
                .unwrap(),
            workspace: format!("arn:aws:aps:us-west-2:333333333333:workspace/{workspace}")
                .parse()
                .unwrap(),
        }
    }

    #[test]
    fn names_are_pure_and_readable() {
        let pair = pair("payments-prod", "ws-1");
        assert_eq!(pair.source_role_name(), "ampxa-source-payments-prod-de2d906b");
        assert_eq!(
            pair.target_role_arn(),
            "arn:aws:iam::333333333333:role/ampxa-target-payments-prod-de2d906b"
        );
    }

    #[test]
    fn the_longest_cluster_name_still_gives_a_role_name() {
        let name = pair(&"x".repeat(100), "ws-1").source_role_name();
        assert_eq!(name.len(), 64);
    }

    #[test]
    fn pairs_that_differ_in_either_part_have_other_names() {
        let names = [("a", "ws-1"), ("a", "ws-2"), ("b", "ws-1")].map(|(c, w)| pair(c, w).source_role_name());
        assert!(names[0] != names[1] && names[0] != names[2] && names[1] != names[2]);
    }
}
