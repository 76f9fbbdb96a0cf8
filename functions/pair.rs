//! A pair: a cluster and its workspace. Every name follows from the pair. So no name is stored, and a second execution
//! finds the resources of the first.

use crate::{
    arn::{ClusterArn, ScraperArn, WorkspaceArn},
    names,
};

/// A cluster and the workspace that receives its samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The cluster; its account is the source account.
    pub cluster: ClusterArn,
    /// The workspace; its account is the target account.
    pub workspace: WorkspaceArn,
}

impl Pair {
    /// The name of the role in the source account, which the scraper assumes.
    pub fn source_role_name(&self) -> String {
        names::role_name(names::SOURCE_ROLE_PREFIX, &self.cluster, &self.workspace.to_string())
    }

    /// The name of the role in the target account, which the scraper assumes with the source role.
    pub fn target_role_name(&self) -> String {
        names::role_name(names::TARGET_ROLE_PREFIX, &self.cluster, &self.workspace.to_string())
    }

    /// The ARN of the source role, whether it exists or not.
    pub fn source_role_arn(&self) -> String {
        self.source_arn(&names::installation().role(&self.source_role_name()))
    }

    /// The ARN of the target role, whether it exists or not.
    pub fn target_role_arn(&self) -> String {
        self.target_arn(&names::installation().role(&self.target_role_name()))
    }

    /// The ARN of an IAM resource in the source account, such as `policy/<name>`.
    pub fn source_arn(&self, resource: &str) -> String {
        let partition = self.cluster.partition();
        format!("arn:{partition}:iam::{}:{resource}", self.cluster.account())
    }

    /// The ARN of an IAM resource in the target account, such as `policy/<name>`.
    pub fn target_arn(&self, resource: &str) -> String {
        let partition = self.workspace.partition();
        format!("arn:{partition}:iam::{}:{resource}", self.workspace.account())
    }

    /// The placeholder for the scraper's ARN, which both trust policies contain until the patch.
    ///
    /// In `ArnEquals` of the source role it is a pattern: it admits the scrapers of this account and Region. In
    /// `StringEquals` of the target role it is a literal that no scraper can send, because `*` is not legal in an
    /// external id (STS API reference, AssumeRole).
    pub fn placeholder(&self) -> String {
        let (partition, region) = (self.cluster.partition(), self.cluster.region());
        format!("arn:{partition}:aps:{region}:{}:scraper/*", self.cluster.account())
    }

    /// Whether a scraper can be the pair's: it is in the account and Region of the cluster.
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
    fn names_follow_from_the_pair() {
        let pair = pair("payments-prod", "ws-1");
        assert_eq!(pair.source_role_name(), "ampxa-source-payments-prod-de2d906b");
        assert_eq!(
            pair.target_role_arn(),
            "arn:aws:iam::333333333333:role/ampxa-target-payments-prod-de2d906b"
        );
    }

    #[test]
    fn a_role_name_of_a_long_cluster_name_has_64_characters() {
        let name = pair(&"x".repeat(100), "ws-1").source_role_name();
        assert_eq!(name.len(), 64);
    }

    #[test]
    fn pairs_that_differ_in_cluster_or_workspace_have_different_names() {
        let names = [("a", "ws-1"), ("a", "ws-2"), ("b", "ws-1")].map(|(c, w)| pair(c, w).source_role_name());
        assert!(names[0] != names[1] && names[0] != names[2] && names[1] != names[2]);
    }
}
