//! `status`: all pairs of the given accounts, each with its scraper, drift and samples. Read-only.
//!
//! The same code reads AWS and a local cloud, and compares with the functions of the product. Accounts and pairs that
//! cannot be read are listed, and do not prevent the report of the others.

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

/// The number of accounts, and then of pairs, that are read in parallel: more calls at once would be throttled by IAM.
const CONCURRENCY: usize = 12;

/// All pairs of the given accounts.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Fleet {
    /// The accounts of the request.
    pub accounts: Vec<String>,
    /// The Regions of the request.
    pub regions: Vec<String>,
    /// The pairs.
    pub pairs: Vec<Standing>,
    /// The accounts and Regions that could not be read.
    pub not_checked: Vec<Unreadable>,
    /// The accounts without the roles of ampxa.
    pub missing_roles: Vec<MissingRole>,
}

/// An account without the roles of ampxa. The template that creates the missing role creates all of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MissingRole {
    /// The account id.
    pub account_id: String,
    /// The name of the missing role.
    pub role: &'static str,
    /// The template that creates the role.
    pub template: &'static str,
}

/// An account, or one of its Regions, that could not be read.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Unreadable {
    /// The account, with the Region if only that Region could not be read.
    #[serde(rename = "location")]
    pub location: String,
    /// The error.
    pub problem: String,
}

/// The status of a pair.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Standing {
    /// The ARN of the cluster.
    pub cluster_arn: String,
    /// The ARN of the workspace.
    pub workspace_arn: String,
    /// The ARN of the scraper; `None` if the pair has none.
    pub scraper_arn: Option<String>,
    /// The status of the scraper; `NONE` if the pair has none.
    pub scraper_status: String,
    /// The age of the scraper in hours.
    pub age_hours: Option<f64>,
    /// The differences from the desired state. The next onboarding repairs them.
    pub drift: Vec<String>,
    /// The targets in the workspace; `None` if the workspace could not be queried, or if no target can be identified.
    pub samples: Option<Samples>,
    /// Whether the scraper's configuration has the label that identifies the cluster (`"labels": "KEEP"` may leave it out).
    pub identified: bool,
    /// What could not be read, each with the error.
    pub problems: Vec<String>,
    /// Whether the pair is in the desired state: scraper ACTIVE, no drift, and samples of a target that is up, unless its
    /// targets cannot be identified.
    pub fine: bool,
}

/// The targets of a cluster in its workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Samples {
    /// The number of targets.
    pub targets: u64,
    /// The number of targets that are up.
    pub up: u64,
}

/// A pair that was found by the tags of a scraper or a role.
struct Found {
    source: Account,
    pair: Pair,
    scrapers: Vec<ScraperSummary>,
    orphaned: bool,
}

/// Reads all pairs of the accounts and Regions, including pairs whose scraper is missing.
pub async fn look(credentials: &Credentials, accounts: &[String], regions: &[String], report: &Report) -> Fleet {
    let activity = report.start(&format!("Searching {} accounts for pairs", accounts.len()));
    let found: Vec<InAccount> = stream::iter(accounts)
        .map(|id| pairs_in(credentials, id, regions))
        .buffered(CONCURRENCY)
        .collect()
        .await;
    activity.finish();
    let (mut pairs, mut not_checked, mut missing_roles) = (Vec::new(), Vec::new(), Vec::new());
    for mut account in found {
        pairs.append(&mut account.pairs);
        not_checked.append(&mut account.unreadable);
        missing_roles.extend(account.missing_roles);
    }
    let targets: BTreeMap<&str, &str> = pairs
        .iter()
        .map(|found| (&**found.pair.workspace.account(), &**found.pair.workspace.region()))
        .collect();
    for (id, region) in targets {
        // A target account that cannot be read is reported as a problem of each of its pairs.
        if let Ok(target) = credentials.target(id, region).await {
            let missing = missing_role(&target, id, names::TARGET_READER, "infra/target-account.yaml").await;
            missing_roles.extend(missing.unwrap_or_default());
        }
    }
    let activity = report.start(&format!("Reading {} pairs", pairs.len()));
    let pairs = stream::iter(pairs)
        .map(|found| standing(credentials, found))
        .buffered(CONCURRENCY)
        .collect()
        .await;
    activity.finish();
    Fleet {
        accounts: accounts.to_vec(),
        regions: regions.to_vec(),
        pairs,
        not_checked,
        missing_roles,
    }
}

/// The result of reading a source account.
#[derive(Default)]
struct InAccount {
    pairs: Vec<Found>,
    unreadable: Vec<Unreadable>,
    missing_roles: Option<MissingRole>,
}

/// Checks whether an account has the reader; returns the missing role if not. A reader can read itself.
async fn missing_role(
    account: &Account,
    id: &str,
    role: &'static str,
    template: &'static str,
) -> Result<Option<MissingRole>, ampxa::Error> {
    let response = account.iam().get_role().role_name(role).send().await;
    match response {
        Ok(_) => Ok(None),
        Err(error)
            if error
                .as_service_error()
                .is_some_and(|error| error.is_no_such_entity_exception()) =>
        {
            Ok(Some(MissingRole {
                account_id: id.to_owned(),
                role,
                template,
            }))
        }
        Err(error) => Err(error.into()),
    }
}

/// Finds the pairs of an account, its Regions that cannot be read, and whether its reader is missing.
async fn pairs_in(credentials: &Credentials, id: &str, regions: &[String]) -> InAccount {
    let mut all = InAccount::default();
    let mut with_roles = Vec::new();
    for (nth, region) in regions.iter().enumerate() {
        let source = match credentials.source(id, region).await {
            Ok(source) => source,
            Err(error) => {
                all.unreadable.push(unreadable(id.to_owned(), format!("{error:#}")));
                break;
            }
        };
        // IAM is global: it is read once.
        if nth == 0 {
            match roles::pairs_of(&source.iam(), None).await {
                Ok(pairs) => with_roles = pairs,
                Err(error) => all.unreadable.push(unreadable(id.to_owned(), error.to_string())),
            }
            match missing_role(&source, id, names::SOURCE_READER, "infra/source-account.yaml").await {
                Ok(missing) => all.missing_roles = missing,
                Err(error) => all.unreadable.push(unreadable(id.to_owned(), error.to_string())),
            }
        }
        match scraper::list(source.amp().list_scrapers()).await {
            Ok(scrapers) => all.pairs.extend(pairs_at(&source, &scrapers, &with_roles)),
            Err(error) => all
                .unreadable
                .push(unreadable(format!("{id}, {region}"), error.to_string())),
        }
    }
    all
}

fn unreadable(location: String, problem: String) -> Unreadable {
    Unreadable { location, problem }
}

/// What a task of this command has for its execution: it creates nothing that could name one.
const NO_EXECUTION: &str = "arn:aws:states:us-east-1:000000000000:execution:none:status";

/// The pairs of a Region, each once, found by scraper or role.
fn pairs_at(source: &Account, scrapers: &[ScraperSummary], with_roles: &[Pair]) -> Vec<Found> {
    let ours = scraper::owned(scrapers);
    let here = with_roles
        .iter()
        .filter(|pair| **pair.cluster.region() == source.region);
    let mut pairs: Vec<&Pair> = ours.iter().map(|ours| &ours.pair).chain(here).collect();
    pairs.sort_by_key(|pair| (pair.cluster.to_string(), pair.workspace.to_string()));
    pairs.dedup();
    let found = pairs.into_iter().map(|pair| Found {
        source: source.clone(),
        scrapers: scrapers.to_vec(),
        orphaned: ours
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
        identified: true,
        problems: Vec::new(),
        fine: false,
    };
    if found.orphaned {
        standing
            .drift
            .push("cluster: missing at the last reconciliation".to_owned());
    }
    let arn = match scraper::inventory(scrapers, pair, None) {
        Ok(inventory) => {
            let stale_scrapers = inventory.stale_scrapers.iter();
            standing
                .drift
                .extend(stale_scrapers.map(|old| format!("scraper: {} {}", old.scraper_arn, old.reason)));
            inventory.scraper.map(|scraper| scraper.scraper_arn)
        }
        Err(error) => {
            standing.problems.push(format!("scraper: {error}"));
            None
        }
    };
    if let Some(scraper) = scrapers.iter().find(|scraper| arn.as_deref() == Some(scraper.arn())) {
        standing.set_scraper(scraper);
    } else if standing.problems.is_empty() {
        standing.drift.push("scraper: missing".to_owned());
    }
    if let Err(error) = standing.roles_and_samples(credentials, source, pair).await {
        standing.problems.push(format!("{error:#}"));
    }
    let receiving = standing.samples.map_or(!standing.identified, |samples| samples.up > 0);
    let clean = standing.drift.is_empty() && standing.problems.is_empty();
    standing.fine = standing.scraper_status == "ACTIVE" && clean && receiving;
    standing
}

impl Standing {
    fn set_scraper(&mut self, scraper: &ScraperSummary) {
        let status = scraper.status().map(|status| status.status_code().to_string());
        self.scraper_arn = Some(scraper.arn().to_owned());
        self.scraper_status = status.unwrap_or_default();
        let created = SystemTime::try_from(*scraper.created_at()).ok();
        let age = created.and_then(|created| SystemTime::now().duration_since(created).ok());
        self.age_hours = age.map(|age| (age.as_secs_f64() / 360.0).round() / 10.0);
    }

    /// Reads both roles and the samples.
    async fn roles_and_samples(&mut self, credentials: &Credentials, source: &Account, pair: &Pair) -> Result<()> {
        let request = json!({ "clusterArn": pair.cluster, "workspaceArn": pair.workspace });
        let request = Request::parse(&request).map_err(|error| anyhow!("{error}"))?;
        let scraper_arn = self.scraper_arn.as_deref().map(str::parse::<ScraperArn>).transpose();
        let scraper_arn = scraper_arn.map_err(|error| anyhow!("{error}"))?;
        let mut longest_interval = 0;
        if let Some(scraper) = &scraper_arn {
            match scraper::current_state(&source.amp(), scraper, pair).await {
                Ok(current) => {
                    longest_interval = current.longest_interval;
                    self.identified = current.identified;
                    self.drift
                        .extend(current.drift.iter().map(|what| format!("scraper: {what}")));
                }
                Err(error) => self.problems.push(format!("scraper: {error}")),
            }
        }
        let task = Task {
            pair: pair.clone(),
            request,
            execution: NO_EXECUTION.parse().map_err(|error| anyhow!("{error}"))?,
            input: EnsureInput { scraper_arn },
        };
        self.compare_role("source role", source, &roles::source(&task)).await;
        let workspace = &pair.workspace;
        let target = credentials.target(workspace.account(), workspace.region()).await?;
        self.compare_role("target role", &target, &roles::target(&task)).await;
        match ingestion::count(&target.samples(), pair, longest_interval).await {
            Ok((0, _)) if !self.identified => {}
            Ok((targets, up)) => self.samples = Some(Samples { targets, up }),
            Err(error) => self.problems.push(format!("samples: {error}")),
        }
        Ok(())
    }

    async fn compare_role(&mut self, which: &str, account: &Account, role: &Role) {
        match roles::drift(&account.iam(), role).await {
            // Without a scraper, the trust policy has nothing to name.
            Ok(drift) => self.drift.extend(
                drift
                    .into_iter()
                    .filter(|what| role.scraper_trust.is_some() || *what != "trust policy")
                    .map(|what| format!("{which}: {what}")),
            ),
            Err(error) => self.problems.push(format!("{which}: {error}")),
        }
    }

    fn cells(&self) -> [String; 6] {
        let short = |arn: &str| arn.splitn(4, ':').nth(3).unwrap_or_default().to_owned();
        let mut notes = self.drift.clone();
        notes.extend(self.problems.iter().map(|problem| format!("NOT CHECKED: {problem}")));
        [
            short(&self.cluster_arn),
            short(&self.workspace_arn),
            self.scraper_status.clone(),
            self.age_hours.map_or("-".to_owned(), |hours| format!("{hours} h")),
            match self.samples {
                Some(samples) => format!("{} of {} up", samples.up, samples.targets),
                None if !self.identified => "no label".to_owned(),
                None => "?".to_owned(),
            },
            if notes.is_empty() {
                "none".to_owned()
            } else {
                notes.join("; ")
            },
        ]
    }
}

impl Fleet {
    /// Whether everything could be read.
    pub fn is_whole(&self) -> bool {
        self.not_checked.is_empty() && self.pairs.iter().all(|pair| pair.problems.is_empty())
    }

    /// Whether everything could be read, at least one pair exists, all pairs are in the desired state, and no account
    /// lacks the roles of ampxa. An empty result usually means a wrong account or Region.
    pub fn is_in_desired_state(&self) -> bool {
        let fine = self.pairs.iter().all(|pair| pair.fine);
        self.is_whole() && fine && !self.pairs.is_empty() && self.missing_roles.is_empty()
    }

    /// The result as a table.
    pub fn table(&self) -> String {
        let header = ["cluster", "workspace", "scraper", "age", "samples", "drift"].map(str::to_owned);
        let rows: Vec<[String; 6]> = std::iter::once(header)
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
            "\n{} pairs in {accounts}, {}: {fine} of them in the desired state.",
            self.pairs.len(),
            self.regions.join(", ")
        ));
        let unreadable = self.not_checked.iter();
        lines.extend(
            unreadable
                .map(|unreadable| format!("NOT CHECKED: account {}: {}", unreadable.location, unreadable.problem)),
        );
        lines.extend(self.missing_roles.iter().map(|missing| {
            let MissingRole {
                account_id,
                role,
                template,
            } = missing;
            format!("The account {account_id} has no role {role}: deploy {template} there.")
        }));
        lines.join("\n")
    }
}
