//! The names of what the project creates, and of what its account templates create beside it.

use crate::arn::ClusterArn;
use sha2::{Digest, Sha256};

/// The prefix of every source role's name. The source account's provisioner may create no role without it.
pub const SOURCE_ROLE_PREFIX: &str = "ampxa-source-";
/// The prefix of every target role's name. The target account's provisioner may create no role without it.
pub const TARGET_ROLE_PREFIX: &str = "ampxa-target-";
/// The role of a source account that the hub's functions assume (`infra/source-account.yaml`).
pub const SOURCE_PROVISIONER: &str = "ampxa-source-provisioner";
/// The role of a target account that the hub's functions assume (`infra/target-account.yaml`).
pub const TARGET_PROVISIONER: &str = "ampxa-target-provisioner";
/// The permissions boundary of every source role (`infra/source-account.yaml`).
pub const SOURCE_BOUNDARY: &str = "ampxa-source-boundary";
/// The permissions boundary of every target role (`infra/target-account.yaml`).
pub const TARGET_BOUNDARY: &str = "ampxa-target-boundary";

/// The longest name that IAM accepts for a role, in characters (IAM API reference, CreateRole).
const LONGEST_ROLE_NAME: usize = 64;
/// Hex digits of the pair's hash in a role's name.
const HASH_DIGITS: usize = 8;

/// `<prefix><cluster's name, shortened>-<8 hex digits of the pair's hash>`.
pub(crate) fn role(prefix: &str, cluster: &ClusterArn, workspace: &str) -> String {
    let hash = hash(&[&cluster.to_string(), workspace], HASH_DIGITS);
    format!("{}{hash}", roles_of_cluster(prefix, cluster))
}

/// The prefix that the names of all roles of a cluster share.
pub(crate) fn roles_of_cluster(prefix: &str, cluster: &ClusterArn) -> String {
    let room = LONGEST_ROLE_NAME - prefix.len() - 1 - HASH_DIGITS;
    let name: String = cluster.id().chars().take(room).collect();
    format!("{prefix}{name}-")
}

/// The first `digits` hex digits of the SHA-256 of the texts. A zero byte ends each text, so that `["ab", "c"]` and
/// `["a", "bc"]` differ.
pub fn hash(texts: &[&str], digits: usize) -> String {
    let mut hasher = Sha256::new();
    for text in texts {
        hasher.update(text.as_bytes());
        hasher.update([0]);
    }
    let hex: String = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    hex.chars().take(digits).collect()
}
