//! The commands as a person or a script runs them: what they print, and that nothing stays behind.

use ampxa_cli::{account::Account, execution};
use driver::{REGION, SOURCE, TARGET, demo, project::Project};
use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
    sync::Once,
    thread,
    time::{Duration, Instant},
};

/// A program of this repository: `driver`, which `cargo run -p local` becomes, or `ampxa`.
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

fn ampxa(arguments: &[&str]) -> Command {
    program("ampxa", arguments)
}

/// The processes that descend from one, by the parents that `/proc` names.
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

/// Starts `up` and waits until it is ready; answers it and its lines with `export`.
fn up(arguments: &[&str]) -> (Child, Vec<String>) {
    let mut up = driver(&[&["up"], arguments].concat())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(up.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "ready"), "no line ready");
    let exports = lines
        .by_ref()
        .map(Result::unwrap)
        .take_while(|line| line.starts_with("export "))
        .collect();
    // What else it says is read, so that it can say it.
    thread::spawn(move || lines.for_each(drop));
    (up, exports)
}

/// Starts `up`, has a look at its processes, ends it by a signal, and finds none of them left.
fn nothing_is_left_after(signal: &str) {
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
    assert!(!started.is_empty(), "up has no process of its own");
    kill(&up, signal);
    up.wait().unwrap();
    let end = Instant::now() + Duration::from_secs(60);
    while started.iter().any(|pid| alive(*pid)) {
        assert!(Instant::now() < end, "processes left after SIG{signal}");
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
fn onboard_prints_one_document_and_nothing_else() {
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
    assert!(page.contains(text("/scraperArn")), "the page is of this run");
    for state in [
        "Check request",
        "Ensure target role",
        "Patch trust policies",
        "SUCCEEDED",
    ] {
        assert!(
            progress.contains(state),
            "the progress does not tell {state}:\n{progress}"
        );
    }
}

#[test]
fn the_last_line_of_onboard_is_the_path_of_its_page() {
    let page = format!("{}/last-line.html", env!("CARGO_TARGET_TMPDIR"));
    let run = driver(&["onboard", "--minute", "0.05", "--page", &page])
        .output()
        .unwrap();
    let said = String::from_utf8(run.stdout).unwrap();
    assert!(run.status.success(), "{said}");
    assert_eq!(said.lines().last(), Some(page.as_str()));
    assert!(fs::read_to_string(page).unwrap().contains("SUCCEEDED"));
}

/// A run of a command against a cloud: whether it succeeded, and what it said.
fn said(arguments: &[&str]) -> (bool, String) {
    let run = ampxa(arguments).output().unwrap();
    let output = [run.stdout, run.stderr].concat();
    (run.status.success(), String::from_utf8(output).unwrap())
}

/// What operators see of a cloud that runs: the state of all pairs, and pages of executions. A page that is looked at
/// in a browser later stays in the folder of the build.
#[tokio::test]
async fn operators_see_pairs_and_executions() {
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

    // Both clusters arrive in one workspace and are told apart by their labels.
    let end = Instant::now() + Duration::from_secs(120);
    let status = ["status", "--local-cloud", url, "--check"];
    while !said(&status).0 {
        assert!(Instant::now() < end, "{}", said(&status).1);
    }
    let fleet = ampxa(&["status", "--local-cloud", url, "--json"])
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
        let of_it = series
            .iter()
            .filter(|one| one["metric"]["clusterArn"] == pair["clusterArn"]);
        let labels = of_it.map(|one| &one["metric"]);
        let name = pair["clusterArn"].as_str().unwrap().rsplit('/').next().unwrap();
        let right = labels
            .filter(|labels| labels["cluster"] == name && labels["accountId"] == SOURCE && labels["region"] == REGION);
        assert_eq!(right.count(), 3, "{series:?}");
    }

    let file = |name: &str| format!("{}/{name}.html", env!("CARGO_TARGET_TMPDIR"));
    let page = |arn: &str, name: &str| {
        let file = file(name);
        let run = said(&["page", arn, "--local-cloud", url, "--minute", "0.05", "--page", &file]);
        (run, fs::read_to_string(file).unwrap_or_default())
    };
    let ((good, told), shown) = page(&runs[0].arn, "of-an-execution");
    assert!(good, "{told}");
    let output = runs[0].output.as_ref().unwrap();
    for part in [
        output["scraperArn"].as_str().unwrap(),
        "Before: as ampxa keeps a role until the patch.",
        "<td>patch-trust-policies</td><td>222222222222</td><td>iam: UpdateAssumeRolePolicy</td>",
        "<td>create-scraper</td><td>222222222222</td><td>aps: POST /scrapers</td>",
    ] {
        assert!(shown.contains(part), "no {part} in {shown}");
    }
    assert_eq!(
        shown.matches("<ins>").count(),
        2,
        "one line of each trust policy: {shown}"
    );
    let real = Command::new("prometheus").arg("--version").output().is_ok();
    assert_eq!(shown.contains("<polyline"), real, "{shown}");
    // The plot's scale is that of three endpoints, which have arrived.
    assert_eq!(shown.contains(">3</text>"), real, "{shown}");

    let nowhere = workspace.replace("/ws-", "/ws-0000");
    let input = json!({ "clusterArn": output["clusterArn"], "workspaceArn": nowhere });
    let failed = execution::run(&hub, onboard, &input).await.unwrap();
    let ((good, told), shown) = page(&failed.arn, "of-a-failure");
    assert!(
        good && shown.contains("FAILED") && shown.contains("There is no workspace"),
        "{told}{shown}"
    );
    assert_eq!(shown.matches("There is no such role now.").count(), 2);

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
            Instant::now() < end + Duration::from_secs(120),
            "it does not get that far"
        );
    }
    let ((good, told), shown) = page(&running, "of-one-that-runs");
    assert!(good && shown.contains("RUNNING</span> for"), "{told}{shown}");

    let ((good, told), _) = page(&running.replace("ampxa-onboard", "ampxa-reconcile"), "none");
    assert!(!good && told.contains("a page shows one of ampxa-onboard"), "{told}");
    let (good, told) = said(&["status", "--local-cloud", url, "--accounts", "12345"]);
    assert!(!good && told.contains("12 digits"), "{told}");

    // As a person with credentials of one account sees AWS.
    let person = |arguments: &[&str]| {
        let mut command = ampxa(&[&["status", "--regions", "us-west-2", "--accounts"], arguments].concat());
        command.envs([("AWS_ACCESS_KEY_ID", "444444444444"), ("AWS_SECRET_ACCESS_KEY", "test")]);
        let services = ["STS", "IAM", "AMP"].map(|service| (format!("AWS_ENDPOINT_URL_{service}"), url));
        let answer = command.envs(services).output().unwrap();
        (answer.status.success(), String::from_utf8(answer.stdout).unwrap())
    };
    // What checks a fleet must not be content with none, or with an account that nobody prepared.
    let (good, told) = said(&["status", "--local-cloud", url, "--check", "--accounts", "444444444444"]);
    assert!(!good && told.contains("0 pairs in account 444444444444"), "{told}");
    assert!(
        told.contains("The account 444444444444 has no role ampxa-source-provisioner"),
        "{told}"
    );
    let (good, told) = person(&["444444444444"]);
    assert!(
        good && told.contains("0 pairs in account 444444444444, us-west-2"),
        "{told}"
    );
    let (good, told) = person(&["444444444444,222222222222"]);
    let why = "NOT LOOKED AT: account 222222222222: the credentials are of account 444444444444";
    assert!(!good && told.contains(why), "{told}");
    let (good, told) = person(&["222222222222", "--role-name", "nobody"]);
    let why = "role/nobody cannot be assumed: sts:AssumeRole answered AccessDenied";
    assert!(!good && told.contains(why), "{told}");
    kill(&cloud, "INT");
    cloud.wait().unwrap();
}

#[test]
fn nothing_is_left_after_ctrl_c() {
    nothing_is_left_after("INT");
}

#[test]
fn nothing_is_left_after_terminate() {
    nothing_is_left_after("TERM");
}

#[test]
fn nothing_is_left_after_a_kill() {
    nothing_is_left_after("KILL");
}

#[test]
fn a_bad_argument_says_what_would_be_right() {
    let answer = driver(&["onboard", "--minute", "0"]).output().unwrap();
    assert_eq!(answer.status.code(), Some(2));
    let said = String::from_utf8_lossy(&answer.stderr);
    assert!(said.contains("from 0.01 to 60"), "{said}");
}

#[test]
fn an_endpoint_where_nothing_listens_is_one_sentence() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let closed = format!("http://{closed}");
    let status = ["status", "--accounts", "222222222222", "--regions", "us-west-2"];
    for (way, url, why) in [
        ("--local-cloud", closed.as_str(), "nothing listens at http://127.0.0.1:"),
        (
            "--endpoint-url",
            closed.as_str(),
            "nothing listens at http://127.0.0.1:",
        ),
        (
            "--local-cloud",
            "127.0.0.1:4566",
            "expected a URL such as http://127.0.0.1:4566",
        ),
    ] {
        let (good, said) = said(&[&status[..], &[way, url]].concat());
        assert!(!good && said.contains(why), "{said}");
        assert_eq!(said.trim().lines().count(), 1, "{said}");
    }
    let by_environment = ampxa(&status).env("AWS_ENDPOINT_URL", &closed).output().unwrap();
    let said = String::from_utf8(by_environment.stderr).unwrap();
    assert!(said.starts_with("AWS_ENDPOINT_URL: nothing listens at"), "{said}");
}

#[test]
fn who_has_no_credentials_is_told_what_to_do() {
    let person = |region: Option<&str>| {
        let mut command = ampxa(&["status", "--accounts", "222222222222"]);
        command
            .env_clear()
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("HOME", "/nowhere");
        command.envs(region.map(|region| ("AWS_REGION", region)));
        let answer = command.output().unwrap();
        assert_eq!(answer.status.code(), Some(1), "{answer:?}");
        String::from_utf8([answer.stdout, answer.stderr].concat()).unwrap()
    };
    let said = person(None);
    assert!(said.contains("name some with --regions"), "{said}");
    let said = person(Some("us-west-2"));
    assert!(said.contains("0 pairs in account 222222222222, us-west-2"), "{said}");
    assert!(
        said.contains("NOT LOOKED AT: account 222222222222: no AWS credentials were found"),
        "{said}"
    );
}

#[test]
fn a_taken_port_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let answer = driver(&["up", "--port", &port]).output().unwrap();
    assert!(!answer.status.success());
    let said = String::from_utf8_lossy(&answer.stderr);
    assert!(said.contains(&port), "{said}");
}
