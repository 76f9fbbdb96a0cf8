//! Onboarding: one execution connects a cluster to a workspace.

use crate::deployment::{Accounts, BOTH, HUB, SOURCE, TARGET, attempt, deployment, pair_of, text, with};
use ampxa::{
    arn::ScraperArn,
    policy::{self, Gate},
};
use ampxa_cli::{
    credentials::{Credentials, Source},
    execution,
    page::{self, from_aws},
};
use driver::{demo, onboard};
use serde_json::{Value, json};
use std::time::Duration;

/// Asserts the result of a successful onboarding: the scraper is ACTIVE, both roles are complete, and samples arrive.
pub async fn assert_onboarded(accounts: &Accounts, request: &Value, output: &Value) {
    let pair = pair_of(request);
    let scraper: ScraperArn = text(&output["scraperArn"]).parse().unwrap();
    assert_eq!(output["scraperStatus"], "ACTIVE");
    assert_eq!(output["sourceRoleArn"], json!(pair.source_role_arn()));
    assert_eq!(output["targetRoleArn"], json!(pair.target_role_arn()));

    let (source, target) = accounts.roles(output).await;
    assert_eq!(
        source["trustPolicy"],
        policy::source_trust(&pair, Gate::Scraper(&scraper))
    );
    assert_eq!(
        target["trustPolicy"],
        policy::target_trust(&pair, Gate::Scraper(&scraper))
    );
    assert_eq!(
        source["policies"],
        json!([{ "name": "ampxa", "document": policy::source_permissions(&pair) }])
    );
    assert_eq!(
        target["policies"][0],
        json!({ "name": "ampxa", "document": policy::target_permissions(&pair) })
    );
    assert_eq!(target["policies"][1]["name"], "AmazonPrometheusRemoteWriteAccess");
    assert_eq!(target["policies"].as_array().map(Vec::len), Some(2));
    for (role, side) in [(&source, "source"), (&target, "target")] {
        let boundary = text(&role["permissionsBoundary"]["arn"]);
        assert!(
            boundary.ends_with(&format!(":policy/ampxa-{side}-boundary")),
            "{boundary}"
        );
        assert_eq!(role["tags"]["ampxa:cluster"], request["clusterArn"]);
        assert_eq!(role["tags"]["ampxa:workspace"], request["workspaceArn"]);
        assert!(text(&role["tags"]["ampxa:created-by"]).contains(":execution:ampxa-onboard:"));
    }

    let samples = onboard::wait_for_samples(
        &deployment().cloud,
        &accounts.target,
        text(&request["workspaceArn"]),
        text(&request["clusterArn"]),
    );
    let samples = samples.await.unwrap();
    assert!(!samples.is_empty(), "no samples of {} arrived", pair.cluster);
    for sample in samples {
        assert_eq!(sample["metric"]["cluster"], pair.cluster.id());
        assert_eq!(sample["metric"]["accountId"], **pair.cluster.account());
        assert_eq!(sample["metric"]["region"], **pair.cluster.region());
    }
}

#[tokio::test]
async fn one_execution_connects_a_cluster_to_a_workspace_in_another_account() {
    let accounts = deployment().accounts(SOURCE, TARGET);
    let request = accounts.pair("happy").await;
    let run = accounts.onboard(&request).await;
    let output = run.output.expect("the onboarding failed");
    assert_onboarded(&accounts, &request, &output).await;
    assert_eq!(output["created"], json!(["source role", "target role", "scraper"]));
    assert_eq!(output["existing"], json!([]));
    assert_eq!(output["repaired"], json!([]));
    assert_eq!(output["warnings"], json!([]));
    // The number of polls depends on the speed of this machine. The reported minutes must match that number.
    let waits = run.states.iter().filter(|state| state.name == "Wait for the scraper");
    let seconds: u32 = waits.enumerate().map(|(n, _)| if n < 10 { 60 } else { 15 }).sum();
    assert!(seconds > 0, "the execution never waited");
    assert_eq!(output["activationMinutes"].as_f64(), Some(f64::from(seconds) / 60.0));
}

#[tokio::test]
async fn source_and_target_may_be_one_account() {
    let accounts = deployment().accounts(BOTH, BOTH);
    let request = accounts.pair("one-account").await;
    let output = accounts.onboarded(&request).await;
    assert_onboarded(&accounts, &request, &output).await;
}

#[tokio::test]
async fn hub_source_and_target_may_be_one_account() {
    let accounts = deployment().accounts(HUB, HUB);
    let request = accounts.pair("all-one").await;
    let output = accounts.onboarded(&request).await;
    assert_onboarded(&accounts, &request, &output).await;
}

#[tokio::test]
async fn onboarding_waits_for_a_cluster_that_is_creating() {
    let accounts = deployment().accounts(SOURCE, TARGET);
    let cluster = demo::Cluster::named("young").tag("local:creating-minutes", "50");
    let request = accounts.pair_of(&cluster).await;
    let run = accounts.onboard(&request).await;
    assert!(
        run.states.iter().any(|state| state.name == "Wait for the cluster"),
        "{:?}",
        run.error
    );
    let output = run.output.unwrap();
    assert_onboarded(&accounts, &request, &output).await;
}

#[tokio::test]
async fn a_cluster_that_does_not_become_active_fails_the_run_with_an_error_of_its_own() {
    let accounts = deployment().accounts(SOURCE, TARGET);
    let cluster = demo::Cluster::named("unborn").tag("local:creating-minutes", "100000");
    let run = accounts.onboard(&accounts.pair_of(&cluster).await).await;
    assert_eq!(run.error.as_deref(), Some("ClusterNotActive"));
    let cause = run.cause.unwrap();
    assert!(cause.contains("was not ACTIVE after 60 minutes"), "{cause}");
    accounts.assert_nothing_was_created().await;
}

#[tokio::test]
async fn every_optional_field_of_a_request_reaches_aws() {
    let accounts = deployment().accounts(SOURCE, TARGET);
    let request = accounts.pair("chosen").await;
    let subnets = demo::default_subnets(&accounts.source).unwrap();
    let group = demo::security_group(&accounts.source).unwrap();
    let request = with(
        &request,
        json!({
            "subnetIds": [subnets[0].id, subnets[1].id],
            "securityGroupIds": [group],
            "alias": "payments.prod",
            "scrapeConfiguration": "global: {scrape_interval: 60s}\nscrape_configs:\n- job_name: pods\n  kubernetes_sd_configs: [{role: pod}]\n",
            "externalLabels": { "team": "payments" },
            "tags": { "cost-centre": "4711" },
        }),
    );
    let output = accounts.onboarded(&request).await;
    assert_onboarded(&accounts, &request, &output).await;
    let id = text(&output["scraperArn"]).rsplit('/').next().unwrap();
    let scraper = accounts
        .source
        .amp()
        .describe_scraper()
        .scraper_id(id)
        .send()
        .await
        .unwrap()
        .scraper
        .unwrap();
    assert_eq!(scraper.alias(), Some("payments.prod"));
    assert_eq!(scraper.tags().unwrap()["cost-centre"], "4711");
    let Some(aws_sdk_amp::types::Source::EksConfiguration(eks)) = scraper.source() else {
        panic!("no EKS source");
    };
    assert_eq!(eks.subnet_ids(), [subnets[0].id.clone(), subnets[1].id.clone()]);
    assert_eq!(eks.security_group_ids(), [group]);
    let Some(aws_sdk_amp::types::ScrapeConfiguration::ConfigurationBlob(blob)) = scraper.scrape_configuration() else {
        panic!("no configuration");
    };
    let yaml = String::from_utf8(blob.as_ref().to_vec()).unwrap();
    assert!(
        yaml.contains("team") && yaml.contains("60s") && yaml.contains("clusterArn"),
        "{yaml}"
    );
    let (source, _) = accounts.roles(&output).await;
    assert_eq!(source["tags"]["cost-centre"], "4711");
}

#[tokio::test]
async fn values_of_a_request_stay_text_in_labels_queries_and_pages() {
    let accounts = deployment().accounts(SOURCE, TARGET);
    let hostile =
        "</script><script>alert(1)</script> ' \"} or up{x=\" {% $states.input %} ${AWS::AccountId} $1 \\ : # *";
    let request = with(
        &accounts.pair("hostile").await,
        json!({
            "alias": "a.script-alert_1",
            "scrapeConfiguration": "scrape_configs:\n- job_name: pods\n  params: {token: [x]}\n  \
                kubernetes_sd_configs: [{role: pod}]\n",
            "externalLabels": { "note": hostile, "script": "</script>" },
            "tags": { "a=b": "=cmd +x @y /z :1 .. - _" },
        }),
    );
    let run = accounts.onboard(&request).await;
    let output = run.output.unwrap_or_else(|| panic!("{:?}", run.cause));
    assert_onboarded(&accounts, &request, &output).await;
    let warnings = output["warnings"].as_array().unwrap();
    assert!(
        warnings.len() == 1 && text(&warnings[0]).contains(".params.token looks like a credential."),
        "{warnings:?}"
    );
    let (workspace, cluster) = (text(&request["workspaceArn"]), text(&request["clusterArn"]));
    let cloud = &deployment().cloud;
    let samples = driver::onboard::wait_for_samples(cloud, &accounts.target, workspace, cluster).await;
    let samples = samples.unwrap();
    assert!(!samples.is_empty());
    for sample in samples {
        assert_eq!(sample["metric"]["note"], hostile);
        assert_eq!(sample["metric"]["script"], "</script>");
    }
    let (source, _) = accounts.roles(&output).await;
    assert_eq!(source["tags"]["a=b"], request["tags"]["a=b"]);

    // The cause of a failure quotes the request, and the page shows both.
    let refused = accounts.onboard(&with(&request, json!({ "alias": hostile }))).await;
    assert_eq!(refused.error.as_deref(), Some("InvalidRequest"));
    let credentials = Credentials::new(Source::LocalCloud {
        url: deployment().cloud.url.clone(),
    });
    let credentials = credentials.unwrap();
    for arn in [&run.arn, &refused.arn] {
        let html = page::page(&from_aws::of_execution(&credentials, arn, 1.0).await.unwrap());
        assert!(!html.contains("<script") && !html.contains("</script"), "{html}");
        assert_eq!(html.contains("&lt;/script&gt;"), *arn == refused.arn, "{html}");
    }
}

#[tokio::test]
async fn no_scraper_can_write_before_the_patch_and_only_this_one_after_it() {
    let accounts = deployment().accounts(SOURCE, TARGET);
    let other = accounts.onboarded(&accounts.pair("other").await).await;
    // The activation takes nearly as long as the timeout, so that there is time for attempts.
    let cluster = demo::Cluster::named("gate").tag("local:activation-minutes", "50");
    let request = accounts.pair_of(&cluster).await;
    let arn = execution::start(&accounts.hub, &deployment().onboard_arn, &request)
        .await
        .unwrap();
    let mut before = 0;
    let run = execution::watch(&accounts.hub, &arn, Duration::from_millis(50), async |now| {
        let created = now
            .states
            .iter()
            .find(|state| state.name == "Create scraper")
            .and_then(|state| state.output.clone());
        let patching = now.states.iter().any(|state| state.name == "Patch trust policies");
        if let (Some(created), false) = (created, patching) {
            let names = now.states[0].output.clone().unwrap();
            let roles = with(&request, names);
            let scraper = text(&created["scraperArn"]);
            let own = attempt(&roles, scraper);
            // The patch may have begun during this attempt: its result counts only if the machine still waits.
            let current = execution::look(&accounts.hub, &arn).await?;
            if !current.states.iter().any(|state| state.name == "Patch trust policies") {
                assert_eq!(own["written"], false, "{own}");
                before += 1;
            }
            let unrelated = attempt(&roles, text(&other["scraperArn"]));
            assert_eq!(unrelated["written"], false, "{unrelated}");
        }
        Ok(())
    });
    let output = run.await.unwrap().output.unwrap();
    assert!(before > 0, "no attempt was made before the patch");

    let own = attempt(&output, text(&output["scraperArn"]));
    assert_eq!(own["written"], true, "{own}");
    let prefix = text(&output["scraperArn"]).rsplit_once('/').unwrap().0;
    for unrelated in [
        text(&other["scraperArn"]),
        &format!("{prefix}/s-00000000-0000-0000-0000-000000000000"),
        &format!("{prefix}/*"),
    ] {
        let attempt = attempt(&output, unrelated);
        assert_eq!(attempt["written"], false, "{unrelated}: {attempt}");
    }
    // The other scraper cannot use this target role from its own source role either.
    let crossed = with(&output, json!({ "sourceRoleArn": other["sourceRoleArn"] }));
    assert_eq!(attempt(&crossed, text(&other["scraperArn"]))["written"], false);
    // This scraper cannot write to another workspace with this target role.
    let elsewhere = with(&output, json!({ "workspaceArn": other["workspaceArn"] }));
    let elsewhere = attempt(&elsewhere, text(&output["scraperArn"]));
    assert_eq!(elsewhere["written"], false, "{elsewhere}");
}

#[tokio::test]
async fn the_trust_policies_can_be_patched_before_the_scraper_is_active() {
    let accounts = deployment().accounts(SOURCE, TARGET);
    let request = with(&accounts.pair("early").await, json!({ "patchTrust": "EARLY" }));
    let run = accounts.onboard(&request).await;
    let output = run.output.unwrap();
    assert_onboarded(&accounts, &request, &output).await;
    let at = |name: &str| run.states.iter().position(|state| state.name == name).unwrap();
    assert!(at("Patch trust policies early") < at("Wait for the scraper"));
    let last = &run.states[at("Patch trust policies")];
    assert_eq!(
        last.output,
        Some(json!({ "source": false, "target": false })),
        "the final patch changed a trust policy"
    );
    assert_eq!(output["trustPatched"], json!({ "source": true, "target": true }));
}

#[tokio::test]
async fn a_scraper_that_does_not_become_active_fails_the_run_with_an_error_of_its_own() {
    let accounts = deployment().accounts(SOURCE, TARGET);
    let cluster = demo::Cluster::named("stuck").tag("local:activation-minutes", "100000");
    let request = with(
        &accounts.pair_of(&cluster).await,
        json!({ "activationTimeoutMinutes": 25 }),
    );
    let run = accounts.onboard(&request).await;
    assert_eq!(run.error.as_deref(), Some("ScraperNotActive"));
    let cause = run.cause.unwrap();
    assert!(cause.contains("was CREATING after 25 minutes"), "{cause}");
}
