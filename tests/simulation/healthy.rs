//! Creates the resources of a connected pair directly in the simulated AWS, without an execution.

use crate::{
    aws::{
        Cloud,
        amp::{DEFAULT_CONFIGURATION, Scraper},
        iam::Role,
    },
    invariants::{CLUSTER_TAG, CREATED_BY_TAG, ORIGIN_TAG, WORKSPACE_TAG},
    world::{CLUSTER_CREATED_AT, World},
};
use ampxa::{
    pair::Pair,
    policy::{self, Gate},
    scrape_configuration,
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// The ARN of an earlier execution, for the tag `ampxa:created-by`.
const CREATED_BY: &str = "arn:aws:states:us-west-2:111111111111:execution:ampxa-onboard:long-ago";

/// Connects a pair, and returns the scraper's id.
pub fn connect(world: &World, pair: &Pair) -> String {
    let mut state = world.state();
    let cloud = &mut state.cloud;
    let id = add_scraper(cloud, pair, "ACTIVE");
    let arn = pair
        .cluster
        .to_string()
        .replace(":eks:", ":aps:")
        .replace("cluster/demo", "scraper/");
    let gate = format!("{arn}{id}").parse().expect("a scraper's ARN");
    add_source_role(cloud, pair, &policy::source_trust(pair, Gate::Scraper(&gate)));
    add_target_role(cloud, pair, &policy::target_trust(pair, Gate::Scraper(&gate)));
    id
}

/// Creates the scraper of a pair in a status, and returns its id.
pub fn add_scraper(cloud: &mut Cloud, pair: &Pair, state: &'static str) -> String {
    let id = format!("s-{}", cloud.amp.scrapers.len() + 1);
    let labels = scrape_configuration::labels(&pair.cluster, &BTreeMap::new());
    let yaml = scrape_configuration::complete_default(DEFAULT_CONFIGURATION, &labels).expect("AMP's default");
    let account = pair.cluster.account().to_string();
    cloud.amp.scrapers.push(Scraper {
        arn: format!("arn:aws:aps:{}:{account}:scraper/{id}", pair.cluster.region()),
        account,
        alias: None,
        tags: tags(pair),
        source: json!({ "eksConfiguration": {
            "clusterArn": pair.cluster.to_string(),
            "subnetIds": ["subnet-a", "subnet-b"],
            "securityGroupIds": ["sg-1"],
        } }),
        workspace: pair.workspace.to_string(),
        former_roles: Value::Null,
        roles: json!({ "sourceRoleArn": pair.source_role_arn(), "targetRoleArn": pair.target_role_arn() }),
        configuration: aws_smithy_types::base64::encode(yaml),
        created_at: CLUSTER_CREATED_AT + 1000.0,
        states: vec![(Duration::ZERO, state)],
        reason: None,
        id: id.clone(),
    });
    id
}

/// The roles of a scraper that ampxa did not create.
pub fn foreign_roles(pair: &Pair) -> [String; 2] {
    [
        format!("arn:aws:iam::{}:role/monitoring/scraper", pair.cluster.account()),
        format!("arn:aws:iam::{}:role/writer", pair.workspace.account()),
    ]
}

/// Creates a scraper as Terraform would: with roles and tags of its own, and AMP's default configuration. Returns its id.
pub fn add_foreign_scraper(cloud: &mut Cloud, pair: &Pair) -> String {
    let id = add_scraper(cloud, pair, "ACTIVE");
    let [source, target] = foreign_roles(pair);
    let scraper = cloud.amp.scrapers.last_mut().expect("a scraper");
    scraper.alias = Some("by-hand".to_owned());
    scraper.tags = BTreeMap::from([("managed-by".to_owned(), "terraform".to_owned())]);
    scraper.roles = json!({ "sourceRoleArn": source, "targetRoleArn": target });
    scraper.configuration = aws_smithy_types::base64::encode(DEFAULT_CONFIGURATION);
    id
}

/// Creates the source role of a pair.
pub fn add_source_role(cloud: &mut Cloud, pair: &Pair, trust: &Value) {
    let boundary = pair.source_arn("policy/ampxa-source-boundary");
    let role = role(
        pair,
        pair.source_role_arn(),
        boundary,
        policy::source_permissions(pair),
        &[],
    );
    add_role(cloud, pair.cluster.account(), &pair.source_role_name(), role, trust);
}

/// Creates the target role of a pair.
pub fn add_target_role(cloud: &mut Cloud, pair: &Pair, trust: &Value) {
    let boundary = pair.target_arn("policy/ampxa-target-boundary");
    let managed = "arn:aws:iam::aws:policy/AmazonPrometheusRemoteWriteAccess";
    let role = role(
        pair,
        pair.target_role_arn(),
        boundary,
        policy::target_permissions(pair),
        &[managed],
    );
    add_role(cloud, pair.workspace.account(), &pair.target_role_name(), role, trust);
}

fn role(pair: &Pair, arn: String, boundary: String, permissions: Value, managed: &[&str]) -> Role {
    Role {
        arn,
        id: String::new(),
        trust: Value::Null,
        boundary: Some(boundary),
        tags: tags(pair),
        inline: BTreeMap::from([("ampxa".to_owned(), permissions)]),
        attached: managed.iter().map(|arn| (*arn).to_owned()).collect::<BTreeSet<_>>(),
    }
}

/// Creates a role that reads return at once. Its trust policy is stored with the ids of the roles that it names.
fn add_role(cloud: &mut Cloud, account: &str, name: &str, mut role: Role, trust: &Value) {
    let mut text = trust.to_string();
    for iam in cloud.iam.values() {
        for (_, other) in iam.all() {
            text = text.replace(&format!("\"{}\"", other.arn), &format!("\"{}\"", other.id));
        }
    }
    role.trust = serde_json::from_str(&text).expect("JSON");
    let iam = cloud.iam.get_mut(account).expect("an account");
    role.id = iam.next_id(account);
    iam.set(name, Some(role), Duration::ZERO);
}

fn tags(pair: &Pair) -> BTreeMap<String, String> {
    let (cluster, workspace) = (pair.cluster.to_string(), pair.workspace.to_string());
    [
        (CLUSTER_TAG, cluster.as_str()),
        (WORKSPACE_TAG, workspace.as_str()),
        (CREATED_BY_TAG, CREATED_BY),
        (ORIGIN_TAG, "request"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into()
}
