//! Which scraper of a pair is kept, and which are in its way.

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

/// A scraper of ours: the end of its id, its state, and when it was made.
fn ours(id: &str, status: &str, made_at: f64) -> Value {
    let mut shown = scraper(status, true);
    shown["arn"] = json!(SCRAPER.replace("s-1", id));
    shown["scraperId"] = json!(id);
    shown["createdAt"] = json!(made_at);
    shown
}

async fn standing(shown: &[Value], cluster_made_at: Option<i64>) -> Result<Inventory, Error> {
    let script = Script::new([call("GET /scrapers", 200, scrapers(shown))]);
    let listed = scraper::list(script.account().amp().list_scrapers()).await.unwrap();
    let task: Task<CheckInput> = task(json!({}), json!({ "scraperArn": SCRAPER, "manualAccess": false }));
    let made_at = cluster_made_at.map(DateTime::from_secs);
    scraper::inventory(&listed, &task.pair, made_at.as_ref())
}

/// What is kept, and what is in the way and why, by the ends of their ids.
async fn told(shown: &[Value], cluster_made_at: Option<i64>) -> (Option<String>, Vec<String>) {
    let id = |arn: &str| arn.rsplit('/').next().unwrap().to_owned();
    let standing = standing(shown, cluster_made_at).await.unwrap();
    let stale_scrapers = standing.stale_scrapers.iter();
    (
        standing.scraper.map(|found| id(&found.scraper_arn)),
        stale_scrapers
            .map(|old| format!("{} {}", id(&old.scraper_arn), old.reason))
            .collect(),
    )
}

#[tokio::test]
async fn what_works_or_may_work_is_kept() {
    for status in ["ACTIVE", "CREATING", "UPDATING", "UPDATE_FAILED"] {
        let told = told(&[ours("s-1", status, 9.0)], Some(8)).await;
        assert_eq!(told, (Some("s-1".to_owned()), vec![]), "{status}");
    }
}

#[tokio::test]
async fn what_is_dead_is_stale_scrapers() {
    for status in ["CREATION_FAILED", "DELETION_FAILED", "DELETING"] {
        let told = told(&[ours("s-1", status, 9.0)], Some(8)).await;
        assert_eq!(told, (None, vec![format!("s-1 is {status}")]));
    }
}

#[tokio::test]
async fn a_scraper_that_is_older_than_the_cluster_served_another_one() {
    let old = ours("s-1", "ACTIVE", 7.9);
    let why = "is older than the cluster: it served another one of the same name";
    let told_old = told(std::slice::from_ref(&old), Some(8)).await;
    assert_eq!(told_old, (None, vec![format!("s-1 {why}")]));
    let both = told(&[old.clone(), ours("s-2", "CREATING", 9.0)], Some(8)).await;
    assert_eq!(both, (Some("s-2".to_owned()), vec![format!("s-1 {why}")]));
    let unasked = told(&[old], None).await;
    assert_eq!(unasked, (Some("s-1".to_owned()), vec![]));
}

#[tokio::test]
async fn of_several_the_first_to_be_active_and_then_the_oldest_is_kept() {
    let many = [
        ours("s-1", "CREATING", 1.0),
        ours("s-2", "ACTIVE", 3.0),
        ours("s-3", "ACTIVE", 2.0),
    ];
    let told = told(&many, Some(0)).await;
    let surplus = vec!["s-1 is one too many".to_owned(), "s-2 is one too many".to_owned()];
    assert_eq!(told, (Some("s-3".to_owned()), surplus));
}

#[tokio::test]
async fn a_scraper_of_somebody_elses_is_a_conflict_unless_ours_works_or_it_is_going() {
    let others = |status: &str| scraper(status, false);
    for status in ["ACTIVE", "CREATION_FAILED", "SOMETHING_NEW"] {
        let why = standing(&[others(status)], None).await.unwrap_err();
        assert_eq!(why.name(), "Conflict", "{status}");
        let with_dead = standing(&[ours("s-2", "CREATION_FAILED", 1.0), others(status)], None).await;
        assert_eq!(with_dead.unwrap_err().name(), "Conflict");
    }
    assert_eq!(standing(&[others("DELETING")], None).await, Ok(Inventory::default()));
    let told = told(&[others("ACTIVE"), ours("s-2", "ACTIVE", 1.0)], None).await;
    assert_eq!(told, (Some("s-2".to_owned()), vec![]));
}

#[tokio::test]
async fn scrapers_of_other_pairs_are_nobodys_business() {
    let mut elsewhere = ours("s-1", "ACTIVE", 1.0);
    elsewhere["destination"]["ampConfiguration"]["workspaceArn"] = json!(WORKSPACE.replace("ws-1", "ws-2"));
    let mut another = ours("s-2", "ACTIVE", 1.0);
    another["source"]["eksConfiguration"]["clusterArn"] = json!(CLUSTER.replace("demo", "demo-2"));
    assert_eq!(standing(&[elsewhere, another], None).await, Ok(Inventory::default()));
}

#[tokio::test]
async fn a_state_that_is_not_known_is_left_alone() {
    let why = standing(&[ours("s-1", "SOMETHING_NEW", 1.0)], None).await.unwrap_err();
    assert_eq!(why.name(), "NotReady");
    assert!(why.to_string().contains("SOMETHING_NEW"), "{why}");
}
