//! A cluster and the workspace it writes to. Every name follows from the two, so nothing is
//! stored, and a second run finds what the first one made.

use crate::arn::{ClusterArn, ScraperArn, WorkspaceArn};
use sha2::{Digest, Sha256};

/// The longest name that IAM takes for a role, in characters (IAM API reference, CreateRole).
const LONGEST_ROLE_NAME: usize = 64;
/// Digits of the pair's hash in a role's name.
const HASH_DIGITS: usize = 8;
/// What a source role's name begins with; the provisioner may make no other.
const SOURCE_PREFIX: &str = "ampxa-source-";
/// What a target role's name begins with; the provisioner may make no other.
const TARGET_PREFIX: &str = "ampxa-target-";

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
        self.role_name(SOURCE_PREFIX)
    }

    /// The name of the role that the scraper wears in the target account.
    pub fn target_role_name(&self) -> String {
        self.role_name(TARGET_PREFIX)
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

    /// What the names of all source roles begin with; of those of a cluster, if one is named.
    pub fn source_roles_begin(cluster: Option<&ClusterArn>) -> String {
        cluster.map_or_else(|| SOURCE_PREFIX.to_owned(), |cluster| begins(SOURCE_PREFIX, cluster))
    }

    /// `<prefix><cluster's name, shortened>-<8 hex digits of the pair's hash>`.
    fn role_name(&self, prefix: &str) -> String {
        let hash = hash(&[&self.cluster.to_string(), &self.workspace.to_string()], HASH_DIGITS);
        format!("{}{hash}", begins(prefix, &self.cluster))
    }
}

fn begins(prefix: &str, cluster: &ClusterArn) -> String {
    let room = LONGEST_ROLE_NAME - prefix.len() - 1 - HASH_DIGITS;
    let cluster: String = cluster.id().chars().take(room).collect();
    format!("{prefix}{cluster}-")
}

/// The first `digits` hex digits of the SHA-256 of some texts, each told apart from the next.
pub fn hash(texts: &[&str], digits: usize) -> String {
    let mut hasher = Sha256::new();
    for text in texts {
        hasher.update(text.as_bytes());
        hasher.update([0]);
    }
    let hex: String = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    hex.chars().take(digits).collect()
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
