//! What must hold after every write, and at the end of every execution.

use crate::{
    aws::{
        Call, Cloud,
        amp::DEFAULT_CONFIGURATION,
        iam::{self, Role},
    },
    machine::{End, Failure},
    world::{CLUSTER_MADE, Execution, Invocation, World},
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

/// All roles and scrapers as they are, by ARN.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Snapshot(pub BTreeMap<String, Value>);

impl Snapshot {
    pub fn of(cloud: &Cloud, now: Duration) -> Self {
        let mut all = BTreeMap::new();
        for iam in cloud.iam.values() {
            for (_, role) in iam.all() {
                all.insert(role.arn.clone(), shown_role(cloud, role));
            }
        }
        for (scraper, state) in cloud.amp.there(now) {
            let shown = json!({
                "state": state,
                "alias": scraper.alias,
                "tags": scraper.tags,
                "source": scraper.source,
                "workspace": scraper.workspace,
                "roles": scraper.roles,
                "configuration": scraper.configuration,
                "madeAt": scraper.made_at,
            });
            all.insert(scraper.arn.clone(), shown);
        }
        Self(all)
    }

    /// What belongs to a pair, by its names and tags.
    pub fn of_pair(&self, pair: &Pair) -> Self {
        let names = [pair.source_role_arn(), pair.target_role_arn()];
        let belongs = |arn: &String, thing: &Value| names.contains(arn) || is_scraper_of(arn, thing, pair);
        Self(
            self.0
                .iter()
                .filter(|(arn, thing)| belongs(arn, thing))
                .map(clone)
                .collect(),
        )
    }

    /// What belongs to none of some pairs.
    pub fn of_others(&self, pairs: &[Pair]) -> Self {
        let ours: BTreeSet<String> = pairs.iter().flat_map(|pair| self.of_pair(pair).0.into_keys()).collect();
        Self(
            self.0
                .iter()
                .filter(|(arn, _)| !ours.contains(*arn))
                .map(clone)
                .collect(),
        )
    }
}

fn clone((arn, thing): (&String, &Value)) -> (String, Value) {
    (arn.clone(), thing.clone())
}

fn is_scraper_of(arn: &str, thing: &Value, pair: &Pair) -> bool {
    arn.contains(":scraper/")
        && thing["tags"][CLUSTER_TAG] == json!(pair.cluster.to_string())
        && thing["tags"][WORKSPACE_TAG] == json!(pair.workspace.to_string())
}

fn shown_role(cloud: &Cloud, role: &Role) -> Value {
    json!({
        "id": role.id,
        "trust": iam::with_arns(&cloud.iam, &role.trust),
        "boundary": role.boundary,
        "tags": role.tags,
        "inline": role.inline,
        "attached": role.attached,
    })
}

/// The pairs that an execution may touch.
fn pairs(world: &World, execution: &Execution) -> Vec<Pair> {
    let named = execution.input["workspaceArn"].as_str();
    let all = [1, 2].map(|workspace| world.pair(workspace));
    let named = |pair: &Pair| named.is_none_or(|named| named == pair.workspace.to_string());
    all.into_iter().filter(named).collect()
}

/// What must hold after a write: it was this execution's turn, it touched its pair alone, and no
/// trust policy admits anybody but the pair's own scraper.
pub fn after_a_write(world: &World, cloud: &Cloud, invocation: &Invocation, call: &Call, now: Duration) -> Vec<String> {
    let mut found = Vec::new();
    let execution = &invocation.execution;
    let pairs = pairs(world, execution);
    let cluster = pairs[0].cluster.to_string();
    let holder = cloud.turns.holder(&cluster);
    if holder != Some(&execution.arn) {
        found.push(format!("it is the turn of {holder:?}"));
    }
    let early = execution.input["patchTrust"] == json!("EARLY");
    if call.service == "iam" {
        let name = call.field("RoleName");
        let pair = pairs
            .iter()
            .find(|pair| name == pair.source_role_name() || name == pair.target_role_name());
        match pair {
            None => found.push(format!("{name} is none of its roles")),
            Some(pair) if matches!(call.action.as_str(), "CreateRole" | "UpdateAssumeRolePolicy") => {
                let role = cloud.iam.get(&call.account).and_then(|iam| iam.truth(name));
                found.extend(role.and_then(|role| wrong_trust(cloud, pair, name, role, early, now)));
            }
            Some(_) => {}
        }
    } else {
        let id = match call.action.as_str() {
            "CreateScraper" => cloud.amp.scrapers.last().map_or("", |scraper| &scraper.id),
            _ => call.id.rsplit('/').next().unwrap_or_default(),
        };
        let scraper = cloud.amp.scrapers.iter().find(|scraper| scraper.id == id);
        let ours = scraper.is_some_and(|scraper| {
            let tag = |key: &str| scraper.tags.get(key).cloned();
            pairs.iter().any(|pair| {
                tag(CLUSTER_TAG) == Some(pair.cluster.to_string())
                    && tag(WORKSPACE_TAG) == Some(pair.workspace.to_string())
            })
        });
        if !ours {
            found.push(format!("{id} is not its scraper"));
        }
    }
    found
}

/// A trust policy that is neither shut nor open to the pair's own scraper alone.
fn wrong_trust(cloud: &Cloud, pair: &Pair, name: &str, role: &Role, early: bool, now: Duration) -> Option<String> {
    let trust = iam::with_arns(&cloud.iam, &role.trust);
    fn wanted(pair: &Pair, name: &str, gate: Gate<'_>) -> Value {
        match name == pair.source_role_name() {
            true => policy::source_trust(pair, gate),
            false => policy::target_trust(pair, gate),
        }
    }
    if policy::same_meaning(&trust, &wanted(pair, name, Gate::Placeholder)) {
        return None;
    }
    let cluster = pair.cluster.to_string();
    let own = cloud.amp.there(now).find(|(scraper, _)| {
        let gate = scraper.arn.parse().expect("a scraper's ARN");
        policy::same_meaning(&trust, &wanted(pair, name, Gate::Scraper(&gate)))
            && scraper.cluster() == cluster
            && scraper.workspace == pair.workspace.to_string()
            && scraper.tags.get(CLUSTER_TAG) == Some(&cluster)
    });
    match own {
        Some((_, "ACTIVE")) => None,
        // Early is before it is known whether the scraper will ever run.
        Some((_, "CREATING" | "CREATION_FAILED" | "UPDATING" | "UPDATE_FAILED")) if early => None,
        Some((scraper, state)) => Some(format!("{name} is opened to {} while it is {state}", scraper.arn)),
        None => Some(format!("{name} admits somebody else: {trust}")),
    }
}

/// Why a pair is not connected as a request asks; its scraper's ARN if it is.
pub fn connected(snapshot: &Snapshot, pair: &Pair, request: &Value) -> Result<String, String> {
    let things = snapshot.of_pair(pair).0;
    let scrapers: Vec<&String> = things.keys().filter(|arn| arn.contains(":scraper/")).collect();
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
    let mut wrong = Vec::new();
    let mut expect = |what: &str, right: bool, is: &Value| {
        if !right {
            wrong.push(format!("{what} is {is}"));
        }
    };
    let thing = &things[scraper];
    expect("the scraper's state", thing["state"] == "ACTIVE", &thing["state"]);
    expect("the scraper's tags", has_tags(thing, &tags), &thing["tags"]);
    let eks = &thing["source"]["eksConfiguration"];
    expect(
        "the scraper's cluster",
        eks["clusterArn"] == json!(pair.cluster.to_string()),
        eks,
    );
    expect(
        "the scraper's workspace",
        thing["workspace"] == json!(pair.workspace.to_string()),
        &thing["workspace"],
    );
    let roles = json!({ "sourceRoleArn": pair.source_role_arn(), "targetRoleArn": pair.target_role_arn() });
    expect("the scraper's roles", thing["roles"] == roles, &thing["roles"]);
    let alias = &request["alias"];
    expect(
        "the scraper's alias",
        alias.is_null() || thing["alias"] == *alias,
        &thing["alias"],
    );
    let born = thing["madeAt"].as_f64().expect("a time");
    expect("the scraper's birth", born >= CLUSTER_MADE, &thing["madeAt"]);
    expect(
        "the scraper's configuration",
        has_configuration(thing, pair, request),
        &thing["configuration"],
    );
    for (arn, trust, permissions, boundary, attached) in [
        (
            pair.source_role_arn(),
            policy::source_trust(pair, Gate::Scraper(&gate)),
            policy::source_permissions(pair),
            pair.source_arn("policy", "ampxa-source-boundary"),
            json!([]),
        ),
        (
            pair.target_role_arn(),
            policy::target_trust(pair, Gate::Scraper(&gate)),
            policy::target_permissions(pair),
            pair.target_arn("policy", "ampxa-target-boundary"),
            json!(["arn:aws:iam::aws:policy/AmazonPrometheusRemoteWriteAccess"]),
        ),
    ] {
        let Some(role) = things.get(&arn) else {
            return Err(format!("there is no role {arn}"));
        };
        let of = |what: &str| format!("{what} of {arn}");
        expect(
            &of("the trust"),
            policy::same_meaning(&role["trust"], &trust),
            &role["trust"],
        );
        expect(
            &of("the boundary"),
            role["boundary"] == json!(boundary),
            &role["boundary"],
        );
        expect(
            &of("the managed policies"),
            role["attached"] == attached,
            &role["attached"],
        );
        let inline = &role["inline"];
        let right = inline.as_object().is_some_and(|all| all.len() == 1)
            && policy::same_meaning(&inline["ampxa"], &permissions);
        expect(&of("the inline policies"), right, inline);
        expect(&of("the tags"), has_tags(role, &tags), &role["tags"]);
    }
    match wrong.is_empty() {
        true => Ok(scraper.clone()),
        false => Err(wrong.join("; ")),
    }
}

fn has_tags(thing: &Value, tags: &Value) -> bool {
    let mut tags = tags.as_object().expect("tags").iter();
    tags.all(|(key, value)| thing["tags"][key] == *value)
}

fn has_configuration(scraper: &Value, pair: &Pair, request: &Value) -> bool {
    let own = serde_json::from_value(request["externalLabels"].clone()).unwrap_or_default();
    let labels = scrape_configuration::labels(&pair.cluster, &own);
    let wanted = scrape_configuration::complete_default(DEFAULT_CONFIGURATION, &labels).expect("AMP's default");
    let encoded = scraper["configuration"].as_str().expect("a blob");
    let there = aws_smithy_types::base64::decode(encoded).expect("base64");
    scrape_configuration::same_meaning(&String::from_utf8_lossy(&there), &wanted)
}

/// What must hold when an execution ends, before anybody else has the turn.
pub fn at_the_end(world: &World, execution: &Execution, end: &End) -> Vec<String> {
    let now = world.now();
    let state = world.state();
    let after = Snapshot::of(&state.cloud, now);
    let pairs = pairs(world, execution);
    let empty = Snapshot::default();
    let before = state.before.get(&execution.index);
    let wrote = state.writes.iter().any(|made| made.execution == execution.index);
    let Some(before) = before else {
        // Without a turn nothing may have been touched.
        let mut found: Vec<String> = wrote
            .then(|| "it wrote without a turn".to_owned())
            .into_iter()
            .collect();
        if let End::Failed(failure) = end {
            found.extend(wrong_words(failure));
        } else if *end != End::Aborted {
            found.push("it never had a turn".to_owned());
        }
        return found;
    };
    let mut found = Vec::new();
    let others = still(&before.of_others(&pairs), &after.of_others(&pairs));
    if others.0 != others.1 {
        found.push(format!(
            "what is others' has changed: {}",
            difference(&others.0, &others.1)
        ));
    }
    match (execution.machine.as_str(), end) {
        (_, End::Aborted) => {}
        (_, End::TimedOut) => found.push("the machine timed out".to_owned()),
        ("onboard", End::Succeeded(output)) => {
            let pair = &pairs[0];
            let (before, after) = (before.of_pair(pair), after.of_pair(pair));
            found.extend(not_onboarded(pair, execution, output, &before, &after));
        }
        ("offboard", End::Succeeded(output)) => {
            for pair in &pairs {
                let left = after.of_pair(pair);
                if left != empty {
                    found.push(format!("it left {left:?}"));
                }
                for arn in before.of_pair(pair).0.keys() {
                    // What a function removed whose answer was lost, nobody can tell.
                    let lost = world.setup.twice || !state.faults.is_empty();
                    let told = lost || output["removed"].as_array().expect("a list").contains(&json!(arn));
                    let was_going = before.0[arn]["state"] == "DELETING";
                    if !told && !was_going {
                        found.push(format!("it does not say that it removed {arn}: {output}"));
                    }
                }
            }
        }
        ("onboard", End::Failed(failure)) => {
            found.extend(wrong_words(failure));
            let pair = &pairs[0];
            let (before, after) = (before.of_pair(pair), after.of_pair(pair));
            found.extend(not_undone(pair, execution, failure, &before, &after));
        }
        ("offboard", End::Failed(failure)) => found.extend(wrong_words(failure)),
        other => panic!("{other:?}"),
    }
    found
}

/// Both without what goes on by itself: a scraper that is being made, changed or deleted.
fn still(before: &Snapshot, after: &Snapshot) -> (Snapshot, Snapshot) {
    let (mut before, mut after) = (before.clone(), after.clone());
    for (arn, thing) in &mut before.0 {
        match thing["state"].as_str() {
            Some("CREATING" | "UPDATING") => {
                thing["state"] = json!("on its way");
                if let Some(later) = after.0.get_mut(arn).filter(|later| later["state"] != "DELETING") {
                    later["state"] = json!("on its way");
                }
            }
            Some("DELETING") => drop(after.0.remove(arn)),
            _ => {}
        }
    }
    before.0.retain(|_, thing| thing["state"] != "DELETING");
    (before, after)
}

/// Where a success is none, or says something else than what is.
fn not_onboarded(
    pair: &Pair,
    execution: &Execution,
    output: &Value,
    before: &Snapshot,
    after: &Snapshot,
) -> Vec<String> {
    let scraper = match connected(after, pair, &execution.input) {
        Ok(scraper) => scraper,
        Err(why) => return vec![format!("it is not connected: {why}")],
    };
    let mut found = Vec::new();
    for (field, is) in [
        ("scraperArn", scraper.clone()),
        ("sourceRoleArn", pair.source_role_arn()),
        ("targetRoleArn", pair.target_role_arn()),
    ] {
        if output[field] != json!(is) {
            found.push(format!("{field} is {is}: {output}"));
        }
    }
    let id = |snapshot: &Snapshot, arn: &str| snapshot.0.get(arn).map(|thing| thing["id"].clone());
    for (what, arn) in [
        ("source role", pair.source_role_arn()),
        ("target role", pair.target_role_arn()),
        ("scraper", scraper),
    ] {
        let field = if id(before, &arn) == id(after, &arn) {
            "existing"
        } else {
            "created"
        };
        let told = output[field].as_array().is_some_and(|list| list.contains(&json!(what)));
        if !told {
            found.push(format!("the {what} was {field}: {output}"));
        }
    }
    for arn in before.0.keys().filter(|arn| !after.0.contains_key(*arn)) {
        let told = output["replaced"].as_array().expect("a list").iter();
        if !told
            .into_iter()
            .any(|told| told.as_str().is_some_and(|told| told.contains(arn.as_str())))
        {
            found.push(format!("it does not say that it replaced {arn}: {output}"));
        }
    }
    found
}

/// Where a failed onboarding left something, or took away what it had not made.
fn not_undone(
    pair: &Pair,
    execution: &Execution,
    failure: &Failure,
    before: &Snapshot,
    after: &Snapshot,
) -> Vec<String> {
    let cause = failure.cause.clone().unwrap_or_default();
    let mut found = Vec::new();
    if execution.input["onFailure"] == "DO_NOTHING" {
        let made = after.0.iter().filter(|(arn, _)| !before.0.contains_key(*arn)).count();
        if made > 0 && !cause.contains("are kept") {
            found.push("it kept what it made and does not say so".to_owned());
        }
        return found;
    }
    let unfinished = cause.contains("The rollback did not finish");
    let clean = *before == Snapshot::default() || connected(before, pair, &execution.input).is_ok();
    if clean && !unfinished && before != after {
        found.push(format!("it is not as before: {}", difference(before, after)));
    }
    for (arn, thing) in &after.0 {
        let made = thing["tags"][CREATED_BY_TAG] == json!(execution.arn);
        let named = cause.contains(arn.as_str())
            || (arn.contains(":scraper/") && cause.contains(&format!("the scraper of {}", pair.cluster)));
        if made && !(unfinished && named) {
            found.push(format!("it left {arn} and does not name it"));
        }
        if !made && before.0.get(arn).map(|thing| &thing["id"]) != Some(&thing["id"]) {
            found.push(format!("it left {arn}, which nobody had made"));
        }
    }
    for (arn, thing) in &before.0 {
        let was_stale_scrapers = arn.contains(":scraper/")
            && (thing["state"] != "ACTIVE" || thing["madeAt"].as_f64() < Some(CLUSTER_MADE) || before.0.len() > 3);
        if !was_stale_scrapers && !after.0.contains_key(arn) {
            found.push(format!("it took away {arn}, which it had not made"));
        }
    }
    found
}

/// The names an execution may fail under.
const NAMES: [&str; 13] = [
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
    "StaleScraperNotDeleted",
    "ScraperNotDeleted",
];

/// A name that nobody knows, or a cause that is no sentence.
fn wrong_words(failure: &Failure) -> Vec<String> {
    let mut found = Vec::new();
    let name = failure.error.as_str();
    let lambdas = ["Lambda.", "Runtime.ExitError", "Sandbox.Timedout", "States.Timeout"];
    if !NAMES.contains(&name) && !lambdas.iter().any(|known| name.starts_with(known)) {
        found.push(format!("nobody knows the name {name}"));
    }
    let cause = failure.cause.clone().unwrap_or_default();
    let is_sentence = cause.len() > 20 && cause.ends_with('.') && !cause.contains("..") && !cause.contains("{%");
    if !is_sentence {
        found.push(format!("the cause is no sentence: {cause:?}"));
    }
    found
}

/// What two snapshots differ in, for people.
pub fn difference(before: &Snapshot, after: &Snapshot) -> String {
    let all: BTreeSet<&String> = before.0.keys().chain(after.0.keys()).collect();
    let differs = all.into_iter().filter(|arn| before.0.get(*arn) != after.0.get(*arn));
    let lines = differs.map(|arn| {
        let side = |snapshot: &Snapshot| snapshot.0.get(arn).map_or("nothing".to_owned(), Value::to_string);
        format!("{arn}: {} → {}", side(before), side(after))
    });
    lines.collect::<Vec<_>>().join("\n")
}
