//! State machines, templates, schemas, functions, error names and documents agree.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod glossary;
mod request_schema;
mod security;

use ampxa::{
    check_request,
    cluster::{self, Readiness},
    collector_logs,
    error::Error,
    event::Reading,
    ingestion::{self, IngestionResult},
    lock::{self, LockState},
    offboarding, patch, plan,
    policy::SCRAPER_SERVICE,
    prepare, reconcile,
    roles::{self, Outcome},
    scraper::{self, Scraper, StaleScraper},
    task::Task,
    telemetry::{self, Ended},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// The top folder of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

const MACHINES: [&str; 3] = ["onboard", "offboard", "reconcile"];

fn machine(name: &str) -> Value {
    support::machine(name)
}

/// All states of a machine, including those inside Maps.
fn states(machine_name: &str) -> BTreeMap<String, Value> {
    fn gather(machine: &Value, all: &mut BTreeMap<String, Value>) {
        for (name, state) in machine["States"].as_object().unwrap() {
            assert!(all.insert(name.clone(), state.clone()).is_none(), "{name} exists twice");
            if state["Type"] == "Map" {
                gather(&state["ItemProcessor"], all);
            }
        }
    }
    let mut all = BTreeMap::new();
    gather(&machine(machine_name), &mut all);
    all
}

/// The tasks that invoke a function.
fn tasks_of(machine: &str) -> BTreeMap<String, Value> {
    let invokes = |task: &Value| task["Type"] == "Task" && !nests(task);
    states(machine)
        .into_iter()
        .filter(|(_, state)| invokes(state))
        .collect()
}

/// Whether a task starts an execution of another machine and waits for it.
fn nests(task: &Value) -> bool {
    task["Resource"] == "arn:aws:states:::states:startExecution.sync:2"
}

/// The machine that a task starts.
fn started(task: &Value) -> String {
    let placeholder = task["Arguments"]["StateMachineArn"].as_str().unwrap();
    let name = placeholder.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    name.unwrap().to_owned()
}

/// The tasks that start executions.
fn nested() -> BTreeMap<String, Value> {
    let all = MACHINES.into_iter().flat_map(states);
    all.filter(|(_, state)| nests(state)).collect()
}

/// The tasks that invoke a function, of all machines. Each name begins with its machine.
fn tasks() -> BTreeMap<String, Value> {
    let all = MACHINES.into_iter().flat_map(|machine| {
        let tasks = tasks_of(machine).into_iter();
        tasks.map(move |(name, task)| (format!("{machine}: {name}"), task))
    });
    all.collect()
}

/// Whether a task belongs to the rollback, which retries all errors for a long time.
fn rolls_back(task: &Value) -> bool {
    let payload = &task["Arguments"]["Payload"];
    payload["createdBy"].is_string() || invoked(task) == "RestoreScraper"
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
                .map(|(key, value)| (key.as_str().expect("a string as key").to_owned(), plain(value)))
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

/// Converts `CheckRequest` to `check-request`.
fn kebab(pascal: &str) -> String {
    let words = pascal
        .chars()
        .flat_map(|c| c.is_uppercase().then_some('-').into_iter().chain(c.to_lowercase()));
    words.skip(1).collect()
}

/// The binaries of Cargo.toml, in its order, which is the order of execution of the steps.
fn bins() -> Vec<String> {
    let manifest: toml::Table = toml::from_str(&read("Cargo.toml")).unwrap();
    let bins = manifest["bin"].as_array().unwrap().iter().map(|bin| {
        let name = bin["name"].as_str().unwrap();
        assert_eq!(bin["path"].as_str(), Some(format!("functions/bin/{name}.rs").as_str()));
        assert_eq!(bin["test"].as_bool(), Some(false), "{name} must not have own tests");
        name.to_owned()
    });
    bins.collect()
}

/// A value as a list: an array as it is, null as an empty list, any other value as a list of one.
fn list(value: &Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items.clone(),
        Value::Null => Vec::new(),
        one => vec![one.clone()],
    }
}

/// The errors that AWS raises if a function could not be invoked, or was killed (Step Functions developer guide,
/// "Handle Lambda service exceptions"; the names for a killed function are those that users report).
const LAMBDA_ERRORS: [&str; 9] = [
    "Lambda.TooManyRequestsException",
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.ClientExecutionTimeoutException",
    "Runtime.ExitError",
    "Sandbox.Timedout",
    "Lambda.Unknown",
    "States.Timeout",
];

/// The names of all variants of [`Error`].
fn our_errors() -> Vec<&'static str> {
    let all = [
        Error::InvalidRequest(String::new()),
        Error::NotReady(String::new()),
        Error::Transient(String::new()),
        Error::NotVisibleYet(String::new()),
        Error::Conflict(String::new()),
        Error::AccessDenied(String::new()),
        Error::QuotaExceeded(String::new()),
    ];
    all.iter().map(Error::name).collect()
}

/// The errors that AWS raises if an execution could not be started (Step Functions developer guide, "Start workflow
/// executions from a task state"; the general names are those of every service integration).
const START_ERRORS: [&str; 3] = [
    "StepFunctions.ExecutionLimitExceeded",
    "StepFunctions.AWSStepFunctionsException",
    "StepFunctions.SdkClientException",
];

#[test]
fn every_matched_error_name_is_raised_by_a_step_or_by_aws() {
    for (name, state) in MACHINES.into_iter().flat_map(states) {
        for rule in list(&state["Retry"]).iter().chain(&list(&state["Catch"])) {
            for error in list(&rule["ErrorEquals"]) {
                let error = error.as_str().unwrap();
                let known = our_errors().contains(&error)
                    || LAMBDA_ERRORS.contains(&error)
                    || (START_ERRORS.contains(&error) && nests(&state))
                    || error == "States.ALL";
                assert!(known, "{name} matches {error}, which is never raised");
            }
        }
    }
}

#[test]
fn permanent_errors_are_not_retried() {
    for (name, task) in tasks().into_iter().filter(|(_, task)| !rolls_back(task)) {
        let retried = task["Retry"].to_string();
        for never in [
            "InvalidRequest",
            "NotReady",
            "Conflict",
            "AccessDenied",
            "QuotaExceeded",
            "States.ALL",
            "States.TaskFailed",
        ] {
            assert!(!retried.contains(never), "{name} retries {never}");
        }
    }
}

#[test]
fn all_tasks_have_the_same_retriers_and_the_rollback_retries_for_an_hour() {
    let tasks = tasks();
    let (rollback, forward): (Vec<_>, Vec<_>) = tasks.iter().partition(|(_, task)| rolls_back(task));
    assert_eq!(rollback.len(), 4, "adopted scraper, scraper, target role, source role");
    for tasks in [&forward, &rollback] {
        for (name, task) in tasks {
            assert_eq!(task["Retry"], tasks[0].1["Retry"], "{name}");
            for rule in list(&task["Retry"]) {
                assert_eq!(rule["JitterStrategy"], "FULL", "{name}");
                assert!(
                    rule["MaxDelaySeconds"].is_number() && rule["MaxAttempts"].is_number(),
                    "{name}"
                );
            }
        }
    }
    let names: Vec<Value> = list(&forward[0].1["Retry"])
        .iter()
        .flat_map(|rule| list(&rule["ErrorEquals"]))
        .collect();
    let expected: BTreeSet<&str> = ["NotVisibleYet", "Transient"]
        .into_iter()
        .chain(LAMBDA_ERRORS)
        .collect();
    assert_eq!(
        names.iter().filter_map(Value::as_str).collect::<BTreeSet<_>>(),
        expected
    );
    assert_eq!(
        list(&forward[0].1["Retry"]).len(),
        2,
        "one retrier for NotVisibleYet, one for all other errors"
    );
    assert_eq!(rollback[0].1["Retry"][0]["ErrorEquals"], json!(["States.ALL"]));
    // The sum without jitter. Full jitter halves it on average.
    let longest = |rule: &Value| {
        let number = |key: &str| rule[key].as_f64().unwrap();
        let intervals = (0..rule["MaxAttempts"].as_i64().unwrap())
            .map(|n| (number("IntervalSeconds") * number("BackoffRate").powi(n as i32)).min(number("MaxDelaySeconds")));
        intervals.sum::<f64>()
    };
    assert!(longest(&rollback[0].1["Retry"][0]) > 3600.0);
    assert!(
        longest(&forward[0].1["Retry"][0]) > 4.0 * 30.0,
        "IAM may need 30 s, and jitter halves the intervals"
    );
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
    for name in ["onboard", "offboard"] {
        let look_again = states(name)["Wait for the lock holder"]["Seconds"].as_u64().unwrap();
        assert!(
            look_again >= globals["Timeout"].as_u64().unwrap(),
            "a stopped execution's function has ended"
        );
    }
    for (name, task) in nested() {
        let other = started(&task).to_lowercase();
        let most = machine(&other)["TimeoutSeconds"].as_u64().unwrap();
        let (its, whole) = (&task["TimeoutSeconds"], &machine("reconcile")["TimeoutSeconds"]);
        assert!(its.as_u64().unwrap() > most && its.as_u64() < whole.as_u64(), "{name}");
    }
}

/// Every Catch keeps the error unchanged. The Fail states format it (`properties` evaluates their expressions).
#[test]
fn every_error_reaches_the_fail_state_unchanged() {
    for (name, task) in tasks() {
        let [catch] = &list(&task["Catch"])[..] else {
            panic!("{name} must have one catcher");
        };
        assert_eq!(catch["ErrorEquals"], json!(["States.ALL"]), "{name}");
        let (assign, output) = (&catch["Assign"], catch["Output"].as_str().unwrap_or_default());
        let error = json!("{% $states.errorOutput %}");
        if rolls_back(&task) {
            assert!(assign["failure"].is_null(), "{name}: the first error is kept");
            assert_eq!(assign["rollbackFailure"], error, "{name}");
            assert!(assign["remaining"].is_string(), "{name}");
        } else if name == "onboard: Update collector logs" {
            // Logs that cannot be changed are a warning.
            assert!(
                assign["collectorLogsFailure"]
                    .as_str()
                    .unwrap()
                    .contains("$states.errorOutput.Cause"),
                "{name}"
            );
        } else if output.is_empty() {
            assert_eq!(assign["failure"], error, "{name}");
        } else {
            // The item of a Map gets the error, and the Map goes on.
            let items = ["", ".finding", ".pair"];
            let merged =
                items.map(|item| format!("{{% $merge([$states.input{item}, {{'failure': $states.errorOutput}}]) %}}"));
            assert!(merged.iter().any(|merged| merged == output), "{name}: {output}");
        }
    }
    for name in MACHINES {
        let states = states(name);
        let [end] = &states
            .values()
            .filter(|state| state["Type"] == "Fail")
            .collect::<Vec<_>>()[..]
        else {
            panic!("{name} must have one Fail state");
        };
        assert_eq!(end["Error"], "{% $failure.Error %}", "{name}");
    }
}

/// The tasks before the first one that creates a resource.
const BEFORE_CREATION: [&str; 7] = [
    "Check request",
    "Plan pair",
    "Acquire lock",
    "Plan pair again",
    "Check cluster",
    "Prepare cluster",
    "Remove stale scraper",
];

#[test]
fn every_failure_after_a_creation_is_rolled_back_in_reverse_order() {
    let states = states("onboard");
    for (name, task) in tasks_of("onboard") {
        let end = match name.as_str() {
            // A failed check of ingestion is reported. It is rolled back only if the request requires samples.
            "Check ingestion" => "Are samples required?",
            "Update collector logs" => "Are samples received?",
            // The roles may be too new for AMP.
            "Create scraper" | "Update scraper" => "Are the roles new?",
            name if BEFORE_CREATION.contains(&name) || rolls_back(&task) => "Onboarding failed",
            _ => "Is rollback requested?",
        };
        assert_eq!(task["Catch"][0]["Next"], end, "{name}");
    }
    assert_eq!(
        states["Are the roles new?"]["Choices"][0]["Next"],
        "Is rollback requested?"
    );
    let required = &states["Are samples required?"];
    assert_eq!(
        (&required["Choices"][0]["Next"], &required["Default"]),
        (&json!("Is rollback requested?"), &json!("Onboarded"))
    );
    let mut rollback = vec!["Wait for IAM propagation before rollback"];
    while let Some(next) = states[*rollback.last().unwrap()]["Next"].as_str() {
        rollback.push(match next {
            "Is the scraper deleted?" | "Was a scraper adopted?" | "Is the scraper restored?" => {
                states[next]["Choices"][0]["Next"].as_str().unwrap()
            }
            _ => next,
        });
    }
    assert_eq!(
        rollback,
        [
            "Wait for IAM propagation before rollback",
            "Restore scraper",
            "Remove scraper",
            "Remove target role",
            "Remove source role",
            "Onboarding failed"
        ]
    );
}

/// The possible next states of a state.
fn successors(state: &Value) -> Vec<String> {
    let rules = [list(&state["Choices"]), list(&state["Catch"])].concat();
    let nexts = rules
        .iter()
        .map(|rule| &rule["Next"])
        .chain([&state["Next"], &state["Default"]]);
    nexts.filter_map(|next| Some(next.as_str()?.to_owned())).collect()
}

#[test]
fn every_state_is_reachable_and_every_next_state_exists() {
    fn walk(machine: &Value) {
        let states = machine["States"].as_object().unwrap();
        let mut reached = BTreeSet::new();
        let mut next = vec![machine["StartAt"].as_str().unwrap().to_owned()];
        while let Some(name) = next.pop() {
            let state = states
                .get(&name)
                .unwrap_or_else(|| panic!("the state {name:?} does not exist"));
            let ends = ["Succeed", "Fail"].contains(&state["Type"].as_str().unwrap());
            let leads = state["Next"].is_string() || state["Default"].is_string();
            assert_eq!(leads, !ends && state["End"].is_null(), "{name}");
            if reached.insert(name) {
                next.extend(successors(state));
                if state["Type"] == "Map" {
                    walk(&state["ItemProcessor"]);
                }
            }
        }
        assert_eq!(reached, states.keys().cloned().collect());
    }
    MACHINES.iter().for_each(|name| walk(&machine(name)));
}

/// The payload of a task, with a valid value for each field.
fn payload(task: &Value) -> Value {
    let fields = task["Arguments"]["Payload"].as_object().unwrap();
    let value = |key: &str| match key {
        "request" => json!({
            "clusterArn": "arn:aws:eks:us-west-2:222222222222:cluster/demo",
            "workspaceArn": "arn:aws:aps:us-west-2:333333333333:workspace/ws-1",
        }),
        "execution" => json!("arn:aws:states:us-west-2:111111111111:execution:ampxa-onboard:1"),
        "scraperArn" => json!("arn:aws:aps:us-west-2:222222222222:scraper/s-1"),
        "network" => json!({ "subnetIds": ["subnet-a"], "securityGroupIds": ["sg-a"] }),
        "manualAccess" => json!(true),
        "preparations" => json!(["PRIVATE_ENDPOINT", "ACCESS_ENTRIES"]),
        "updateId" => json!("the last update"),
        "collectorLogsSince" => json!("2026-01-01T00:00:00Z"),
        "change" => json!("ENABLE"),
        "startedAt" => json!("2026-01-01T00:00:00.000Z"),
        "stopped" => json!(null),
        "createdBy" => json!("arn:aws:states:us-west-2:111111111111:execution:ampxa-onboard:1"),
        "scraperArns" => json!(["arn:aws:aps:us-west-2:222222222222:scraper/s-1"]),
        "clusterArn" => json!("arn:aws:eks:us-west-2:222222222222:cluster/demo"),
        "account" => json!("222222222222"),
        "region" => json!("us-west-2"),
        "organizationalUnits" => json!(["ou-a1b2-c3d4e5f6"]),
        "workspace" => json!("ws-1"),
        "reconciliation" => json!("arn:aws:states:us-west-2:111111111111:execution:ampxa-reconcile:1"),
        "missing" | "first" | "removeUnrouted" | "leaveUnreachable" => json!(true),
        "routedWorkspaces" | "workspaceArns" => json!(["arn:aws:aps:us-west-2:333333333333:workspace/ws-1"]),
        "mode" => json!("PLAN"),
        "maps" => json!(["reports/1/found/2/manifest.json"]),
        "isWhole" => json!(true),
        "onboarding" => json!("reconcile-demo-1"),
        "endedAt" => json!("2026-01-01T00:00:00Z"),
        "longestInterval" => json!(60),
        "identified" | "collectorLogsEnabled" => json!(true),
        "adoption" => json!({
            "scraperArn": "arn:aws:aps:us-west-2:222222222222:scraper/s-1",
            "sourceRoleArn": "arn:aws:iam::222222222222:role/a",
            "targetRoleArn": "arn:aws:iam::333333333333:role/b",
            "alias": "by-hand",
            "hasLogs": false,
            "tags": { "ampxa:origin": "request" },
            "manager": "None of its tags says who manages it.",
        }),
        "replacedConfiguration" => json!("s3://bucket/replaced/a.yaml"),
        "orphanSince" => json!("arn:aws:states:us-west-2:111111111111:execution:ampxa-reconcile:0"),
        other => panic!("add a value for the field {other:?}"),
    };
    fields
        .keys()
        .map(|key| (key.clone(), value(key)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

#[test]
fn every_task_passes_the_input_that_its_step_parses() {
    for (name, task) in tasks() {
        let mut input = payload(&task);
        if name == "reconcile: Check reconciliation" {
            input["request"] = json!({ "accounts": ["222222222222"] });
        }
        let parsed = match invoked(&task).as_str() {
            "CheckRequest" => check_request::Input::try_from(input)
                .and_then(|input| check_request::check(&input))
                .map(drop),
            "CheckCluster" => Task::<cluster::Input>::try_from(input).map(drop),
            "PrepareCluster" => Task::<prepare::Input>::try_from(input).map(|task| {
                assert_eq!(
                    (task.input.preparations.len(), task.input.update_id.is_some()),
                    (2, true)
                )
            }),
            "AdoptScraper" => {
                Task::<scraper::AdoptInput>::try_from(input).map(|task| assert!(task.input.adoption.alias.is_some()))
            }
            "RestoreScraper" => Task::<scraper::RestoreInput>::try_from(input).map(|task| {
                assert_eq!(task.input.adoption.tags.len(), 1);
                assert!(task.input.replaced_configuration.is_some() && task.input.collector_logs_enabled);
            }),
            "PlanPair" => Task::<plan::Input>::try_from(input).map(|task| {
                assert_eq!(
                    task.input.onboarding.is_some(),
                    name.starts_with("reconcile: "),
                    "{name}"
                )
            }),
            "CreateScraper" => Task::<scraper::CreateInput>::try_from(input).map(drop),
            "CheckIngestion" => Task::<ingestion::Input>::try_from(input).map(drop),
            "UpdateCollectorLogs" => Task::<collector_logs::Input>::try_from(input).map(drop),
            "CheckScraper" => Task::<scraper::CheckInput>::try_from(input).map(drop),
            "UpdateScraper" => Task::<scraper::UpdateInput>::try_from(input).map(drop),
            "AcquireLock" => lock::Input::try_from(input).map(drop),
            "CheckReconciliation" => reconcile::Input::try_from(input).map(drop),
            "FindClusters" => {
                reconcile::clusters::Location::try_from(input).map(|location| assert!(location.first, "{name}"))
            }
            "RouteCluster" => reconcile::route::Input::try_from(input).map(|input| {
                let given = (input.organizational_units.len(), input.routed_workspaces.len());
                assert_eq!(given, (1, 1), "{name}");
                assert!(input.workspace.is_some() && input.remove_unrouted, "{name}");
            }),
            "MarkOrphans" => reconcile::orphans::Input::try_from(input)
                .map(|input| assert_eq!((input.scrapers.len(), input.orphan_since.is_some()), (1, true))),
            "Summarize" => reconcile::summary::Input::try_from(input).map(drop),
            "CheckOffboarding" | "FindPairs" => offboarding::Request::try_from(input).map(drop),
            "PlanRemoval" => plan::RemovalInput::try_from(input).map(|input| {
                assert_eq!((input.workspace_arns.len(), input.leave_unreachable), (1, true));
            }),
            "RemoveScraper" => Task::<scraper::RemoveInput>::try_from(input).map(|task| {
                let given = (task.input.created_by.is_some(), task.input.scraper_arns.is_some());
                let expected = match name.as_str() {
                    "onboard: Remove scraper" => (true, false),
                    "onboard: Remove stale scraper" => (false, true),
                    _ => (false, false),
                };
                assert_eq!(given, expected, "{name}");
                // A rollback is retried until it can reach the account.
                assert_eq!(task.input.leave_unreachable, name.starts_with("offboard"), "{name}");
            }),
            "RemoveTargetRole" | "RemoveSourceRole" => Task::<roles::RemoveInput>::try_from(input).map(|task| {
                let rolls_back = name.starts_with("onboard");
                let given = (task.input.created_by.is_some(), task.input.leave_unreachable);
                assert_eq!(given, (rolls_back, !rolls_back), "{name}");
            }),
            "EnsureSourceRole" | "EnsureTargetRole" | "PatchTrustPolicies" => {
                Task::<roles::EnsureInput>::try_from(input)
                    .map(|task| assert!(task.input.scraper_arn.is_some(), "{name} does not pass the scraper"))
            }
            other => panic!("add the input of {other}"),
        };
        assert_eq!(parsed, Ok(()), "{name}");
    }
}

#[test]
fn the_machines_read_only_fields_that_steps_return() {
    let arn = String::new;
    let checked = cluster::Output {
        readiness: Readiness::Ready,
        preparations: vec![],
        network: None,
        scraper: None,
        stale_scrapers: vec![StaleScraper {
            scraper_arn: arn(),
            reason: String::new(),
            is_deleting: false,
        }],
        manual_access: false,
        scrapers: 1,
        quota: 10,
    };
    let scraper = Scraper {
        scraper_arn: arn(),
        status: "ACTIVE".into(),
        status_reason: None,
        longest_interval: Some(60),
        identified: Some(true),
        has_other_roles: false,
        created: true,
        warnings: vec![],
    };
    let ingestion = json!(ingestion::Output {
        result: IngestionResult::None,
        targets: 0,
        up: 0,
        hints: vec![],
        collector_logs: None,
    });
    let updated = json!(scraper::UpdateOutput {
        replaced_configuration: None,
        scraper: scraper.clone(),
        repaired: vec![],
        up_to_date: true,
    });
    let role = json!(roles::EnsureOutput {
        created: true,
        repaired: vec![]
    });
    let removed = json!(scraper::RemoveOutput {
        deleted: true,
        scraper_arns: vec![],
        roles_in_use_by: Some(String::new()),
        unreachable: Some(String::new()),
    });
    let removed_role = json!(roles::RemoveOutput {
        role_arn: arn(),
        outcome: Outcome::Removed,
        unreachable: Some(String::new()),
    });
    let acquired = json!(lock::Output {
        state: LockState::Acquired,
        holder: None,
        stopped: None,
        propagation_seconds: 0,
    });
    let patched = json!(patch::Output {
        source: true,
        target: true,
    });
    let mut complete = json!(
        check_request::check(&check_request::Input::try_from(payload(&tasks()["onboard: Check request"])).unwrap())
            .unwrap()
    );
    complete["request"]["expectedPlan"] = json!("the plan of the request");
    let logs = json!(collector_logs::Output {
        collector_logs_since: None
    });
    let adoption: scraper::Adoption =
        serde_json::from_value(payload(&tasks()["onboard: Adopt scraper"])["adoption"].clone()).unwrap();
    let adopted = json!(scraper::AdoptOutput {
        scraper_arn: adoption.scraper_arn.clone(),
        warnings: vec![],
    });
    let restored = json!(scraper::RestoreOutput {
        restored: true,
        scraper_arn: adoption.scraper_arn.clone(),
    });
    let prepared = json!(prepare::Output { update_id: None });
    let plan = json!(plan::Output {
        changes: vec![],
        prerequisites: vec![],
        preparations: vec![],
        would_fail_as: None,
        in_progress: None,
        warnings: vec![],
        plan: String::new(),
    });
    let mut check = json!(checked);
    check["scraperArn"] = json!("the ARN of the existing scraper");
    check["collectorLogsSince"] = json!("the value of its tag");
    check["adoption"] = json!(adoption);
    let pairs = json!(offboarding::Pairs {
        pairs: vec![],
        skip_reason: None
    });
    let reads = |text: &str, variable: &str, output: &Value| {
        let rests: Vec<&str> = text.split(&format!("{variable}.")).skip(1).collect();
        for rest in &rests {
            let field: String = rest.chars().take_while(|c| c.is_alphanumeric()).collect();
            assert!(output.get(&field).is_some(), "no step returns {variable}.{field}");
        }
        !rests.is_empty()
    };
    let onboard = read("statemachine/onboard.asl.yaml");
    for (variable, output) in [
        ("$check", &check),
        ("$scraper", &json!(scraper)),
        ("$sourceRole", &role),
        ("$targetRole", &role),
        ("$request", &complete["request"]),
        ("$lock", &acquired),
        ("$patched", &patched),
        ("$ingestion", &ingestion),
        ("$staleScraper", &removed),
        ("$removal", &removed),
        ("$restored", &restored),
        ("$check.adoption", &check["adoption"]),
    ] {
        assert!(reads(&onboard, variable, output), "{variable} is not read");
    }
    for machine in MACHINES {
        for (name, task) in tasks_of(machine) {
            let output = match invoked(&task).as_str() {
                "CheckRequest" | "CheckOffboarding" => &complete,
                "AcquireLock" => &acquired,
                "CheckCluster" => &check,
                "PrepareCluster" => &prepared,
                "AdoptScraper" => &adopted,
                "RestoreScraper" => &restored,
                "PlanPair" | "PlanRemoval" => &plan,
                "EnsureSourceRole" | "EnsureTargetRole" => &role,
                "CreateScraper" | "CheckScraper" => &json!(scraper),
                "UpdateScraper" => &updated,
                "PatchTrustPolicies" => &patched,
                "CheckIngestion" => &ingestion,
                "UpdateCollectorLogs" => &logs,
                "RemoveScraper" => &removed,
                "RemoveTargetRole" | "RemoveSourceRole" => &removed_role,
                "FindPairs" => &pairs,
                "CheckReconciliation" | "FindClusters" | "RouteCluster" | "MarkOrphans" | "Summarize" => {
                    &json!({ "outcomes": [] })
                }
                other => panic!("add the output of {other}"),
            };
            reads(&task.to_string(), "$states.result.Payload", output);
            assert!(task["Output"].is_string(), "{name} has no Output");
        }
    }
}

#[test]
fn a_step_has_the_same_name_in_machine_template_and_functions() {
    let functions = functions();
    let resources = template("template")["Resources"].clone();
    let mut all_used = BTreeSet::new();
    for (name, logical_id) in [
        ("onboard", "Onboard"),
        ("offboard", "Offboard"),
        ("reconcile", "Reconcile"),
    ] {
        let machine = &resources[logical_id]["Properties"];
        assert_eq!(
            machine["DefinitionUri"],
            json!(format!("../statemachine/{name}.asl.yaml"))
        );
        let mut used = BTreeSet::new();
        for (name, task) in tasks_of(name) {
            let function = invoked(&task);
            // Some functions have several states: for a stale scraper, for an early patch, for a plan under the lock,
            // for the summaries of a plan and of what was applied.
            let words = name
                .trim_end_matches(" early")
                .trim_end_matches(" again")
                .replace("stale ", "")
                .to_lowercase()
                .replace(' ', "-");
            let summarizes = kebab(&function) == "summarize" && words.starts_with("summarize-");
            assert!(
                words == kebab(&function) || summarizes,
                "the state {name:?} invokes {function}"
            );
            let source = read(&format!("functions/bin/{}.rs", kebab(&function)));
            assert!(
                source.contains(name.as_str()),
                "functions/bin/{}.rs names {name}",
                kebab(&function)
            );
            let description = functions[&function]["Properties"]["Description"].as_str().unwrap();
            let states = description.split(':').next().unwrap();
            assert!(
                states.split(", ").any(|state| state.trim_start_matches("and ") == name),
                "{name}: {description}"
            );
            used.insert(function);
        }
        let allowed: BTreeSet<String> = rights(&resources[logical_id])
            .iter()
            .filter(|statement| statement["Action"] == "lambda:InvokeFunction")
            .flat_map(|statement| list(&statement["Resource"]))
            .map(|resource| {
                let function = resource["!GetAtt"].as_str().unwrap();
                function.strip_suffix(".Arn").unwrap().to_owned()
            })
            .collect();
        let mut substitutions = machine["DefinitionSubstitutions"].as_object().unwrap().clone();
        assert_eq!(
            substitutions.remove("Partition"),
            Some(json!({ "!Ref": "AWS::Partition" }))
        );
        let bucket = substitutions.remove("Bucket");
        assert_eq!(bucket, (logical_id == "Reconcile").then(|| json!({ "!Ref": "Bucket" })));
        let substituted: BTreeSet<String> = substitutions.keys().cloned().collect();
        assert_eq!(used, allowed, "{name} may invoke exactly its functions");
        let starts: BTreeSet<String> = states(name)
            .values()
            .filter(|state| nests(state))
            .map(started)
            .collect();
        assert_eq!(used.union(&starts).cloned().collect::<BTreeSet<_>>(), substituted);
        for (name, value) in &substitutions {
            match starts.contains(name) {
                true => assert_eq!(value["!Ref"], json!(name), "!Ref of a state machine is its ARN"),
                false => assert_eq!(value["!GetAtt"], json!(format!("{name}.Arn"))),
            }
        }
        all_used.extend(used);
    }
    // EventBridge invokes these functions.
    all_used.extend(["RouteEvent", "RecordOutcome"].map(str::to_owned));
    let used = all_used;
    let defined: BTreeSet<String> = functions.keys().cloned().collect();
    assert_eq!(
        used, defined,
        "each function is a step of a machine, or is invoked by EventBridge"
    );
    let bins = bins();
    assert_eq!(
        fs::read_dir(root().join("functions/bin")).unwrap().count(),
        bins.len(),
        "each file of functions/bin is in Cargo.toml"
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
        let source = read(&format!("functions/bin/{}.rs", kebab(&name)));
        assert!(
            source.contains(&format!("\"{}\"", kebab(&name))),
            "functions/bin/{}.rs does not use its own name",
            kebab(&name)
        );
        assert!(source.lines().count() <= 30, "{name} has more than 30 lines");
    }
}

#[test]
fn every_choice_has_a_default_and_every_failure_an_error_name_and_a_cause() {
    let failures = [
        "Onboarding failed",
        "Is rollback requested?",
        "Are samples required?",
        "Offboarding failed",
        "Pair failed",
        "Reconciliation failed",
    ];
    for (name, state) in MACHINES.into_iter().flat_map(states) {
        match state["Type"].as_str().unwrap() {
            "Choice" => {
                assert!(name.ends_with('?') && state["Default"].is_string(), "{name}");
                // During a rollback the first error already has a name.
                let of_rollback = [
                    "Is rollback requested?",
                    "Is the scraper restored?",
                    "Is the scraper deleted?",
                ];
                let rolls_back = of_rollback.contains(&name.as_str());
                // The catcher before these has assigned the failure.
                if ["Are samples required?", "Are the roles new?"].contains(&name.as_str()) {
                    continue;
                }
                for rule in list(&state["Choices"]) {
                    let fails = failures.contains(&rule["Next"].as_str().unwrap());
                    let named = |failure: &Value| failure["Error"].is_string() && failure["Cause"].is_string();
                    let assign = &rule["Assign"];
                    let has_error = match rule["Output"].as_str() {
                        Some(output) => output.contains("'Error': '") && output.contains("'Cause': '"),
                        None if rolls_back => assign["rollback"].is_string() || named(&assign["rollbackFailure"]),
                        None => named(&assign["failure"]) || assign["failure"]["Sentence"].is_string(),
                    };
                    assert_eq!(fails, has_error, "{name}");
                }
            }
            "Fail" => assert!(state["Error"].is_string() && state["Cause"].is_string(), "{name}"),
            _ => {}
        }
    }
}

/// A definition with `arn:aws:states:::lambda:invoke` cannot run in another partition. The descriptions of parameters
/// contain examples, and tests are not deployed.
#[test]
fn definitions_templates_and_functions_are_not_bound_to_a_partition() {
    fn files(folder: &Path, visit: &mut impl FnMut(&Path)) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => files(&path, visit),
                false => visit(&path),
            }
        }
    }
    let mut checked = 0;
    for folder in ["statemachine", "infra", "functions"] {
        files(&root().join(folder), &mut |path| {
            let name = path.to_string_lossy();
            if name.ends_with("tests.rs") || name.contains("/examples/") || name.ends_with(".schema.json") {
                return;
            }
            let text = fs::read_to_string(path).unwrap();
            let deployed = text.split("#[cfg(test)]").next().unwrap();
            let is_example = |line: &str| {
                let line = line.trim_start();
                ["Description:", "ConstraintDescription:", "///", "//!", "#"]
                    .iter()
                    .any(|start| line.starts_with(start))
            };
            for line in deployed.lines().filter(|line| !is_example(line)) {
                let bound = ["arn:aws:", "arn:aws-us-gov:"].iter().any(|arn| line.contains(arn));
                assert!(!bound, "{}: {}", path.display(), line.trim());
            }
            checked += 1;
        });
    }
    assert!(checked > 60, "{checked} files");
}

/// The rules for a definition in YAML: no aliases (Step Functions developer guide, "Amazon States Language" in YAML);
/// every string with `{%` is exactly one expression without a line break; no expression uses a bare `$` as the context
/// of a path, because some implementations of JSONata reject it.
#[test]
fn definitions_are_plain_yaml_with_short_lines() {
    for name in MACHINES {
        let text = read(&format!("statemachine/{name}.asl.yaml"));
        for (number, line) in text.lines().enumerate() {
            let position = format!("{name}, line {}", number + 1);
            assert!(
                line.len() <= 120 || line.contains("ErrorEquals"),
                "{position} has {} characters",
                line.len()
            );
            let anchor = |mark: char| line.split(": ").nth(1).is_some_and(|value| value.starts_with(mark));
            assert!(!anchor('&') && !anchor('*'), "{position} has an anchor or an alias");
            for bare in ["($)", "$.", "($,", ", $)", "[$]"] {
                assert!(!line.contains(bare), "{position} has a bare $");
            }
        }
        fn strings(value: &Value, visit: &mut impl FnMut(&str)) {
            match value {
                Value::String(text) => visit(text),
                Value::Array(items) => items.iter().for_each(|item| strings(item, visit)),
                Value::Object(fields) => fields.values().for_each(|field| strings(field, visit)),
                _ => {}
            }
        }
        strings(&machine(name), &mut |text| {
            let expression = text.starts_with("{% ") && text.ends_with(" %}") && !text.contains('\n');
            assert!(!text.contains("{%") || expression, "{name}: {text}");
        });
    }
}

#[test]
fn all_machines_use_jsonata() {
    for name in MACHINES {
        assert_eq!(machine(name)["QueryLanguage"], "JSONata");
        let text = read(&format!("statemachine/{name}.asl.yaml"));
        assert_eq!(text.matches("QueryLanguage").count(), 1);
        for jsonpath in ["InputPath:", "ResultPath:", "Parameters:", ".$:"] {
            assert!(!text.contains(jsonpath), "{jsonpath}");
        }
        assert!(
            text.len() < 1_048_576,
            "Step Functions accepts definitions of up to 1 MB"
        );
    }
}

/// The seconds of the next `Wait for the scraper`, with the numbers of its expression.
fn wait_seconds(waited: u64) -> u64 {
    let state = &states("onboard")["Wait for the scraper"];
    assert_eq!(
        state["Seconds"], "{% $secondsForScraper < 600 or $secondsForScraper >= 1800 ? 60 : 15 %}",
        "the schedule that this test follows"
    );
    assert_eq!(
        state["Assign"]["secondsForScraper"],
        "{% $secondsForScraper + ($secondsForScraper < 600 or $secondsForScraper >= 1800 ? 60 : 15) %}",
        "the counter adds the seconds of the wait"
    );
    if !(600..1800).contains(&waited) { 60 } else { 15 }
}

/// The states of an execution without errors in which the scraper needs this long.
fn successful_run(seconds: u64) -> Vec<String> {
    let states = states("onboard");
    let mut run = vec![machine("onboard")["StartAt"].as_str().unwrap().to_owned()];
    let mut waited = 0;
    loop {
        assert!(run.len() < 1_000, "the execution does not end");
        let name = run.last().unwrap().as_str();
        let state = &states[name];
        let taken = |condition: &str| {
            let rules = list(&state["Choices"]);
            let rule = rules.into_iter().find(|rule| rule["Condition"] == condition);
            rule.unwrap_or_else(|| panic!("{name} has no rule {condition}"))["Next"].clone()
        };
        let next = match name {
            "Is the lock acquired?" => taken("{% $lock.state = 'ACQUIRED' and $lock.propagationSeconds = 0 %}"),
            "Is the cluster ready?" => taken("{% $check.readiness = 'READY' and $count($check.preparations) = 0 %}"),
            "Is it a plan?"
            | "Is a plan expected?"
            | "Is there a stale scraper?"
            | "Is a scraper adopted?"
            | "Is an early patch requested?"
            | "Must the collector logs change?"
            | "Is the ingestion check requested?" => state["Default"].clone(),
            "Are samples received?" => taken("{% $ingestion.result = 'RECEIVING' %}"),
            "Is the scraper active?" if waited < seconds => state["Default"].clone(),
            "Is the scraper active?" => taken("{% $scraper.status = 'ACTIVE' %}"),
            _ => {
                waited += if name == "Wait for the scraper" {
                    wait_seconds(waited)
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

/// The largest number of events of a state (Step Functions API, HistoryEventType). `items` is the size of an inline Map.
fn max_events(state: &Value, items: u64) -> u64 {
    let entered_and_exited = 2;
    let attempts = || {
        1 + list(&state["Retry"])
            .iter()
            .map(|rule| rule["MaxAttempts"].as_u64().unwrap())
            .sum::<u64>()
    };
    entered_and_exited
        + match state["Type"].as_str().unwrap() {
            // Scheduled, started, ended; and submitted, if it waits for an execution.
            "Task" if nests(state) => 4 * attempts(),
            "Task" => 3 * attempts(),
            // The Map and its Map Run are started and ended.
            "Map" if state["ItemProcessor"]["ProcessorConfig"]["Mode"] == "DISTRIBUTED" => 4,
            // So are the Map and each iteration, which visits each state at most once.
            "Map" => {
                let states = state["ItemProcessor"]["States"].as_object().unwrap();
                let one: u64 = states.values().map(|state| max_events(state, 0)).sum();
                2 + items * (2 + one)
            }
            "Choice" | "Pass" | "Wait" | "Succeed" | "Fail" => 0,
            other => panic!("add the events of {other}"),
        }
}

/// Step Functions ends an execution whose history has 25,000 events (Step Functions developer guide, "Quotas"). A
/// history grows with inline Maps and with loops.
#[test]
fn the_history_of_every_execution_of_a_reconciliation_fits_whatever_the_number_of_clusters() {
    const LIMIT: u64 = 25_000;
    let all = states("reconcile");
    let inline: Vec<&String> = all
        .iter()
        .filter(|(_, state)| state["ItemProcessor"]["ProcessorConfig"]["Mode"] == "INLINE")
        .map(|(name, _)| name)
        .collect();
    assert_eq!(inline, ["Remove each unrouted pair"]);
    let events = |states: &Value, items: u64| {
        let states = states["States"].as_object().unwrap().values();
        states.map(|state| max_events(state, items)).sum::<u64>()
    };
    // The machine itself has no loop.
    assert!(events(&machine("reconcile"), 0) < 500);
    for map in [
        "Find the clusters of each location",
        "Plan each cluster",
        "Apply each plan",
    ] {
        let child = &all[map]["ItemProcessor"];
        assert_eq!(child["ProcessorConfig"]["Mode"], "DISTRIBUTED");
        // A location waits for its provisioner in a loop. A cluster has no more pairs than an account has scrapers.
        let loops = match map {
            "Find the clusters of each location" => {
                240 * 60 / all["Wait for the provisioner"]["Seconds"].as_u64().unwrap()
            }
            _ => 1,
        };
        let events = loops * events(child, 100);
        assert!(events < LIMIT, "{map}: {events} events");
    }
}

/// Items and results are objects in the bucket: no payload grows with the number of clusters.
#[test]
fn the_maps_of_a_reconciliation_read_and_write_objects_that_the_machine_may_use() {
    let all = states("reconcile");
    let folder = |expression: &Value| {
        let text = expression.as_str().unwrap();
        text.split('\'').nth(1).unwrap().to_owned()
    };
    let maps = all
        .values()
        .filter(|state| state["ItemProcessor"]["ProcessorConfig"]["Mode"] == "DISTRIBUTED");
    let mut folders = BTreeSet::new();
    for map in maps.clone() {
        for field in ["ItemReader", "ResultWriter"] {
            assert_eq!(map[field]["Arguments"]["Bucket"], "${Bucket}");
        }
        let configuration = json!({ "Transformation": "FLATTEN", "OutputType": "JSONL" });
        assert_eq!(map["ResultWriter"]["WriterConfig"], configuration);
        assert_eq!(map["ToleratedFailurePercentage"], 100);
        folders.insert(folder(&map["ResultWriter"]["Arguments"]["Prefix"]));
    }
    assert_eq!(folders.len(), maps.count());
    assert!(reconcile::summary::FOLDER == "reports/" && reconcile::summary::LATEST.starts_with("reports/"));
    let resources = template("template")["Resources"].clone();
    let allowed = rights(&resources["Reconcile"]);
    let on_objects = |statement: &&Value| statement["Resource"]["!Sub"] == "${Bucket.Arn}/reports/*";
    let objects = allowed.iter().find(on_objects).unwrap();
    let expected = json!([
        "s3:GetObject",
        "s3:PutObject",
        "s3:ListMultipartUploadParts",
        "s3:AbortMultipartUpload"
    ]);
    assert_eq!(objects["Action"], expected);
    let list = allowed
        .iter()
        .find(|statement| statement["Action"] == "s3:ListBucket")
        .unwrap();
    assert_eq!(list["Condition"], json!({ "StringLike": { "s3:prefix": "reports/*" } }));
}

#[test]
fn a_successful_onboarding_of_20_minutes_takes_at_most_170_transitions() {
    let run = successful_run(20 * 60);
    assert_eq!(run.iter().filter(|name| *name == "Check scraper").count(), 50);
    assert!(run.len() <= 170, "{} transitions", run.len());
}

#[test]
fn a_successful_onboarding_runs_the_steps_in_the_order_of_cargo_toml() {
    let tasks = tasks_of("onboard");
    let run = successful_run(1);
    let steps: Vec<String> = run
        .iter()
        .filter_map(|name| Some(kebab(&invoked(tasks.get(name)?))))
        .collect();
    let bins = bins();
    let position = |step: &String| bins.iter().position(|bin| bin == step).unwrap();
    assert!(steps.is_sorted_by_key(position), "{steps:?}");
    assert_eq!(steps.len(), 9, "{steps:?}");
    assert_eq!(run.last().unwrap(), "Onboarded");
}

#[test]
fn every_loop_ends_and_the_machine_timeout_exceeds_all_loops() {
    for (name, loops) in [
        (
            "onboard",
            &[
                ("seconds", "Is the lock acquired?", 7200),
                ("seconds", "Is the cluster ready?", 3600),
                ("seconds", "Is the stale scraper deleted?", 3600),
                ("seconds", "Are the roles new?", 60),
                ("seconds", "Is the scraper active?", 240 * 60),
                ("seconds", "Are samples received?", 600),
                ("seconds", "Is the scraper restored?", 7200),
                ("seconds", "Is the scraper deleted?", 7200),
            ][..],
        ),
        (
            "offboard",
            &[
                ("seconds", "Is the lock acquired?", 7200),
                ("seconds", "Is the scraper deleted?", 7200),
            ][..],
        ),
        ("reconcile", &[("seconds", "Is the account reachable?", 240 * 60)][..]),
    ] {
        let states = states(name);
        let mut longest = 0;
        for (counter, choice, seconds) in loops {
            let rules = list(&states[*choice]["Choices"]);
            let ends = rules.iter().any(|rule| {
                let condition = rule["Condition"].as_str().unwrap();
                let limit = match *choice {
                    "Is the scraper active?" => "$request.activationTimeoutMinutes * 60".to_owned(),
                    "Is the account reachable?" => "$states.input.provisionerTimeoutMinutes * 60".to_owned(),
                    _ => seconds.to_string(),
                };
                condition.contains(counter) && condition.contains(&format!(">= {limit}"))
            });
            assert!(ends, "{choice} has no limit");
            let waiting = &states[states[*choice]["Default"].as_str().unwrap()];
            assert_eq!(waiting["Type"], "Wait");
            let counts = format!("{}{}", waiting["Assign"], waiting["Output"]);
            assert!(
                counts.contains(counter) && counts.contains(" + "),
                "{choice} does not count its waits"
            );
            longest += seconds;
        }
        let waits = states.iter().filter(|(_, state)| state["Type"] == "Wait");
        // Onboarding and offboarding also wait for IAM propagation after the lock; onboarding also before a scraper gets
        // other roles, for the first samples of these, and before a rollback. In a reconciliation, an onboarding waits for
        // its start.
        let waits_outside_loops = match name {
            "onboard" => 4,
            _ => 1,
        };
        assert_eq!(waits.count(), loops.len() + waits_outside_loops, "{name}");
        // The longest time of retries, in addition to the loops.
        let retries: f64 = 4.0 * 3600.0;
        assert!(
            machine(name)["TimeoutSeconds"].as_f64().unwrap() > f64::from(longest) + retries,
            "{name}"
        );
        for needed in ["Wait", "Choice"] {
            // Three loops need no wait: the trust policies are patched early and the scraper is updated only once, as
            // variables of the machine record, and each inventory of a location has other clusters.
            let once = [
                "Patch trust policies early",
                "Update scraper",
                "Are there more clusters?",
            ];
            let continues = |name: &str| once.contains(&name);
            let rest = states
                .iter()
                .filter(|(name, state)| state["Type"] != needed && !continues(name));
            if let Some(name) = state_in_a_loop(&rest.map(|(name, state)| (name.clone(), successors(state))).collect())
            {
                panic!("{name} is in a loop without a {needed} state");
            }
        }
    }
}

/// A state from which a path leads back to itself.
fn state_in_a_loop(graph: &BTreeMap<String, Vec<String>>) -> Option<String> {
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

/// All policy statements in a value, at any depth.
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

/// The statements of a function's or state machine's `Policies`, with those of the template's managed policies.
fn rights(resource: &Value) -> Vec<Value> {
    let resources = template("template")["Resources"].clone();
    let mut all = Vec::new();
    for policy in list(&resource["Properties"]["Policies"]) {
        // A conditional managed policy.
        let policy = match policy["!If"][1].is_null() {
            true => policy,
            false => policy["!If"][1].clone(),
        };
        match policy["!Ref"].as_str() {
            // It is for the services that encrypt, not for calls of the function.
            Some("UseKey") => {}
            Some(managed) => {
                assert_eq!(resources[managed]["Type"], "AWS::IAM::ManagedPolicy", "{managed}");
                statements(&resources[managed], &mut all);
            }
            None => statements(&policy, &mut all),
        }
    }
    all
}

/// IAM refuses a policy without a statement. So a statement that a condition omits is not the only one.
#[test]
fn no_policy_is_empty_under_any_condition() {
    fn check(name: &str, value: &Value) {
        let statements = list(&value["Statement"]);
        let omitted = |statement: &Value| {
            statement["!If"]
                .as_array()
                .is_some_and(|branches| branches[1..].contains(&json!({ "!Ref": "AWS::NoValue" })))
        };
        assert!(
            statements.is_empty() || !statements.iter().all(omitted),
            "{name}: {value}"
        );
        match value {
            Value::Object(map) => map.values().for_each(|inner| check(name, inner)),
            Value::Array(items) => items.iter().for_each(|inner| check(name, inner)),
            _ => {}
        }
    }
    for name in ["template", "source-account", "target-account", "management-account"] {
        check(name, &template(name));
    }
}

#[test]
fn no_allow_statement_has_a_wildcard_action_or_an_exclusion() {
    for name in ["template", "source-account", "target-account", "management-account"] {
        let mut found = Vec::new();
        statements(&template(name), &mut found);
        assert!(!found.is_empty());
        for statement in found.iter().filter(|statement| statement["Effect"] == "Allow") {
            for action in texts(&statement["Action"]) {
                assert!(!action.contains('*'), "{name}: {statement}");
            }
            assert!(
                statement["NotAction"].is_null() && statement["NotResource"].is_null(),
                "{name}: {statement}"
            );
        }
    }
}

const SCRAPER_SERVICE_ROLE: &str = "arn:${AWS::Partition}:iam::${AWS::AccountId}:role/aws-service-role/\
                                     scraper.aps.amazonaws.com/AWSServiceRoleForAmazonPrometheusScraper*";
const REMOTE_WRITE: &str = "arn:${AWS::Partition}:iam::aws:policy/AmazonPrometheusRemoteWriteAccess";

/// The texts of a field: of `!Sub` too, and of all branches of `!If`.
fn texts(value: &Value) -> Vec<String> {
    let text = |item: &Value| item["!Sub"].as_str().or(item.as_str()).map(str::to_owned);
    let texts = list(value).into_iter().flat_map(|item| match item["!If"].as_array() {
        Some(branches) => branches[1..].iter().filter_map(text).collect(),
        None => Vec::from_iter(text(&item)),
    });
    texts.collect()
}

/// The permissions of a role of an account template.
fn statements_of(side: &str, role: &str) -> (Value, Vec<Value>) {
    let properties = template(&format!("{side}-account"))["Resources"][role]["Properties"].clone();
    let mut found = Vec::new();
    statements(&properties["Policies"], &mut found);
    (properties, found)
}

/// What these conditions deny is in `tests/attacks.json`. This test holds that no statement is without them.
#[test]
fn a_provisioner_may_write_only_roles_of_its_prefix_with_the_boundary() {
    for side in ["source", "target"] {
        let (provisioner, statements) = statements_of(side, "Provisioner");
        assert_eq!(provisioner["RoleName"], json!(format!("ampxa-provisioner-{side}")));
        let own = format!("arn:${{AWS::Partition}}:iam::${{AWS::AccountId}}:role${{RolePath}}ampxa-{side}-*");
        let mut denied = Vec::new();
        for statement in statements {
            let (actions, resources) = (texts(&statement["Action"]), texts(&statement["Resource"]));
            if statement["Effect"] == "Deny" {
                denied.push((actions, resources));
                continue;
            }
            let condition = &statement["Condition"];
            let equals = |operator: &str, key: &str| texts(&condition[operator][key]);
            for action in actions.iter().map(String::as_str) {
                let is_of_role = action.starts_with("iam:") && !action.ends_with("ServiceLinkedRole");
                let reads = ["Get", "List", "Describe"]
                    .iter()
                    .any(|verb| action.contains(&format!(":{verb}")));
                // IAM does not know the path of a role that does not exist.
                let without_path = own.replace("${RolePath}", "/");
                let expected = match reads {
                    true => vec![own.clone(), without_path],
                    false => vec![own.clone()],
                };
                if statement["Resource"]["!Ref"] == "AdoptableRoleArns" {
                    assert_eq!(action, "iam:PassRole");
                } else {
                    assert!(!is_of_role || resources == expected, "{action}");
                }
                // These two actions have no key for the permissions boundary.
                if is_of_role && !reads && !["iam:TagRole", "iam:PassRole"].contains(&action) {
                    let boundary = &condition["StringEquals"]["iam:PermissionsBoundary"];
                    let replaced = "arn:${AWS::Partition}:iam::${AWS::AccountId}:policy/${PairBoundaryName}";
                    let replaced = json!({ "!Sub": replaced });
                    // Not a reference: a deletion of the stack must delete the boundary before the provisioner.
                    let own = format!("arn:${{AWS::Partition}}:iam::${{AWS::AccountId}}:policy/ampxa-{side}-boundary");
                    let either = json!({ "!If": ["HasPairBoundary", replaced, { "!Sub": own }] });
                    assert!(*boundary == either || *boundary == replaced, "{action}: {boundary}");
                }
                // A workspace, for a scraper that gets AMP's service-linked role back, has no such tag.
                let of_workspaces = resources.iter().any(|arn| arn.ends_with(":workspace/*"));
                if of_workspaces && action == "aps:UpdateScraper" {
                    let own_account = "arn:${AWS::Partition}:aps:*:${AWS::AccountId}:workspace/*";
                    assert_eq!(resources, [own_account], "{action}");
                } else if [":Delete", ":Detach", "aps:Update"]
                    .iter()
                    .any(|verb| action.contains(verb))
                    && (is_of_role || action.starts_with("aps:"))
                {
                    assert_eq!(condition["Null"]["aws:ResourceTag/ampxa:cluster"], "false", "{action}");
                }
                match action {
                    "iam:CreateServiceLinkedRole" => {
                        assert_eq!(equals("StringEquals", "iam:AWSServiceName"), [SCRAPER_SERVICE]);
                        assert_eq!(resources, [SCRAPER_SERVICE_ROLE]);
                    }
                    "iam:DeleteServiceLinkedRole" => assert_eq!(resources, [SCRAPER_SERVICE_ROLE]),
                    "iam:PassRole" => assert_eq!(equals("StringEquals", "iam:PassedToService"), ["aps.amazonaws.com"]),
                    "iam:AttachRolePolicy" => {
                        let guard =
                            format!("arn:${{AWS::Partition}}:iam::${{AWS::AccountId}}:policy/ampxa-{side}-guard");
                        let policies = equals("ArnEquals", "iam:PolicyARN");
                        assert!(
                            policies.iter().all(|arn| *arn == REMOTE_WRITE || *arn == guard),
                            "{policies:?}"
                        );
                    }
                    "aps:UntagResource" => {
                        let keys = equals("ForAllValues:StringEquals", "aws:TagKeys");
                        assert!(
                            keys == ["ampxa:orphan-since", "ampxa:cluster", "ampxa:workspace", "ampxa:origin"]
                                || keys == ["ampxa:collector-logs-since"],
                            "{keys:?}"
                        );
                    }
                    "eks:UpdateClusterConfig" => {
                        let keys = [
                            "endpointPrivateAccess",
                            "endpointPublicAccess",
                            "authenticationMode",
                            "controlPlaneEgressMode",
                        ];
                        let limit = |operator: &str| keys.map(|key| condition[operator][format!("eks:{key}")].as_str());
                        let is_set = [limit("Bool"), limit("StringEquals"), limit("Null")];
                        let endpoint = [
                            [Some("true"), None, None, None],
                            [None, None, None, None],
                            [None, Some("true"), Some("true"), Some("true")],
                        ];
                        let mode = [
                            [None, None, None, None],
                            [None, None, Some("API_AND_CONFIG_MAP"), None],
                            [Some("true"), Some("true"), None, Some("true")],
                        ];
                        assert!(is_set == endpoint || is_set == mode, "{condition}");
                    }
                    _ if action.starts_with("eks:") && !reads => {
                        let principals = equals("ArnLike", "eks:principalArn");
                        assert!(principals.contains(&SCRAPER_SERVICE_ROLE.to_owned()), "{action}");
                        let of_amp = |arn: &String| arn.ends_with("/AWSServiceRoleForAmazonPrometheusScraper*");
                        assert!(principals.iter().all(of_amp), "{action}: {principals:?}");
                    }
                    _ => {}
                }
            }
        }
        assert_eq!(denied, [(vec!["iam:*".to_owned()], vec![format!("{own}/*")])], "{side}");
        assert_trusts(&provisioner, "write");
    }
}

/// The first statement of a trust policy admits the hub's functions with this path.
fn assert_trusts(role: &Value, path: &str) {
    let trust = &role["AssumeRolePolicyDocument"]["Statement"][0];
    let hub_roles = format!("arn:${{AWS::Partition}}:iam::${{HubAccountId}}:role${{RolePath}}ampxa/{path}/*");
    assert_eq!(trust["Condition"]["ArnLike"]["aws:PrincipalArn"]["!Sub"], hub_roles);
}

/// The id of an organization has no default: without one, the accounts must be listed.
#[test]
fn an_organization_or_a_list_of_accounts_is_required() {
    for name in ["template", "source-account", "target-account"] {
        let template = template(name);
        let parameter = &template["Parameters"]["OrganizationId"];
        assert!(parameter["Default"].is_null(), "{name}");
        assert_eq!(parameter["AllowedPattern"], "^NONE$|^o-[a-z0-9]{10,32}$", "{name}");
        let lists = !template["Parameters"]["AllowedAccounts"].is_null();
        assert_eq!(
            lists,
            !template["Rules"]["OrganizationOrListOfAccounts"].is_null(),
            "{name}"
        );
    }
}

#[test]
fn a_reader_may_only_read() {
    for side in ["source", "target"] {
        let (reader, statements) = statements_of(side, "Reader");
        assert_eq!(reader["RoleName"], json!(format!("ampxa-reader-{side}")));
        for action in statements.iter().flat_map(|statement| texts(&statement["Action"])) {
            let verbs = ["Get", "List", "Describe", "Query", "Filter"];
            assert!(
                verbs.iter().any(|verb| action.contains(&format!(":{verb}"))),
                "{side}: {action}"
            );
        }
        assert_trusts(&reader, "read");
    }
}

/// A stack whose name begins with `ampxa-source-` would otherwise generate names of pair roles.
#[test]
fn a_role_without_a_name_has_a_path() {
    for name in ["template", "source-account", "target-account", "management-account"] {
        let template = template(name);
        let default = &template["Globals"]["Function"]["RolePath"];
        for (logical, resource) in template["Resources"].as_object().unwrap() {
            let properties = &resource["Properties"];
            let path = match resource["Type"].as_str().unwrap() {
                "AWS::IAM::Role" => &properties["Path"],
                "AWS::Serverless::Function" if properties["RolePath"].is_null() => default,
                "AWS::Serverless::Function" | "AWS::Serverless::StateMachine" => &properties["RolePath"],
                _ => continue,
            };
            let named = !properties["RoleName"].is_null();
            let expected = if named { "!Ref" } else { "${RolePath}ampxa/" };
            assert!(path.to_string().contains(expected), "{name}: {logical}: {path}");
        }
    }
}

/// A step gets access to an account from `aws.source` or `aws.target`, which assumes the reader there, or the
/// provisioner after `writing`. `aws.query_client` assumes the target reader.
#[test]
fn a_function_may_assume_exactly_the_roles_that_it_uses() {
    let names = read("functions/names.rs");
    for (name, function) in functions() {
        let source = read(&format!("functions/bin/{}.rs", kebab(&name)));
        let writes = source.contains(".writing()");
        let role = if writes { "provisioner" } else { "reader" };
        let used: BTreeSet<String> = ["source", "target"]
            .into_iter()
            .filter(|side| {
                ["(", "_of(", "_at(", "_if_reachable("]
                    .iter()
                    .any(|call| source.contains(&format!("aws.{side}{call}")))
            })
            .map(|side| {
                let role = format!("ampxa-{role}-{side}");
                assert!(names.contains(&role), "{role}");
                format!("arn:${{AWS::Partition}}:iam::*:role${{RolePath}}{role}")
            })
            .collect();
        let path = function["Properties"]["RolePath"]["!Sub"].as_str();
        assert_eq!(path, writes.then_some("${RolePath}ampxa/write/"), "{name}");
        let given = rights(&function);
        let allowed: BTreeSet<String> = given
            .iter()
            .filter(|statement| statement["Action"] == "sts:AssumeRole")
            .flat_map(|statement| list(&statement["Resource"]))
            .map(|resource| resource["!Sub"].as_str().unwrap_or("*").to_owned())
            .collect();
        assert_eq!(allowed, used, "{name}");
        let in_the_hub: Vec<String> = given
            .iter()
            .flat_map(|statement| list(&statement["Action"]))
            .map(|action| action.as_str().unwrap().to_owned())
            .filter(|action| action != "sts:AssumeRole")
            .collect();
        let expected: &[&str] = match name.as_str() {
            "CheckRequest" => &["s3:GetObjectVersion", "s3:GetObject"],
            "CreateScraper" => &["s3:GetObjectVersion"],
            "UpdateScraper" => &["s3:GetObjectVersion", "s3:PutObject"],
            "AcquireLock" => &["dynamodb:PutItem", "states:DescribeExecution"],
            "RouteEvent" => &["organizations:ListParents", "ssm:GetParameter", "states:StartExecution"],
            "CheckReconciliation" => &["ssm:GetParameter", "organizations:ListAccounts", "s3:PutObject"],
            "Summarize" => &["s3:GetObject", "s3:PutObject"],
            "RestoreScraper" => &["s3:GetObject"],
            "CheckCluster" => &["organizations:ListParents"],
            "PlanPair" => &[
                "s3:GetObjectVersion",
                "organizations:ListParents",
                "dynamodb:GetItem",
                "states:DescribeExecution",
            ],
            "PlanRemoval" => &["dynamodb:GetItem", "states:DescribeExecution"],
            "FindClusters" => &["ssm:GetParameter", "organizations:ListParents"],
            "RouteCluster" => &["ssm:GetParameter"],
            _ => &[],
        };
        assert_eq!(in_the_hub, expected, "{name}");
    }
}

#[test]
fn functions_that_route_may_only_read_parameters_and_start_machines_of_the_hub() {
    for (name, function) in functions() {
        let properties = &function["Properties"];
        let given = rights(&function);
        for statement in &given {
            let expected = match list(&statement["Action"])[0].as_str().unwrap() {
                "s3:PutObject" if name == "CheckReconciliation" => {
                    json!({ "!Sub": "${Bucket.Arn}/reports/*/locations.jsonl" })
                }
                "s3:PutObject" if name == "Summarize" => {
                    let keys = ["*/plan.jsonl", "*/report.jsonl", "latest.json"];
                    json!(keys.map(|key| json!({ "!Sub": format!("${{Bucket.Arn}}/reports/{key}") })))
                }
                "s3:GetObject" if name == "Summarize" => json!({ "!Sub": "${Bucket.Arn}/reports/*" }),
                "s3:GetObject" if name == "RestoreScraper" => json!({ "!Sub": "${Bucket.Arn}/replaced/*" }),
                "s3:GetObject" | "s3:GetObjectVersion" => json!({ "!Sub": "${Bucket.Arn}/configurations/*" }),
                "s3:PutObject" => json!({ "!Sub": "${Bucket.Arn}/replaced/*" }),
                "ssm:GetParameter" => json!({
                    "!Sub": "arn:${AWS::Partition}:ssm:${AWS::Region}:${AWS::AccountId}:parameter/${AWS::StackName}/*"
                }),
                "states:StartExecution" => {
                    json!([{ "!Ref": "Onboard" }, { "!Ref": "Offboard" }, { "!Ref": "Reconcile" }])
                }
                // IAM supports no narrower resource for these actions. They are allowed only if a parameter enables them.
                action @ ("organizations:ListParents" | "organizations:ListAccounts") => {
                    let managed = action.split(':').nth(1).unwrap();
                    let conditional =
                        json!({ "!If": ["AsksOrganizations", { "!Ref": managed }, { "!Ref": "AWS::NoValue" }] });
                    assert!(list(&properties["Policies"]).contains(&conditional), "{name}");
                    assert_eq!(
                        template("template")["Resources"][managed]["Condition"],
                        "AsksOrganizations"
                    );
                    json!("*")
                }
                _ => continue,
            };
            assert_eq!(statement["Resource"], expected, "{name}");
        }
    }
    let router = &functions()["RouteEvent"]["Properties"];
    for (variable, machine) in [
        ("AMPXA_ONBOARD", "Onboard"),
        ("AMPXA_OFFBOARD", "Offboard"),
        ("AMPXA_RECONCILE", "Reconcile"),
    ] {
        assert_eq!(router["Environment"]["Variables"][variable], json!({ "!Ref": machine }));
    }
    let failed = &router["EventInvokeConfig"]["DestinationConfig"]["OnFailure"]["Destination"];
    assert_eq!(failed, &json!({ "!GetAtt": "FailedEvents.Arn" }));
}

fn resources_of(template_name: &str, kind: &str) -> BTreeMap<String, Value> {
    let resources = template(template_name)["Resources"].as_object().unwrap().clone();
    resources
        .into_iter()
        .filter(|(_, resource)| resource["Type"] == kind)
        .collect()
}

#[test]
fn the_template_sets_exactly_the_environment_variables_that_functions_read() {
    let mut set: BTreeSet<String> = BTreeSet::new();
    let globals = template("template")["Globals"]["Function"].clone();
    for properties in functions()
        .values()
        .map(|function| &function["Properties"])
        .chain([&globals])
    {
        let variables = properties["Environment"]["Variables"].as_object();
        set.extend(variables.into_iter().flatten().map(|(name, _)| name.clone()));
    }
    let mut read_by_code = BTreeSet::new();
    for file in [
        "aws/clients",
        "bin/acquire-lock",
        "bin/record-outcome",
        "cluster",
        "configurations",
        "consent",
        "names",
        "route_event",
        "routing/mod",
        "reconcile/mod",
    ] {
        let source = read(&format!("functions/{file}.rs"));
        for prefix in ["AMPXA_", "AWS_USE_"] {
            let begin = format!("\"{prefix}");
            let names = source.split(&begin).skip(1);
            read_by_code.extend(names.map(|rest| format!("{prefix}{}", rest.split('"').next().unwrap())));
        }
    }
    assert_eq!(set, read_by_code);
    // The variables that choose the endpoints are those of all functions.
    let variables = &globals["Environment"]["Variables"];
    let conditions = template("template")["Conditions"].clone();
    for (variable, condition, values) in [
        ("AWS_USE_FIPS_ENDPOINT", "UsesFips", ["FIPS", "FIPS_DUALSTACK"]),
        (
            "AWS_USE_DUALSTACK_ENDPOINT",
            "UsesDualStack",
            ["DUALSTACK", "FIPS_DUALSTACK"],
        ),
    ] {
        assert_eq!(variables[variable]["!If"], json!([condition, "true", "false"]));
        let is = |value| json!({ "!Equals": [{ "!Ref": "Endpoints" }, value] });
        assert_eq!(conditions[condition]["!Or"], json!(values.map(is)));
    }
}

#[test]
fn the_bus_admits_each_event_source_only_from_the_accounts_that_may_send_it() {
    let policies = resources_of("template", "AWS::Events::EventBusPolicy");
    let sources: BTreeMap<&str, Vec<Value>> = policies
        .iter()
        .map(|(name, policy)| {
            let (properties, condition) = (&policy["Properties"], &policy["Properties"]["Statement"]["Condition"]);
            assert_eq!(properties["StatementId"], json!(name));
            assert_eq!(properties["Statement"]["Action"], "events:PutEvents");
            let organization = json!({ "aws:PrincipalOrgID": { "!Ref": "OrganizationId" } });
            let any_principal = properties["Statement"]["Principal"] == "*";
            // Without an organization, a statement that admits any principal lists the accounts.
            let otherwise = match any_principal {
                true => json!({ "aws:PrincipalAccount": { "!Split": [",", { "!Ref": "AllowedAccounts" }] } }),
                false => json!({ "!Ref": "AWS::NoValue" }),
            };
            let expected = json!({ "!If": ["HasOrganization", organization, otherwise] });
            assert_eq!(condition["StringEquals"], expected, "{name}");
            (
                name.as_str(),
                list(&condition["ForAllValues:StringEquals"]["events:source"]),
            )
        })
        .collect();
    let expected = BTreeMap::from([
        ("ClustersOfSourceAccounts", vec![json!("aws.eks")]),
        (
            "AccountsOfTheManagementAccount",
            vec![json!("aws.controltower"), json!("aws.organizations")],
        ),
        ("AccountsOfAft", vec![json!("ampxa.aft")]),
    ]);
    assert_eq!(sources, expected);
}

/// Whether an event matches an event pattern, for the operators that the templates use.
fn matches(pattern: &Value, event: &Value) -> bool {
    pattern
        .as_object()
        .unwrap()
        .iter()
        .all(|(name, condition)| match condition {
            Value::Array(all) => all.iter().any(|one| match one {
                Value::Object(test) if test.contains_key("exists") => test["exists"] == json!(!event[name].is_null()),
                Value::Object(reference) if reference.contains_key("!Ref") => event[name].is_string(),
                literal => *literal == event[name],
            }),
            inner => matches(inner, &event[name]),
        })
}

#[test]
fn the_rules_match_only_relevant_events_and_are_equal_in_hub_and_accounts() {
    let pattern = |template: &str, rule: &str| {
        let mut pattern = resources_of(template, "AWS::Events::Rule")[rule]["Properties"]["EventPattern"].clone();
        let account = pattern.as_object_mut().unwrap().remove("account");
        (pattern, account)
    };
    let (clusters, any_account) = pattern("template", "ClusterEvents");
    let (accounts, management) = pattern("template", "AccountEvents");
    assert_eq!((clusters.clone(), None), pattern("source-account", "ClusterEvents"));
    assert_eq!((accounts.clone(), None), pattern("management-account", "AccountEvents"));
    assert_eq!(
        (any_account, management),
        (None, Some(json!([{ "!Ref": "ManagementAccountId" }])))
    );
    let (_, aft) = pattern("template", "AftEvents");
    assert_eq!(aft, Some(json!([{ "!Ref": "AftAccountId" }])));
    for (name, rule, matched) in [
        ("eks-CreateCluster", &clusters, true),
        ("eks-CreateCluster-clusterName", &clusters, true),
        ("eks-DeleteCluster", &clusters, true),
        ("eks-CreateCluster-failed", &clusters, false),
        ("controltower-CreateManagedAccount", &clusters, false),
        ("eks-CreateCluster", &accounts, false),
        ("controltower-CreateManagedAccount", &accounts, true),
        ("organizations-CreateAccountResult", &accounts, true),
    ] {
        let event: Value = serde_json::from_str(&read(&format!("tests/golden/events/{name}.json"))).unwrap();
        assert_eq!(matches(rule, &event), matched, "{name}");
        let recognized = matches!(Reading::try_from(event), Ok(Reading::Recognized(_)));
        assert!(recognized || !matched, "{name} matches a rule and starts nothing");
    }
}

#[test]
fn failed_events_go_to_the_queue_of_an_alarm() {
    let queue = json!({ "!GetAtt": "FailedEvents.Arn" });
    let rules = resources_of("template", "AWS::Events::Rule");
    let targets = rules.values().flat_map(|rule| list(&rule["Properties"]["Targets"]));
    let schedules = resources_of("template", "AWS::Scheduler::Schedule");
    let targets: Vec<Value> = targets
        .chain(schedules.values().map(|one| one["Properties"]["Target"].clone()))
        .collect();
    assert_eq!(targets.len(), 6);
    for target in targets {
        assert_eq!(target["DeadLetterConfig"]["Arn"], queue, "{target}");
    }
    let alarms = resources_of("template", "AWS::CloudWatch::Alarm");
    for name in ["FailedEventsAlarm", "FailedExecutionsAlarm"] {
        let properties = &alarms[name]["Properties"];
        assert!(
            list(&properties["AlarmActions"]).contains(&json!({ "!Ref": "Alerts" })),
            "{name} does not notify Alerts"
        );
        let description = properties["AlarmDescription"]["!Sub"].as_str().unwrap();
        assert!(
            description.to_lowercase().contains("fix the cause"),
            "the description of {name} does not say what to do"
        );
        assert_eq!(
            (&properties["Threshold"], &properties["TreatMissingData"]),
            (&json!(1), &json!("notBreaching"))
        );
    }
    let sent = &alarms["FailedEventsAlarm"]["Properties"];
    assert_eq!(
        sent["Dimensions"][0]["Value"],
        json!({ "!GetAtt": "FailedEvents.QueueName" })
    );
    // The number of messages in the queue would hold the alarm until they are purged, and hide further ones.
    assert_eq!(
        (&sent["MetricName"], &sent["Statistic"]),
        (&json!("NumberOfMessagesSent"), &json!("Sum"))
    );
    let metrics = list(&alarms["FailedExecutionsAlarm"]["Properties"]["Metrics"]);
    let counted: BTreeSet<String> = metrics
        .iter()
        .filter(|metric| metric["MetricStat"].is_object())
        .map(|metric| {
            let metric = &metric["MetricStat"]["Metric"];
            let machine = metric["Dimensions"][0]["Value"]["!Ref"].as_str().unwrap();
            format!("{machine} {}", metric["MetricName"].as_str().unwrap())
        })
        .collect();
    let ends = ["ExecutionsFailed", "ExecutionsTimedOut", "ExecutionsAborted"];
    let all = ["Onboard", "Offboard", "Reconcile"].into_iter();
    let expected = all.flat_map(|machine| ends.map(|end| format!("{machine} {end}")));
    assert_eq!(counted, expected.collect());
}

#[test]
fn the_reconcile_machine_may_start_the_machines_that_it_nests_and_itself() {
    let resources = template("template")["Resources"].clone();
    let allowed = rights(&resources["Reconcile"]);
    let start = allowed
        .iter()
        .find(|one| one["Action"] == "states:StartExecution")
        .unwrap();
    let itself =
        "arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}:stateMachine:${AWS::StackName}-reconcile";
    let names: BTreeSet<String> = nested().values().map(started).collect();
    let mut others: Vec<Value> = names.into_iter().rev().map(|name| json!({ "!Ref": name })).collect();
    others.push(json!({ "!Sub": itself }));
    // Child executions start children too.
    others.push(json!({ "!Sub": format!("{itself}/*") }));
    assert_eq!(list(&start["Resource"]), others);
    assert_eq!(
        resources["Reconcile"]["Properties"]["Name"]["!Sub"],
        "${AWS::StackName}-reconcile"
    );
}

#[test]
fn a_forwarder_may_only_put_events_on_the_hubs_bus() {
    for name in ["source-account", "management-account"] {
        let forwarder = &template(name)["Resources"]["EventForwarder"]["Properties"];
        let mut given = Vec::new();
        statements(&forwarder["Policies"], &mut given);
        let expected =
            json!({ "Effect": "Allow", "Action": "events:PutEvents", "Resource": { "!Ref": "EventBusArn" } });
        assert_eq!(given, [expected], "{name}");
    }
    let aft: Value = serde_json::from_str(&read("infra/aft/policy.json")).unwrap();
    let expected = json!([{ "Effect": "Allow", "Action": "events:PutEvents", "Resource": "${EventBusArn}" }]);
    assert_eq!(aft["Statement"], expected);
}

#[test]
fn the_state_in_afts_pipeline_passes_its_input_on_even_after_an_error() {
    let fragment: Value = serde_json::from_str(&read("infra/aft/ampxa-state.asl.json")).unwrap();
    let [state] = &fragment.as_object().unwrap().values().collect::<Vec<_>>()[..] else {
        panic!("the fragment must have one state");
    };
    let input = "{% $states.input %}";
    assert_eq!(state["Output"], input);
    let [catch] = &list(&state["Catch"])[..] else {
        panic!("the state must have one catcher");
    };
    assert_eq!(
        (&catch["ErrorEquals"], &catch["Output"]),
        (&json!(["States.ALL"]), &json!(input))
    );
    assert_eq!(catch["Next"], state["Next"]);
    assert!(state["TimeoutSeconds"].is_number());
    let entry = &state["Arguments"]["Entries"][0];
    let rule = &resources_of("template", "AWS::Events::Rule")["AftEvents"]["Properties"]["EventPattern"];
    assert_eq!(rule["source"], json!([entry["Source"]]));
    assert_eq!(rule["detail-type"], json!([entry["DetailType"]]));
    for (field, path) in [
        ("account", "account_info.account.id"),
        ("customFields", "account_request.custom_fields"),
    ] {
        let path = format!("$states.input.{path}");
        let expected = format!("{{% $exists({path}) ? {path} : null %}}");
        assert_eq!(
            entry["Detail"][field],
            json!(expected),
            "a missing field must not be an error"
        );
    }
}

#[test]
fn a_boundary_allows_one_action_on_one_type_of_resource_and_the_keys_of_workspaces() {
    for (side, action, resource) in [
        (
            "source",
            "sts:AssumeRole",
            "arn:${AWS::Partition}:iam::*:role${RolePath}ampxa-target-*",
        ),
        (
            "target",
            "aps:RemoteWrite",
            "arn:${AWS::Partition}:aps:*:${AWS::AccountId}:workspace/*",
        ),
    ] {
        let boundary = &template(&format!("{side}-account"))["Resources"]["Boundary"]["Properties"]["PolicyDocument"];
        let mut expected = json!([{ "Effect": "Allow", "Action": action, "Resource": { "!Sub": resource } }]);
        if side == "source" {
            // No scraper writes to an account outside the organization, or outside the list of accounts.
            expected[0]["Condition"] = json!({ "StringEquals": { "!If": [
                "HasOrganization",
                { "aws:ResourceOrgID": { "!Ref": "OrganizationId" } },
                { "aws:ResourceAccount": { "!Split": [",", { "!Ref": "AllowedAccounts" }] } },
            ] } });
        }
        if side == "target" {
            let tagged = json!({ "Null": { "aws:ResourceTag/ampxa:accept": "false" } });
            expected[0]["Condition"] = json!({ "!If": ["RequiresAcceptTag", tagged, { "!Ref": "AWS::NoValue" }] });
            // AMP alone may use the key of an encrypted workspace for the role.
            expected.as_array_mut().unwrap().push(json!({
                "Effect": "Allow",
                "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
                "Resource": { "!Sub": "arn:${AWS::Partition}:kms:*:*:key/*" },
                "Condition": { "StringLike": { "kms:ViaService": { "!Sub": "aps.*.${AWS::URLSuffix}" } } },
            }));
        }
        assert_eq!(boundary["Statement"], expected, "{side}");
    }
}

#[test]
fn roles_are_created_with_the_boundaries_of_the_templates() {
    let task: Task<roles::EnsureInput> = json!({
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
fn acquire_lock_may_only_write_the_table_and_describe_executions_of_our_machines() {
    let template = template("template");
    let mut given = Vec::new();
    statements(
        &template["Resources"]["AcquireLock"]["Properties"]["Policies"],
        &mut given,
    );
    let executions = ["onboard", "offboard"].map(|machine| {
        let name =
            &template["Resources"][if machine == "onboard" { "Onboard" } else { "Offboard" }]["Properties"]["Name"];
        assert_eq!(name["!Sub"], json!(format!("${{AWS::StackName}}-{machine}")));
        let execution = "arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}:execution:${AWS::StackName}";
        json!({ "!Sub": format!("{execution}-{machine}:*") })
    });
    let expected = [
        json!({ "Effect": "Allow", "Action": "dynamodb:PutItem", "Resource": { "!GetAtt": "Locks.Arn" } }),
        json!({ "Effect": "Allow", "Action": "states:DescribeExecution", "Resource": executions }),
    ];
    assert_eq!(given, expected);
    let table = &template["Resources"]["Locks"]["Properties"];
    let source = read("functions/lock.rs");
    let source: String = source.split_whitespace().collect();
    for name in [
        &table["KeySchema"][0]["AttributeName"],
        &table["TimeToLiveSpecification"]["AttributeName"],
    ] {
        assert!(
            source.contains(&format!(".item({name},")),
            "functions/lock.rs does not write {name}"
        );
    }
}

/// CloudFormation deletes a resource before those that it depends on. IAM refuses to delete the policies while a role of a
/// pair has them, so the roles that remove pairs are kept.
#[test]
fn a_deletion_of_an_account_stack_begins_with_the_policies_of_pair_roles() {
    for side in ["source", "target"] {
        let resources = template(&format!("{side}-account"))["Resources"].clone();
        for policy in ["Boundary", "Guard"] {
            assert_eq!(
                resources[policy]["DependsOn"],
                json!(["Provisioner", "Reader"]),
                "{side} {policy}"
            );
            for role in ["Provisioner", "Reader"] {
                let definition = resources[role].to_string();
                let refers = [format!("\"!Ref\":\"{policy}\""), format!("\"!GetAtt\":\"{policy}.")];
                assert!(
                    !refers.iter().any(|reference| definition.contains(reference)),
                    "{side} {role} {policy}"
                );
            }
        }
    }
}

#[test]
fn templates_roles_and_functions_have_the_version_of_cargo_toml() {
    let version = json!(ampxa::VERSION);
    for name in ["template", "source-account", "target-account", "management-account"] {
        let template = template(name);
        assert_eq!(template["Metadata"]["Version"], version, "{name}");
        assert_eq!(template["Outputs"]["Version"]["Value"], version, "{name}");
    }
    for side in ["source", "target"] {
        for role in ["Provisioner", "Reader"] {
            let tags = template(&format!("{side}-account"))["Resources"][role]["Properties"]["Tags"].clone();
            assert!(
                list(&tags).contains(&json!({ "Key": ampxa::tags::VERSION_TAG, "Value": version })),
                "{side} {role}"
            );
        }
    }
    for (machine, ends) in [
        ("onboard", &["Planned", "Onboarded"][..]),
        ("offboard", &["Planned", "Offboarded"]),
        ("reconcile", &["Planned", "Reconciled"]),
    ] {
        for end in ends {
            let output = states(machine)[*end]["Output"].to_string();
            assert!(output.contains("version"), "{machine}: {end}");
        }
    }
}

#[test]
fn the_documents_list_every_step_and_every_error() {
    let readme = read("README.md");
    for name in MACHINES.into_iter().flat_map(tasks_of).map(|(name, _)| name) {
        let name = name.trim_end_matches(" early").replace("stale ", "");
        assert!(
            readme.contains(&format!("| {name} |")),
            "README.md has no row for {name}"
        );
    }
    let machines = MACHINES
        .map(|name| read(&format!("statemachine/{name}.asl.yaml")))
        .concat();
    let errors_of_machines = machine_errors(&machines);
    assert!(errors_of_machines.len() >= 5, "{errors_of_machines:?}");
    let errors = read("docs/errors.md");
    for name in errors_of_machines
        .into_iter()
        .chain(our_errors().into_iter().map(str::to_owned))
    {
        assert!(
            errors.contains(&format!("`{name}`")),
            "docs/errors.md does not describe {name}"
        );
    }
}

/// The error names that the state machines themselves use.
fn machine_errors(machines: &str) -> BTreeSet<String> {
    let literals = ["Error: ", "'Error': '"].into_iter().flat_map(|begin| {
        let rests = machines.split(begin).skip(1);
        rests.filter_map(|rest| rest.split(['\n', ',', '\'']).next())
    });
    literals
        .filter(|name| name.chars().all(char::is_alphabetic))
        .map(str::to_owned)
        .collect()
}

/// The metrics that the code emits: name, and the names of its dimensions.
fn emitted() -> BTreeSet<(String, Vec<String>)> {
    let output = json!({
        "outcome": "ONBOARDED", "clusterArn": "arn:aws:eks:us-west-2:222222222222:cluster/a", "created": ["scraper"],
        "activationMinutes": 1, "polls": 1, "ingestion": { "result": "RECEIVING" }, "scrapers": { "count": 1, "quota": 10 },
    });
    let coverage = json!({ "seen": 1, "connected": 1, "percent": 100.0 });
    let summary = json!({ "outcome": "RECONCILED", "counts": {}, "isWhole": true, "coverage": coverage });
    let ends = [
        (
            "onboard",
            json!({ "status": "SUCCEEDED", "output": output.to_string() }),
        ),
        ("onboard", json!({ "status": "FAILED", "error": "NotReady" })),
        (
            "reconcile",
            json!({ "status": "SUCCEEDED", "output": summary.to_string() }),
        ),
    ];
    let cluster = "arn:aws:eks:us-west-2:222222222222:cluster/a".parse().unwrap();
    let mut lines = vec![telemetry::invalid_choice("ampxa", &cluster, SystemTime::now())];
    for (machine, mut end) in ends {
        let machines = "arn:aws:states:us-west-2:111111111111:stateMachine";
        end["stateMachineArn"] = json!(format!("{machines}:ampxa-{machine}"));
        let mut ended = Ended::try_from(json!({ "detail": end })).unwrap();
        ended.hub = "ampxa".to_owned();
        lines.extend(ended.lines());
    }
    let mut all = BTreeSet::new();
    for line in lines {
        let directive = &line["_aws"]["CloudWatchMetrics"][0];
        let dimensions: Vec<String> = list(&directive["Dimensions"][0])
            .iter()
            .map(|name| name.as_str().unwrap().to_owned())
            .collect();
        all.extend(
            list(&directive["Metrics"])
                .iter()
                .map(|metric| (metric["Name"].as_str().unwrap().to_owned(), dimensions.clone())),
        );
    }
    all
}

#[test]
fn all_functions_and_machines_are_traced() {
    let template = template("template");
    assert_eq!(template["Globals"]["Function"]["Tracing"], "Active");
    let machines = resources_of("template", "AWS::Serverless::StateMachine");
    assert_eq!(machines.len(), 3);
    for (name, machine) in machines {
        assert_eq!(machine["Properties"]["Tracing"], json!({ "Enabled": true }), "{name}");
    }
}

#[test]
fn machines_log_execution_data_only_if_the_parameter_says_so() {
    let template = template("template");
    let parameter = &template["Parameters"]["LogExecutionData"];
    assert_eq!(
        (&parameter["Default"], &parameter["AllowedValues"]),
        (&json!("no"), &json!(["yes", "no"]))
    );
    assert_eq!(
        template["Conditions"]["LogsExecutionData"],
        json!({ "!Equals": [{ "!Ref": "LogExecutionData" }, "yes"] })
    );
    let machines = resources_of("template", "AWS::Serverless::StateMachine");
    assert_eq!(machines.len(), 3);
    for (name, machine) in machines {
        let data = &machine["Properties"]["Logging"]["IncludeExecutionData"];
        assert_eq!(data, &json!({ "!If": ["LogsExecutionData", true, false] }), "{name}");
    }
}

#[test]
fn dashboard_and_alarms_use_exactly_the_metrics_that_the_code_emits() {
    let resources = template("template")["Resources"].clone();
    let emitted = emitted();
    let mut used = BTreeSet::new();
    let mut use_metric = |name: &str, dimensions: Vec<String>| {
        let metric = (name.to_owned(), dimensions);
        assert!(emitted.contains(&metric), "{metric:?} is not emitted: {emitted:?}");
        used.insert(metric);
    };
    let mut alarms = 0;
    for (name, resource) in resources.as_object().unwrap() {
        if resource["Type"] != "AWS::CloudWatch::Alarm" {
            continue;
        }
        alarms += 1;
        let alarm = &resource["Properties"];
        let description = alarm["AlarmDescription"]["!Sub"].as_str().unwrap_or_default();
        assert!(
            description.split(". ").count() >= 2 && description.len() > 150,
            "the description of {name} does not say what to do: {description}"
        );
        assert_eq!(
            alarm["AlarmActions"],
            json!([{ "!Ref": "Alerts" }]),
            "{name} does not notify Alerts"
        );
        assert_eq!(alarm["TreatMissingData"], "notBreaching", "{name}");
        let stats = list(&alarm["Metrics"]);
        let mut metrics: Vec<&Value> = stats.iter().map(|one| &one["MetricStat"]["Metric"]).collect();
        metrics.retain(|metric| !metric.is_null());
        if metrics.is_empty() {
            metrics.push(alarm);
        }
        for metric in metrics {
            let namespace = metric["Namespace"].as_str().unwrap();
            let is_aws = ["AWS/SQS", "AWS/States"].contains(&namespace);
            assert!(is_aws || namespace == telemetry::NAMESPACE, "{name}: {namespace}");
            if !is_aws {
                let dimensions = list(&metric["Dimensions"]);
                let names = dimensions.iter().map(|one| one["Name"].as_str().unwrap().to_owned());
                use_metric(metric["MetricName"].as_str().unwrap(), names.collect());
            }
        }
    }
    assert_eq!(alarms, 9);
    let body = resources["Dashboard"]["Properties"]["DashboardBody"]["!Sub"]
        .as_str()
        .unwrap();
    let dashboard: Value = serde_json::from_str(body).unwrap();
    for widget in list(&dashboard["widgets"]) {
        let properties = &widget["properties"];
        for metric in properties["metrics"].as_array().into_iter().flatten() {
            match metric[0].as_str() {
                Some(namespace) => {
                    assert_eq!(namespace, telemetry::NAMESPACE);
                    assert_eq!(metric[3], "${AWS::StackName}");
                    use_metric(
                        metric[1].as_str().unwrap(),
                        vec![metric[2].as_str().unwrap().to_owned()],
                    );
                }
                None => {
                    let search = metric[0]["expression"].as_str().unwrap();
                    let schema = search.split(['{', '}']).nth(1).unwrap();
                    let dimensions: Vec<String> = schema.split(',').skip(1).map(str::to_owned).collect();
                    assert!(schema.starts_with(&format!("{},", telemetry::NAMESPACE)), "{search}");
                    use_metric(search.split('"').nth(1).unwrap(), dimensions);
                }
            }
        }
        for alarm in properties["alarms"].as_array().into_iter().flatten() {
            let name = alarm
                .as_str()
                .unwrap()
                .trim_start_matches("${")
                .trim_end_matches(".Arn}");
            assert_eq!(resources[name]["Type"], "AWS::CloudWatch::Alarm", "{name}");
        }
    }
    let shown: BTreeSet<&String> = used.iter().map(|(name, _)| name).collect();
    let all: BTreeSet<&String> = emitted.iter().map(|(name, _)| name).collect();
    assert_eq!(shown, all, "every emitted metric is on the dashboard or in an alarm");
}
