//! `status`: every pair that ampxa manages in some accounts: its scraper, what has drifted, and what arrives.
//!
//! The same code looks at AWS and at a local cloud, with the product's own comparisons. It touches nothing.

use crate::account::Account;
use ampxa::{
    arn::ScraperArn,
    ingestion,
    pair::Pair,
    request::Request,
    roles::{self, Known, Role},
    scraper::{self, Ours},
    task::Task,
};
use anyhow::{Context, Result, anyhow, bail};
use aws_sdk_amp::types::ScraperSummary;
use serde::Serialize;
use serde_json::json;
use std::time::SystemTime;

/// How accounts are reached.
#[derive(Debug, Clone)]
pub enum Way {
    /// A local cloud, as the root of each account.
    Local {
        /// Its URL.
        url: String,
    },
    /// AWS, with the credentials that every AWS tool finds.
    Aws {
        /// The role to assume in each account; nothing where the credentials themselves are to be used.
        role: Option<String>,
    },
}

/// A pair, as it stands.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Standing {
    /// The cluster.
    pub cluster_arn: String,
    /// The workspace.
    pub workspace_arn: String,
    /// The scraper.
    pub scraper_arn: String,
    /// Its state.
    pub scraper_status: String,
    /// Hours since it was made.
    pub age_hours: f64,
    /// What is not as it should be: the next onboarding repairs it.
    pub drift: Vec<String>,
    /// Endpoints in the workspace, and those that are up; nothing where nobody could ask.
    pub samples: Option<(u64, u64)>,
    /// What could not be looked at.
    pub problems: Vec<String>,
}

/// Looks at every pair of these accounts and Regions.
///
/// # Errors
/// When an account cannot be reached at all.
pub async fn look(way: &Way, accounts: &[String], regions: &[String]) -> Result<Vec<Standing>> {
    let mut all = Vec::new();
    for id in accounts {
        for region in regions {
            let source = way.reach(id, region).await?;
            let scrapers = scraper::list(source.amp().list_scrapers()).await;
            let scrapers = scrapers.map_err(|why| anyhow!("account {id}, {region}: {why}"))?;
            for ours in scraper::ours(&scrapers) {
                let found = scrapers.iter().find(|scraper| scraper.arn() == ours.scraper_arn);
                all.push(standing(way, &source, ours, found.context("a scraper was lost")?).await?);
            }
        }
    }
    Ok(all)
}

impl Way {
    async fn reach(&self, id: &str, region: &str) -> Result<Account> {
        match self {
            Self::Local { url } => Ok(Account::new(url, id, region)),
            Self::Aws { role: Some(role) } => Account::ordinary(id, region).await?.wearing(role).await,
            Self::Aws { role: None } => {
                let account = Account::ordinary(id, region).await?;
                let caller = account.sts().get_caller_identity().send().await;
                let caller = caller.context("nobody could say whose the credentials are")?;
                let theirs = caller.account().unwrap_or_default();
                if theirs != id {
                    bail!("the credentials are of account {theirs}; name a role to assume in {id}: --role-name");
                }
                Ok(account)
            }
        }
    }
}

async fn standing(way: &Way, source: &Account, ours: Ours, scraper: &ScraperSummary) -> Result<Standing> {
    let Pair { cluster, workspace } = &ours.pair;
    let made = SystemTime::try_from(*scraper.created_at())?;
    let age = SystemTime::now().duration_since(made).unwrap_or_default();
    let mut standing = Standing {
        cluster_arn: cluster.to_string(),
        workspace_arn: workspace.to_string(),
        scraper_status: scraper
            .status()
            .map_or_else(String::new, |status| status.status_code().to_string()),
        age_hours: (age.as_secs_f64() / 360.0).round() / 10.0,
        drift: Vec::new(),
        samples: None,
        problems: Vec::new(),
        scraper_arn: ours.scraper_arn,
    };
    let asked = json!({ "clusterArn": cluster, "workspaceArn": workspace });
    let mut request = Request::parse(&asked).map_err(|why| anyhow!("{why}"))?;
    let scraper_arn: ScraperArn = standing.scraper_arn.parse().map_err(|why| anyhow!("{why}"))?;
    // Its samples carry the labels of this configuration, not those of a request that nobody remembers.
    match scraper::works_by(&source.amp(), &scraper_arn).await {
        Ok(yaml) => request.scrape_configuration = Some(yaml),
        Err(why) => standing.problems.push(format!("scrape configuration: {why}")),
    }
    let task = Task {
        pair: ours.pair.clone(),
        request,
        execution: String::new(),
        known: Known {
            scraper_arn: Some(scraper_arn),
        },
    };
    standing.role("source role", source, &roles::source(&task)).await;
    match way.reach(workspace.account(), workspace.region()).await {
        Ok(target) => {
            standing.role("target role", &target, &roles::target(&task)).await;
            standing.ask(&target, &task).await;
        }
        Err(why) => standing
            .problems
            .push(format!("account {}: {why:#}", workspace.account())),
    }
    Ok(standing)
}

impl Standing {
    async fn role(&mut self, which: &str, account: &Account, role: &Role) {
        match roles::drift(&account.iam(), role).await {
            Ok(drift) => self
                .drift
                .extend(drift.into_iter().map(|what| format!("{which}: {what}"))),
            Err(why) => self.problems.push(format!("{which}: {why}")),
        }
    }

    async fn ask(&mut self, target: &Account, task: &Task<Known>) {
        match ingestion::count(&target.samples(), task).await {
            Ok(count) => self.samples = Some(count),
            Err(why) => self.problems.push(format!("samples: {why}")),
        }
    }

    /// Whether all is as it should be.
    pub fn is_fine(&self) -> bool {
        let arrives = self.samples.is_some_and(|(_, up)| up > 0);
        self.scraper_status == "ACTIVE" && self.drift.is_empty() && self.problems.is_empty() && arrives
    }
}

/// The table for people.
pub fn table(all: &[Standing]) -> String {
    let mut lines = vec![format!(
        "{:<60}{:<46}{:<17}{:>8}  {:<12}{}",
        "cluster", "workspace", "scraper", "age", "samples", "drift"
    )];
    for one in all {
        let samples = one
            .samples
            .map_or("?".to_owned(), |(endpoints, up)| format!("{up}/{endpoints} up"));
        let short = |arn: &str| arn.splitn(4, ':').nth(3).unwrap_or_default().to_owned();
        let mut notes = one.drift.clone();
        notes.extend(one.problems.iter().map(|problem| format!("NOT LOOKED AT: {problem}")));
        lines.push(format!(
            "{:<60}{:<46}{:<17}{:>6} h  {:<12}{}",
            short(&one.cluster_arn),
            short(&one.workspace_arn),
            one.scraper_status,
            one.age_hours,
            samples,
            if notes.is_empty() {
                "none".to_owned()
            } else {
                notes.join("; ")
            },
        ));
    }
    let fine = all.iter().filter(|one| one.is_fine()).count();
    lines.push(format!("\n{} pairs, {fine} of them as they should be.", all.len()));
    lines.join("\n")
}
