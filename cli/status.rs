//! `status`: every pair that ampxa manages in some accounts: its scraper, what has drifted, and what arrives.
//!
//! The same code looks at AWS and at a local cloud, with the product's own comparisons. It touches nothing. What
//! cannot be looked at is listed, and hides nothing else.

use crate::{account::Account, credentials::Credentials, terminal::Report};
use ampxa::{
    arn::ScraperArn,
    ingestion, names,
    pair::Pair,
    request::Request,
    roles::{self, EnsureInput, Role},
    scraper,
    task::Task,
};
use anyhow::{Result, anyhow};
use aws_sdk_amp::types::ScraperSummary;
use futures_util::{StreamExt, stream};
use serde::Serialize;
use serde_json::json;
use std::{collections::BTreeMap, time::SystemTime};

/// So many accounts, and then so many pairs, are looked at side by side: IAM throttles an account that asks faster.
const SIDE_BY_SIDE: usize = 12;

/// All pairs of some accounts.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Fleet {
    /// The accounts that were looked at.
    pub accounts: Vec<String>,
    /// The Regions.
    pub regions: Vec<String>,
    /// The pairs.
    pub pairs: Vec<Standing>,
    /// Where nobody could look for pairs.
    pub not_looked_at: Vec<Unseen>,
    /// Accounts that the hub cannot enter, because they lack its role.
    pub without_provisioner: Vec<WithoutProvisioner>,
}

/// An account in which the hub has no role to assume.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WithoutProvisioner {
    /// The account.
    pub account_id: String,
    /// The role that it lacks.
    pub role: &'static str,
    /// The template that makes it.
    pub template: &'static str,
}

/// An account, or a Region of it, that could not be looked at.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Unseen {
    /// The account, and the Region if it is only one.
    pub place: String,
    /// Why.
    pub problem: String,
}

/// A pair, as it stands.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Standing {
    /// The cluster.
    pub cluster_arn: String,
    /// The workspace.
    pub workspace_arn: String,
    /// The scraper; nothing where there is none.
    pub scraper_arn: Option<String>,
    /// Its state.
    pub scraper_status: String,
    /// Hours since it was made.
    pub age_hours: Option<f64>,
    /// What is not as it should be: the next onboarding repairs it.
    pub drift: Vec<String>,
    /// Endpoints in the workspace, and those that are up; nothing where nobody could ask.
    pub samples: Option<Samples>,
    /// What could not be looked at.
    pub problems: Vec<String>,
    /// Whether all is as it should be: ACTIVE, no drift, and samples of an endpoint that is up.
    pub fine: bool,
}

/// What of a cluster is in its workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Samples {
    /// Endpoints that the scraper tells of.
    pub targets: u64,
    /// Those of them that answer it.
    pub up: u64,
}

/// A pair that a scraper or a role tells of, and where.
struct Found {
    source: Account,
    pair: Pair,
    scrapers: Vec<ScraperSummary>,
    gone: bool,
}

/// Looks at every pair of these accounts and Regions: those that have a scraper, and those that have lost it.
pub async fn look(credentials: &Credentials, accounts: &[String], regions: &[String], report: &Report) -> Fleet {
    let doing = report.doing(&format!("Looking for pairs in {} accounts", accounts.len()));
    let found: Vec<InAccount> = stream::iter(accounts)
        .map(|id| pairs_in(credentials, id, regions))
        .buffered(SIDE_BY_SIDE)
        .collect()
        .await;
    doing.done();
    let (mut pairs, mut not_looked_at, mut without_provisioner) = (Vec::new(), Vec::new(), Vec::new());
    for mut account in found {
        pairs.append(&mut account.pairs);
        not_looked_at.append(&mut account.unseen);
        without_provisioner.extend(account.without_provisioner);
    }
    let targets: BTreeMap<&str, &str> = pairs
        .iter()
        .map(|found| (found.pair.workspace.account(), found.pair.workspace.region()))
        .collect();
    for (id, region) in targets {
        // A target account that cannot be read is a problem of each of its pairs, which says so.
        if let Ok(target) = credentials.account(id, region).await {
            let missing = lacks(&target, id, names::TARGET_PROVISIONER, "infra/target-account.yaml").await;
            without_provisioner.extend(missing.unwrap_or_default());
        }
    }
    let doing = report.doing(&format!("Looking at {} pairs", pairs.len()));
    let pairs = stream::iter(pairs)
        .map(|found| standing(credentials, found))
        .buffered(SIDE_BY_SIDE)
        .collect()
        .await;
    doing.done();
    Fleet {
        accounts: accounts.to_vec(),
        regions: regions.to_vec(),
        pairs,
        not_looked_at,
        without_provisioner,
    }
}

/// What an account with clusters has.
#[derive(Default)]
struct InAccount {
    pairs: Vec<Found>,
    unseen: Vec<Unseen>,
    without_provisioner: Option<WithoutProvisioner>,
}

/// Whether an account lacks a role of the hub's.
async fn lacks(
    account: &Account,
    id: &str,
    role: &'static str,
    template: &'static str,
) -> Result<Option<WithoutProvisioner>, ampxa::Error> {
    let answer = account.iam().get_role().role_name(role).send().await;
    match answer {
        Ok(_) => Ok(None),
        Err(error)
            if error
                .as_service_error()
                .is_some_and(|error| error.is_no_such_entity_exception()) =>
        {
            Ok(Some(WithoutProvisioner {
                account_id: id.to_owned(),
                role,
                template,
            }))
        }
        Err(error) => Err(error.into()),
    }
}

/// The pairs of an account, where in it nobody could look, and whether the hub can enter it.
async fn pairs_in(credentials: &Credentials, id: &str, regions: &[String]) -> InAccount {
    let mut all = InAccount::default();
    let mut with_roles = Vec::new();
    for (nth, region) in regions.iter().enumerate() {
        let source = match credentials.account(id, region).await {
            Ok(source) => source,
            Err(why) => {
                all.unseen.push(not_seen(id.to_owned(), format!("{why:#}")));
                break;
            }
        };
        // IAM is global: it is asked once.
        if nth == 0 {
            match roles::pairs_of(&source.iam(), None).await {
                Ok(pairs) => with_roles = pairs,
                Err(why) => all.unseen.push(not_seen(id.to_owned(), why.to_string())),
            }
            match lacks(&source, id, names::SOURCE_PROVISIONER, "infra/source-account.yaml").await {
                Ok(missing) => all.without_provisioner = missing,
                Err(why) => all.unseen.push(not_seen(id.to_owned(), why.to_string())),
            }
        }
        match scraper::list(source.amp().list_scrapers()).await {
            Ok(scrapers) => all.pairs.extend(pairs_at(&source, &scrapers, &with_roles)),
            Err(why) => all.unseen.push(not_seen(format!("{id}, {region}"), why.to_string())),
        }
    }
    all
}

fn not_seen(place: String, problem: String) -> Unseen {
    Unseen { place, problem }
}

/// Each pair once, whatever tells of it.
fn pairs_at(source: &Account, scrapers: &[ScraperSummary], with_roles: &[Pair]) -> Vec<Found> {
    let ours = scraper::ours(scrapers);
    let here = with_roles.iter().filter(|pair| pair.cluster.region() == source.region);
    let told = ours.iter().map(|ours| &ours.pair).chain(here);
    let mut pairs: Vec<&Pair> = told.collect();
    pairs.sort_by_key(|pair| (pair.cluster.to_string(), pair.workspace.to_string()));
    pairs.dedup();
    let found = pairs.into_iter().map(|pair| Found {
        source: source.clone(),
        scrapers: scrapers.to_vec(),
        gone: ours
            .iter()
            .any(|ours| ours.pair == *pair && ours.orphan_since.is_some()),
        pair: pair.clone(),
    });
    found.collect()
}

async fn standing(credentials: &Credentials, found: Found) -> Standing {
    let Found {
        source, pair, scrapers, ..
    } = &found;
    let mut standing = Standing {
        cluster_arn: pair.cluster.to_string(),
        workspace_arn: pair.workspace.to_string(),
        scraper_arn: None,
        scraper_status: "NONE".to_owned(),
        age_hours: None,
        drift: Vec::new(),
        samples: None,
        problems: Vec::new(),
        fine: false,
    };
    if found.gone {
        standing
            .drift
            .push("cluster: gone when a reconciliation looked".to_owned());
    }
    let arn = match scraper::inventory(scrapers, pair, None) {
        Ok(stands) => {
            let stale_scrapers = stands.stale_scrapers.iter();
            standing
                .drift
                .extend(stale_scrapers.map(|old| format!("scraper: {} {}", old.scraper_arn, old.reason)));
            stands.scraper.map(|scraper| scraper.scraper_arn)
        }
        Err(why) => {
            standing.problems.push(format!("scraper: {why}"));
            None
        }
    };
    if let Some(scraper) = scrapers.iter().find(|scraper| arn.as_deref() == Some(scraper.arn())) {
        standing.scraper(scraper);
    } else if standing.problems.is_empty() {
        standing.drift.push("scraper: missing".to_owned());
    }
    if let Err(why) = standing.beyond(credentials, source, pair).await {
        standing.problems.push(format!("{why:#}"));
    }
    let arrives = standing.samples.is_some_and(|samples| samples.up > 0);
    let clean = standing.drift.is_empty() && standing.problems.is_empty();
    standing.fine = standing.scraper_status == "ACTIVE" && clean && arrives;
    standing
}

impl Standing {
    fn scraper(&mut self, scraper: &ScraperSummary) {
        let status = scraper.status().map(|status| status.status_code().to_string());
        self.scraper_arn = Some(scraper.arn().to_owned());
        self.scraper_status = status.unwrap_or_default();
        let made = SystemTime::try_from(*scraper.created_at()).ok();
        let age = made.and_then(|made| SystemTime::now().duration_since(made).ok());
        self.age_hours = age.map(|age| (age.as_secs_f64() / 360.0).round() / 10.0);
    }

    /// Both roles, and what arrives.
    async fn beyond(&mut self, credentials: &Credentials, source: &Account, pair: &Pair) -> Result<()> {
        let asked = json!({ "clusterArn": pair.cluster, "workspaceArn": pair.workspace });
        let mut request = Request::parse(&asked).map_err(|why| anyhow!("{why}"))?;
        let scraper_arn = self.scraper_arn.as_deref().map(str::parse::<ScraperArn>).transpose();
        let scraper_arn = scraper_arn.map_err(|why| anyhow!("{why}"))?;
        if let Some(scraper) = &scraper_arn {
            // Its samples carry the labels of this configuration, not those of a request that nobody remembers.
            match scraper::works(&source.amp(), scraper, pair).await {
                Ok(works) => {
                    request.scrape_configuration = Some(works.configuration);
                    self.drift
                        .extend(works.drift.iter().map(|what| format!("scraper: {what}")));
                }
                Err(why) => self.problems.push(format!("scraper: {why}")),
            }
        }
        let task = Task {
            pair: pair.clone(),
            request,
            execution: String::new(),
            input: EnsureInput { scraper_arn },
        };
        self.role("source role", source, &roles::source(&task)).await;
        let workspace = &pair.workspace;
        let target = credentials.account(workspace.account(), workspace.region()).await?;
        self.role("target role", &target, &roles::target(&task)).await;
        match ingestion::count(&target.samples(), &task).await {
            Ok((targets, up)) => self.samples = Some(Samples { targets, up }),
            Err(why) => self.problems.push(format!("samples: {why}")),
        }
        Ok(())
    }

    async fn role(&mut self, which: &str, account: &Account, role: &Role) {
        match roles::drift(&account.iam(), role).await {
            // Without a scraper there is nobody to let in.
            Ok(drift) => self.drift.extend(
                drift
                    .into_iter()
                    .filter(|what| role.scraper_trust.is_some() || *what != "trust policy")
                    .map(|what| format!("{which}: {what}")),
            ),
            Err(why) => self.problems.push(format!("{which}: {why}")),
        }
    }

    fn cells(&self) -> [String; 6] {
        let short = |arn: &str| arn.splitn(4, ':').nth(3).unwrap_or_default().to_owned();
        let mut notes = self.drift.clone();
        notes.extend(self.problems.iter().map(|problem| format!("NOT LOOKED AT: {problem}")));
        [
            short(&self.cluster_arn),
            short(&self.workspace_arn),
            self.scraper_status.clone(),
            self.age_hours.map_or("-".to_owned(), |hours| format!("{hours} h")),
            self.samples.map_or("?".to_owned(), |samples| {
                format!("{} of {} up", samples.up, samples.targets)
            }),
            if notes.is_empty() {
                "none".to_owned()
            } else {
                notes.join("; ")
            },
        ]
    }
}

impl Fleet {
    /// Whether everything that was asked for could be looked at.
    pub fn is_whole(&self) -> bool {
        self.not_looked_at.is_empty() && self.pairs.iter().all(|pair| pair.problems.is_empty())
    }

    /// Whether that is so, there are pairs, all of them are as they should be, and the hub can enter every account. A
    /// fleet without a pair is more likely a wrong account or Region than one that is meant.
    pub fn is_fine(&self) -> bool {
        let fine = self.pairs.iter().all(|pair| pair.fine);
        self.is_whole() && fine && !self.pairs.is_empty() && self.without_provisioner.is_empty()
    }

    /// The table for people.
    pub fn table(&self) -> String {
        let heads = ["cluster", "workspace", "scraper", "age", "samples", "drift"].map(str::to_owned);
        let rows: Vec<[String; 6]> = std::iter::once(heads)
            .chain(self.pairs.iter().map(Standing::cells))
            .collect();
        let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or_default();
        let widths: [usize; 6] = std::array::from_fn(width);
        let mut lines: Vec<String> = rows
            .iter()
            .map(|row| {
                let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
                cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
            })
            .collect();
        let fine = self.pairs.iter().filter(|pair| pair.fine).count();
        let accounts = match &self.accounts[..] {
            [one] => format!("account {one}"),
            all => format!("{} accounts", all.len()),
        };
        lines.push(format!(
            "\n{} pairs in {accounts}, {}: {fine} of them as they should be.",
            self.pairs.len(),
            self.regions.join(", ")
        ));
        let unseen = self.not_looked_at.iter();
        lines.extend(unseen.map(|unseen| format!("NOT LOOKED AT: account {}: {}", unseen.place, unseen.problem)));
        lines.extend(self.without_provisioner.iter().map(|missing| {
            let WithoutProvisioner {
                account_id,
                role,
                template,
            } = missing;
            format!("The account {account_id} has no role {role}: deploy {template} there.")
        }));
        lines.join("\n")
    }
}
