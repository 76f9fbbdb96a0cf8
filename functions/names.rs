//! Names of the roles of a pair, and of the roles and policies that the account templates create.

use crate::arn::ClusterArn;
use sha2::{Digest, Sha256};
use std::{env, sync::OnceLock};

/// The prefix of every source role's name. The source provisioner can create only roles with this prefix.
pub const SOURCE_ROLE_PREFIX: &str = "ampxa-source-";
/// The prefix of every target role's name. The target provisioner can create only roles with this prefix.
pub const TARGET_ROLE_PREFIX: &str = "ampxa-target-";
/// The role of a source account that functions assume to write (`infra/source-account.yaml`).
pub const SOURCE_PROVISIONER: &str = "ampxa-provisioner-source";
/// The role of a target account that functions assume to write (`infra/target-account.yaml`).
pub const TARGET_PROVISIONER: &str = "ampxa-provisioner-target";
/// The role of a source account that functions assume to read (`infra/source-account.yaml`).
pub const SOURCE_READER: &str = "ampxa-reader-source";
/// The role of a target account that functions assume to read (`infra/target-account.yaml`).
pub const TARGET_READER: &str = "ampxa-reader-target";
/// The permissions boundary of every source role (`infra/source-account.yaml`).
pub const SOURCE_BOUNDARY: &str = "ampxa-source-boundary";
/// The permissions boundary of every target role (`infra/target-account.yaml`).
pub const TARGET_BOUNDARY: &str = "ampxa-target-boundary";

/// The managed policy of every source role if another permissions boundary replaces ours.
pub const SOURCE_GUARD: &str = "ampxa-source-guard";
/// The managed policy of every target role if another permissions boundary replaces ours.
pub const TARGET_GUARD: &str = "ampxa-target-guard";

/// The parameters of the templates that concern names. They are equal in the hub and in all accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    /// The path of all roles (`RolePath`), such as `/` or `/platform/`.
    pub role_path: String,
    /// The name of the policy that replaces our permissions boundaries (`PairBoundaryName`), if any.
    pub pair_boundary: Option<String>,
}

impl Installation {
    /// The resource part of the ARN of a role: `role/platform/<name>`.
    pub fn role(&self, name: &str) -> String {
        format!("role{}{name}", self.role_path)
    }
}

/// Reads `AMPXA_ROLE_PATH` and `AMPXA_PAIR_BOUNDARY`, once for each process. A variable that is not set has the default of
/// its parameter: the command `ampxa` runs without the hub's template.
pub fn installation() -> &'static Installation {
    static INSTALLATION: OnceLock<Installation> = OnceLock::new();
    let variable = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    INSTALLATION.get_or_init(|| Installation {
        role_path: variable("AMPXA_ROLE_PATH").unwrap_or_else(|| "/".to_owned()),
        pair_boundary: variable("AMPXA_PAIR_BOUNDARY"),
    })
}

/// The maximum length of a role's name, in characters (IAM API reference, CreateRole).
const MAX_ROLE_NAME: usize = 64;
/// Hex digits of the pair's hash in a role's name.
const HASH_DIGITS: usize = 8;

/// The name of a role: `<prefix><cluster's name, shortened>-<8 hex digits of the pair's hash>`.
pub(crate) fn role_name(prefix: &str, cluster: &ClusterArn, workspace: &str) -> String {
    let hash = hash(&[&cluster.to_string(), workspace], HASH_DIGITS);
    format!("{}{hash}", role_name_prefix(prefix, cluster))
}

/// The common prefix of the names of a cluster's roles: `<prefix><cluster's name, shortened>-`.
pub(crate) fn role_name_prefix(prefix: &str, cluster: &ClusterArn) -> String {
    let max_length = MAX_ROLE_NAME - prefix.len() - 1 - HASH_DIGITS;
    let name: String = cluster.id().chars().take(max_length).collect();
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
