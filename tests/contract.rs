//! State machine, templates, binaries and error names belong together; here they are held so.

use ampxa::{
    cluster::{Checked, Nothing, Readiness},
    complete::Raw,
    error::Error,
    policy::SCRAPER_SERVICE,
    roles::{self, Ensured, Known},
    scraper::{Made, Plan, Scraper},
    task::Task,
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn machine() -> Value {
    serde_json::from_str(&read("statemachine/onboard.asl.json")).unwrap()
}

fn states() -> BTreeMap<String, Value> {
    serde_json::from_value(machine()["States"].clone()).unwrap()
}

fn tasks() -> BTreeMap<String, Value> {
    states()
        .into_iter()
        .filter(|(_, state)| state["Type"] == "Task")
        .collect()
}

/// A template as JSON, with `!Sub x` as `{"!Sub": x}`.
fn template(name: &str) -> Value {
    fn plain(value: serde_yaml_ng::Value) -> Value {
        use serde_yaml_ng::Value as Yaml;
        match value {
            Yaml::Tagged(tagged) => json!({ tagged.tag.to_string(): plain(tagged.value) }),
            Yaml::Sequence(list) => list.into_iter().map(plain).collect(),
            Yaml::Mapping(map) => map
                .into_iter()
                .map(|(key, value)| (key.as_str().expect("a text as key").to_owned(), plain(value)))
                .collect::<serde_json::Map<_, _>>()
                .into(),
            other => serde_json::to_value(other).unwrap(),
        }
    }
    plain(serde_yaml_ng::from_str(&read(&format!("infra/{name}.yaml"))).unwrap())
}

fn functions() -> BTreeMap<String, Value> {
    let resources = template("template")["Resources"].as_object().unwrap().clone();
    resources
        .into_iter()
        .filter(|(_, resource)| resource["Type"] == "AWS::Serverless::Function")
        .collect()
}

/// The function that a task invokes.
fn invoked(task: &Value) -> String {
    let placeholder = task["Arguments"]["FunctionName"].as_str().unwrap();
    placeholder
        .strip_prefix("${")
        .unwrap()
        .strip_suffix('}')
        .unwrap()
        .to_owned()
}

/// `check-request`, of `CheckRequest`.
fn kebab(pascal: &str) -> String {
    let words = pascal
        .chars()
        .flat_map(|c| c.is_uppercase().then_some('-').into_iter().chain(c.to_lowercase()));
    words.skip(1).collect()
}

/// The binaries of Cargo.toml, in its order: the steps, in running order.
fn bins() -> Vec<String> {
    let manifest = read("Cargo.toml");
    let blocks = manifest.split("[[bin]]\n").skip(1);
    let bins = blocks.map(|block| {
        let name = block.split('"').nth(1).unwrap();
        let file = format!("path = \"functions/bin/{}.rs\"", name.replace('-', "_"));
        assert_eq!(block.lines().nth(1), Some(file.as_str()), "{name}");
        name.to_owned()
    });
    bins.collect()
}

/// A list, or one thing as a list of one.
fn list(value: &Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items.clone(),
        Value::Null => Vec::new(),
        one => vec![one.clone()],
    }
}

const LAMBDAS_FOUR: [&str; 4] = [
    "Lambda.TooManyRequestsException",
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
];

#[test]
fn every_error_name_that_is_matched_is_raised_by_somebody() {
    let ours: Vec<&str> = [
        Error::InvalidRequest(String::new()),
        Error::NotReady(String::new()),
        Error::Transient(String::new()),
        Error::NotVisibleYet(String::new()),
        Error::Conflict(String::new()),
        Error::Refused(String::new()),
    ]
    .iter()
    .map(Error::name)
    .collect();
    for (name, task) in tasks() {
        for rule in list(&task["Retry"]).iter().chain(&list(&task["Catch"])) {
            for error in list(&rule["ErrorEquals"]) {
                let error = error.as_str().unwrap();
                let known = ours.contains(&error) || LAMBDAS_FOUR.contains(&error) || error == "States.ALL";
                assert!(known, "{name} matches {error}, which nobody raises");
            }
        }
    }
}

#[test]
fn what_is_not_worth_a_retry_is_not_retried() {
    for (name, task) in tasks() {
        let retried = task["Retry"].to_string();
        for never in [
            "InvalidRequest",
            "NotReady",
            "Conflict",
            "Refused",
            "States.ALL",
            "States.TaskFailed",
        ] {
            assert!(!retried.contains(never), "{name} retries {never}");
        }
    }
}

#[test]
fn every_task_retries_and_catches_alike() {
    let tasks = tasks();
    let first = tasks.values().next().unwrap();
    for (name, task) in &tasks {
        assert_eq!(task["Retry"], first["Retry"], "{name}");
        assert_eq!(task["Catch"], first["Catch"], "{name}");
        let names: Vec<String> = list(&task["Retry"])
            .iter()
            .flat_map(|rule| list(&rule["ErrorEquals"]))
            .map(|n| n.to_string())
            .collect();
        assert!(
            names[..2] == ["\"NotVisibleYet\"", "\"Transient\""],
            "ours come first: {names:?}"
        );
        assert_eq!(names.len(), 6, "then Lambda's four: {names:?}");
        for rule in list(&task["Retry"]) {
            assert_eq!(rule["JitterStrategy"], "FULL", "{name}");
            assert!(
                rule["MaxDelaySeconds"].is_number() && rule["MaxAttempts"].is_number(),
                "{name}"
            );
        }
    }
}

#[test]
fn every_task_ends_in_time_and_after_its_function() {
    let (globals, functions) = (template("template")["Globals"]["Function"].clone(), functions());
    for (name, task) in tasks() {
        let own = &functions[&invoked(&task)]["Properties"]["Timeout"];
        let functions_timeout = own.as_u64().or(globals["Timeout"].as_u64()).unwrap();
        assert!(task["TimeoutSeconds"].as_u64().unwrap() > functions_timeout, "{name}");
        assert_eq!(task["Resource"], "arn:aws:states:::lambda:invoke", "{name}");
    }
    assert!(machine()["TimeoutSeconds"].is_number());
}

#[test]
fn whatever_fails_ends_the_run_under_its_own_name() {
    let states = states();
    for (name, task) in tasks() {
        let [catch] = &list(&task["Catch"])[..] else {
            panic!("{name} catches once");
        };
        assert_eq!(catch["ErrorEquals"], json!(["States.ALL"]), "{name}");
        assert_eq!(
            catch["Assign"]["failedWith"], "{% $states.errorOutput.Error %}",
            "{name}"
        );
        assert!(catch["Assign"]["because"].is_string(), "{name}");
        let end = &states[catch["Next"].as_str().unwrap()];
        assert_eq!(end["Type"], "Fail", "{name}");
        assert_eq!(
            (&end["Error"], &end["Cause"]),
            (&json!("{% $failedWith %}"), &json!("{% $because %}"))
        );
    }
}

/// Where a state may lead.
fn targets(state: &Value) -> Vec<String> {
    let rules = [list(&state["Choices"]), list(&state["Catch"])].concat();
    let nexts = rules
        .iter()
        .map(|rule| &rule["Next"])
        .chain([&state["Next"], &state["Default"]]);
    nexts.filter_map(|next| Some(next.as_str()?.to_owned())).collect()
}

#[test]
fn every_state_is_reached_and_leads_to_one_that_exists() {
    let states = states();
    let mut reached = BTreeSet::new();
    let mut next = vec![machine()["StartAt"].as_str().unwrap().to_owned()];
    while let Some(name) = next.pop() {
        let state = states
            .get(&name)
            .unwrap_or_else(|| panic!("there is no state {name:?}"));
        let ends = ["Succeed", "Fail"].contains(&state["Type"].as_str().unwrap());
        assert_eq!(targets(state).is_empty(), ends, "{name}");
        if reached.insert(name) {
            next.extend(targets(state));
        }
    }
    assert_eq!(reached, states.keys().cloned().collect());
}

/// What the state machine hands a step, with a value for each name that steps read.
fn handed(task: &Value) -> Value {
    let payload = task["Arguments"]["Payload"].as_object().unwrap();
    let value = |key: &str| match key {
        "request" => json!({
            "clusterArn": "arn:aws:eks:us-west-2:222222222222:cluster/demo",
            "workspaceArn": "arn:aws:aps:us-west-2:333333333333:workspace/ws-1",
        }),
        "execution" => json!("arn:aws:states:us-west-2:111111111111:execution:ampxa-onboard:1"),
        "scraperArn" => json!("arn:aws:aps:us-west-2:222222222222:scraper/s-1"),
        "network" => json!({ "subnetIds": ["subnet-a"], "securityGroupIds": ["sg-a"] }),
        "manualAccess" => json!(true),
        other => panic!("no step reads {other:?}"),
    };
    payload
        .keys()
        .map(|key| (key.clone(), value(key)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

#[test]
fn every_step_is_handed_what_it_reads() {
    for (name, task) in tasks() {
        let input = handed(&task);
        let read = match invoked(&task).as_str() {
            "CheckRequest" => Raw::try_from(input)
                .and_then(|raw| ampxa::complete::check(&raw))
                .map(drop),
            "CheckCluster" => Task::<Nothing>::try_from(input).map(drop),
            "CreateScraper" => Task::<Plan>::try_from(input).map(drop),
            "CheckScraper" => Task::<Made>::try_from(input).map(drop),
            "EnsureSourceRole" | "EnsureTargetRole" | "PatchTrustPolicies" => Task::<Known>::try_from(input)
                .map(|task| assert!(task.known.scraper_arn.is_some(), "{name} is not told of the scraper")),
            other => panic!("what does {other} read?"),
        };
        assert_eq!(read, Ok(()), "{name}");
    }
}

#[test]
fn the_machine_reads_what_the_steps_say() {
    let checked = Checked {
        readiness: Readiness::Ready,
        network: None,
        scraper: None,
        manual_access: false,
    };
    let scraper = Scraper {
        scraper_arn: String::new(),
        status: String::new(),
        status_reason: None,
        made: true,
        warnings: vec![],
    };
    let role = json!(Ensured {
        made: true,
        repaired: vec![]
    });
    let complete = ampxa::complete::check(&Raw::try_from(handed(&tasks()["Check request"])).unwrap()).unwrap();
    let mut check = json!(checked);
    check["scraperArn"] = json!("of the scraper that was found");
    let text = read("statemachine/onboard.asl.json");
    for (variable, said) in [
        ("$check", check),
        ("$scraper", json!(scraper)),
        ("$sourceRole", role.clone()),
        ("$targetRole", role),
        ("$request", json!(complete.request)),
    ] {
        let rests: Vec<&str> = text.split(&format!("{variable}.")).skip(1).collect();
        assert!(!rests.is_empty(), "{variable} is read");
        for rest in rests {
            let field: String = rest.chars().take_while(|c| c.is_alphanumeric()).collect();
            assert!(said.get(&field).is_some(), "no step says {variable}.{field}");
        }
    }
}

#[test]
fn one_search_finds_a_step_in_machine_template_and_rust() {
    let functions = functions();
    let resources = template("template")["Resources"].clone();
    let machine = &resources["Onboard"]["Properties"];
    let mut used = BTreeSet::new();
    for (name, task) in tasks() {
        let function = invoked(&task);
        let words = name.trim_end_matches(" early").to_lowercase().replace(' ', "-");
        assert_eq!(words, kebab(&function), "the state {name:?} invokes {function}");
        used.insert(function);
    }
    let allowed: BTreeSet<String> = list(&machine["Policies"])
        .iter()
        .filter_map(|policy| {
            Some(
                policy["LambdaInvokePolicy"]["FunctionName"]["!Ref"]
                    .as_str()?
                    .to_owned(),
            )
        })
        .collect();
    let substituted: BTreeSet<String> = machine["DefinitionSubstitutions"]
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect();
    let defined: BTreeSet<String> = functions.keys().cloned().collect();
    assert_eq!(used, defined, "each function is a step of the machine");
    assert_eq!(used, allowed, "the machine may invoke its functions and no others");
    assert_eq!(used, substituted);
    for (name, value) in machine["DefinitionSubstitutions"].as_object().unwrap() {
        assert_eq!(value["!GetAtt"], json!(format!("{name}.Arn")));
    }
    let bins = bins();
    assert_eq!(
        fs::read_dir("functions/bin").unwrap().count(),
        bins.len(),
        "no file is forgotten"
    );
    assert_eq!(
        used.iter().map(|name| kebab(name)).collect::<BTreeSet<_>>(),
        bins.iter().cloned().collect()
    );
    for (name, function) in functions {
        assert_eq!(
            function["Properties"]["CodeUri"],
            json!(format!("../target/lambda/{}/", kebab(&name)))
        );
        let source = read(&format!("functions/bin/{}.rs", kebab(&name).replace('-', "_")));
        assert!(
            source.contains(&format!("\"{}\"", kebab(&name))),
            "{name} runs under its own name"
        );
        assert!(source.lines().count() <= 30, "{name} fits on half a screen");
    }
}

#[test]
fn every_choice_has_a_default_and_every_end_a_name_and_a_sentence() {
    for (name, state) in states() {
        match state["Type"].as_str().unwrap() {
            "Choice" => {
                assert!(name.ends_with('?') && state["Default"].is_string(), "{name}");
                for rule in list(&state["Choices"]) {
                    let fails = rule["Next"] == "Onboarding failed";
                    assert_eq!(fails, rule["Assign"]["failedWith"].is_string(), "{name}");
                    assert_eq!(fails, rule["Assign"]["because"].is_string(), "{name}");
                }
            }
            "Fail" => assert!(state["Error"].is_string() && state["Cause"].is_string(), "{name}"),
            _ => {}
        }
    }
}

#[test]
fn jsonata_is_the_language_of_the_whole_machine() {
    assert_eq!(machine()["QueryLanguage"], "JSONata");
    let text = read("statemachine/onboard.asl.json");
    assert_eq!(text.matches("QueryLanguage").count(), 1);
    for jsonpath in ["\"InputPath\"", "\"ResultPath\"", "\"Parameters\"", ".$\""] {
        assert!(!text.contains(jsonpath), "{jsonpath}");
    }
    assert!(
        text.len() < 1_048_576,
        "Step Functions takes a definition of 1 MB at most"
    );
}

/// The seconds that `Give the scraper time` waits, by its own expression's numbers.
fn wait(waited: u64) -> u64 {
    let state = &states()["Give the scraper time"];
    assert_eq!(
        state["Seconds"], "{% $secondsForScraper < 600 or $secondsForScraper >= 1800 ? 60 : 15 %}",
        "the schedule that this test walks"
    );
    assert_eq!(
        state["Assign"]["secondsForScraper"],
        "{% $secondsForScraper + ($secondsForScraper < 600 or $secondsForScraper >= 1800 ? 60 : 15) %}",
        "what is waited is what is counted"
    );
    if !(600..1800).contains(&waited) { 60 } else { 15 }
}

/// The states of a run in which nothing fails and the scraper takes this long.
fn healthy_run(seconds: u64) -> Vec<String> {
    let states = states();
    let mut run = vec![machine()["StartAt"].as_str().unwrap().to_owned()];
    let mut waited = 0;
    loop {
        assert!(run.len() < 1_000, "a run without end");
        let name = run.last().unwrap().as_str();
        let state = &states[name];
        let taken = |condition: &str| {
            let rules = list(&state["Choices"]);
            let rule = rules.into_iter().find(|rule| rule["Condition"] == condition);
            rule.unwrap_or_else(|| panic!("{name} asks whether {condition}"))["Next"].clone()
        };
        let next = match name {
            "Is the cluster ready?" => taken("{% $check.readiness = 'READY' %}"),
            "Patch the trust early?" => state["Default"].clone(),
            "Is the scraper active?" if waited < seconds => state["Default"].clone(),
            "Is the scraper active?" => taken("{% $scraper.status = 'ACTIVE' %}"),
            _ => {
                waited += if name == "Give the scraper time" {
                    wait(waited)
                } else {
                    0
                };
                state["Next"].clone()
            }
        };
        match next.as_str() {
            Some(next) => run.push(next.to_owned()),
            None => return run,
        }
    }
}

#[test]
fn a_healthy_run_of_twenty_minutes_takes_at_most_170_transitions() {
    let run = healthy_run(20 * 60);
    assert_eq!(run.iter().filter(|name| *name == "Check scraper").count(), 50);
    assert!(run.len() <= 170, "{} transitions", run.len());
}

#[test]
fn a_healthy_run_takes_every_step_in_the_order_of_the_manifest() {
    let tasks = tasks();
    let run = healthy_run(1);
    let steps: Vec<String> = run
        .iter()
        .filter_map(|name| Some(kebab(&invoked(tasks.get(name)?))))
        .collect();
    assert_eq!(steps, bins());
    assert_eq!(run.last().unwrap(), "Onboarded");
}

#[test]
fn every_loop_has_an_end() {
    let states = states();
    for (counter, choice) in [
        ("$secondsForCluster", "Is the cluster ready?"),
        ("$secondsForScraper", "Is the scraper active?"),
    ] {
        let rules = list(&states[choice]["Choices"]);
        let ends = rules.iter().any(|rule| {
            let condition = rule["Condition"].as_str().unwrap();
            condition.contains(counter) && condition.contains(">=") && rule["Next"] == "Onboarding failed"
        });
        assert!(ends, "{choice} never gives up");
        let waiting = states[choice]["Default"].as_str().unwrap();
        assert_eq!(states[waiting]["Type"], "Wait");
        assert!(
            states[waiting]["Assign"].to_string().contains(&format!("{counter} +")),
            "{waiting} counts"
        );
    }
    assert_eq!(states.values().filter(|state| state["Type"] == "Wait").count(), 2);
    for needed in ["Wait", "Choice"] {
        let rest = states.iter().filter(|(_, state)| state["Type"] != needed);
        if let Some(name) = on_a_circle(&rest.map(|(name, state)| (name.clone(), targets(state))).collect()) {
            panic!("{name} goes round without a {needed}");
        }
    }
}

/// A state that leads back to itself.
fn on_a_circle(graph: &BTreeMap<String, Vec<String>>) -> Option<String> {
    graph
        .keys()
        .find(|start| {
            let (mut seen, mut next) = (BTreeSet::new(), graph[*start].clone());
            while let Some(name) = next.pop() {
                if seen.insert(name.clone()) {
                    next.extend(graph.get(&name).into_iter().flatten().cloned());
                }
            }
            seen.contains(*start)
        })
        .cloned()
}

/// All statements of a template's policies.
fn statements(value: &Value, found: &mut Vec<Value>) {
    match value {
        Value::Object(map) => {
            if map.contains_key("Effect") {
                found.push(value.clone());
            }
            map.values().for_each(|inner| statements(inner, found));
        }
        Value::Array(items) => items.iter().for_each(|inner| statements(inner, found)),
        _ => {}
    }
}

#[test]
fn no_statement_allows_more_than_it_names() {
    for name in ["template", "source-account", "target-account"] {
        let mut found = Vec::new();
        statements(&template(name), &mut found);
        assert!(!found.is_empty());
        for statement in found.iter().filter(|statement| statement["Effect"] == "Allow") {
            for action in list(&statement["Action"]) {
                assert!(!action.as_str().unwrap().contains('*'), "{name}: {statement}");
            }
            assert!(
                statement["NotAction"].is_null() && statement["NotResource"].is_null(),
                "{name}: {statement}"
            );
        }
    }
}

const SCRAPERS_SERVICE_ROLE: &str = "arn:${AWS::Partition}:iam::${AWS::AccountId}:role/aws-service-role/\
                                     scraper.aps.amazonaws.com/AWSServiceRoleForAmazonPrometheusScraper*";
const REMOTE_WRITE: &str = "arn:${AWS::Partition}:iam::aws:policy/AmazonPrometheusRemoteWriteAccess";

#[test]
fn a_provisioner_reaches_roles_of_its_own_prefix_only_and_never_itself() {
    for side in ["source", "target"] {
        let template = template(&format!("{side}-account"));
        let provisioner = &template["Resources"]["Provisioner"]["Properties"];
        assert_eq!(provisioner["RoleName"], json!(format!("ampxa-{side}-provisioner")));
        let own = format!("arn:${{AWS::Partition}}:iam::${{AWS::AccountId}}:role/ampxa-{side}-");
        let mut found = Vec::new();
        statements(&provisioner["Policies"], &mut found);
        let mut denied = false;
        for statement in found {
            let actions: Vec<String> = list(&statement["Action"])
                .iter()
                .map(|a| a.as_str().unwrap().to_owned())
                .collect();
            let resources: Vec<String> = list(&statement["Resource"])
                .iter()
                .map(|resource| resource["!Sub"].as_str().unwrap_or("*").to_owned())
                .collect();
            if statement["Effect"] == "Deny" {
                denied |= actions == ["iam:*"] && resources == [format!("{own}provisioner")];
                continue;
            }
            let condition = &statement["Condition"];
            for action in actions.iter().filter(|action| action.starts_with("iam:")) {
                let only = match action.as_str() {
                    "iam:CreateServiceLinkedRole" => SCRAPERS_SERVICE_ROLE.to_owned(),
                    _ => format!("{own}*"),
                };
                assert_eq!(resources, [only], "{action}");
                let (operator, key, value) = match action.as_str() {
                    "iam:CreateServiceLinkedRole" => ("StringEquals", "iam:AWSServiceName", SCRAPER_SERVICE),
                    "iam:PassRole" => ("StringEquals", "iam:PassedToService", "aps.amazonaws.com"),
                    "iam:AttachRolePolicy" => ("ArnEquals", "iam:PolicyARN", REMOTE_WRITE),
                    _ => continue,
                };
                let given = &condition[operator][key];
                assert_eq!(given["!Sub"].as_str().or(given.as_str()), Some(value), "{action}");
            }
            for bounded in [
                "iam:CreateRole",
                "iam:PutRolePolicy",
                "iam:AttachRolePolicy",
                "iam:PutRolePermissionsBoundary",
            ] {
                if actions.iter().any(|action| action == bounded) {
                    let boundary = &condition["StringEquals"]["iam:PermissionsBoundary"];
                    assert_eq!(boundary, &json!({ "!Ref": "Boundary" }), "{bounded}");
                }
            }
        }
        assert!(denied, "{side}: the provisioner is denied itself");
        let trust = &provisioner["AssumeRolePolicyDocument"]["Statement"][0];
        let only = "arn:${AWS::Partition}:iam::${HubAccountId}:role/ampxa/*";
        assert_eq!(trust["Condition"]["ArnLike"]["aws:PrincipalArn"]["!Sub"], only);
    }
    assert_eq!(template("template")["Globals"]["Function"]["RolePath"], "/ampxa/");
}

/// A step that works in an account asks `aws.source` or `aws.target` for it, which assumes the provisioner there.
#[test]
fn a_function_may_assume_the_provisioners_that_it_asks_for_and_no_others() {
    let clients = read("functions/aws/clients.rs");
    for (name, function) in functions() {
        let source = read(&format!("functions/bin/{}.rs", kebab(&name).replace('-', "_")));
        let asked: BTreeSet<String> = ["source", "target"]
            .into_iter()
            .filter(|side| source.contains(&format!("aws.{side}(")))
            .map(|side| {
                let provisioner = format!("ampxa-{side}-provisioner");
                assert!(
                    clients.contains(&format!("{side}_arn(\"role\", \"{provisioner}\")")),
                    "{provisioner}"
                );
                format!("arn:${{AWS::Partition}}:iam::*:role/{provisioner}")
            })
            .collect();
        let mut given = Vec::new();
        statements(&function["Properties"]["Policies"], &mut given);
        assert!(
            given.iter().all(|statement| statement["Action"] == "sts:AssumeRole"),
            "{name}"
        );
        let may: BTreeSet<String> = given
            .iter()
            .flat_map(|statement| list(&statement["Resource"]))
            .map(|resource| resource["!Sub"].as_str().unwrap_or("*").to_owned())
            .collect();
        assert_eq!(may, asked, "{name}");
    }
}

#[test]
fn a_boundary_allows_one_action_on_one_kind_of_thing() {
    for (side, action, resource) in [
        (
            "source",
            "sts:AssumeRole",
            "arn:${AWS::Partition}:iam::*:role/ampxa-target-*",
        ),
        (
            "target",
            "aps:RemoteWrite",
            "arn:${AWS::Partition}:aps:*:${AWS::AccountId}:workspace/*",
        ),
    ] {
        let boundary = &template(&format!("{side}-account"))["Resources"]["Boundary"]["Properties"]["PolicyDocument"];
        let only = json!([{ "Effect": "Allow", "Action": action, "Resource": { "!Sub": resource } }]);
        assert_eq!(boundary["Statement"], only, "{side}");
    }
}

#[test]
fn the_boundaries_that_roles_are_made_with_are_those_of_the_templates() {
    let task: Task<roles::Known> = json!({
        "request": {
            "clusterArn": "arn:aws:eks:us-west-2:222222222222:cluster/demo",
            "workspaceArn": "arn:aws:aps:us-west-2:333333333333:workspace/ws-1",
        },
        "execution": "arn:aws:states:us-west-2:111111111111:execution:ampxa-onboard:1",
    })
    .try_into()
    .unwrap();
    for (role, side) in [(roles::source(&task), "source"), (roles::target(&task), "target")] {
        let boundary =
            &template(&format!("{side}-account"))["Resources"]["Boundary"]["Properties"]["ManagedPolicyName"];
        assert!(
            role.boundary
                .ends_with(&format!(":policy/{}", boundary.as_str().unwrap())),
            "{}",
            role.boundary
        );
        assert!(role.name.starts_with(&format!("ampxa-{side}-")));
    }
}

#[test]
fn the_readme_tells_every_step_and_every_name_a_run_may_end_under() {
    let readme = read("README.md");
    for name in tasks().keys().filter(|name| !name.ends_with(" early")) {
        assert!(
            readme.contains(&format!("| {name} |")),
            "the README's table misses {name}"
        );
    }
    let machine = read("statemachine/onboard.asl.json");
    let ends = machine
        .split("\"failedWith\": \"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next());
    for name in ends
        .filter(|name| !name.starts_with("{%"))
        .chain(["InvalidRequest", "NotReady", "Refused", "Conflict"])
    {
        assert!(
            readme.contains(&format!("`{name}`")),
            "the README does not explain {name}"
        );
    }
}
