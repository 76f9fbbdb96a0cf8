//! A function's whole process, given hostile events: it answers every one, lives on, and logs one
//! line of JSON for each.

use crate::{hostile_texts, with};
use serde_json::{Value, json};
use std::{
    collections::VecDeque,
    io::{self, BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Command, Stdio},
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

/// Only against a process that hangs: it takes milliseconds an event.
const PATIENCE: Duration = Duration::from_secs(120);

/// What the function answered to an event.
struct Answer {
    is_error: bool,
    body: Value,
}

/// Gives a function events, one after the other; its answers, and the lines of its log.
fn run(program: &str, events: &[Vec<u8>]) -> (Vec<Answer>, Vec<String>) {
    run_in(program, events, &[])
}

/// The same with more in its environment.
fn run_in(program: &str, events: &[Vec<u8>], environment: &[(&str, &str)]) -> (Vec<Answer>, Vec<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let queue = Arc::new(Mutex::new(VecDeque::from(events.to_vec())));
    let (tell, heard) = mpsc::channel();
    thread::spawn(move || {
        for connection in listener.incoming() {
            let (queue, tell) = (Arc::clone(&queue), tell.clone());
            // It ends with the connection.
            thread::spawn(move || while let Ok(true) = serve(connection.as_ref().unwrap(), &queue, &tell) {});
        }
    });
    let mut child = Command::new(program)
        .env_clear()
        .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
        .env("AWS_LAMBDA_FUNCTION_NAME", "hostile")
        .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
        .env("AWS_LAMBDA_LOG_GROUP_NAME", "hostile")
        .env("AWS_LAMBDA_LOG_STREAM_NAME", "hostile")
        .envs(environment.iter().copied())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let stdout = child.stdout.take().unwrap();
    let log = thread::spawn(move || {
        BufReader::new(stdout)
            .split(b'\n')
            .collect::<io::Result<Vec<_>>>()
            .unwrap()
    });
    let mut answers = Vec::new();
    while answers.len() < events.len() {
        match heard.recv_timeout(PATIENCE) {
            Ok(answer) => answers.push(answer),
            Err(why) => {
                let _ = child.kill();
                panic!("no answer to event {}: {why}", answers.len());
            }
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let lines = log.join().unwrap();
    (
        answers,
        lines.into_iter().map(|line| String::from_utf8(line).unwrap()).collect(),
    )
}

/// One request to Lambda's Runtime API; whether there may be another on this connection.
fn serve(
    mut connection: &TcpStream,
    queue: &Mutex<VecDeque<Vec<u8>>>,
    tell: &mpsc::Sender<Answer>,
) -> io::Result<bool> {
    let (head, body) = read(connection)?;
    if head.starts_with("get ") {
        let Some(event) = queue.lock().unwrap().pop_front() else {
            return Ok(false);
        };
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
             lambda-runtime-aws-request-id: r\r\nlambda-runtime-deadline-ms: 99999999999999\r\n\
             lambda-runtime-invoked-function-arn: arn:aws:lambda:us-west-2:111111111111:function:hostile\r\n\r\n",
            event.len()
        );
        connection.write_all(head.as_bytes())?;
        connection.write_all(&event)?;
        return Ok(true);
    }
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let answer = Answer {
        is_error: !path.ends_with("/response"),
        body: serde_json::from_slice(&body).unwrap_or_else(|why| panic!("{path}: {why}")),
    };
    connection.write_all(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n")?;
    Ok(tell.send(answer).is_ok())
}

/// A request: its head in small letters, and its body.
fn read(mut connection: &TcpStream) -> io::Result<(String, Vec<u8>)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        connection.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let mut body = vec![0; length.map_or(0, |length| length.trim().parse().unwrap())];
    connection.read_exact(&mut body)?;
    Ok((head, body))
}

/// An AWS that lets everybody assume every role, with credentials that are secret, and denies everything else.
fn secretive_aws() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            thread::spawn(move || {
                while let Ok((_, body)) = read(&connection) {
                    let (status, said) = match body.starts_with(b"Action=AssumeRole") {
                        true => ("200 OK", SESSION),
                        false => ("403 Forbidden", r#"{"message":"secret to nobody"}"#),
                    };
                    let length = said.len();
                    let answer =
                        format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nx-amzn-requestid: r-1\r\n\r\n{said}");
                    if connection.write_all(answer.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    url
}

const SESSION: &str = "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASIASECRET</AccessKeyId>\
    <SecretAccessKey>secret-of-the-session</SecretAccessKey><SessionToken>token-of-the-session</SessionToken>\
    <Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>";

#[test]
fn the_log_tells_of_calls_and_of_no_credentials() {
    let url = secretive_aws();
    let environment = [
        ("AWS_ENDPOINT_URL", url.as_str()),
        ("AWS_REGION", "us-west-2"),
        ("AWS_ACCESS_KEY_ID", "AKIASECRET"),
        ("AWS_SECRET_ACCESS_KEY", "secret-of-the-function"),
        ("AWS_SESSION_TOKEN", "token-of-the-function"),
    ];
    let request = json!({ "clusterArn": crate::CLUSTER, "workspaceArn": crate::WORKSPACE });
    let event = json!({ "request": request, "execution": "e" }).to_string().into_bytes();
    let (answers, lines) = run_in(env!("CARGO_BIN_EXE_check-cluster"), &[event], &environment);
    assert_eq!(answers[0].body["errorType"], "Refused");
    let line: Value = serde_json::from_str(&lines[0]).unwrap();
    let account = |arn: &str| arn.split(':').nth(4).unwrap().to_owned();
    let calls = json!([
        { "service": "sts", "call": "AssumeRole", "account": null, "status": 200, "requestId": "r-1" },
        { "service": "sts", "call": "AssumeRole", "account": null, "status": 200, "requestId": "r-1" },
        { "service": "eks", "call": "GET /clusters/*", "account": account(crate::CLUSTER), "status": 403, "requestId": "r-1" },
    ]);
    assert_eq!(line["calls"], calls);
    let everything = format!("{lines:?} {}", answers[0].body);
    for secret in ["AKIASECRET", "ASIASECRET", "secret-of-", "token-of-"] {
        assert!(!everything.contains(secret), "{secret} is told: {everything}");
    }
}

/// Events that are JSON, whatever else they are.
fn events() -> Vec<Value> {
    let mut events: Vec<Value> = ["null", "1", "\"x\"", "[]", "{}", "[[]]"]
        .map(|text| serde_json::from_str(text).unwrap())
        .into();
    for text in hostile_texts() {
        // One that is very long is read once: here it is about what is said of it.
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
    for (program, step) in [
        (env!("CARGO_BIN_EXE_check-request"), "check-request"),
        (env!("CARGO_BIN_EXE_check-offboarding"), "check-offboarding"),
    ] {
        let raw: Vec<_> = events.iter().map(|event| event.to_string().into_bytes()).collect();
        let (answers, lines) = run(program, &raw);
        assert_eq!(lines.len(), events.len(), "{step}");
        for ((event, answer), line) in events.iter().zip(&answers).zip(&lines) {
            let logged: Value = serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}"));
            let (outcome, message) = match answer.is_error {
                true => (&answer.body["errorType"], answer.body["errorMessage"].clone()),
                false => (&json!("Done"), json!("")),
            };
            // A step of a sweep is handed the cluster outside of any request.
            let told = |name: &str| {
                let mut places = [&event["request"][name], &event[name]].into_iter();
                places.find(|value| value.is_string()).cloned()
            };
            let expected = json!({
                "step": step,
                "execution": event["execution"],
                "clusterArn": told("clusterArn"),
                "workspaceArn": told("workspaceArn"),
                "calls": [],
                "requestId": "r",
                "outcome": outcome,
                "message": message,
            });
            assert_eq!(logged, expected);
            assert!(["Done", "InvalidRequest"].map(Value::from).contains(outcome), "{line}");
        }
    }
}

#[test]
fn an_event_that_cannot_be_read_is_an_error_and_the_next_one_is_answered() {
    let request = |field: &str| {
        let (cluster, workspace) = (crate::CLUSTER, crate::WORKSPACE);
        let text = format!(r#"{{"request": {{"clusterArn": "{cluster}", "workspaceArn": "{workspace}", {field}}}}}"#);
        text.into_bytes()
    };
    let deep = |open: &str, close: &str| format!("{}1{}", open.repeat(10_000), close.repeat(10_000));
    let unreadable = [
        request(&format!("\"tags\": {}", deep("[", "]"))),
        request(&format!("\"tags\": {}", deep("{\"a\":", "}"))),
        request("\"alias\": \"\\ud800\""),
        request("\"alias\": \"\\udc00\\ud800\""),
        request("\"activationTimeoutMinutes\": 1e400"),
        request("\"activationTimeoutMinutes\": -1e400"),
        request("\"alias\": \"\u{0}\""),
        b"{\"request\": \"\xff\"}".to_vec(),
        b"{".to_vec(),
        Vec::new(),
    ];
    let mut events = Vec::new();
    for event in unreadable {
        events.extend([event, request("\"alias\": \"a\"")]);
    }
    let (answers, lines) = run(env!("CARGO_BIN_EXE_check-request"), &events);
    for (position, pair) in answers.chunks(2).enumerate() {
        assert!(
            pair[0].is_error && pair[0].body["errorMessage"].is_string(),
            "event {position}"
        );
        assert!(!pair[1].is_error, "after event {position}: {}", pair[1].body);
    }
    // What never reached the step is not its outcome.
    assert_eq!(lines.len(), events.len() / 2);
}

#[test]
fn of_a_key_that_stands_twice_the_last_counts() {
    let event = |request: String| format!("{{\"request\": {request}}}").into_bytes();
    let (cluster, workspace) = (crate::CLUSTER, crate::WORKSPACE);
    let pair = format!(r#""clusterArn": "{cluster}", "workspaceArn": "{workspace}""#);
    let events = [
        event(format!(r#"{{{pair}, "alias": "*", "alias": "a"}}"#)),
        event(format!(r#"{{{pair}, "alias": "a", "alias": "*"}}"#)),
        event(format!(r#"{{{pair}, "clusterArn": "*"}}"#)),
    ];
    let (answers, _) = run(env!("CARGO_BIN_EXE_check-request"), &events);
    assert_eq!(answers[0].body["request"]["alias"], "a");
    assert!(answers[1].is_error && answers[2].is_error);
}
