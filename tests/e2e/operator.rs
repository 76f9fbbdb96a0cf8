//! The command `ampxa` as an operator runs it: help, routing tables, the hub, `doctor`.

use crate::{
    command::ampxa,
    deployment::{HUB, SOURCE, TARGET, deployment, with},
};
use ampxa_cli::execution;
use driver::demo;
use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead, BufReader, Write},
    process::{Command, Output, Stdio},
    sync::OnceLock,
    thread,
    time::Duration,
};

const CLUSTER: &str = "arn:aws:eks:us-west-2:222222222222:cluster/payments-prod";
const WORKSPACE: &str = "arn:aws:aps:us-west-2:333333333333:workspace/ws-1";

fn run(arguments: &[&str]) -> Output {
    ampxa(arguments).output().unwrap()
}

/// Runs `ampxa` with the local cloud that all tests share.
fn run_on_cloud(arguments: &[&str]) -> Output {
    let cloud = ["--local-cloud", deployment().cloud.url.as_str(), "--minute", "0.05"];
    run(&[arguments, &cloud].concat())
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn printed(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn problem(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn document(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// Writes a routing table; returns its path.
fn table(name: &str, table: &Value) -> String {
    let file = format!("{}/{name}.json", env!("CARGO_TARGET_TMPDIR"));
    fs::write(&file, table.to_string()).unwrap();
    file
}

#[test]
fn each_help_text_has_an_example_and_the_exit_codes_are_documented() {
    let help = run(&["--help"]);
    assert!(printed(&help).contains("  3    an execution would fail, or the plan has changed"));
    for command in [
        &["plan"][..],
        &["onboard"],
        &["offboard"],
        &["reconcile"],
        &["follow"],
        &["report"],
        &["status"],
        &["doctor"],
        &["routes", "check"],
        &["routes", "explain"],
    ] {
        let help = run(&[command, &["--help"]].concat());
        let example = format!("\n  ampxa {}", command.join(" "));
        assert_eq!(code(&help), 0);
        assert!(printed(&help).contains(&example), "no {example} in {}", printed(&help));
    }
}

#[test]
fn a_routing_table_is_checked_offline() {
    let rule = json!({ "match": { "accounts": ["222222222222"] }, "workspaceArn": WORKSPACE });
    let file = table("valid-routes", &json!({ "rules": [rule, rule] }));
    let valid = run(&["routes", "check", &file]);
    assert_eq!(code(&valid), 0, "{valid:?}");
    let lines = printed(&valid);
    assert!(
        lines.starts_with("warning: rules[1]: no cluster reaches this rule"),
        "{lines}"
    );
    assert!(
        lines.ends_with(&format!("{file} is valid: 2 rules, 1 warnings.\n")),
        "{lines}"
    );
    let valid = document(&run(&["routes", "check", &file, "--json"]));
    assert_eq!(
        (&valid["valid"], valid["warnings"].as_array().unwrap().len()),
        (&json!(true), 1)
    );

    let file = table("invalid-routes", &json!({ "rules": [{ "workspaceArn": "ws-1" }] }));
    let invalid = run(&["routes", "check", &file]);
    assert_eq!(code(&invalid), 1);
    let expected = format!("{file}: routes: rules[0].workspaceArn: \"ws-1\" is not a workspace ARN");
    assert!(problem(&invalid).starts_with(&expected), "{invalid:?}");
    let invalid = run(&["routes", "check", &file, "--json"]);
    assert_eq!((code(&invalid), &document(&invalid)["valid"]), (1, &json!(false)));
}

#[test]
fn the_route_of_a_cluster_is_explained_offline() {
    let rules = json!([
        { "match": { "accounts": ["444444444444"] }, "ignore": "sandbox" },
        { "match": { "accounts": ["222222222222"], "tags": { "team": "pay*" } }, "workspaceArn": WORKSPACE },
    ]);
    let file = table("routes-to-explain", &json!({ "rules": rules }));
    let explain = [
        "routes",
        "explain",
        CLUSTER,
        "--file",
        &file,
        "--tags",
        "team=payments",
        "env=prod",
    ];
    let explained = run(&explain);
    assert_eq!(code(&explained), 0, "{explained:?}");
    let text = printed(&explained);
    assert!(text.contains(&format!(
        "is onboarded to {WORKSPACE}: rules[1] is the first rule that matches."
    )));
    assert!(text.contains("does not match: the account 222222222222 is not in accounts (444444444444)"));
    let explained = document(&run(&[&explain[..], &["--json"]].concat()));
    assert_eq!(
        (&explained["outcome"], &explained["workspaceArn"]),
        (&json!("ONBOARD"), &json!(WORKSPACE))
    );
}

#[test]
fn the_route_of_a_cluster_is_explained_with_the_table_of_the_hub() {
    let explained = run_on_cloud(&["routes", "explain", CLUSTER, "--json"]);
    assert_eq!(code(&explained), 0, "{explained:?}");
    let explained = document(&explained);
    assert_eq!(explained["clusterArn"], CLUSTER);
    assert!(explained["rules"].is_array(), "{explained}");
}

#[test]
fn a_missing_hub_is_reported_with_what_to_do() {
    let missing = run_on_cloud(&["report", "--hub", "other"]);
    assert_eq!(code(&missing), 1);
    let expected = format!("the account {HUB} has no CloudFormation stack other in us-west-2: use credentials of");
    assert!(problem(&missing).contains(&expected), "{missing:?}");
}

#[test]
fn a_hub_without_a_report_says_how_to_make_one() {
    let missing = run_on_cloud(&["report"]);
    assert_eq!(code(&missing), 1, "{missing:?}");
    assert!(
        problem(&missing).contains("start a reconciliation with `ampxa reconcile`"),
        "{missing:?}"
    );
    assert_eq!(printed(&missing), "");
}

#[test]
fn a_change_needs_a_terminal_or_yes() {
    let answer = run_on_cloud(&["onboard", CLUSTER, WORKSPACE]);
    assert_eq!(code(&answer), 2, "{answer:?}");
    assert!(problem(&answer).contains("add --yes"), "{answer:?}");
    let answer = run(&["onboard", "cluster/a", WORKSPACE]);
    assert_eq!(code(&answer), 2, "{answer:?}");
}

#[test]
fn doctor_prints_one_line_for_each_finding() {
    let answer = run_on_cloud(&["doctor", "--accounts", "222222222222,555555555555"]);
    let lines = printed(&answer);
    for expected in [
        "ok    stack ampxa: CREATE_COMPLETE in us-west-2 of 111111111111",
        "fail  account 555555555555: it has no role ampxa-reader-source. Deploy infra/source-account.yaml there.",
        &format!("ok    version: hub and command have {}", ampxa::VERSION),
        &format!(
            "ok    account 222222222222: the role ampxa-reader-source has the version {}",
            ampxa::VERSION
        ),
        &format!(
            "ok    account 222222222222: the role ampxa-provisioner-source has the version {}",
            ampxa::VERSION
        ),
        "ok    account 222222222222: these Regions are enabled: us-west-2",
    ] {
        assert!(
            lines.lines().any(|line| line == expected),
            "no line {expected:?} in\n{lines}"
        );
    }
    // Other tests create scrapers in this Region, too.
    let scrapers =
        |line: &str| line[6..].starts_with("account 222222222222: ") && line.contains(" of 10 scrapers in us-west-2");
    assert!(lines.lines().any(scrapers), "no finding of scrapers in\n{lines}");
    for check in ["alerts", "trail", "event rules", "ampxa-onboard"] {
        let found = lines.lines().any(|line| line[6..].starts_with(&format!("{check}: ")));
        assert!(found, "no finding of {check} in\n{lines}");
    }
    assert_eq!(code(&answer), 1, "{lines}");

    let findings = run_on_cloud(&["doctor", "--accounts", SOURCE, "--json"]);
    for finding in document(&findings)["findings"].as_array().unwrap() {
        let level = finding["level"].as_str().unwrap();
        assert_eq!(
            finding["fix"].is_string(),
            ["warn", "fail"].contains(&level),
            "{finding}"
        );
    }
}

/// A stack with the outputs of a hub. Its state machine plans and applies by the name of the cluster: no change for
/// `unchanged`, a failure for `failing`, another plan at the execution for `changed`.
fn stand_in() -> &'static str {
    static NAME: OnceLock<&str> = OnceLock::new();
    NAME.get_or_init(|| {
        let hub = deployment().cloud.account(HUB, driver::REGION);
        let report = "reports/run/report.jsonl";
        let latest = json!({
            "executionArn": "arn:aws:states:us-west-2:111111111111:execution:ampxa-reconcile:run",
            "mode": "APPLY", "endedAt": "2026-11-27T10:00:00Z", "counts": { "UNCHANGED": 1, "FAILED": 1 },
            "coverage": { "seen": 2, "connected": 1, "percent": 50.0 },
            "report": format!("s3://{BUCKET}/{report}"),
        });
        let row = |verdict: &str, reason: Value| {
            json!({
                "account": SOURCE, "region": "us-west-2", "clusterArn": CLUSTER, "workspaceArn": WORKSPACE,
                "verdict": verdict, "reason": reason, "connected": verdict == "UNCHANGED",
            })
        };
        let rows = [row("UNCHANGED", Value::Null), row("FAILED", json!("=1+1"))].map(|row| row.to_string());
        let trust = json!({ "Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": { "Service": "states.amazonaws.com" }, "Action": "sts:AssumeRole",
        }] });
        let machine = json!({
            "Type": "AWS::StepFunctions::StateMachine",
            "Properties": {
                "StateMachineName": "stand-in-reconcile",
                "RoleArn": { "Fn::GetAtt": ["Role", "Arn"] },
                "DefinitionString": definition().to_string(),
            },
        });
        let machine_arn = json!({ "Value": { "Ref": "Machine" } });
        let template = json!({
            "Resources": {
                "Role": { "Type": "AWS::IAM::Role", "Properties": { "AssumeRolePolicyDocument": trust } },
                "Machine": machine,
                "Bucket": { "Type": "AWS::S3::Bucket", "Properties": { "BucketName": BUCKET } },
            },
            "Outputs": {
                "OnboardArn": machine_arn, "OffboardArn": machine_arn, "ReconcileArn": machine_arn,
                "BucketName": { "Value": BUCKET },
            },
        });
        let parameters = [
            ("StackName", "stand-in"),
            ("TemplateBody", &template.to_string()),
            ("Capabilities.member.1", "CAPABILITY_IAM"),
        ];
        hub.cloudformation("CreateStack", &parameters).unwrap();
        loop {
            let xml = hub
                .cloudformation("DescribeStacks", &[("StackName", "stand-in")])
                .unwrap();
            match demo::element(&xml, "StackStatus").as_deref() {
                Some("CREATE_COMPLETE") => break,
                Some("CREATE_IN_PROGRESS") => thread::sleep(Duration::from_millis(10)),
                other => panic!("the stack is {other:?}"),
            }
        }
        hub.put(
            &format!("/{BUCKET}/reports/latest.json"),
            latest.to_string().into_bytes(),
        )
        .unwrap();
        hub.put(&format!("/{BUCKET}/{report}"), rows.join("\n").into_bytes())
            .unwrap();
        "stand-in"
    })
}

const BUCKET: &str = "stand-in-reports";

/// The definition of the state machine, with outputs in the format of plans.
fn definition() -> Value {
    let has = |word: &str| format!("$contains($states.input.clusterArn, '{word}')");
    let pair = json!({
        "outcome": "PLANNED",
        "clusterArn": "{% $states.input.clusterArn %}",
        "workspaceArn": "{% $exists($states.input.workspaceArn) ? $states.input.workspaceArn : null %}",
        "changes": [{
            "action": format!("{{% {} ? 'NONE' : 'CREATE' %}}", has("unchanged")),
            "resource": "scraper", "accountId": SOURCE, "arn": null, "differences": [],
        }],
        "prerequisites": [],
        "wouldFailAs": format!("{{% {} ? 'NotReady' : null %}}", has("failing")),
        "inProgress": null, "warnings": [], "reason": null,
        "plan": format!("{{% {} ? '0e' : '0f' %}}", has("/changed")),
    });
    let fleet = |outcome: &str, verdict: &str| {
        json!({
            "outcome": outcome, "counts": { verdict: 1 }, "report": format!("s3://{BUCKET}/reports/run/report.jsonl"),
            "plan": "0f",
        })
    };
    let end = |output: Value| json!({ "Type": "Pass", "Output": output, "End": true });
    let when = |condition: &str, next: &str| json!({ "Condition": format!("{{% {condition} %}}"), "Next": next });
    json!({
        "QueryLanguage": "JSONata",
        "StartAt": "Plan or apply?",
        "States": {
            "Plan or apply?": {
                "Type": "Choice",
                "Choices": [
                    when("$states.input.mode = 'PLAN' and $exists($states.input.clusterArn)", "Plan pair"),
                    when("$states.input.mode = 'PLAN'", "Plan fleet"),
                    when("$states.input.expectedPlan = '0f' and $exists($states.input.clusterArn)", "Apply pair"),
                    when("$states.input.expectedPlan = '0f'", "Apply fleet"),
                ],
                "Default": "Plan changed",
            },
            "Plan pair": end(pair),
            "Plan fleet": end(fleet("PLANNED", "WOULD_ONBOARD")),
            "Apply pair": end(json!({ "outcome": "ONBOARDED", "scraperArn": "arn:scraper" })),
            "Apply fleet": end(fleet("RECONCILED", "ONBOARDED")),
            "Plan changed": { "Type": "Fail", "Error": "PlanChanged", "Cause": "The plan is another one." },
        },
    })
}

fn run_on_stand_in(arguments: &[&str]) -> Output {
    run_on_cloud(&[arguments, &["--hub", stand_in()]].concat())
}

#[test]
fn a_plan_is_shown_and_an_approved_plan_is_applied() {
    let plan = run_on_stand_in(&["plan", CLUSTER, WORKSPACE]);
    assert_eq!(code(&plan), 0, "{plan:?}");
    let expected = format!(
        "Cluster    {CLUSTER}\nWorkspace  {WORKSPACE}\n\n  + create scraper in account 222222222222\n\nPlan: 1 to \
         create, 0 to update, 0 to delete.\nFingerprint: 0f\n"
    );
    assert_eq!(printed(&plan), expected);
    let plan = run_on_stand_in(&["plan", CLUSTER, "--offboard", "--json"]);
    assert_eq!(document(&plan)["workspaceArn"], Value::Null);

    let onboarded = run_on_stand_in(&["onboard", CLUSTER, WORKSPACE, "--yes"]);
    assert_eq!(code(&onboarded), 0, "{onboarded:?}");
    assert!(
        printed(&onboarded).ends_with("ONBOARDED\n  scraper     arn:scraper\n"),
        "{onboarded:?}"
    );
    let states = problem(&onboarded);
    assert!(
        states.contains("Plan pair") && states.contains("Apply pair"),
        "{states}"
    );
    let offboarded = run_on_stand_in(&["offboard", CLUSTER, "--yes", "--json"]);
    let offboarded = document(&offboarded);
    assert_eq!(offboarded["execution"]["status"], "SUCCEEDED");
    assert_eq!(offboarded["plan"]["plan"], "0f");
}

/// Runs `ampxa` on a terminal of its own (script of util-linux), with an answer to its question.
fn answered(arguments: &[&str], answer: &str) -> (i32, String) {
    let command = ampxa(arguments);
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<String> = words.map(|word| format!("'{}'", word.to_str().unwrap())).collect();
    let mut script = Command::new("script")
        .args(["-qec", &words.join(" "), "/dev/null"])
        .env("NO_COLOR", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // The standard input stays open until the end, as that of a terminal.
    let mut input = script.stdin.take().unwrap();
    input.write_all(answer.as_bytes()).unwrap();
    let output = script.wait_with_output().unwrap();
    drop(input);
    (code(&output), printed(&output))
}

#[test]
fn only_a_plan_that_is_approved_on_the_terminal_is_applied() {
    let url = deployment().cloud.url.as_str();
    let command = [
        "onboard",
        CLUSTER,
        WORKSPACE,
        "--hub",
        stand_in(),
        "--local-cloud",
        url,
        "--minute",
        "0.05",
    ];
    let (exit, text) = answered(&command, "n\n");
    assert!(
        exit == 1 && text.contains("Apply these changes? [y/N]"),
        "{exit} {text}"
    );
    assert!(
        text.contains("Nothing was changed.") && !text.contains("ONBOARDED"),
        "{text}"
    );
    let (exit, text) = answered(&command, "y\n");
    assert!(exit == 0 && text.contains("ONBOARDED"), "{exit} {text}");
}

#[test]
fn a_plan_without_changes_starts_nothing() {
    let unchanged = CLUSTER.replace("payments-prod", "unchanged");
    let answer = run_on_stand_in(&["onboard", &unchanged, WORKSPACE, "--yes"]);
    assert_eq!(code(&answer), 0, "{answer:?}");
    assert!(printed(&answer).contains("No changes."), "{answer:?}");
    assert!(!problem(&answer).contains("Apply pair"), "{answer:?}");
}

#[test]
fn a_plan_that_would_fail_or_has_changed_exits_with_3() {
    let failing = CLUSTER.replace("payments-prod", "failing");
    for command in [&["plan"][..], &["onboard", "--yes"]] {
        let answer = run_on_stand_in(&[command, &[&failing, WORKSPACE]].concat());
        assert_eq!(code(&answer), 3, "{answer:?}");
        assert!(
            printed(&answer).contains("The execution would fail as NotReady."),
            "{answer:?}"
        );
    }
    let changed = CLUSTER.replace("payments-prod", "changed");
    let answer = run_on_stand_in(&["onboard", &changed, WORKSPACE, "--yes"]);
    assert_eq!(code(&answer), 3, "{answer:?}");
    assert!(
        problem(&answer).ends_with("PlanChanged: The plan is another one.\n"),
        "{answer:?}"
    );
}

#[test]
fn a_reconciliation_is_planned_and_applied() {
    let plan = run_on_stand_in(&["plan", "--organization"]);
    assert_eq!(code(&plan), 0, "{plan:?}");
    assert!(
        printed(&plan).ends_with(
            "WOULD_ONBOARD 1\n\nReport: s3://stand-in-reports/reports/run/report.jsonl\n\nFingerprint: 0f\n"
        )
    );
    let applied = run_on_stand_in(&["reconcile", "--accounts", SOURCE, "--yes", "--json"]);
    assert_eq!(code(&applied), 0, "{applied:?}");
    let applied = document(&applied);
    assert_eq!(applied["execution"]["output"]["outcome"], "RECONCILED");
    assert_eq!(applied["planned"]["rows"].as_array().unwrap().len(), 2);
}

#[test]
fn the_last_report_is_printed_as_text_csv_and_json() {
    let text = printed(&run_on_stand_in(&["report"]));
    assert!(
        text.contains("1 of 2 clusters are connected (50.0 %).\nFAILED 1, UNCHANGED 1"),
        "{text}"
    );
    let csv = printed(&run_on_stand_in(&["report", "--csv", "--verdict", "FAILED"]));
    let expected = format!(
        "account,region,cluster,workspace,verdict,error,reason,fix,resource\r\n\"{SOURCE}\",\"us-west-2\",\"{CLUSTER}\",\
         \"{WORKSPACE}\",\"FAILED\",\"\",\"'=1+1\",\"\",\"\"\r\n"
    );
    assert_eq!(csv, expected);
    let report = document(&run_on_stand_in(&["report", "--json"]));
    assert_eq!(report["rows"].as_array().unwrap().len(), 2);
    let status = run_on_stand_in(&["status"]);
    assert_eq!(code(&status), 0, "{status:?}");
    let status = run_on_stand_in(&["status", "--check", "--json"]);
    assert_eq!((code(&status), &document(&status)["coverage"]["seen"]), (1, &json!(2)));
}

#[tokio::test]
async fn a_cluster_is_connected_repaired_and_disconnected_as_planned() {
    let accounts = deployment().accounts(SOURCE, TARGET);
    let request = with(&accounts.pair("commanded").await, json!({ "checkIngestion": "SKIP" }));
    let [cluster, workspace] = ["clusterArn", "workspaceArn"].map(|field| request[field].as_str().unwrap());
    let plan = run_on_cloud(&["plan", cluster, workspace]);
    assert_eq!(code(&plan), 0, "{plan:?}");
    let text = printed(&plan);
    for expected in [
        "  + create source role in account 222222222222",
        "  + create target role in account 333333333333",
        "  + create scraper in account 222222222222",
        "Plan: 3 to create, 0 to update, 0 to delete.",
    ] {
        assert!(
            text.lines().any(|line| line == expected),
            "no line {expected:?} in\n{text}"
        );
    }
    let further = table("request-of-a-command", &json!({ "checkIngestion": "SKIP" }));
    let onboarded = run_on_cloud(&["onboard", cluster, workspace, "--request", &further, "--yes", "--json"]);
    assert_eq!(code(&onboarded), 0, "{onboarded:?}");
    let output = document(&onboarded)["execution"]["output"].clone();
    assert_eq!(output["outcome"], "ONBOARDED", "{output}");

    let unchanged = run_on_cloud(&["onboard", cluster, workspace, "--yes"]);
    assert!(
        code(&unchanged) == 0 && printed(&unchanged).contains("No changes."),
        "{unchanged:?}"
    );
    let untag = accounts.source.amp().untag_resource();
    let untag = untag.resource_arn(output["scraperArn"].as_str().unwrap());
    untag.tag_keys("ampxa:origin").send().await.unwrap();
    let drifted = printed(&run_on_cloud(&["plan", cluster, workspace]));
    assert!(
        drifted.contains("  ~ update scraper in account 222222222222"),
        "{drifted}"
    );
    let repaired = run_on_cloud(&["onboard", cluster, workspace, "--yes"]);
    assert!(
        code(&repaired) == 0 && printed(&repaired).contains("REPAIRED"),
        "{repaired:?}"
    );

    let removal = printed(&run_on_cloud(&["plan", cluster, workspace, "--offboard"]));
    assert!(
        removal.contains("Plan: 0 to create, 0 to update, 3 to delete."),
        "{removal}"
    );
    let offboarded = run_on_cloud(&["offboard", cluster, workspace, "--yes"]);
    assert!(
        code(&offboarded) == 0 && printed(&offboarded).contains("OFFBOARDED"),
        "{offboarded:?}"
    );
    let again = run_on_cloud(&["offboard", cluster, workspace, "--yes"]);
    assert!(
        code(&again) == 0 && printed(&again).contains("No changes."),
        "{again:?}"
    );

    let mut unprepared = demo::Cluster::named("commanded-unprepared");
    unprepared.private_access = false;
    let request = accounts.pair_of(&unprepared).await;
    let cluster = request["clusterArn"].as_str().unwrap();
    for command in [&["plan"][..], &["onboard", "--yes"]] {
        let answer = run_on_cloud(&[command, &[cluster, workspace]].concat());
        assert_eq!(code(&answer), 3, "{answer:?}");
        assert!(printed(&answer).contains("aws eks update-cluster-config"), "{answer:?}");
    }
}

#[tokio::test]
async fn an_execution_is_followed_and_continues_after_an_interruption() {
    let accounts = deployment().accounts(SOURCE, TARGET);
    let request = json!({ "clusterArn": CLUSTER, "workspaceArn": WORKSPACE });
    let failed = accounts.onboard(&request).await;
    let answer = run_on_cloud(&["follow", &failed.arn, "--json"]);
    assert_eq!(code(&answer), 1, "{answer:?}");
    assert_eq!(document(&answer)["error"], json!(failed.error));
    assert!(problem(&answer).contains("Check request"), "{answer:?}");

    let stuck = demo::Cluster::named("followed").tag("local:activation-minutes", "100000");
    let request = accounts.pair_of(&stuck).await;
    let running = execution::start(&accounts.hub, &deployment().onboard_arn, &request).await;
    let running = running.unwrap();
    let url = deployment().cloud.url.as_str();
    let mut follow = ampxa(&["follow", &running, "--local-cloud", url, "--minute", "0.05"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(follow.stderr.take().unwrap())
        .lines()
        .map(Result::unwrap);
    assert!(lines.any(|line| line.ends_with("Check request")));
    let interrupt = ["-INT", &follow.id().to_string()].map(str::to_owned);
    assert!(Command::new("kill").args(interrupt).status().unwrap().success());
    assert_eq!(follow.wait().unwrap().code(), Some(130));
    let last: Vec<String> = lines.collect();
    let expected = format!("  ampxa follow {running} --local-cloud {url} --minute 0.05");
    assert!(last.contains(&expected), "{last:?}");
    let status = execution::look(&accounts.hub, &running).await.unwrap().status;
    assert_eq!(status.as_str(), "RUNNING");
    let stop = accounts.hub.sfn().stop_execution().execution_arn(&running);
    stop.send().await.unwrap();
}
