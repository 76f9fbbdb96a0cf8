//! Which scraper of a pair is kept, and which scrapers are stale.

use crate::{
    replies::{scraper, scrapers},
    script::{CLUSTER, SCRAPER, Script, WORKSPACE, call, task},
};
use ampxa::{
    error::Error,
    scraper::{self, CheckInput, Inventory},
    task::Task,
};
use aws_smithy_types::DateTime;
use serde_json::{Value, json};

/// A scraper with our tags: its id, its status, and its time of creation.
fn ours(id: &str, status: &str, created_at: f64) -> Value {
    let mut scraper = scraper(status, true);
    scraper["arn"] = json!(SCRAPER.replace("s-1", id));
    scraper["scraperId"] = json!(id);
    scraper["createdAt"] = json!(created_at);
    scraper
}

async fn inventory(listed: &[Value], cluster_created_at: Option<i64>) -> Result<Inventory, Error> {
    let script = Script::new([call("GET /scrapers", 200, scrapers(listed))]);
    let listed = scraper::list(script.account().amp().list_scrapers()).await.unwrap();
    let task: Task<CheckInput> = task(json!({}), json!({ "scraperArn": SCRAPER, "manualAccess": false }));
    let created_at = cluster_created_at.map(DateTime::from_secs);
    scraper::inventory(&listed, &task.pair, created_at.as_ref())
}

/// The id of the scraper that is kept, and the ids and reasons of stale scrapers.
async fn kept_and_stale(listed: &[Value], cluster_created_at: Option<i64>) -> (Option<String>, Vec<String>) {
    let id = |arn: &str| arn.rsplit('/').next().unwrap().to_owned();
    let inventory = inventory(listed, cluster_created_at).await.unwrap();
    let stale_scrapers = inventory.stale_scrapers.iter();
    (
        inventory.scraper.map(|scraper| id(&scraper.scraper_arn)),
        stale_scrapers
            .map(|stale| format!("{} {}", id(&stale.scraper_arn), stale.reason))
            .collect(),
    )
}

#[tokio::test]
async fn a_scraper_that_works_or_may_work_is_kept() {
    for status in ["ACTIVE", "CREATING", "UPDATING", "UPDATE_FAILED"] {
        let result = kept_and_stale(&[ours("s-1", status, 9.0)], Some(8)).await;
        assert_eq!(result, (Some("s-1".to_owned()), vec![]), "{status}");
    }
}

#[tokio::test]
async fn a_scraper_that_failed_or_is_deleting_is_stale() {
    for status in ["CREATION_FAILED", "DELETION_FAILED", "DELETING"] {
        let result = kept_and_stale(&[ours("s-1", status, 9.0)], Some(8)).await;
        assert_eq!(result, (None, vec![format!("s-1 is {status}")]));
    }
}

#[tokio::test]
async fn a_scraper_that_is_older_than_the_cluster_is_stale() {
    let old = ours("s-1", "ACTIVE", 7.9);
    let reason = "is older than the cluster: it served a deleted cluster of the same name";
    let result = kept_and_stale(std::slice::from_ref(&old), Some(8)).await;
    assert_eq!(result, (None, vec![format!("s-1 {reason}")]));
    let both = kept_and_stale(&[old.clone(), ours("s-2", "CREATING", 9.0)], Some(8)).await;
    assert_eq!(both, (Some("s-2".to_owned()), vec![format!("s-1 {reason}")]));
    let unknown_age = kept_and_stale(&[old], None).await;
    assert_eq!(unknown_age, (Some("s-1".to_owned()), vec![]));
}

#[tokio::test]
async fn of_several_scrapers_the_oldest_active_one_is_kept() {
    let many = [
        ours("s-1", "CREATING", 1.0),
        ours("s-2", "ACTIVE", 3.0),
        ours("s-3", "ACTIVE", 2.0),
    ];
    let result = kept_and_stale(&many, Some(0)).await;
    let surplus = vec!["s-1 is a duplicate".to_owned(), "s-2 is a duplicate".to_owned()];
    assert_eq!(result, (Some("s-3".to_owned()), surplus));
}

#[tokio::test]
async fn a_foreign_scraper_is_a_conflict_unless_ours_works_or_it_is_deleting() {
    let foreign = |status: &str| scraper(status, false);
    for status in ["ACTIVE", "CREATION_FAILED", "SOMETHING_NEW"] {
        let error = inventory(&[foreign(status)], None).await.unwrap_err();
        assert_eq!(error.name(), "Conflict", "{status}");
        let with_failed = inventory(&[ours("s-2", "CREATION_FAILED", 1.0), foreign(status)], None).await;
        assert_eq!(with_failed.unwrap_err().name(), "Conflict");
    }
    assert_eq!(inventory(&[foreign("DELETING")], None).await, Ok(Inventory::default()));
    let result = kept_and_stale(&[foreign("ACTIVE"), ours("s-2", "ACTIVE", 1.0)], None).await;
    assert_eq!(result, (Some("s-2".to_owned()), vec![]));
}

#[tokio::test]
async fn the_conflict_over_a_foreign_scraper_says_who_manages_it_and_why_there_is_no_second_one() {
    let mut vendor = scraper("ACTIVE", false);
    vendor["alias"] = json!("kubecost");
    vendor["tags"] = json!({ "aws:cloudformation:stack-name": "kubecost-agentless", "owner": "finops" });
    let message = inventory(&[vendor], None).await.unwrap_err().to_string();
    for expected in [
        SCRAPER,
        "(alias \"kubecost\")",
        "aws:cloudformation:stack-name = \"kubecost-agentless\", owner = \"finops\"",
        "It was not changed",
        "\"adopt\": true",
        "both would write the same samples twice",
    ] {
        assert!(message.contains(expected), "{message}");
    }
    assert!(!message.to_lowercase().contains("delete"), "{message}");
}

#[tokio::test]
async fn scrapers_of_other_pairs_are_ignored() {
    let mut other_workspace = ours("s-1", "ACTIVE", 1.0);
    other_workspace["destination"]["ampConfiguration"]["workspaceArn"] = json!(WORKSPACE.replace("ws-1", "ws-2"));
    let mut other_cluster = ours("s-2", "ACTIVE", 1.0);
    other_cluster["source"]["eksConfiguration"]["clusterArn"] = json!(CLUSTER.replace("demo", "demo-2"));
    assert_eq!(
        inventory(&[other_workspace, other_cluster], None).await,
        Ok(Inventory::default())
    );
}

#[tokio::test]
async fn a_scraper_with_an_unknown_status_is_an_error() {
    let error = inventory(&[ours("s-1", "SOMETHING_NEW", 1.0)], None).await.unwrap_err();
    assert_eq!(error.name(), "NotReady");
    assert!(error.to_string().contains("SOMETHING_NEW"), "{error}");
}
