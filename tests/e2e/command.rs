//! The commands as a person or a script runs them: what they print, how they exit, and that no process is left.

use crate::deployment::deployment;
use ampxa_cli::{account::Account, execution};
use driver::{REGION, SOURCE, TARGET, demo, deploy, project::Project};
use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
    sync::Once,
    thread,
    time::{Duration, Instant},
};

/// A program of this repository: `ampxa`, or `driver`, which `cargo run -p local` executes.
fn program(name: &str, arguments: &[&str]) -> Command {
    static BUILT: Once = Once::new();
    BUILT.call_once(|| Project::here().unwrap().build().unwrap());
    let mut command = Command::new(local::programs().join(name));
    command.args(arguments).stdin(Stdio::null());
    command
}

fn driver(arguments: &[&str]) -> Command {
    program("driver", arguments)
}

/// `ampxa` with these arguments.
pub fn ampxa(arguments: &[&str]) -> Command {
    program("ampxa", arguments)
}

/// The commands of the AWS CLI in a cause, in their order.
pub fn commands_of(cause: &str) -> Vec<&str> {
    let lines = cause.lines().map(str::trim);
    lines.filter(|line| line.starts_with("aws ")).collect()
}

/// Runs a command of the AWS CLI, as the root user of an account.
///
/// # Errors
/// The text on the standard error stream, if the command fails.
pub fn run_command(account: &Account, command: &str) -> Result<(), String> {
    let project = Project::here().unwrap();
    let python = project.python(&ampxa_cli::terminal::Report::quiet()).unwrap();
    let arguments = command.strip_prefix("aws").unwrap();
    let run = Command::new("sh")
        .args(["-c", &format!("{}{arguments}", python.aws_cli().display())])
        .envs(deploy::environment(&deployment().cloud, &account.id))
        .output()
        .unwrap();
    match run.status.success() {
        true => Ok(()),
        false => Err(format!("{command}: {}", String::from_utf8_lossy(&run.stderr))),
    }
}

/// The descendants of a process, by the parents in `/proc`.
fn descendants(of: u32) -> Vec<u32> {
    let parent = |pid: u32| -> Option<u32> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
    };
    let all: Vec<u32> = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    let mut found = vec![of];
    let mut i = 0;
    while i < found.len() {
        let one = found[i];
        found.extend(all.iter().copied().filter(|pid| parent(*pid) == Some(one)));
        i += 1;
    }
    found.split_off(1)
}

fn alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')')
        .is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

/// Starts `up` and waits until it is ready; returns its process and its lines that begin with `export`.
fn up(arguments: &[&str]) -> (Child, Vec<String>) {
    let mut up = driver(&[&["up"], arguments].concat())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(up.stdout.take().unwrap()).lines();
    assert!(
        lines.any(|line| line.unwrap() == "ready"),
        "`up` did not print the line ready"
    );
    let exports = lines
        .by_ref()
        .map(Result::unwrap)
        .take_while(|line| line.starts_with("export "))
        .collect();
    // The rest of the output is read, so that a full pipe cannot block the process.
    thread::spawn(move || lines.for_each(drop));
    (up, exports)
}

/// Starts `up`, ends it by a signal, and asserts that all processes that it started end.
fn assert_no_process_is_left_after(signal: &str) {
    let (mut up, exports) = up(&[]);
    for name in [
        "AWS_ENDPOINT_URL=http://127.0.0.1:",
        "AWS_ACCESS_KEY_ID=111111111111",
        "AWS_DEFAULT_REGION=us-west-2",
    ] {
        assert!(
            exports.iter().any(|line| line.contains(name)),
            "no {name} in {exports:?}"
        );
    }
    let started = descendants(up.id());
    assert!(!started.is_empty(), "`up` started no process");
    kill(&up, signal);
    up.wait().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while started.iter().any(|pid| alive(*pid)) {
        assert!(Instant::now() < deadline, "processes are left after SIG{signal}");
        thread::sleep(Duration::from_millis(50));
    }
}

fn kill(child: &Child, signal: &str) {
    let sent = Command::new("kill")
        .args([&format!("-{signal}"), &child.id().to_string()])
        .status();
    assert!(sent.unwrap().success());
}

#[test]
fn onboard_with_json_prints_one_document_and_nothing_else() {
    let mut run = driver(&["onboard", "--json", "--minute", "0.05"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut output, mut progress) = (String::new(), String::new());
    run.stdout.take().unwrap().read_to_string(&mut output).unwrap();
    run.stderr.take().unwrap().read_to_string(&mut progress).unwrap();
    assert!(run.wait().unwrap().success(), "{progress}");
    let document: Value = serde_json::from_str(&output).unwrap();
    assert_eq!(document["status"], "SUCCEEDED");
    let text = |pointer: &str| {
        document
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_else(|| panic!("no {pointer}"))
    };
    assert!(text("/executionArn").contains(":execution:ampxa-onboard:"));
    assert_eq!(text("/output/scraperArn"), text("/scraperArn"));
    assert!(text("/workspaceArn").contains(":333333333333:workspace/"));
    for (side, account) in [("source", "222222222222"), ("target", "333333333333")] {
        assert_eq!(text(&format!("/roles/{side}/accountId")), account);
        assert_eq!(
            text(&format!("/output/{side}RoleArn")),
            text(&format!("/roles/{side}/arn"))
        );
        assert!(
            document["roles"][side]["trustPolicy"]
                .to_string()
                .contains(text("/scraperArn"))
        );
        assert!(!document["roles"][side]["policies"].as_array().unwrap().is_empty());
    }
    for time in ["wall", "activation", "pollLag", "overhead"] {
        assert!(document["seconds"][time].is_number(), "no {time}");
    }
    let samples = document["samples"].as_array().unwrap();
    assert!(!samples.is_empty());
    for sample in samples {
        let labels = &sample["metric"];
        assert_eq!(labels["clusterArn"], "arn:aws:eks:us-west-2:222222222222:cluster/demo");
        assert_eq!(
            (&labels["cluster"], &labels["accountId"]),
            (&"demo".into(), &"222222222222".into())
        );
        assert_eq!(labels["region"], "us-west-2");
    }
    assert_eq!(document["output"]["ingestion"]["result"], "RECEIVING");
    let installed = Command::new("prometheus").arg("--version").output().is_ok();
    assert_eq!(
        document["prometheus"].is_string(),
        installed,
        "{}",
        document["prometheus"]
    );
    let page = std::fs::read_to_string(text("/page")).unwrap();
    assert!(
        page.contains(text("/scraperArn")),
        "the page does not contain the scraper of this run"
    );
    for state in [
        "Check request",
        "Ensure target role",
        "Patch trust policies",
        "SUCCEEDED",
    ] {
        assert!(
            progress.contains(state),
            "the progress does not contain {state}:\n{progress}"
        );
    }
}

#[test]
fn the_last_line_of_onboard_is_the_path_of_its_page() {
    let page = format!("{}/last-line.html", env!("CARGO_TARGET_TMPDIR"));
    let run = driver(&["onboard", "--minute", "0.05", "--page", &page])
        .output()
        .unwrap();
    let printed = String::from_utf8(run.stdout).unwrap();
    assert!(run.status.success(), "{printed}");
    assert_eq!(printed.lines().last(), Some(page.as_str()));
    assert!(fs::read_to_string(page).unwrap().contains("SUCCEEDED"));
}

/// Runs `ampxa`; returns whether it succeeded, and what it printed.
fn run_ampxa(arguments: &[&str]) -> (bool, String) {
    let run = ampxa(arguments).output().unwrap();
    let output = [run.stdout, run.stderr].concat();
    (run.status.success(), String::from_utf8(output).unwrap())
}

/// `ampxa status` and `ampxa page` against a running cloud. The pages stay in the build directory, where CI opens them
/// in a browser later.
#[tokio::test]
async fn status_lists_pairs_and_page_shows_executions() {
    let (mut cloud, exports) = up(&["--minute", "0.05"]);
    let url = exports
        .iter()
        .find_map(|line| line.strip_prefix("export AWS_ENDPOINT_URL="))
        .unwrap();
    let [hub, source, target] = ["111111111111", SOURCE, TARGET].map(|id| Account::new(url, id, REGION));
    let workspace = demo::workspace(&target, "shared").await.unwrap();
    let onboard = "arn:aws:states:us-west-2:111111111111:stateMachine:ampxa-onboard";
    let mut runs = Vec::new();
    for name in ["first", "second"] {
        let cluster = demo::Cluster::named(name).make(&source).await.unwrap();
        let input = json!({ "clusterArn": cluster, "workspaceArn": workspace });
        runs.push(execution::run(&hub, onboard, &input).await.unwrap());
        assert!(runs.iter().all(|run| run.output.is_some()), "{runs:?}");
    }

    // Samples of both clusters arrive in one workspace. Their labels distinguish the clusters.
    let deadline = Instant::now() + Duration::from_secs(120);
    let status = ["status", "--live", "--local-cloud", url, "--check"];
    while !run_ampxa(&status).0 {
        assert!(Instant::now() < deadline, "{}", run_ampxa(&status).1);
    }
    let fleet = ampxa(&["status", "--live", "--local-cloud", url, "--json"])
        .stderr(Stdio::null())
        .output()
        .unwrap();
    let fleet: Value = serde_json::from_slice(&fleet.stdout).unwrap();
    assert_eq!(fleet["pairs"].as_array().unwrap().len(), 2);
    let series = target.query(workspace.rsplit('/').next().unwrap(), "up").unwrap();
    for (pair, run) in fleet["pairs"].as_array().unwrap().iter().zip(&runs) {
        assert_eq!(pair["scraperArn"], run.output.as_ref().unwrap()["scraperArn"]);
        assert_eq!((&pair["fine"], &pair["drift"]), (&json!(true), &json!([])));
        assert_eq!(pair["samples"], json!({ "targets": 3, "up": 3 }));
        let of_cluster = series
            .iter()
            .filter(|one| one["metric"]["clusterArn"] == pair["clusterArn"]);
        let labels = of_cluster.map(|one| &one["metric"]);
        let name = pair["clusterArn"].as_str().unwrap().rsplit('/').next().unwrap();
        let expected = labels
            .filter(|labels| labels["cluster"] == name && labels["accountId"] == SOURCE && labels["region"] == REGION);
        assert_eq!(expected.count(), 3, "{series:?}");
    }

    let file = |name: &str| format!("{}/{name}.html", env!("CARGO_TARGET_TMPDIR"));
    let page = |arn: &str, name: &str| {
        let file = file(name);
        let run = run_ampxa(&["page", arn, "--local-cloud", url, "--minute", "0.05", "--page", &file]);
        (run, fs::read_to_string(file).unwrap_or_default())
    };
    let ((success, printed), html) = page(&runs[0].arn, "of-an-execution");
    assert!(success, "{printed}");
    let output = runs[0].output.as_ref().unwrap();
    for part in [
        output["scraperArn"].as_str().unwrap(),
        "Before: the placeholder trust policy.",
        "<td>patch-trust-policies</td><td>222222222222</td><td>iam: UpdateAssumeRolePolicy</td>",
        "<td>create-scraper</td><td>222222222222</td><td>aps: CreateScraper</td>",
    ] {
        assert!(html.contains(part), "no {part} in {html}");
    }
    assert_eq!(
        html.matches("<ins>").count(),
        2,
        "expected one changed line of each trust policy: {html}"
    );
    let installed = Command::new("prometheus").arg("--version").output().is_ok();
    assert_eq!(html.contains("<polyline"), installed, "{html}");
    // The scale of the plot ends at three, the number of targets.
    assert_eq!(html.contains(">3</text>"), installed, "{html}");

    let missing = workspace.replace("/ws-", "/ws-0000");
    let input = json!({ "clusterArn": output["clusterArn"], "workspaceArn": missing });
    let failed = execution::run(&hub, onboard, &input).await.unwrap();
    let ((success, printed), html) = page(&failed.arn, "of-a-failure");
    assert!(
        success && html.contains("FAILED") && html.contains(&format!("{missing} does not exist")),
        "{printed}{html}"
    );
    assert_eq!(html.matches("The role does not exist.").count(), 2);

    let stuck = demo::Cluster::named("stuck").tag("local:activation-minutes", "100000");
    let stuck = stuck.make(&source).await.unwrap();
    let input = json!({ "clusterArn": stuck, "workspaceArn": workspace });
    let running = execution::start(&hub, onboard, &input).await.unwrap();
    while !execution::look(&hub, &running)
        .await
        .unwrap()
        .states
        .iter()
        .any(|state| state.name == "Check scraper")
    {
        assert!(
            Instant::now() < deadline + Duration::from_secs(120),
            "the execution did not reach Check scraper"
        );
    }
    let ((success, printed), html) = page(&running, "of-one-that-runs");
    assert!(success && html.contains("RUNNING</span> for"), "{printed}{html}");

    let ((success, printed), _) = page(&running.replace("ampxa-onboard", "ampxa-reconcile"), "none");
    assert!(
        !success && printed.contains("a page shows one of ampxa-onboard"),
        "{printed}"
    );
    let (success, printed) = run_ampxa(&["status", "--live", "--local-cloud", url, "--accounts", "12345"]);
    assert!(!success && printed.contains("12 digits"), "{printed}");

    let (without_secret, _) = url.rsplit_once('/').unwrap();
    let (success, printed) = run_ampxa(&["status", "--live", "--local-cloud", without_secret]);
    let why = format!("{without_secret} answered 403 Forbidden: The path must begin with the secret");
    assert!(!success && printed.starts_with(&why), "{printed}");
    assert_eq!(printed.trim().lines().count(), 1, "{printed}");

    // `status` with the credentials of one account.
    let status_as_444444444444 = |arguments: &[&str]| {
        let mut command = ampxa(&[&["status", "--live", "--regions", "us-west-2", "--accounts"], arguments].concat());
        command.envs([("AWS_ACCESS_KEY_ID", "444444444444"), ("AWS_SECRET_ACCESS_KEY", "test")]);
        let services = ["STS", "IAM", "AMP"].map(|service| (format!("AWS_ENDPOINT_URL_{service}"), url));
        let answer = command.envs(services).output().unwrap();
        (answer.status.success(), String::from_utf8(answer.stdout).unwrap())
    };
    // `--check` fails if no pair exists, or if an account lacks the roles of ampxa.
    let (success, printed) = run_ampxa(&[
        "status",
        "--live",
        "--local-cloud",
        url,
        "--check",
        "--accounts",
        "444444444444",
    ]);
    assert!(
        !success && printed.contains("0 pairs in account 444444444444"),
        "{printed}"
    );
    assert!(
        printed.contains("The account 444444444444 has no role ampxa-reader-source"),
        "{printed}"
    );
    let (success, printed) = status_as_444444444444(&["444444444444"]);
    assert!(
        success && printed.contains("0 pairs in account 444444444444, us-west-2"),
        "{printed}"
    );
    let (success, printed) = status_as_444444444444(&["444444444444,222222222222"]);
    let why = "NOT CHECKED: account 222222222222: the credentials are of account 444444444444";
    assert!(!success && printed.contains(why), "{printed}");
    let (success, printed) = status_as_444444444444(&["222222222222", "--role-name", "missing"]);
    let why = "role/missing cannot be assumed: sts:AssumeRole failed with AccessDenied";
    assert!(!success && printed.contains(why), "{printed}");
    kill(&cloud, "INT");
    cloud.wait().unwrap();
}

#[test]
fn no_process_is_left_after_ctrl_c() {
    assert_no_process_is_left_after("INT");
}

#[test]
fn no_process_is_left_after_sigterm() {
    assert_no_process_is_left_after("TERM");
}

#[test]
fn no_process_is_left_after_sigkill() {
    assert_no_process_is_left_after("KILL");
}

#[test]
fn an_invalid_argument_is_reported_with_the_valid_range() {
    let answer = driver(&["onboard", "--minute", "0"]).output().unwrap();
    assert_eq!(answer.status.code(), Some(2));
    let printed = String::from_utf8_lossy(&answer.stderr);
    assert!(printed.contains("from 0.01 to 60"), "{printed}");
}

#[test]
fn an_endpoint_that_does_not_answer_is_reported_in_one_line() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let closed = format!("http://{closed}");
    let status = [
        "status",
        "--live",
        "--accounts",
        "222222222222",
        "--regions",
        "us-west-2",
    ];
    for (option, url, why) in [
        ("--local-cloud", closed.as_str(), "nothing listens at http://127.0.0.1:"),
        (
            "--endpoint-url",
            closed.as_str(),
            "nothing listens at http://127.0.0.1:",
        ),
        (
            "--local-cloud",
            "127.0.0.1:4566",
            "expected a URL such as http://127.0.0.1:4566/<secret>",
        ),
    ] {
        let (success, printed) = run_ampxa(&[&status[..], &[option, url]].concat());
        assert!(!success && printed.contains(why), "{printed}");
        assert_eq!(printed.trim().lines().count(), 1, "{printed}");
    }
    let by_environment = ampxa(&status).env("AWS_ENDPOINT_URL", &closed).output().unwrap();
    let printed = String::from_utf8(by_environment.stderr).unwrap();
    assert!(printed.starts_with("AWS_ENDPOINT_URL: nothing listens at"), "{printed}");
}

#[test]
fn missing_regions_and_missing_credentials_are_reported() {
    let status = |region: Option<&str>| {
        let mut command = ampxa(&["status", "--live", "--accounts", "222222222222"]);
        command
            .env_clear()
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("HOME", "/nowhere");
        command.envs(region.map(|region| ("AWS_REGION", region)));
        let answer = command.output().unwrap();
        assert_eq!(answer.status.code(), Some(1), "{answer:?}");
        String::from_utf8([answer.stdout, answer.stderr].concat()).unwrap()
    };
    let printed = status(None);
    assert!(printed.contains("name some with --regions"), "{printed}");
    let printed = status(Some("us-west-2"));
    assert!(
        printed.contains("0 pairs in account 222222222222, us-west-2"),
        "{printed}"
    );
    assert!(
        printed.contains("NOT CHECKED: account 222222222222: no AWS credentials were found"),
        "{printed}"
    );
}

#[test]
fn a_port_that_is_in_use_is_named_in_the_error() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let answer = driver(&["up", "--port", &port]).output().unwrap();
    assert!(!answer.status.success());
    let printed = String::from_utf8_lossy(&answer.stderr);
    assert!(printed.contains(&port), "{printed}");
}
