//! A plan of a reconciliation, its report, and a reconciliation that keeps to it.

use super::{
    examples::counts,
    fixture::{Ended, FLEET, Machine, Wired, exclusive},
};
use crate::command::ampxa;
use anyhow::{Context, Result, ensure};
use driver::demo::Cluster;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A Region that no other test of the fleet uses.
const REGION: &str = "ca-central-1";
/// An account without a provisioner.
const UNREACHABLE: &str = "777788889999";

/// The lines of the report of a reconciliation.
pub async fn report(wired: &Wired, run: &Ended) -> Result<Vec<Value>> {
    let bucket = wired.output("BucketName")?;
    let location = run.output["report"].as_str().context("no report")?;
    let key = location
        .strip_prefix(&format!("s3://{bucket}/"))
        .context("another bucket")?;
    let text = String::from_utf8(wired.hub().bucket(&bucket).read(key).await?)?;
    text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

/// The verdict on each cluster or account. Lines of scrapers have the verdict after a dash.
fn verdicts(report: &[Value]) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    report
        .iter()
        .map(|line| {
            let about = match line["clusterArn"].as_str() {
                Some(arn) => arn.rsplit('/').next().unwrap_or_default(),
                None => line["account"].as_str().unwrap_or_default(),
            };
            let scraper = if line["scraperArn"].is_string() { " scraper" } else { "" };
            (format!("{about}{scraper}"), text(&line["verdict"]))
        })
        .collect()
}

fn expected(verdicts: &[(&str, &str)]) -> BTreeMap<String, String> {
    let all = verdicts
        .iter()
        .map(|(about, verdict)| ((*about).to_owned(), (*verdict).to_owned()));
    all.collect()
}

/// The writes of provisioners since a position in the log of calls.
fn writes_since(wired: &Wired, position: u64) -> Result<Vec<String>> {
    let log = wired.cloud.look(&format!("calls?since={position}"))?;
    let calls = log["calls"].as_array().context("no calls")?.iter();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let of_provisioner = calls.filter(|call| text(&call["principal"]).contains("/ampxa-provisioner-"));
    let actions = of_provisioner.map(|call| text(&call["action"]));
    let reads = |action: &String| {
        ["Get", "List", "Describe", "Query"]
            .iter()
            .any(|verb| action.contains(&format!(":{verb}")))
    };
    Ok(actions.filter(|action| !reads(action)).collect())
}

fn position(wired: &Wired) -> Result<u64> {
    let log = wired.cloud.look("calls?since=9999999999")?;
    log["next"].as_u64().context("no position")
}

#[tokio::test]
async fn a_reconciliation_makes_the_changes_of_its_plan_and_stops_if_the_plan_has_changed() -> Result<()> {
    let wired = exclusive().await?;
    let workspace = wired.workspace_in(REGION).await?;
    let by_hand = wired.workspace_in(REGION).await?;
    let rule = json!({
        "match": { "regions": [REGION], "clusterNames": ["fp-*"] }, "anyAccount": true, "workspaceArn": workspace,
        "checkIngestion": "SKIP",
    });
    wired.set_routes(&json!({ "rules": [rule] }).to_string())?;
    let source = wired.account(FLEET[0], REGION);
    let other = wired.account(FLEET[1], REGION);
    let connected = Cluster::named("fp-connected").make(&source).await?;
    let drifted = Cluster::named("fp-drifted").make(&other).await?;
    let foreign = Cluster::named("fp-foreign").make(&source).await?;
    let requested = Cluster::named("requested").make(&source).await?;
    let input = json!({ "accounts": [FLEET[0], FLEET[1], UNREACHABLE], "regions": [REGION] });
    let with = |field: &str, value: Value| {
        let mut changed = input.clone();
        changed[field] = value;
        changed
    };
    let plan = async || {
        wired
            .run(Machine::Reconcile, &with("mode", json!("PLAN")))
            .await?
            .succeeded()
    };
    wired.run(Machine::Reconcile, &input).await?.succeeded()?;
    let request = json!({ "clusterArn": requested, "workspaceArn": by_hand, "checkIngestion": "SKIP" });
    wired.run(Machine::Onboard, &request).await?.succeeded()?;

    // One pair differs, the scraper of one loses its tags, and two clusters are new.
    let scrapers = wired.scrapers(FLEET[1], REGION).await?;
    let (drifted_scraper, _) = scrapers.get(&drifted).context("no scraper")?;
    let untag = other.amp().untag_resource().resource_arn(drifted_scraper);
    untag.tag_keys("ampxa:origin").send().await?;
    let scrapers = wired.scrapers(FLEET[0], REGION).await?;
    let (foreign_scraper, _) = scrapers.get(&foreign).context("no scraper")?;
    let untag = source.amp().untag_resource().resource_arn(foreign_scraper);
    untag
        .tag_keys("ampxa:cluster")
        .tag_keys("ampxa:workspace")
        .send()
        .await?;
    let new = Cluster::named("fp-new").make(&source).await?;
    let mut unprepared = Cluster::named("fp-unprepared");
    unprepared.private_access = false;
    let unprepared = unprepared.make(&other).await?;

    let (since, before) = (position(&wired)?, wired.executions(Machine::Onboard).await?);
    let planned = plan().await?;
    let of_plan = expected(&[
        ("fp-connected", "UNCHANGED"),
        ("fp-drifted", "WOULD_REPAIR"),
        ("fp-foreign", "WOULD_FAIL"),
        ("fp-foreign scraper", "UNMANAGED"),
        ("fp-new", "WOULD_ONBOARD"),
        ("fp-unprepared", "WOULD_FAIL"),
        ("requested", "SKIPPED"),
        (UNREACHABLE, "UNREACHABLE"),
    ]);
    let lines = report(&wired, &planned).await?;
    ensure!(planned.output["outcome"] == "PLANNED", "{}", planned.output);
    ensure!(verdicts(&lines) == of_plan, "{lines:#?}");
    let coverage = json!({ "seen": 6, "connected": 3, "percent": 50.0 });
    ensure!(planned.output["coverage"] == coverage, "{}", planned.output);
    ensure!(
        writes_since(&wired, since)?.is_empty(),
        "the plan wrote: {:?}",
        writes_since(&wired, since)?
    );
    ensure!(
        wired.executions(Machine::Onboard).await? == before,
        "the plan started an onboarding"
    );
    let line = |cluster: &str| {
        lines
            .iter()
            .find(|line| line["clusterArn"] == cluster && line["connected"].is_boolean())
    };
    let repair = line(&drifted).context("no line")?;
    let scraper = json!([{ "action": "UPDATE", "paths": ["tags"] }]);
    let parts: Vec<Value> = repair["changes"]
        .as_array()
        .context("no changes")?
        .iter()
        .map(|change| {
            let paths: Vec<&Value> = change["differences"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|part| &part["path"])
                .collect();
            json!({ "action": change["action"], "paths": paths })
        })
        .collect();
    ensure!(json!(parts) == scraper, "{repair}");
    for cluster in [&unprepared, &foreign] {
        let line = line(cluster).context("no line")?;
        ensure!(
            line["fix"].is_string() && line["reason"].is_string() && line["error"].is_string(),
            "{line}"
        );
    }
    let reason = line(&unprepared).context("no line")?["reason"]
        .as_str()
        .unwrap_or_default();
    ensure!(reason.contains("aws eks update-cluster-config"), "{reason}");

    // The same plan has the same fingerprint.
    let again = plan().await?;
    ensure!(
        again.output["plan"] == planned.output["plan"],
        "{} {}",
        again.output,
        planned.output
    );

    // Between the plan and its execution, a cluster is deleted.
    source.eks().delete_cluster().name("fp-new").send().await?;
    let since = position(&wired)?;
    let stopped = wired
        .run(
            Machine::Reconcile,
            &with("expectedPlan", planned.output["plan"].clone()),
        )
        .await?;
    let failure = stopped.succeeded();
    let failure = failure.err().context("the outdated plan was applied")?.to_string();
    ensure!(failure.contains("PlanChanged"), "{failure}");
    ensure!(writes_since(&wired, since)?.is_empty(), "the outdated plan wrote");

    let planned = plan().await?;
    let applied = wired
        .run(
            Machine::Reconcile,
            &with("expectedPlan", planned.output["plan"].clone()),
        )
        .await?;
    let applied = applied.succeeded()?;
    let lines = report(&wired, &applied).await?;
    let of_execution = expected(&[
        ("fp-connected", "UNCHANGED"),
        ("fp-drifted", "REPAIRED"),
        ("fp-foreign", "FAILED"),
        ("fp-foreign scraper", "UNMANAGED"),
        ("fp-unprepared", "FAILED"),
        ("requested", "SKIPPED"),
        (UNREACHABLE, "UNREACHABLE"),
    ]);
    ensure!(verdicts(&lines) == of_execution, "{lines:#?}");
    ensure!(
        applied.output["outcome"] == "RECONCILED" && counts(&applied)?["REPAIRED"] == 1,
        "{}",
        applied.output
    );
    let line = |cluster: &str| {
        lines
            .iter()
            .find(|line| line["clusterArn"] == cluster && line["connected"].is_boolean())
    };
    let repaired = line(&drifted).context("no line")?;
    ensure!(
        repaired["changed"] == json!(["scraper: tags"]) && repaired["executionArn"].is_string(),
        "{repaired}"
    );
    // What would fail as planned is not started.
    let failed = line(&foreign).context("no line")?;
    ensure!(
        failed["error"] == "Conflict" && failed["executionArn"].is_null(),
        "{failed}"
    );
    ensure!(
        line(&connected).context("no line")?["fix"].is_null() && line(&new).is_none(),
        "{lines:#?}"
    );
    // The report of some accounts does not replace the last one of all.
    let latest = wired
        .hub()
        .bucket(&wired.output("BucketName")?)
        .read("reports/latest.json")
        .await;
    let location = applied.output["report"].as_str().unwrap_or_default().to_owned();
    ensure!(
        !String::from_utf8(latest.unwrap_or_default())?.contains(&location),
        "{location}"
    );
    Ok(())
}

/// Runs `ampxa` with the cloud of these tests; returns its exit code and its output.
fn run(wired: &Wired, arguments: &[&str]) -> Result<(Option<i32>, String)> {
    let cloud = ["--local-cloud", wired.cloud.url.as_str(), "--minute", "0.05"];
    let output = ampxa(&[arguments, &cloud].concat()).output()?;
    let text = String::from_utf8(output.stdout)?;
    ensure!(
        !text.is_empty() || output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok((output.status.code(), text))
}

#[tokio::test]
async fn the_command_plans_reconciles_reports_and_disconnects_accounts() -> Result<()> {
    let wired = exclusive().await?;
    let (account, region) = (FLEET[2], "ca-west-1");
    let workspace = wired.workspace_in(region).await?;
    let rule = json!({
        "match": { "regions": [region] }, "anyAccount": true, "workspaceArn": workspace, "checkIngestion": "SKIP",
    });
    wired.set_routes(&json!({ "rules": [rule] }).to_string())?;
    let source = wired.account(account, region);
    let mut arns = Vec::new();
    for name in ["fc-a", "fc-b"] {
        arns.push(Cluster::named(name).make(&source).await?);
    }
    Cluster::named("fc-left-out")
        .tag("ampxa:onboard", "no")
        .make(&source)
        .await?;
    let of_account = ["--accounts", account, "--regions", region];

    let (code, text) = run(&wired, &[&["plan"][..], &of_account].concat())?;
    ensure!(
        code == Some(0) && text.contains("WOULD_ONBOARD (2)") && text.contains("SKIPPED (1)"),
        "{text}"
    );
    ensure!(
        text.contains("create source role; create target role; create scraper"),
        "{text}"
    );
    let (code, text) = run(&wired, &[&["reconcile", "--yes", "--json"][..], &of_account].concat())?;
    let output: Value = serde_json::from_str(&text)?;
    let applied = &output["execution"]["output"];
    ensure!(
        code == Some(0) && applied["counts"] == json!({ "ONBOARDED": 2, "SKIPPED": 1 }),
        "{text}"
    );
    ensure!(
        applied["coverage"] == json!({ "seen": 3, "connected": 2, "percent": 66.7 }),
        "{text}"
    );
    let (code, text) = run(&wired, &[&["reconcile", "--yes"][..], &of_account].concat())?;
    ensure!(code == Some(0) && text.contains("UNCHANGED (2)"), "{text}");

    // The report of all accounts and Regions that the hub is configured for is the last one.
    let whole = wired.run(Machine::Reconcile, &json!({})).await?.succeeded()?;
    ensure!(whole.output["isWhole"] == true, "{}", whole.output);
    let (code, report) = run(&wired, &["report", "--json"])?;
    let report: Value = serde_json::from_str(&report)?;
    ensure!(
        code == Some(0) && report["report"] == whole.output["report"],
        "{report}"
    );
    let (code, csv) = run(&wired, &["report", "--csv"])?;
    ensure!(
        code == Some(0) && csv.starts_with("account,region,cluster,workspace,verdict,"),
        "{csv}"
    );

    let disconnect = [&of_account[..], &["--disconnect"]].concat();
    let (code, text) = run(&wired, &[&["plan"][..], &disconnect].concat())?;
    ensure!(code == Some(0) && text.contains("WOULD_OFFBOARD (2)"), "{text}");
    ensure!(
        text.contains("delete scraper; delete target role; delete source role"),
        "{text}"
    );
    let (code, text) = run(&wired, &[&["reconcile", "--yes", "--json"][..], &disconnect].concat())?;
    let output: Value = serde_json::from_str(&text)?;
    let applied = &output["execution"]["output"];
    ensure!(
        code == Some(0) && applied["counts"] == json!({ "OFFBOARDED": 2, "UNCHANGED": 1 }),
        "{text}"
    );
    ensure!(applied["coverage"]["connected"] == 0, "{text}");
    for cluster in &arns {
        let left = wired.left_of(cluster, &workspace)?;
        ensure!(left.is_empty(), "{left:?}");
    }
    Ok(())
}
