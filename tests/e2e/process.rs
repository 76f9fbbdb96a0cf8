//! The process of a function, given hostile events: it answers each event, continues to run, and logs one line of JSON
//! for each.

use driver::{
    http::{self, Server},
    project::Project,
    runtime_api::{Answer, Function, REQUEST_ID},
};
use properties::{CLUSTER, WORKSPACE, hostile_texts, with};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Command, Stdio},
    thread,
};

/// Invokes a function with events, one after another; returns its answers and the lines of its log.
fn run(step: &str, events: &[Vec<u8>]) -> (Vec<Answer>, Vec<String>) {
    // Nothing listens on this port: these steps make no calls.
    run_in(step, events, SocketAddr::from(([127, 0, 0, 1], 9)), &[])
}

/// The same with an endpoint of AWS and additional environment variables.
fn run_in(step: &str, events: &[Vec<u8>], aws: SocketAddr, environment: &[(&str, &str)]) -> (Vec<Answer>, Vec<String>) {
    let project = Project::here().unwrap();
    project.build().unwrap();
    let program = Command::new(project.program(step));
    let (mut function, _) = Function::start_with(program, "hostile", aws, environment, Stdio::piped()).unwrap();
    let log = BufReader::new(function.log().unwrap());
    let log = thread::spawn(move || log.lines().map(Result::unwrap).collect());
    let answers = events.iter().map(|event| function.invoke_bytes(event.clone()).unwrap());
    let answers = answers.collect();
    drop(function);
    (answers, log.join().unwrap())
}

/// An AWS that answers each AssumeRole with credentials that must stay secret, and denies every other call.
fn aws_with_secret_credentials() -> Server {
    let answer = |request: http::Request, connection: &mut std::net::TcpStream| {
        let (status, body) = match request.body.starts_with(b"Action=AssumeRole") {
            true => ("200 OK", SESSION),
            false => ("403 Forbidden", r#"{"message":"denied"}"#),
        };
        http::answer(connection, status, &[("x-amzn-requestid", "r-1")], body.as_bytes())
    };
    Server::start(answer).unwrap()
}

const SESSION: &str = "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASIASECRET</AccessKeyId>\
    <SecretAccessKey>secret-of-the-session</SecretAccessKey><SessionToken>token-of-the-session</SessionToken>\
    <Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>";

#[test]
fn the_log_contains_calls_and_no_credentials() {
    let aws = aws_with_secret_credentials();
    let environment = [
        ("AWS_ACCESS_KEY_ID", "AKIASECRET"),
        ("AWS_SECRET_ACCESS_KEY", "secret-of-the-function"),
        ("AWS_SESSION_TOKEN", "token-of-the-function"),
    ];
    let request = json!({ "clusterArn": CLUSTER, "workspaceArn": WORKSPACE });
    let execution = "arn:aws:states:us-west-2:111111111111:execution:ampxa-onboard:e";
    let event = json!({ "request": request, "execution": execution })
        .to_string()
        .into_bytes();
    let (answers, lines) = run_in("check-cluster", &[event], aws.address, &environment);
    assert_eq!(answers[0].body["errorType"], "AccessDenied");
    let line: Value = serde_json::from_str(&lines[0]).unwrap();
    let account = |arn: &str| arn.split(':').nth(4).unwrap().to_owned();
    let calls = json!([
        { "service": "sts", "call": "AssumeRole", "account": null, "status": 200, "requestId": "r-1" },
        { "service": "sts", "call": "AssumeRole", "account": null, "status": 200, "requestId": "r-1" },
        { "service": "eks", "call": "DescribeCluster", "account": account(CLUSTER), "status": 403, "requestId": "r-1" },
        { "service": "aps", "call": "DescribeWorkspace", "account": account(WORKSPACE), "status": 403, "requestId": "r-1" },
        { "service": "aps", "call": "ListScrapers", "account": account(CLUSTER), "status": 403, "requestId": "r-1" },
    ]);
    assert_eq!(line["calls"], calls);
    let everything = format!("{lines:?} {}", answers[0].body);
    for secret in ["AKIASECRET", "ASIASECRET", "secret-of-", "token-of-"] {
        assert!(!everything.contains(secret), "{secret} is disclosed: {everything}");
    }
}

/// Hostile events that are valid JSON.
fn events() -> Vec<Value> {
    let mut events: Vec<Value> = ["null", "1", "\"x\"", "[]", "{}", "[[]]"]
        .map(|text| serde_json::from_str(text).unwrap())
        .into();
    for text in hostile_texts() {
        // A very long text is in one event only: this test is about the log line, and reading such a text takes time.
        if text.len() > 10_000 {
            events.push(json!({ "request": with("alias", text), "execution": "e" }));
            continue;
        }
        for request in [
            json!(text),
            with("alias", text.as_str()),
            with("tags", json!({ text.as_str(): text })),
            with("externalLabels", json!({ "a": text })),
            with("clusterArn", text.as_str()),
            with(&text, text.as_str()),
        ] {
            events.push(json!({ "request": request, "execution": text, text.as_str(): text }));
        }
    }
    events
}

#[test]
fn every_outcome_is_one_line_of_json() {
    let events = events();
    for step in ["check-request", "check-offboarding"] {
        let raw: Vec<_> = events.iter().map(|event| event.to_string().into_bytes()).collect();
        let (answers, lines) = run(step, &raw);
        assert_eq!(lines.len(), events.len(), "{step}");
        for ((event, answer), line) in events.iter().zip(&answers).zip(&lines) {
            let logged: Value = serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}"));
            let (outcome, message) = match answer.error.is_some() {
                true => (&answer.body["errorType"], answer.body["errorMessage"].clone()),
                false => (&json!("Done"), json!("")),
            };
            // The steps of a reconciliation receive the cluster outside of `request`.
            let logged_field = |name: &str| {
                let mut candidates = [&event["request"][name], &event[name]].into_iter();
                candidates.find(|value| value.is_string()).cloned()
            };
            let expected = json!({
                "step": step,
                "version": ampxa::VERSION,
                "execution": event["execution"],
                "clusterArn": logged_field("clusterArn"),
                "workspaceArn": logged_field("workspaceArn"),
                "calls": [],
                "requestId": REQUEST_ID,
                "outcome": outcome,
                "message": message,
            });
            assert_eq!(logged, expected);
            assert!(["Done", "InvalidRequest"].map(Value::from).contains(outcome), "{line}");
        }
    }
}

/// Events in which a field of the request has a value that is JSON, or is not.
fn event_with(field: &str) -> Vec<u8> {
    format!(r#"{{"execution": "e", "request": {{"clusterArn": "{CLUSTER}", "workspaceArn": "{WORKSPACE}", {field}}}}}"#)
        .into_bytes()
}

#[test]
fn json_that_cannot_be_represented_is_an_invalid_request_with_its_line_in_the_log() {
    let deep = |open: &str, close: &str| format!("{}1{}", open.repeat(10_000), close.repeat(10_000));
    let events = [
        event_with(&format!("\"tags\": {}", deep("[", "]"))),
        event_with(&format!("\"tags\": {}", deep("{\"a\":", "}"))),
        event_with("\"alias\": \"\\ud800\""),
        event_with("\"alias\": \"\\udc00\\ud800\""),
        event_with("\"activationTimeoutMinutes\": 1e400"),
        event_with("\"activationTimeoutMinutes\": -1e400"),
    ];
    for step in ["check-request", "check-offboarding", "acquire-lock"] {
        let (answers, lines) = run_in(
            step,
            &events,
            SocketAddr::from(([127, 0, 0, 1], 9)),
            &[("AMPXA_LOCKS", "locks")],
        );
        assert_eq!(lines.len(), events.len(), "{step}");
        for (answer, line) in answers.iter().zip(&lines) {
            assert_eq!(answer.body["errorType"], "InvalidRequest", "{step}: {}", answer.body);
            let message = text(&answer.body["errorMessage"]);
            let field = ["tags", "alias", "activationTimeoutMinutes"]
                .into_iter()
                .find(|field| message.contains(&format!("request.{field}")));
            assert!(field.is_some() && message.len() < 400, "{step}: {message}");
            let line: Value = serde_json::from_str(line).unwrap();
            let logged = json!([
                line["outcome"],
                line["message"],
                line["execution"],
                line["clusterArn"],
                line["workspaceArn"]
            ]);
            assert_eq!(logged, json!(["InvalidRequest", message, "e", CLUSTER, WORKSPACE]));
        }
    }
}

/// Lambda refuses such payloads itself.
#[test]
fn an_event_that_is_not_json_is_an_error_and_the_next_event_is_handled() {
    let unreadable = [
        event_with("\"alias\": \"\u{0}\""),
        b"{\"request\": \"\xff\"}".to_vec(),
        b"{".to_vec(),
        Vec::new(),
    ];
    let mut events = Vec::new();
    for event in unreadable {
        events.extend([event, event_with("\"alias\": \"a\"")]);
    }
    let (answers, lines) = run("check-request", &events);
    for (position, pair) in answers.chunks(2).enumerate() {
        assert!(
            pair[0].error.is_some() && pair[0].body["errorMessage"].is_string(),
            "event {position} was accepted"
        );
        assert!(pair[1].error.is_none(), "after event {position}: {}", pair[1].body);
    }
    // An event that never reached the step has no line in the log.
    assert_eq!(lines.len(), events.len() / 2);
}

#[test]
fn two_equal_keys_are_refused_with_their_name() {
    for (field, message) in [
        (r#""alias": "a", "alias": "a""#, r#"request: duplicate key "alias""#),
        (
            r#""tags": {"team": "a", "team": "b"}"#,
            r#"request.tags: duplicate key "team""#,
        ),
        (r#""clusterArn": "*""#, r#"request: duplicate key "clusterArn""#),
    ] {
        let (answers, _) = run("check-request", &[event_with(field)]);
        assert_eq!(answers[0].body["errorType"], "InvalidRequest");
        assert!(
            text(&answers[0].body["errorMessage"]).starts_with(message),
            "{}",
            answers[0].body
        );
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[test]
fn a_missing_environment_variable_is_named_when_the_function_starts() {
    let project = Project::here().unwrap();
    project.build().unwrap();
    for (step, variable) in [
        ("acquire-lock", "AMPXA_LOCKS"),
        ("check-cluster", "AMPXA_SCRAPER_QUOTA"),
        ("route-event", "AMPXA_ROUTES"),
        ("record-outcome", "AMPXA_HUB"),
    ] {
        let mut program = Command::new(project.program(step));
        program
            .env_clear()
            .envs([("AWS_REGION", "us-west-2"), ("AMPXA_TRUST", "AMAZON")]);
        let ended = program.output().unwrap();
        let log = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(!ended.status.success() && log.contains(variable), "{step}: {log}");
    }
}
