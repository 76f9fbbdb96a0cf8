//! The two IAM roles of a pair: their desired state, and the functions that create, repair, patch and compare them.
//! `removal` deletes them.

mod removal;

pub(crate) use removal::is_of_pair;
pub use removal::{Outcome, RemoveInput, RemoveOutput, is_named, ownerless, pairs_of, remove, remove_in};

use crate::{
    arn::ScraperArn,
    aws::none_if,
    difference::Difference,
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
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The two roles of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The role in the source account.
    Source,
    /// The role in the target account.
    Target,
}

impl Side {
    /// The name of the role.
    pub fn role_name(self, pair: &Pair) -> String {
        match self {
            Self::Source => pair.source_role_name(),
            Self::Target => pair.target_role_name(),
        }
    }

    /// The ARN of the role.
    pub fn role_arn(self, pair: &Pair) -> String {
        match self {
            Self::Source => pair.source_role_arn(),
            Self::Target => pair.target_role_arn(),
        }
    }

    /// The ARN of the permissions boundary of the role: ours, or the one that replaces it.
    pub fn boundary(self, pair: &Pair) -> String {
        let ours = match self {
            Self::Source => names::SOURCE_BOUNDARY,
            Self::Target => names::TARGET_BOUNDARY,
        };
        self.policy_arn(pair, names::installation().pair_boundary.as_deref().unwrap_or(ours))
    }

    /// The ARN of our managed policy, if another permissions boundary replaces ours.
    fn guard(self, pair: &Pair) -> Option<String> {
        names::installation().pair_boundary.as_ref()?;
        Some(match self {
            Self::Source => self.policy_arn(pair, names::SOURCE_GUARD),
            Self::Target => self.policy_arn(pair, names::TARGET_GUARD),
        })
    }

    fn policy_arn(self, pair: &Pair, name: &str) -> String {
        match self {
            Self::Source => pair.source_arn(&format!("policy/{name}")),
            Self::Target => pair.target_arn(&format!("policy/{name}")),
        }
    }
}

/// The desired state of a role.
#[derive(Debug, Clone, PartialEq)]
pub struct Role {
    /// The name. It follows from the pair.
    pub name: String,
    /// The description, for people who find the role in the console.
    pub description: String,
    /// The trust policy until the patch.
    pub placeholder_trust: Value,
    /// The trust policy after the patch. It admits the scraper of the pair. `None` if the pair has no scraper yet.
    pub scraper_trust: Option<Value>,
    /// The inline policy `ampxa`.
    pub permissions: Value,
    /// The ARNs of the attached managed policies. One that denies is first.
    pub managed_policies: Vec<String>,
    /// The ARN of its permissions boundary.
    pub boundary: String,
    /// The tags, without [`CREATED_BY_TAG`].
    pub tags: BTreeMap<String, String>,
    /// The ARN of the execution that creates the role if it does not exist.
    pub created_by: String,
}

/// The input of `ensure-source-role` and `ensure-target-role`, beside the request.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EnsureInput {
    /// The existing scraper of the pair, if any.
    pub scraper_arn: Option<ScraperArn>,
}

/// What [`ensure`] did.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct EnsureOutput {
    /// Whether this execution created the role.
    pub created: bool,
    /// The parts of an existing role that this call repaired.
    pub repaired: Vec<&'static str>,
}

/// The desired source role of a pair. The scraper assumes it, and it may assume the target role.
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
        managed_policies: Side::Source.guard(pair).into_iter().collect(),
        boundary: Side::Source.boundary(pair),
        tags: tags::of_pair(task),
        created_by: task.execution.to_string(),
    }
}

/// The desired target role of a pair. The source role assumes it, and it may write to the workspace.
pub fn target(task: &Task<EnsureInput>) -> Role {
    let pair = &task.pair;
    let partition = pair.workspace.partition();
    let remote_write = format!("arn:{partition}:iam::aws:policy/AmazonPrometheusRemoteWriteAccess");
    Role {
        name: pair.target_role_name(),
        description: format!("Assumed for {} to write to {}.", pair.cluster, pair.workspace),
        placeholder_trust: policy::target_trust(pair, Gate::Placeholder),
        scraper_trust: scraper_trust(task, policy::target_trust),
        permissions: policy::target_permissions(pair),
        managed_policies: Side::Target.guard(pair).into_iter().chain([remote_write]).collect(),
        boundary: Side::Target.boundary(pair),
        tags: tags::of_pair(task),
        created_by: task.execution.to_string(),
    }
}

fn scraper_trust(task: &Task<EnsureInput>, trust: fn(&Pair, Gate<'_>) -> Value) -> Option<Value> {
    let scraper = task.input.scraper_arn.as_ref()?;
    Some(trust(&task.pair, Gate::Scraper(scraper)))
}

/// Creates a role, or repairs the existing one.
///
/// Idempotent: a part that already matches is read, never written. A trust policy that admits neither the placeholder
/// nor the scraper of the pair is replaced by the placeholder. The permissions boundary is repaired first: without it,
/// the policy of the provisioner denies every other write.
///
/// # Errors
/// `Conflict` if a role of this name exists without the tags of the pair; `NotVisibleYet` if IAM does not show the new
/// role yet; and those of the calls.
pub async fn ensure(iam: &Client, role: &Role) -> Result<EnsureOutput, Error> {
    let found = match find(iam, role).await? {
        Some(found) => found,
        None if create(iam, role).await? => {
            put_permissions(iam, role).await?;
            attach_managed_policies(iam, role).await?;
            return Ok(EnsureOutput {
                created: true,
                repaired: Vec::new(),
            });
        }
        // It was created between the two calls.
        None => find(iam, role).await?.ok_or_else(|| not_visible(role))?,
    };
    // An earlier attempt of this execution may have created the role and died before it could report it.
    let created = tag(&found, CREATED_BY_TAG) == Some(&role.created_by);
    let is_expected = trusts(&found, &role.placeholder_trust)
        || role.scraper_trust.as_ref().is_some_and(|trust| trusts(&found, trust));
    let trust = (!is_expected).then_some(&role.placeholder_trust);
    let mut repaired = Vec::new();
    for difference in differences(iam, role, &found, trust).await? {
        write(iam, role, &found, &difference).await?;
        repaired.push(difference.path);
    }
    if created {
        repaired.clear();
    }
    Ok(EnsureOutput { created, repaired })
}

const BOUNDARY: &str = "permissions boundary";
const TRUST: &str = "trust policy";
const TAGS: &str = "tags";
const PERMISSIONS: &str = "permissions";
const MANAGED_POLICIES: &str = "managed policy";

/// The parts of an existing role that differ from the desired state, in the order in which they must be written.
/// Read-only. `trust` is the trust policy to write; `None` keeps the one that the role has.
async fn differences(
    iam: &Client,
    role: &Role,
    found: &types::Role,
    trust: Option<&Value>,
) -> Result<Vec<Difference>, Error> {
    let mut differences = Vec::new();
    let mut differs = |path, before: Value, after: Value| differences.push(Difference { path, before, after });
    if boundary(found) != Some(&role.boundary) {
        differs(BOUNDARY, json!(boundary(found)), json!(role.boundary));
    }
    if let Some(trust) = trust {
        let before = document(found.assume_role_policy_document().unwrap_or_default());
        differs(TRUST, before, trust.clone());
    }
    let missing = missing_tags(found, role);
    if !missing.is_empty() {
        let before: BTreeMap<_, _> = missing.keys().map(|key| (key, tag(found, key))).collect();
        differs(TAGS, json!(before), json!(missing));
    }
    let permissions = permissions(iam, role).await?;
    if !policy::same_meaning(&permissions, &role.permissions) {
        differs(PERMISSIONS, permissions, role.permissions.clone());
    }
    let attached = managed_policies(iam, role).await?;
    if !role.managed_policies.iter().all(|arn| attached.contains(arn)) {
        differs(MANAGED_POLICIES, json!(attached), json!(role.managed_policies));
    }
    Ok(differences)
}

/// Writes a part of a role.
async fn write(iam: &Client, role: &Role, found: &types::Role, difference: &Difference) -> Result<(), Error> {
    match difference.path {
        BOUNDARY => put_boundary(iam, &role.name, &role.boundary).await,
        TRUST => write_trust(iam, &role.name, &difference.after).await,
        TAGS => {
            let missing = iam_tags(&missing_tags(found, role))?;
            let call = iam.tag_role().role_name(&role.name).set_tags(Some(missing));
            call.send().await?;
            Ok(())
        }
        PERMISSIONS => put_permissions(iam, role).await,
        _ => attach_managed_policies(iam, role).await,
    }
}

/// Writes the permissions boundary of a role unless the role already has it. Returns whether it was written.
async fn repair_boundary(iam: &Client, name: &str, found: &types::Role, expected: &str) -> Result<bool, Error> {
    if boundary(found) == Some(expected) {
        return Ok(false);
    }
    put_boundary(iam, name, expected).await?;
    Ok(true)
}

async fn put_boundary(iam: &Client, name: &str, boundary: &str) -> Result<(), Error> {
    let call = iam.put_role_permissions_boundary().role_name(name);
    call.permissions_boundary(boundary).send().await?;
    Ok(())
}

/// Writes a trust policy unless the role already has it, and reads it back. Returns whether it was written.
///
/// Idempotent. A permissions boundary that differs is repaired first, as in [`ensure`].
///
/// # Errors
/// `NotVisibleYet` if IAM shows no role, or still the old trust policy; `Conflict` if the role does not have the tags
/// of the pair; and those of the calls.
pub async fn patch_trust(iam: &Client, role: &Role, trust: &Value) -> Result<bool, Error> {
    let found = find(iam, role).await?.ok_or_else(|| not_visible(role))?;
    if trusts(&found, trust) {
        return Ok(false);
    }
    repair_boundary(iam, &role.name, &found, &role.boundary).await?;
    write_trust(iam, &role.name, trust).await?;
    let found = find(iam, role).await?.ok_or_else(|| not_visible(role))?;
    if trusts(&found, trust) {
        return Ok(true);
    }
    Err(Error::NotVisibleYet(format!(
        "The trust policy of the role {} was written, but IAM does not show it yet.",
        role.name
    )))
}

/// The role, if it exists.
///
/// # Errors
/// `Conflict` if it does not have the tags of the pair.
async fn find(iam: &Client, role: &Role) -> Result<Option<types::Role>, Error> {
    let answer = iam.get_role().role_name(&role.name).send().await;
    let found = none_if(answer, |e| e.is_no_such_entity_exception())?.and_then(|answer| answer.role);
    let has_tags_of_pair = |found: &types::Role| {
        [CLUSTER_TAG, WORKSPACE_TAG]
            .iter()
            .all(|key| tag(found, key) == role.tags.get(*key).map(String::as_str))
    };
    match found {
        Some(found) if !has_tags_of_pair(&found) => Err(Error::Conflict(format!(
            "The role {} has the name of this pair's role, but not the tags {CLUSTER_TAG} and {WORKSPACE_TAG} of this \
             pair. {} It was left alone. Have those who manage it replace it by a role with another name, with the tool \
             that created it, then start the execution again.",
            found.arn(),
            tags::manager(found.tags().iter().map(|tag| (tag.key(), tag.value()))),
        ))),
        found => Ok(found),
    }
}

/// Creates the role. Returns `false` if a role of this name exists.
async fn create(iam: &Client, role: &Role) -> Result<bool, Error> {
    let mut tags = role.tags.clone();
    tags.insert(CREATED_BY_TAG.to_owned(), role.created_by.clone());
    let call = iam
        .create_role()
        .path(&names::installation().role_path)
        .role_name(&role.name)
        .description(&role.description)
        .assume_role_policy_document(role.placeholder_trust.to_string())
        .permissions_boundary(&role.boundary)
        .set_tags(Some(iam_tags(&tags)?));
    let created = none_if(call.send().await, |e| e.is_entity_already_exists_exception())?;
    Ok(created.is_some())
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

/// The inline policy of a role. `null` if it has none.
async fn permissions(iam: &Client, role: &Role) -> Result<Value, Error> {
    let call = iam.get_role_policy().role_name(&role.name).policy_name(INLINE_POLICY);
    let found = none_if(call.send().await, |e| e.is_no_such_entity_exception())?;
    Ok(found.map_or(Value::Null, |found| document(found.policy_document())))
}

async fn attach_managed_policies(iam: &Client, role: &Role) -> Result<(), Error> {
    for managed_policy in &role.managed_policies {
        iam.attach_role_policy()
            .role_name(&role.name)
            .policy_arn(managed_policy)
            .send()
            .await?;
    }
    Ok(())
}

/// The managed policies of a role. Empty, without a call, if the role needs none.
async fn managed_policies(iam: &Client, role: &Role) -> Result<Vec<String>, Error> {
    if role.managed_policies.is_empty() {
        return Ok(Vec::new());
    }
    let answer = iam.list_attached_role_policies().role_name(&role.name).send().await?;
    let attached = answer.attached_policies.unwrap_or_default().into_iter();
    Ok(attached.filter_map(|policy| policy.policy_arn).collect())
}

/// How a role differs from its state after an onboarding.
pub(crate) struct Comparison {
    /// Whether the role exists.
    pub exists: bool,
    /// What an onboarding writes, in its order.
    pub differences: Vec<Difference>,
}

/// Compares a role with its state after an onboarding. Read-only. If the pair has no scraper yet, the trust policy has
/// [`NEW_SCRAPER`] instead of its ARN.
///
/// # Errors
/// `Conflict` if the role does not have the tags of the pair; and those of the calls.
pub(crate) async fn compare(iam: &Client, role: &Role) -> Result<Comparison, Error> {
    let desired = match &role.scraper_trust {
        Some(trust) => trust.clone(),
        None => of_new_scraper(&role.placeholder_trust),
    };
    let Some(found) = find(iam, role).await? else {
        let new = |path, after| Difference {
            path,
            before: Value::Null,
            after,
        };
        let mut differences = vec![
            new(TRUST, desired),
            new(BOUNDARY, json!(role.boundary)),
            new(TAGS, json!(role.tags)),
            new(PERMISSIONS, role.permissions.clone()),
        ];
        if !role.managed_policies.is_empty() {
            differences.push(new(MANAGED_POLICIES, json!(role.managed_policies)));
        }
        return Ok(Comparison {
            exists: false,
            differences,
        });
    };
    let trust = Some(&desired).filter(|trust| !trusts(&found, trust));
    Ok(Comparison {
        exists: true,
        differences: differences(iam, role, &found, trust).await?,
    })
}

/// The id of a scraper that an execution would create.
pub(crate) const NEW_SCRAPER: &str = "scraper/(known after creation)";

fn of_new_scraper(trust: &Value) -> Value {
    match trust {
        Value::String(text) => Value::String(text.replace("scraper/*", NEW_SCRAPER)),
        Value::Array(values) => values.iter().map(of_new_scraper).collect(),
        Value::Object(members) => members
            .iter()
            .map(|(key, value)| (key.clone(), of_new_scraper(value)))
            .collect(),
        other => other.clone(),
    }
}

/// The parts of an onboarded pair's role that differ from the desired state, named as in [`EnsureOutput::repaired`].
/// If the role does not exist: `missing`. Read-only.
///
/// # Errors
/// `Conflict` if the role does not have the tags of the pair; and those of the calls.
pub async fn drift(iam: &Client, role: &Role) -> Result<Vec<&'static str>, Error> {
    let comparison = compare(iam, role).await?;
    Ok(match comparison.exists {
        true => comparison
            .differences
            .iter()
            .map(|difference| difference.path)
            .collect(),
        false => vec!["missing"],
    })
}

fn boundary(found: &types::Role) -> Option<&str> {
    found
        .permissions_boundary()
        .and_then(|boundary| boundary.permissions_boundary_arn())
}

/// Whether the trust policy of a role admits the scraper of the pair, and nothing else. `false` if the role does not
/// exist. Read-only.
///
/// # Errors
/// `Conflict` if the role does not have the tags of the pair; and those of the calls.
pub async fn trusts_scraper(iam: &Client, role: &Role) -> Result<bool, Error> {
    let (Some(found), Some(trust)) = (find(iam, role).await?, &role.scraper_trust) else {
        return Ok(false);
    };
    Ok(trusts(&found, trust))
}

/// Whether a source role has the tag of a pair that an event or a reconciliation connected. `false` if the role does not
/// exist. Read-only.
///
/// # Errors
/// Those of the call.
pub async fn is_routed(iam: &Client, pair: &Pair) -> Result<bool, Error> {
    let answer = iam.get_role().role_name(pair.source_role_name()).send().await;
    let found = none_if(answer, |e| e.is_no_such_entity_exception())?.and_then(|answer| answer.role);
    Ok(found.is_some_and(|role| tag(&role, tags::ORIGIN_TAG) == Some(tags::ROUTE)))
}

fn trusts(found: &types::Role, trust: &Value) -> bool {
    policy::same_meaning(
        &document(found.assume_role_policy_document().unwrap_or_default()),
        trust,
    )
}

/// A policy document that IAM returned, percent-encoded (RFC 3986). `null` if it is not valid JSON.
pub fn document(encoded: &str) -> Value {
    let text = percent_decode_str(encoded).decode_utf8_lossy();
    serde_json::from_str(&text).unwrap_or_default()
}

fn tag<'a>(role: &'a types::Role, key: &str) -> Option<&'a str> {
    role.tags().iter().find(|tag| tag.key() == key).map(types::Tag::value)
}

fn missing_tags(found: &types::Role, role: &Role) -> BTreeMap<String, String> {
    let mut missing = role.tags.clone();
    missing.retain(|key, value| !tags::is_expected(key, tag(found, key), value));
    missing
}

fn iam_tags(tags: &BTreeMap<String, String>) -> Result<Vec<types::Tag>, Error> {
    tags.iter()
        .map(|(key, value)| {
            let tag = types::Tag::builder().key(key).value(value).build();
            tag.map_err(|error| Error::invalid("tags", error))
        })
        .collect()
}
