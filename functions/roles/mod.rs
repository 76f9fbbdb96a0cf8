//! The two roles: what they should be, and making AWS hold it; `removal` takes them away.

mod removal;

pub use removal::{Outcome, RemoveInput, RemoveOutput, pairs_of, remove};

use crate::{
    arn::ScraperArn,
    aws::unless,
    error::Error,
    names,
    pair::Pair,
    policy::{self, Gate},
    tags::{self, CLUSTER_TAG, CREATED_BY_TAG, WORKSPACE_TAG},
    task::Task,
};
use aws_sdk_iam::{Client, types};
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// A role as it should be.
#[derive(Debug, Clone, PartialEq)]
pub struct Role {
    /// Its name, which follows from the pair.
    pub name: String,
    /// For people who find it in the console.
    pub description: String,
    /// The trust policy it has until the patch.
    pub placeholder_trust: Value,
    /// The trust policy it may have already: that of the pair's own scraper.
    pub scraper_trust: Option<Value>,
    /// Its one inline policy, named `ampxa`.
    pub permissions: Value,
    /// The one managed policy it wears, if any.
    pub managed_policy: Option<String>,
    /// The ARN of its permissions boundary.
    pub boundary: String,
    /// Its tags, without [`CREATED_BY_TAG`].
    pub tags: BTreeMap<String, String>,
    /// The execution that makes it, if it is not there.
    pub created_by: String,
}

/// What the state machine knows when it asks for a role.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EnsureInput {
    /// The scraper that the pair has already.
    pub scraper_arn: Option<ScraperArn>,
}

/// What became of a role.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct EnsureOutput {
    /// Whether this execution made it.
    pub created: bool,
    /// What this call put right in a role it found.
    pub repaired: Vec<&'static str>,
}

/// The source role of a pair: worn by the scraper, may assume the target role.
pub fn source(task: &Task<EnsureInput>) -> Role {
    let pair = &task.pair;
    Role {
        name: pair.source_role_name(),
        description: format!(
            "Assumed by the scraper of {} to write to {}.",
            pair.cluster, pair.workspace
        ),
        placeholder_trust: policy::source_trust(pair, Gate::Placeholder),
        scraper_trust: scraper_trust(task, policy::source_trust),
        permissions: policy::source_permissions(pair),
        managed_policy: None,
        boundary: pair.source_arn("policy", names::SOURCE_BOUNDARY),
        tags: tags::of_pair(task),
        created_by: task.execution.clone(),
    }
}

/// The target role of a pair: worn by the source role, may write to the workspace.
pub fn target(task: &Task<EnsureInput>) -> Role {
    let pair = &task.pair;
    let partition = pair.workspace.partition();
    Role {
        name: pair.target_role_name(),
        description: format!("Assumed for {} to write to {}.", pair.cluster, pair.workspace),
        placeholder_trust: policy::target_trust(pair, Gate::Placeholder),
        scraper_trust: scraper_trust(task, policy::target_trust),
        permissions: policy::target_permissions(pair),
        managed_policy: Some(format!(
            "arn:{partition}:iam::aws:policy/AmazonPrometheusRemoteWriteAccess"
        )),
        boundary: pair.target_arn("policy", names::TARGET_BOUNDARY),
        tags: tags::of_pair(task),
        created_by: task.execution.clone(),
    }
}

fn scraper_trust(task: &Task<EnsureInput>, trust: fn(&Pair, Gate<'_>) -> Value) -> Option<Value> {
    let scraper = task.input.scraper_arn.as_ref()?;
    Some(trust(&task.pair, Gate::Scraper(scraper)))
}

/// Makes IAM hold a role.
///
/// Safe to repeat: what is right already is only read. A trust policy that names neither the
/// placeholder nor the pair's own scraper is shut.
///
/// # Errors
/// `Conflict` when a role of this name is not ours; `NotVisibleYet` when IAM does not see yet
/// what was just made; and as AWS answers.
pub async fn ensure(iam: &Client, role: &Role) -> Result<EnsureOutput, Error> {
    let found = match find(iam, role).await? {
        Some(found) => found,
        None if create(iam, role).await? => {
            put_permissions(iam, role).await?;
            attach_managed_policy(iam, role).await?;
            return Ok(EnsureOutput {
                created: true,
                repaired: Vec::new(),
            });
        }
        // Another execution made it in between.
        None => find(iam, role).await?.ok_or_else(|| not_visible(role))?,
    };
    // A step that died after it made the role finds it, and goes on.
    let created = tag(&found, CREATED_BY_TAG) == Some(&role.created_by);
    let mut repaired = Vec::new();
    if !trusts(&found, &role.placeholder_trust)
        && !role.scraper_trust.as_ref().is_some_and(|trust| trusts(&found, trust))
    {
        write_trust(iam, &role.name, &role.placeholder_trust).await?;
        repaired.push("trust policy");
    }
    if boundary(&found) != Some(&role.boundary) {
        iam.put_role_permissions_boundary()
            .role_name(&role.name)
            .permissions_boundary(&role.boundary)
            .send()
            .await?;
        repaired.push("permissions boundary");
    }
    let missing = missing_tags(&found, &role.tags)?;
    if !missing.is_empty() {
        iam.tag_role()
            .role_name(&role.name)
            .set_tags(Some(missing))
            .send()
            .await?;
        repaired.push("tags");
    }
    if !has_permissions(iam, role).await? {
        put_permissions(iam, role).await?;
        repaired.push("permissions");
    }
    if !has_managed_policy(iam, role).await? {
        attach_managed_policy(iam, role).await?;
        repaired.push("managed policy");
    }
    if created {
        repaired.clear();
    }
    Ok(EnsureOutput { created, repaired })
}

/// Writes a trust policy, unless the role has it, and reads it back.
///
/// Safe to repeat. Answers whether it was written.
///
/// # Errors
/// `NotVisibleYet` while IAM shows the old one, or no role; `Conflict` when the role is not ours.
pub async fn patch_trust(iam: &Client, role: &Role, trust: &Value) -> Result<bool, Error> {
    let found = find(iam, role).await?.ok_or_else(|| not_visible(role))?;
    if trusts(&found, trust) {
        return Ok(false);
    }
    write_trust(iam, &role.name, trust).await?;
    let found = find(iam, role).await?.ok_or_else(|| not_visible(role))?;
    if trusts(&found, trust) {
        return Ok(true);
    }
    Err(Error::NotVisibleYet(format!(
        "The trust policy of {} was written, but IAM still shows another one.",
        role.name
    )))
}

/// The role, when it exists and is ours.
async fn find(iam: &Client, role: &Role) -> Result<Option<types::Role>, Error> {
    let answer = iam.get_role().role_name(&role.name).send().await;
    let found = unless(answer, |e| e.is_no_such_entity_exception())?.and_then(|answer| answer.role);
    let ours = |found: &types::Role| {
        [CLUSTER_TAG, WORKSPACE_TAG]
            .iter()
            .all(|key| tag(found, key) == role.tags.get(*key).map(String::as_str))
    };
    match found {
        Some(found) if !ours(&found) => Err(Error::Conflict(format!(
            "A role {} exists and does not carry the tags {CLUSTER_TAG} and {WORKSPACE_TAG} of this pair: it is not \
             ours, and was left alone. Delete or rename it, or give it these tags, and start again.",
            found.arn()
        ))),
        found => Ok(found),
    }
}

/// Makes the role; `false` when there is one of its name.
async fn create(iam: &Client, role: &Role) -> Result<bool, Error> {
    let mut all = role.tags.clone();
    all.insert(CREATED_BY_TAG.to_owned(), role.created_by.clone());
    let call = iam
        .create_role()
        .role_name(&role.name)
        .description(&role.description)
        .assume_role_policy_document(role.placeholder_trust.to_string())
        .permissions_boundary(&role.boundary)
        .set_tags(Some(iam_tags(&all)?));
    let made = unless(call.send().await, |e| e.is_entity_already_exists_exception())?;
    Ok(made.is_some())
}

fn not_visible(role: &Role) -> Error {
    Error::NotVisibleYet(format!("IAM does not show the role {} yet.", role.name))
}

async fn write_trust(iam: &Client, name: &str, trust: &Value) -> Result<(), Error> {
    iam.update_assume_role_policy()
        .role_name(name)
        .policy_document(trust.to_string())
        .send()
        .await?;
    Ok(())
}

const INLINE_POLICY: &str = "ampxa";

async fn put_permissions(iam: &Client, role: &Role) -> Result<(), Error> {
    iam.put_role_policy()
        .role_name(&role.name)
        .policy_name(INLINE_POLICY)
        .policy_document(role.permissions.to_string())
        .send()
        .await?;
    Ok(())
}

async fn has_permissions(iam: &Client, role: &Role) -> Result<bool, Error> {
    let call = iam.get_role_policy().role_name(&role.name).policy_name(INLINE_POLICY);
    let found = unless(call.send().await, |e| e.is_no_such_entity_exception())?;
    Ok(found.is_some_and(|found| policy::same_meaning(&document(found.policy_document()), &role.permissions)))
}

async fn attach_managed_policy(iam: &Client, role: &Role) -> Result<(), Error> {
    if let Some(managed_policy) = &role.managed_policy {
        iam.attach_role_policy()
            .role_name(&role.name)
            .policy_arn(managed_policy)
            .send()
            .await?;
    }
    Ok(())
}

async fn has_managed_policy(iam: &Client, role: &Role) -> Result<bool, Error> {
    let Some(managed_policy) = &role.managed_policy else {
        return Ok(true);
    };
    let attached = iam.list_attached_role_policies().role_name(&role.name).send().await?;
    let mut arns = attached.attached_policies().iter().filter_map(|p| p.policy_arn());
    Ok(arns.any(|arn| arn == managed_policy))
}

/// What of an onboarded pair's role is not as it should be, in the words of [`EnsureOutput::repaired`]; `missing` where it
/// is not there. Touches nothing.
///
/// # Errors
/// `Conflict` when the role is not ours; and as AWS answers.
pub async fn drift(iam: &Client, role: &Role) -> Result<Vec<&'static str>, Error> {
    let Some(found) = find(iam, role).await? else {
        return Ok(vec!["missing"]);
    };
    let right = [
        (
            role.scraper_trust.as_ref().is_some_and(|trust| trusts(&found, trust)),
            "trust policy",
        ),
        (boundary(&found) == Some(&role.boundary), "permissions boundary"),
        (missing_tags(&found, &role.tags)?.is_empty(), "tags"),
        (has_permissions(iam, role).await?, "permissions"),
        (has_managed_policy(iam, role).await?, "managed policy"),
    ];
    Ok(right
        .into_iter()
        .filter(|(right, _)| !right)
        .map(|(_, what)| what)
        .collect())
}

fn boundary(found: &types::Role) -> Option<&str> {
    found
        .permissions_boundary()
        .and_then(|boundary| boundary.permissions_boundary_arn())
}

/// Whether a role lets in the pair's scraper as it should; a role that is not there does not.
///
/// # Errors
/// `Conflict` when the role is not ours; and as AWS answers.
pub async fn is_open(iam: &Client, role: &Role) -> Result<bool, Error> {
    let found = find(iam, role).await?;
    Ok(found.is_some_and(|found| role.scraper_trust.as_ref().is_some_and(|trust| trusts(&found, trust))))
}

fn trusts(found: &types::Role, trust: &Value) -> bool {
    policy::same_meaning(
        &document(found.assume_role_policy_document().unwrap_or_default()),
        trust,
    )
}

/// A policy document as IAM gives it back, percent-encoded (RFC 3986). What is none means nothing.
pub fn document(encoded: &str) -> Value {
    let text = percent_decode_str(encoded).decode_utf8_lossy();
    serde_json::from_str(&text).unwrap_or_default()
}

fn tag<'a>(role: &'a types::Role, key: &str) -> Option<&'a str> {
    role.tags().iter().find(|tag| tag.key() == key).map(types::Tag::value)
}

fn missing_tags(found: &types::Role, wanted: &BTreeMap<String, String>) -> Result<Vec<types::Tag>, Error> {
    let missing = wanted.iter().filter(|(key, value)| tag(found, key) != Some(value));
    iam_tags(&missing.map(|(key, value)| (key.clone(), value.clone())).collect())
}

fn iam_tags(tags: &BTreeMap<String, String>) -> Result<Vec<types::Tag>, Error> {
    tags.iter()
        .map(|(key, value)| {
            let tag = types::Tag::builder().key(key).value(value).build();
            tag.map_err(|error| Error::invalid("tags", error))
        })
        .collect()
}
