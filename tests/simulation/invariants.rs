//! The invariants: what must be true after each write, and at the end of each execution.

use crate::{
    aws::{
        Call, Cloud,
        amp::DEFAULT_CONFIGURATION,
        iam::{self, Role},
    },
    drift::OTHER_CONFIGURATION,
    machine::{End, Failure},
    world::{CLUSTER_CREATED_AT, Execution, Invocation, World},
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

pub const CLUSTER_TAG: &str = "ampxa:cluster";
pub const WORKSPACE_TAG: &str = "ampxa:workspace";
pub const CREATED_BY_TAG: &str = "ampxa:created-by";
pub const ORIGIN_TAG: &str = "ampxa:origin";

/// All existing roles and scrapers, by ARN.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Snapshot(pub BTreeMap<String, Value>);

impl Snapshot {
    pub fn of(cloud: &Cloud, now: Duration) -> Self {
        let mut all = BTreeMap::new();
        for iam in cloud.iam.values() {
            for (_, role) in iam.all() {
                all.insert(role.arn.clone(), role_value(cloud, role));
            }
        }
        for (scraper, state) in cloud.amp.existing(now) {
            let value = json!({
                "state": state,
                "alias": scraper.alias,
                "tags": scraper.tags,
                "source": scraper.source,
                "workspace": scraper.workspace,
                "roles": scraper.roles,
                "configuration": scraper.configuration,
                "createdAt": scraper.created_at,
            });
            all.insert(scraper.arn.clone(), value);
        }
        Self(all)
    }

    /// The resources of a pair: the roles by their names, the scrapers by their tags.
    pub fn of_pair(&self, pair: &Pair) -> Self {
        let roles = [pair.source_role_arn(), pair.target_role_arn()];
        let belongs = |arn: &String, resource: &Value| roles.contains(arn) || is_scraper_of(arn, resource, pair);
        Self(
            self.0
                .iter()
                .filter(|(arn, resource)| belongs(arn, resource))
                .map(clone)
                .collect(),
        )
    }

    /// The resources that belong to none of the given pairs.
    pub fn of_others(&self, pairs: &[Pair]) -> Self {
        let of_pairs: BTreeSet<String> = pairs.iter().flat_map(|pair| self.of_pair(pair).0.into_keys()).collect();
        Self(
            self.0
                .iter()
                .filter(|(arn, _)| !of_pairs.contains(*arn))
                .map(clone)
                .collect(),
        )
    }
}

fn clone((arn, resource): (&String, &Value)) -> (String, Value) {
    (arn.clone(), resource.clone())
}

fn is_scraper_of(arn: &str, resource: &Value, pair: &Pair) -> bool {
    arn.contains(":scraper/")
        && (has_tags_of(resource, pair) || resource[ADOPTABLE] == json!(pair.workspace.to_string()))
}

/// Marks a scraper that an execution adopts or could not adopt, with its workspace: it belongs to the pair, whatever its tags.
const ADOPTABLE: &str = "adoptable";

/// Marks the scrapers that connect the pair of an execution without its tags at the start, in both snapshots.
fn mark_adoptable(execution: &Execution, pair: &Pair, before: &mut Snapshot, after: &mut Snapshot) {
    if execution.input["adopt"] != json!(true) {
        return;
    }
    for (arn, resource) in &mut before.0 {
        let connects = resource["source"]["eksConfiguration"]["clusterArn"] == json!(pair.cluster.to_string())
            && resource["workspace"] == json!(pair.workspace.to_string());
        if connects && !has_tags_of(resource, pair) {
            resource[ADOPTABLE] = resource["workspace"].clone();
            if let Some(later) = after.0.get_mut(arn) {
                later[ADOPTABLE] = resource["workspace"].clone();
            }
        }
    }
}

fn has_tags_of(resource: &Value, pair: &Pair) -> bool {
    resource["tags"][CLUSTER_TAG] == json!(pair.cluster.to_string())
        && resource["tags"][WORKSPACE_TAG] == json!(pair.workspace.to_string())
}

fn role_value(cloud: &Cloud, role: &Role) -> Value {
    json!({
        "id": role.id,
        "trust": iam::with_arns(&cloud.iam, &role.trust),
        "boundary": role.boundary,
        "tags": role.tags,
        "inline": role.inline,
        "attached": role.attached,
    })
}

/// The pairs that an execution may change.
fn pairs(world: &World, execution: &Execution) -> Vec<Pair> {
    let requested = execution.input["workspaceArn"].as_str();
    let all = [1, 2].map(|workspace| world.pair(workspace));
    let is_requested = |pair: &Pair| requested.is_none_or(|requested| requested == pair.workspace.to_string());
    all.into_iter().filter(is_requested).collect()
}

/// The violations of a write: the execution must hold the lock, it must change only resources of its pairs, and no
/// trust policy may admit anything but the pair's own scraper.
pub fn after_write(world: &World, cloud: &Cloud, invocation: &Invocation, call: &Call, now: Duration) -> Vec<String> {
    let mut violations = Vec::new();
    let execution = &invocation.execution;
    let pairs = pairs(world, execution);
    let cluster = pairs[0].cluster.to_string();
    let holder = cloud.locks.holder(&cluster);
    if holder != Some(&execution.arn) {
        violations.push(format!("the lock is held by {holder:?}"));
    }
    let early = execution.input["patchTrust"] == json!("EARLY");
    if call.service == "iam" {
        let name = call.field("RoleName");
        let pair = pairs
            .iter()
            .find(|pair| name == pair.source_role_name() || name == pair.target_role_name());
        match pair {
            None => violations.push(format!("the role {name} does not belong to the execution's pairs")),
            Some(pair) if matches!(call.action.as_str(), "CreateRole" | "UpdateAssumeRolePolicy") => {
                let role = cloud.iam.get(&call.account).and_then(|iam| iam.current(name));
                violations.extend(role.and_then(|role| trust_violation(cloud, pair, name, role, early, now)));
            }
            Some(_) => {}
        }
    } else if call.service == "eks" {
        let changes = execution.input["prepareCluster"]
            .as_array()
            .map_or(&[][..], Vec::as_slice);
        let [endpoint, mode] = [
            &call.body["resourcesVpcConfig"]["endpointPrivateAccess"],
            &call.body["accessConfig"]["authenticationMode"],
        ];
        let is_allowed = |change: &str, value: &Value, allowed: Value| {
            value.is_null() || *value == allowed && changes.contains(&json!(change))
        };
        if !cluster.ends_with(&format!(":cluster/{}", call.id.split('/').next().unwrap_or_default()))
            || !is_allowed("PRIVATE_ENDPOINT", endpoint, json!(true))
            || !is_allowed("ACCESS_ENTRIES", mode, json!("API_AND_CONFIG_MAP"))
        {
            violations.push(format!("the change of the cluster is not allowed: {}", call.body));
        }
    } else {
        let id = match call.action.as_str() {
            "CreateScraper" => cloud.amp.scrapers.last().map_or("", |scraper| &scraper.id),
            _ => {
                let id = call.id.trim_end_matches("/logging-configuration");
                id.rsplit('/').next().unwrap_or_default()
            }
        };
        let scraper = cloud.amp.scrapers.iter().find(|scraper| scraper.id == id);
        let belongs = scraper.is_some_and(|scraper| {
            let tag = |key: &str| scraper.tags.get(key).cloned();
            // The last call of a restoration removes the tags.
            let adopts = execution.input["adopt"] == json!(true);
            pairs.iter().any(|pair| {
                let connects =
                    scraper.cluster() == pair.cluster.to_string() && scraper.workspace == pair.workspace.to_string();
                if adopts && call.action == "UntagResource" && connects {
                    return true;
                }
                tag(CLUSTER_TAG) == Some(pair.cluster.to_string())
                    && tag(WORKSPACE_TAG) == Some(pair.workspace.to_string())
            })
        });
        if !belongs {
            violations.push(format!("the scraper {id} does not belong to the execution's pairs"));
        }
    }
    violations
}

/// The violation of a trust policy: it must be the placeholder trust, or the scraper trust of the pair's own scraper.
/// `early` is whether the request has `"patchTrust": "EARLY"`.
fn trust_violation(cloud: &Cloud, pair: &Pair, name: &str, role: &Role, early: bool, now: Duration) -> Option<String> {
    let trust = iam::with_arns(&cloud.iam, &role.trust);
    fn expected(pair: &Pair, name: &str, gate: Gate<'_>) -> Value {
        match name == pair.source_role_name() {
            true => policy::source_trust(pair, gate),
            false => policy::target_trust(pair, gate),
        }
    }
    if policy::same_meaning(&trust, &expected(pair, name, Gate::Placeholder)) {
        return None;
    }
    let cluster = pair.cluster.to_string();
    let own = cloud.amp.existing(now).find(|(scraper, _)| {
        let gate = scraper.arn.parse().expect("a scraper's ARN");
        policy::same_meaning(&trust, &expected(pair, name, Gate::Scraper(&gate)))
            && scraper.cluster() == cluster
            && scraper.workspace == pair.workspace.to_string()
            && scraper.tags.get(CLUSTER_TAG) == Some(&cluster)
    });
    match own {
        Some((_, "ACTIVE")) => None,
        // The early patch happens before the scraper is ACTIVE, and the scraper may still fail.
        Some((_, "CREATING" | "CREATION_FAILED" | "UPDATING" | "UPDATE_FAILED")) if early => None,
        // So does the patch before the scraper gets other roles.
        Some((scraper, "UPDATE_FAILED")) if scraper.roles["sourceRoleArn"] != json!(pair.source_role_arn()) => None,
        Some((scraper, state)) => Some(format!(
            "the trust policy of {name} admits {}, which is {state}",
            scraper.arn
        )),
        None => Some(format!(
            "the trust policy of {name} admits more than the pair's scraper: {trust}"
        )),
    }
}

/// Checks that a pair is connected as requested, and returns its scraper's ARN.
///
/// # Errors
/// The differences.
pub fn check_connected(snapshot: &Snapshot, pair: &Pair, request: &Value) -> Result<String, String> {
    let resources = snapshot.of_pair(pair).0;
    let scrapers: Vec<&String> = resources.keys().filter(|arn| arn.contains(":scraper/")).collect();
    let [scraper] = scrapers[..] else {
        return Err(format!("the pair has the scrapers {scrapers:?}"));
    };
    let gate: ampxa::arn::ScraperArn = scraper.parse().expect("a scraper's ARN");
    let mut tags = request["tags"].clone();
    if tags.is_null() {
        tags = json!({});
    }
    tags[CLUSTER_TAG] = json!(pair.cluster.to_string());
    tags[WORKSPACE_TAG] = json!(pair.workspace.to_string());
    let mut differences = Vec::new();
    let mut expect = |name: &str, is_expected: bool, actual: &Value| {
        if !is_expected {
            differences.push(format!("{name} is {actual}"));
        }
    };
    let resource = &resources[scraper];
    expect(
        "the scraper's status",
        resource["state"] == "ACTIVE",
        &resource["state"],
    );
    expect("the scraper's tags", has_tags(resource, &tags), &resource["tags"]);
    let eks = &resource["source"]["eksConfiguration"];
    expect(
        "the scraper's cluster",
        eks["clusterArn"] == json!(pair.cluster.to_string()),
        eks,
    );
    expect(
        "the scraper's workspace",
        resource["workspace"] == json!(pair.workspace.to_string()),
        &resource["workspace"],
    );
    let roles = json!({ "sourceRoleArn": pair.source_role_arn(), "targetRoleArn": pair.target_role_arn() });
    expect("the scraper's roles", resource["roles"] == roles, &resource["roles"]);
    let alias = &request["alias"];
    expect(
        "the scraper's alias",
        alias.is_null() || resource["alias"] == *alias,
        &resource["alias"],
    );
    let created_at = resource["createdAt"].as_f64().expect("a time");
    expect(
        "the scraper's creation time",
        created_at >= CLUSTER_CREATED_AT,
        &resource["createdAt"],
    );
    expect(
        "the scraper's configuration",
        has_configuration(resource, pair, request),
        &resource["configuration"],
    );
    for (arn, trust, permissions, boundary, attached) in [
        (
            pair.source_role_arn(),
            policy::source_trust(pair, Gate::Scraper(&gate)),
            policy::source_permissions(pair),
            pair.source_arn("policy/ampxa-source-boundary"),
            json!([]),
        ),
        (
            pair.target_role_arn(),
            policy::target_trust(pair, Gate::Scraper(&gate)),
            policy::target_permissions(pair),
            pair.target_arn("policy/ampxa-target-boundary"),
            json!(["arn:aws:iam::aws:policy/AmazonPrometheusRemoteWriteAccess"]),
        ),
    ] {
        let Some(role) = resources.get(&arn) else {
            return Err(format!("the role {arn} does not exist"));
        };
        let of = |part: &str| format!("{part} of {arn}");
        expect(
            &of("the trust policy"),
            policy::same_meaning(&role["trust"], &trust),
            &role["trust"],
        );
        expect(
            &of("the permissions boundary"),
            role["boundary"] == json!(boundary),
            &role["boundary"],
        );
        expect(
            &of("the managed policies"),
            role["attached"] == attached,
            &role["attached"],
        );
        let inline = &role["inline"];
        let is_expected = inline.as_object().is_some_and(|all| all.len() == 1)
            && policy::same_meaning(&inline["ampxa"], &permissions);
        expect(&of("the inline policies"), is_expected, inline);
        expect(&of("the tags"), has_tags(role, &tags), &role["tags"]);
    }
    match differences.is_empty() {
        true => Ok(scraper.clone()),
        false => Err(differences.join("; ")),
    }
}

fn has_tags(resource: &Value, tags: &Value) -> bool {
    let mut tags = tags.as_object().expect("tags").iter();
    tags.all(|(key, value)| resource["tags"][key] == *value)
}

/// Whether the scraper has the configuration that it had before, or AMP's default if it is new or the request says so;
/// completed with the labels of the request.
fn has_configuration(scraper: &Value, pair: &Pair, request: &Value) -> bool {
    let requested = serde_json::from_value(request["externalLabels"].clone()).unwrap_or_default();
    let labels = scrape_configuration::labels(&pair.cluster, &requested);
    let encoded = scraper["configuration"].as_str().expect("a blob");
    let actual = aws_smithy_types::base64::decode(encoded).expect("base64");
    let actual = String::from_utf8_lossy(&actual);
    let is_other = actual.contains("job_name: other") && request["scrapeConfiguration"] != "DEFAULT";
    let plain = if is_other {
        OTHER_CONFIGURATION
    } else {
        DEFAULT_CONFIGURATION
    };
    let expected = scrape_configuration::complete_default(plain, &labels).expect("valid YAML");
    scrape_configuration::same_meaning(&actual, if request["labels"] == "KEEP" { plain } else { &expected })
}

/// Whether an execution only planned.
fn is_plan(end: &End) -> bool {
    matches!(end, End::Succeeded(output) if output["outcome"] == "PLANNED")
}

/// The violations at the end of an execution, before another execution can acquire the lock.
pub fn after_execution(world: &World, execution: &Execution, end: &End) -> Vec<String> {
    let now = world.now();
    let state = world.state();
    let mut after = Snapshot::of(&state.cloud, now);
    let pairs = pairs(world, execution);
    let empty = Snapshot::default();
    let mut before = state.before.get(&execution.index).cloned();
    if let Some(before) = &mut before {
        mark_adoptable(execution, &pairs[0], before, &mut after);
    }
    let wrote = state.writes.iter().any(|call| call.execution == execution.index);
    let Some(before) = &before else {
        // An execution that never acquired the lock must not change anything.
        let mut violations: Vec<String> = wrote
            .then(|| "it wrote without the lock".to_owned())
            .into_iter()
            .collect();
        if let End::Failed(failure) = end {
            violations.extend(failure_violations(failure));
        } else if *end != End::Aborted && !is_plan(end) {
            violations.push("it never acquired the lock".to_owned());
        }
        return violations;
    };
    let mut violations = Vec::new();
    let others = without_transitions(&before.of_others(&pairs), &after.of_others(&pairs));
    if others.0 != others.1 {
        violations.push(format!(
            "resources of other pairs changed: {}",
            difference(&others.0, &others.1)
        ));
    }
    match (execution.machine.as_str(), end) {
        (_, End::Aborted) => {}
        (_, End::TimedOut) => violations.push("the state machine timed out".to_owned()),
        ("onboard", End::Succeeded(output)) => {
            let pair = &pairs[0];
            let (before, after) = (before.of_pair(pair), after.of_pair(pair));
            violations.extend(onboarding_violations(pair, execution, output, &before, &after));
        }
        ("offboard", End::Succeeded(output)) => {
            for pair in &pairs {
                let mut remaining = after.of_pair(pair);
                // A role without the tags of the pair stays, and the output reports it.
                let skipped = output["skipped"].to_string();
                let stays = |arn: &str, role: &Value| !has_tags_of(role, pair) && skipped.contains(arn);
                remaining.0.retain(|arn, resource| !stays(arn, resource));
                if remaining != empty {
                    violations.push(format!("it did not remove {remaining:?}"));
                }
                for arn in before.of_pair(pair).0.keys() {
                    // If the response of a function was lost, its removals cannot be reported.
                    let lost = world.setup.twice || !state.faults.is_empty();
                    let reported = lost || output["removed"].as_array().expect("a list").contains(&json!(arn));
                    let was_deleting = before.0[arn]["state"] == "DELETING";
                    let stays = after.0.contains_key(arn);
                    if !reported && !was_deleting && !stays {
                        violations.push(format!("the output does not report the removal of {arn}: {output}"));
                    }
                }
            }
        }
        ("onboard", End::Failed(failure)) => {
            violations.extend(failure_violations(failure));
            let pair = &pairs[0];
            let (before, after) = (before.of_pair(pair), after.of_pair(pair));
            violations.extend(rollback_violations(pair, execution, failure, &before, &after));
        }
        ("offboard", End::Failed(failure)) => {
            violations.extend(failure_violations(failure));
            let cause = failure.cause.clone().unwrap_or_default();
            for arn in pairs.iter().flat_map(|pair| after.of_pair(pair).0.into_keys()) {
                let listed = match arn.contains(":scraper/") {
                    true => cause.contains("the scraper of"),
                    false => cause.contains(&arn),
                };
                if failure.error == "OffboardingIncomplete" && !listed {
                    violations.push(format!("{arn} is left, but the cause does not list it: {cause}"));
                }
            }
        }
        other => panic!("{other:?}"),
    }
    violations
}

/// Both snapshots without changes that no execution causes: the progress of scrapers that were CREATING, UPDATING or
/// DELETING in the first snapshot.
fn without_transitions(before: &Snapshot, after: &Snapshot) -> (Snapshot, Snapshot) {
    let (mut before, mut after) = (before.clone(), after.clone());
    for (arn, resource) in &mut before.0 {
        match resource["state"].as_str() {
            Some("CREATING" | "UPDATING") => {
                resource["state"] = json!("in transition");
                if let Some(later) = after.0.get_mut(arn).filter(|later| later["state"] != "DELETING") {
                    later["state"] = json!("in transition");
                }
            }
            Some("DELETING") => drop(after.0.remove(arn)),
            _ => {}
        }
    }
    before.0.retain(|_, resource| resource["state"] != "DELETING");
    (before, after)
}

/// The violations of a successful onboarding: the pair must be connected, and the output must report what happened.
fn onboarding_violations(
    pair: &Pair,
    execution: &Execution,
    output: &Value,
    before: &Snapshot,
    after: &Snapshot,
) -> Vec<String> {
    let scraper = match check_connected(after, pair, &execution.input) {
        Ok(scraper) => scraper,
        Err(differences) => return vec![format!("the pair is not connected: {differences}")],
    };
    let mut violations = Vec::new();
    for (field, expected) in [
        ("scraperArn", scraper.clone()),
        ("sourceRoleArn", pair.source_role_arn()),
        ("targetRoleArn", pair.target_role_arn()),
    ] {
        if output[field] != json!(expected) {
            violations.push(format!("{field} must be {expected}: {output}"));
        }
    }
    let id = |snapshot: &Snapshot, arn: &str| snapshot.0.get(arn).map(|resource| resource["id"].clone());
    for (name, arn) in [
        ("source role", pair.source_role_arn()),
        ("target role", pair.target_role_arn()),
        ("scraper", scraper),
    ] {
        let field = if id(before, &arn) == id(after, &arn) {
            "existing"
        } else {
            "created"
        };
        let reported = output[field].as_array().is_some_and(|list| list.contains(&json!(name)));
        if !reported {
            violations.push(format!("{field} must contain the {name}: {output}"));
        }
    }
    for arn in before.0.keys().filter(|arn| !after.0.contains_key(*arn)) {
        let mut replaced = output["replaced"].as_array().expect("a list").iter();
        if !replaced.any(|text| text.as_str().is_some_and(|text| text.contains(arn.as_str()))) {
            violations.push(format!("the output does not report the replacement of {arn}: {output}"));
        }
    }
    violations
}

/// The violations of a failed onboarding: the rollback must delete everything that the execution created, and nothing
/// else.
fn rollback_violations(
    pair: &Pair,
    execution: &Execution,
    failure: &Failure,
    before: &Snapshot,
    after: &Snapshot,
) -> Vec<String> {
    let cause = failure.cause.clone().unwrap_or_default();
    let mut violations = Vec::new();
    if execution.input["onFailure"] == "DO_NOTHING" {
        let created = after.0.iter().filter(|(arn, _)| !before.0.contains_key(*arn)).count();
        if created > 0 && !cause.contains("are kept") {
            violations.push("it keeps the resources that it created, but the cause does not report them".to_owned());
        }
        return violations;
    }
    let unfinished = cause.contains("The rollback did not finish");
    // Without its tags, a scraper can have the roles of the pair: they are then kept.
    let has_role_of_pair = |resource: &Value| resource["roles"]["sourceRoleArn"] == json!(pair.source_role_arn());
    let only_adoptable =
        (before.0.values()).all(|resource| !resource[ADOPTABLE].is_null() && !has_role_of_pair(resource));
    let consistent = only_adoptable || check_connected(before, pair, &execution.input).is_ok();
    if consistent && !unfinished && before != after {
        violations.push(format!(
            "the rollback did not restore the resources: {}",
            difference(before, after)
        ));
    }
    for (arn, resource) in &after.0 {
        let created = resource["tags"][CREATED_BY_TAG] == json!(execution.arn);
        let reported = cause.contains(arn.as_str())
            || (arn.contains(":scraper/") && cause.contains(&format!("the scraper of {}", pair.cluster)));
        let is_used = arn.contains(":role/") && cause.contains("The roles of the pair are kept, because the scraper");
        if created && !(unfinished && reported) && !is_used {
            violations.push(format!(
                "the rollback did not delete {arn}, and the cause does not report it"
            ));
        }
        if !created && before.0.get(arn).map(|resource| &resource["id"]) != Some(&resource["id"]) {
            violations.push(format!(
                "{arn} is new, but its tag does not name the execution as its creator"
            ));
        }
    }
    for (arn, resource) in &before.0 {
        let was_stale_scraper = arn.contains(":scraper/")
            && (resource["state"] != "ACTIVE"
                || resource["createdAt"].as_f64() < Some(CLUSTER_CREATED_AT)
                || before.0.len() > 3);
        if !was_stale_scraper && !after.0.contains_key(arn) {
            violations.push(format!("it deleted {arn}, which it did not create"));
        }
    }
    violations
}

/// ampxa's own error names; an execution may also fail with an error of Lambda or Step Functions.
const NAMES: [&str; 17] = [
    "InvalidRequest",
    "NotReady",
    "Transient",
    "NotVisibleYet",
    "Conflict",
    "AccessDenied",
    "QuotaExceeded",
    "ClusterBusy",
    "ClusterNotActive",
    "ScraperNotActive",
    "ScraperFailed",
    "PlanChanged",
    "StaleScraperNotDeleted",
    "OffboardingIncomplete",
    "ScraperNotDeleted",
    "ScraperNotRestored",
    "NoSamples",
];

/// The violations of a failure: its name must be known, and its cause must be a sentence.
fn failure_violations(failure: &Failure) -> Vec<String> {
    let mut violations = Vec::new();
    let name = failure.error.as_str();
    let aws_errors = ["Lambda.", "Runtime.ExitError", "Sandbox.Timedout", "States.Timeout"];
    if !NAMES.contains(&name) && !aws_errors.iter().any(|prefix| name.starts_with(prefix)) {
        violations.push(format!("the error name {name} is unknown"));
    }
    let cause = failure.cause.clone().unwrap_or_default();
    let is_sentence = cause.len() > 20 && cause.ends_with('.') && !cause.contains("..") && !cause.contains("{%");
    if !is_sentence {
        violations.push(format!("the cause is not a sentence: {cause:?}"));
    }
    violations
}

/// The differences of two snapshots, one resource per line.
pub fn difference(before: &Snapshot, after: &Snapshot) -> String {
    let all: BTreeSet<&String> = before.0.keys().chain(after.0.keys()).collect();
    let differs = all.into_iter().filter(|arn| before.0.get(*arn) != after.0.get(*arn));
    let lines = differs.map(|arn| {
        let side = |snapshot: &Snapshot| snapshot.0.get(arn).map_or("nothing".to_owned(), Value::to_string);
        format!("{arn}: {} → {}", side(before), side(after))
    });
    lines.collect::<Vec<_>>().join("\n")
}
