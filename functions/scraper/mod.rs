//! The scraper of a pair: create it and read its status. `inventory` finds the existing scrapers, `update` updates an
//! existing one to the request, `adoption` adopts one that ampxa did not create, `removal` deletes scrapers.

mod adoption;
mod inventory;
mod removal;
mod update;

pub(crate) use adoption::adoptable;
pub use adoption::{AdoptInput, AdoptOutput, Adoption, RestoreInput, RestoreOutput, adopt, restore};
pub use inventory::{
    ExistingScraper, Inventory, OwnedScraper, StaleScraper, inventory, list, owned, pairs_of_cluster, unmanaged,
};
pub(crate) use inventory::{foreign_scraper, with_unmanaged};
pub(crate) use removal::to_remove;
pub use removal::{RemoveInput, RemoveOutput, remove, remove_in};
pub(crate) use update::CONFIGURATION;
use update::{Comparison, compare};
pub use update::{CurrentState, UpdateInput, UpdateOutput, current_state, update};

use crate::{
    arn::ScraperArn,
    aws::{none_if, s3::Bucket},
    configurations::{self, Named},
    difference::Difference,
    error::Error,
    names,
    network::Network,
    pair::Pair,
    request::Request,
    scrape_configuration,
    tags::{self, CREATED_BY_TAG},
    task::Task,
};
use aws_sdk_amp::{
    Client,
    operation::list_scrapers::builders::ListScrapersFluentBuilder,
    primitives::Blob,
    types::{
        AmpConfiguration, Destination, EksConfiguration, RoleConfiguration, ScrapeConfiguration, ScraperDescription,
        ScraperStatus, ScraperStatusCode, Source,
    },
};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, json};

/// The input of `create-scraper`, beside the request.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CreateInput {
    /// The subnets and security groups of the scraper.
    pub network: Network,
    /// Whether a person must grant the scraper access to the cluster.
    pub manual_access: bool,
}

/// The input of `check-scraper`, beside the request.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckInput {
    /// The ARN of the scraper.
    pub scraper_arn: ScraperArn,
    /// Whether a person must grant the scraper access to the cluster.
    pub manual_access: bool,
}

/// The current state of a scraper.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Scraper {
    /// The ARN.
    pub scraper_arn: String,
    /// AMP's status, such as `CREATING` or `ACTIVE`.
    #[serde(serialize_with = "status_name")]
    pub status: ScraperStatusCode,
    /// AMP's reason for the status, if any.
    pub status_reason: Option<String>,
    /// Whether this execution created it.
    pub created: bool,
    /// Whether it has other roles than those of the pair.
    pub has_other_roles: bool,
    /// The longest scrape interval of its configuration, in seconds. `None` if this call did not read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub longest_interval: Option<u64>,
    /// Whether the external labels of its configuration name the cluster. `None` if this call did not read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identified: Option<bool>,
    /// What a person must do.
    pub warnings: Vec<String>,
}

/// Creates the scraper of the pair, or returns the existing one.
///
/// Idempotent: AMP returns the same scraper for the same client token.
///
/// # Errors
/// Those of [`inventory()`]; `NotVisibleYet` if a stale scraper still exists; and those of the calls.
pub async fn create(amp: &Client, bucket: &Bucket, task: &Task<CreateInput>) -> Result<Scraper, Error> {
    let (pair, request, input) = (&task.pair, &task.request, &task.input);
    let inventory = inventory(&list(of_pair(amp, pair)).await?, pair, None)?;
    if let Some(existing) = inventory.scraper {
        return Ok(Scraper {
            warnings: warnings(input.manual_access, &existing.role_arn),
            scraper_arn: existing.scraper_arn,
            status: existing.status,
            status_reason: None,
            // An earlier attempt of this execution may have created it and died before it could report it.
            created: existing.created_by.as_deref() == Some(&*task.execution),
            has_other_roles: existing.has_other_roles,
            longest_interval: None,
            identified: None,
        });
    }
    if let Some(stale) = inventory.stale_scrapers.first() {
        return Err(Error::NotVisibleYet(format!(
            "The stale scraper {} {}, and AMP has not deleted it yet.",
            stale.scraper_arn, stale.reason
        )));
    }
    let yaml = new_configuration(amp, bucket, task).await?;
    let mut tags = tags::of_pair(task);
    tags.insert(CREATED_BY_TAG.to_owned(), task.execution.to_string());
    let answer = amp
        .create_scraper()
        .client_token(names::hash(&[&task.execution, &pair.source_role_arn()], 32))
        .set_alias(request.alias.clone())
        .source(Source::EksConfiguration(eks(pair, &input.network)?))
        .destination(destination(pair)?)
        .role_configuration(role_configuration(pair))
        // The blob is plain YAML; the SDK encodes it.
        .scrape_configuration(ScrapeConfiguration::ConfigurationBlob(Blob::new(yaml)))
        .set_tags(Some(tags.into_iter().collect()))
        .send()
        .await
        .map_err(|error| with_the_condition(error.into()))?;
    Ok(Scraper {
        scraper_arn: answer.arn,
        status: answer
            .status
            .map_or(ScraperStatusCode::Creating, |status| status.status_code),
        status_reason: None,
        created: true,
        has_other_roles: false,
        longest_interval: None,
        identified: None,
        warnings: Vec::new(),
    })
}

/// The scrape configuration of a new scraper.
async fn new_configuration<I>(amp: &Client, bucket: &Bucket, task: &Task<I>) -> Result<String, Error> {
    match named_configuration(bucket, &task.request).await? {
        Some(yaml) => Ok(yaml),
        None => completed_default(amp, task).await,
    }
}

/// How an existing scraper differs from a request; or the parts of a new one, if the pair has none.
///
/// Read-only. A new scraper has no known network if `network` is `None`.
///
/// # Errors
/// `InvalidRequest` if the object with the scrape configuration is not valid; and those of the calls.
pub(crate) async fn plan<I>(
    amp: &Client,
    bucket: &Bucket,
    task: &Task<I>,
    existing: Option<&ScraperArn>,
    network: Option<&Network>,
) -> Result<Comparison, Error> {
    if let Some(arn) = existing {
        return compare(amp, bucket, &describe(amp, arn).await?, task, network).await;
    }
    let yaml = new_configuration(amp, bucket, task).await?;
    let new = |path, after| Difference {
        path,
        before: Value::Null,
        after,
    };
    let mut differences = vec![
        new("alias", json!(task.request.alias)),
        new("roles", update::roles(Some(&role_configuration(&task.pair)))),
        new("tags", json!(tags::of_pair(task))),
        new("scrape configuration", json!(yaml)),
    ];
    differences.extend(network.map(|network| new("network", json!(network))));
    Ok(Comparison {
        differences,
        warnings: Vec::new(),
        yaml,
    })
}

/// Adds to a denial of an access entry the condition that may have caused it. AWS does not document how AMP names its
/// service-linked role in these calls, which it makes with the permissions of the caller.
fn with_the_condition(error: Error) -> Error {
    let of_access_entries = [
        "eks:CreateAccessEntry",
        "eks:AssociateAccessPolicy",
        "eks:DeleteAccessEntry",
    ];
    match error {
        Error::AccessDenied(why) if of_access_entries.iter().any(|action| why.contains(action)) => {
            Error::AccessDenied(format!(
                "{why} The provisioner allows this action only if the condition key eks:principalArn names AMP's \
                 service-linked role. Deploy the current infra/source-account.yaml. If it is deployed, compare the role \
                 that CloudTrail shows for this call with the condition."
            ))
        }
        other => other,
    }
}

fn eks(pair: &Pair, network: &Network) -> Result<EksConfiguration, Error> {
    EksConfiguration::builder()
        .cluster_arn(pair.cluster.to_string())
        .set_subnet_ids(Some(network.subnet_ids.clone()))
        .set_security_group_ids((!network.security_group_ids.is_empty()).then(|| network.security_group_ids.clone()))
        .build()
        .map_err(|error| Error::invalid("clusterArn", error))
}

fn destination(pair: &Pair) -> Result<Destination, Error> {
    let workspace = AmpConfiguration::builder().workspace_arn(pair.workspace.to_string());
    let workspace = workspace
        .build()
        .map_err(|error| Error::invalid("workspaceArn", error))?;
    Ok(Destination::AmpConfiguration(workspace))
}

fn role_configuration(pair: &Pair) -> RoleConfiguration {
    RoleConfiguration::builder()
        .source_role_arn(pair.source_role_arn())
        .target_role_arn(pair.target_role_arn())
        .build()
}

/// The call that lists the scrapers of the pair's cluster and workspace.
fn of_pair(amp: &Client, pair: &Pair) -> ListScrapersFluentBuilder {
    amp.list_scrapers()
        .filters("sourceArn", vec![pair.cluster.to_string()])
        .filters("destinationArn", vec![pair.workspace.to_string()])
}

/// The scrape configuration that a request names, with its external labels. `None` if it names no YAML.
///
/// # Errors
/// `InvalidRequest` if an object does not exist or is not valid; and those of the call.
async fn named_configuration(bucket: &Bucket, request: &Request) -> Result<Option<String>, Error> {
    let yaml = match request.configuration() {
        None | Some(Named::Default) => return Ok(None),
        Some(Named::Text(yaml)) => yaml.to_owned(),
        Some(Named::Object(key, version)) => configurations::read(bucket, key, version).await?.0,
    };
    let labels = scrape_configuration::labels(&request.cluster_arn, &request.external_labels);
    scrape_configuration::complete(&yaml, &labels).map(Some)
}

/// AMP's default scrape configuration, with the external labels.
async fn completed_default<K>(amp: &Client, task: &Task<K>) -> Result<String, Error> {
    let answer = amp.get_default_scraper_configuration().send().await?;
    let yaml = String::from_utf8(answer.configuration.into_inner()).map_err(|error| {
        Error::Transient(format!(
            "aps:GetDefaultScraperConfiguration returned a configuration that is not UTF-8: {error}."
        ))
    })?;
    let labels = scrape_configuration::labels(&task.pair.cluster, &task.request.external_labels);
    scrape_configuration::complete_default(&yaml, &labels)
}

/// Reads the status of a scraper once. The state machine polls. Read-only.
///
/// # Errors
/// `NotVisibleYet` if AMP does not show the scraper; and those of the calls.
pub async fn check(amp: &Client, task: &Task<CheckInput>) -> Result<Scraper, Error> {
    let scraper = describe(amp, &task.input.scraper_arn).await?;
    let configuration = update::current_configuration(&scraper);
    let interval = scrape_configuration::longest_interval(configuration);
    let identified = scrape_configuration::identifies(configuration, &task.pair.cluster);
    Ok(Scraper {
        scraper_arn: scraper.arn,
        status: status_code(scraper.status.as_ref(), &task.input.scraper_arn)?,
        // The state machine uses it within a sentence.
        status_reason: scraper
            .status_reason
            .map(|reason| reason.trim_end_matches('.').to_owned()),
        created: false,
        has_other_roles: scraper.role_configuration != Some(role_configuration(&task.pair)),
        longest_interval: Some(interval),
        identified: Some(identified),
        warnings: warnings(task.input.manual_access, &scraper.role_arn),
    })
}

fn status_name<S: Serializer>(status: &ScraperStatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(status.as_str())
}

fn status_code(status: Option<&ScraperStatus>, arn: &ScraperArn) -> Result<ScraperStatusCode, Error> {
    let status = status.map(|status| status.status_code.clone());
    status.ok_or_else(|| Error::Transient(format!("aps:DescribeScraper returned no status for the scraper {arn}.")))
}

/// Describes a scraper; none if AMP does not show it.
async fn find(amp: &Client, arn: &ScraperArn) -> Result<Option<ScraperDescription>, Error> {
    let answer = amp.describe_scraper().scraper_id(arn.id()).send().await;
    Ok(none_if(answer, |e| e.is_resource_not_found_exception())?.and_then(|answer| answer.scraper))
}

async fn describe(amp: &Client, arn: &ScraperArn) -> Result<ScraperDescription, Error> {
    find(amp, arn)
        .await?
        .ok_or_else(|| Error::NotVisibleYet(format!("AMP does not show the scraper {arn}.")))
}

/// What a person must apply to a cluster with manual access (AMP user guide, "Manually configuring an Amazon EKS
/// cluster for scraper access"). In `aws-auth`, a role ARN must not have a path.
fn warnings(manual_access: bool, role_arn: &str) -> Vec<String> {
    if !manual_access {
        return Vec::new();
    }
    let (account, name) = (
        role_arn.split('/').next().unwrap_or_default(),
        role_arn.rsplit('/').next(),
    );
    vec![format!(
        "The scraper cannot scrape until a person grants it access to the cluster. Add this entry to mapRoles in the \
         ConfigMap aws-auth of the namespace kube-system:\n- rolearn: {account}/{}\n  username: aps-collector-user\n\
         {BEFORE_RBAC}{COLLECTOR_RBAC}",
        name.unwrap_or_default()
    )]
}

/// The sentence before [`COLLECTOR_RBAC`] in the warning.
const BEFORE_RBAC: &str = "Then apply these objects with kubectl apply:\n";

/// The permissions of the scraper in the cluster, from the same page of the user guide.
const COLLECTOR_RBAC: &str = r#"apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: aps-collector-role
rules:
  - apiGroups: [""]
    resources: [nodes, nodes/proxy, nodes/metrics, services, endpoints, pods, ingresses, configmaps]
    verbs: [describe, get, list, watch]
  - apiGroups: [extensions, networking.k8s.io]
    resources: [ingresses/status, ingresses]
    verbs: [describe, get, list, watch]
  - nonResourceURLs: [/metrics]
    verbs: [get]
  - apiGroups: [metrics.eks.amazonaws.com]
    resources: [kcm/metrics, ksh/metrics]
    verbs: [get]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: aps-collector-user-role-binding
subjects:
  - kind: User
    name: aps-collector-user
    apiGroup: rbac.authorization.k8s.io
roleRef:
  kind: ClusterRole
  name: aps-collector-role
  apiGroup: rbac.authorization.k8s.io
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_of_an_access_entry_names_the_condition() {
        let denied = |action: &str| Error::AccessDenied(format!("not authorized to perform: {action} on …"));
        let named = with_the_condition(denied("eks:CreateAccessEntry")).to_string();
        assert!(
            named.contains("eks:principalArn") && named.contains("infra/source-account.yaml"),
            "{named}"
        );
        assert_eq!(with_the_condition(denied("iam:PassRole")), denied("iam:PassRole"));
    }

    #[test]
    fn the_entry_for_aws_auth_has_the_role_arn_without_its_path() {
        let role = "arn:aws:iam::222222222222:role/aws-service-role/scraper.aps.amazonaws.com/AWSServiceRoleForAmazonPrometheusScraper_1a2b";
        let [warning] = &warnings(true, role)[..] else {
            panic!("expected one warning");
        };
        assert!(
            warning.contains("rolearn: arn:aws:iam::222222222222:role/AWSServiceRoleForAmazonPrometheusScraper_1a2b\n")
        );
        assert!(warnings(false, role).is_empty());
    }

    #[test]
    fn the_warning_of_manual_access_has_the_role_and_its_binding_as_yaml() {
        let warning = warnings(true, "arn:aws:iam::222222222222:role/path/name").concat();
        let (_, yaml) = warning.split_once(BEFORE_RBAC).unwrap();
        let objects: Vec<serde_json::Value> = serde_yaml_ng::Deserializer::from_str(yaml)
            .map(|object| serde::Deserialize::deserialize(object).unwrap())
            .collect();
        let [role, binding] = &objects[..] else {
            panic!("expected two objects: {yaml}");
        };
        let reads = ["describe", "get", "list", "watch"];
        assert_eq!(
            (&role["kind"], &binding["kind"]),
            (&json!("ClusterRole"), &json!("ClusterRoleBinding"))
        );
        assert_eq!(
            role["rules"],
            json!([
                {
                    "apiGroups": [""],
                    "resources": [
                        "nodes", "nodes/proxy", "nodes/metrics", "services", "endpoints", "pods", "ingresses", "configmaps",
                    ],
                    "verbs": reads,
                },
                {
                    "apiGroups": ["extensions", "networking.k8s.io"],
                    "resources": ["ingresses/status", "ingresses"],
                    "verbs": reads,
                },
                { "nonResourceURLs": ["/metrics"], "verbs": ["get"] },
                {
                    "apiGroups": ["metrics.eks.amazonaws.com"], "resources": ["kcm/metrics", "ksh/metrics"],
                    "verbs": ["get"],
                },
            ])
        );
        assert_eq!(binding["roleRef"]["name"], role["metadata"]["name"]);
        // The entry for aws-auth maps the role of the scraper to this user.
        let user = binding["subjects"][0]["name"].as_str().unwrap();
        assert!(warning.contains(&format!("username: {user}\n")), "{warning}");
    }
}
