//! AMP's scrapers and workspaces: states by virtual time, refusals in transition, client tokens.

use super::{Answered, Call, Refusal};
use crate::world::Setup;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

const UPDATING: Duration = Duration::from_secs(120);
/// Service quotas of AMP: scrapers in a Region and account.
const QUOTA: usize = 10;
/// AMP's default, as its API gives it.
pub const DEFAULT_CONFIGURATION: &str = include_str!("../../golden/scrape_configuration/aws-sample.yaml");

/// How a scraper's creation goes.
#[derive(Debug, Clone, Copy)]
pub struct Creation {
    pub takes: Duration,
    pub fails: bool,
}

#[derive(Debug, Default)]
pub struct Amp {
    pub scrapers: Vec<Scraper>,
    /// What becomes of the next scrapers; after them, all become ACTIVE in 100 seconds.
    pub creations: VecDeque<Creation>,
    /// How many updates fail before one does not.
    pub failing_updates: usize,
    /// How many deletions fail before one does not.
    pub failing_deletions: usize,
    /// What each client token was answered.
    pub answered: BTreeMap<(String, String), (Value, Value)>,
    pub workspaces: Vec<String>,
}

#[derive(Debug, Clone)]
pub struct Scraper {
    pub id: String,
    pub arn: String,
    pub account: String,
    pub alias: Option<String>,
    pub tags: BTreeMap<String, String>,
    pub source: Value,
    pub workspace: String,
    pub roles: Value,
    /// Base64, as AMP keeps it.
    pub configuration: String,
    pub made_at: f64,
    /// Each state and since when; the last may lie in the future.
    pub states: Vec<(Duration, &'static str)>,
    pub reason: Option<&'static str>,
}

/// A scraper's last state.
pub const GONE: &str = "GONE";

impl Scraper {
    /// Its state, and whether it is there at all.
    pub fn state(&self, now: Duration) -> Option<&'static str> {
        let (_, state) = self.states.iter().rev().find(|(since, _)| *since <= now)?;
        (*state != GONE).then_some(*state)
    }

    pub fn cluster(&self) -> &str {
        self.source["eksConfiguration"]["clusterArn"]
            .as_str()
            .expect("a cluster")
    }

    fn shown(&self, state: &str, whole: bool) -> Value {
        let mut shown = json!({
            "arn": self.arn,
            "scraperId": self.id,
            "roleArn": format!(
                "arn:aws:iam::{}:role/aws-service-role/scraper.aps.amazonaws.com/AWSServiceRoleForAmazonPrometheusScraper_{}",
                self.account, self.id
            ),
            "status": { "statusCode": state },
            "createdAt": self.made_at,
            "lastModifiedAt": self.made_at,
            "tags": self.tags,
            "source": self.source,
            "destination": { "ampConfiguration": { "workspaceArn": self.workspace } },
            "roleConfiguration": self.roles,
        });
        if let Some(alias) = &self.alias {
            shown["alias"] = json!(alias);
        }
        if whole {
            shown["scrapeConfiguration"] = json!({ "configurationBlob": self.configuration });
            if let Some(reason) = self.reason {
                shown["statusReason"] = json!(reason);
            }
        }
        shown
    }
}

impl Amp {
    /// All scrapers that are there.
    pub fn there(&self, now: Duration) -> impl Iterator<Item = (&Scraper, &'static str)> {
        self.scrapers
            .iter()
            .filter_map(move |scraper| Some((scraper, scraper.state(now)?)))
    }

    pub fn take(
        &mut self,
        call: &Call,
        region: &str,
        account: &str,
        setup: &Setup,
        random: &mut fastrand::Rng,
        now: Duration,
    ) -> Answered {
        let lag = Duration::from_millis(random.u64(..=setup.list_lag_ms));
        match call.action.as_str() {
            "GetDefaultScraperConfiguration" => {
                let encoded = aws_smithy_types::base64::encode(DEFAULT_CONFIGURATION);
                Ok(json!({ "configuration": encoded }).to_string())
            }
            "DescribeWorkspace" => {
                let arn = format!("arn:aws:aps:{region}:{account}:workspace/{}", call.id);
                match self.workspaces.contains(&arn) {
                    true => Ok(json!({ "workspace": {
                        "workspaceId": call.id, "arn": arn, "status": { "statusCode": "ACTIVE" }, "createdAt": 1.0,
                    } })
                    .to_string()),
                    false => Err(not_found(&call.id)),
                }
            }
            "ListScrapers" => Ok(self.list(call, account, now.saturating_sub(lag))),
            "CreateScraper" => self.create(call, region, account, setup, now),
            "DescribeScraper" => {
                // A new one is shown as late as lists show it.
                let scraper = self.find(&call.id, account, now)?;
                let (since, _) = scraper.states[0];
                match since + lag <= now {
                    true => {
                        let state = scraper.state(now).expect("it was found");
                        Ok(json!({ "scraper": scraper.shown(state, true) }).to_string())
                    }
                    false => Err(not_found(&call.id)),
                }
            }
            "TagResource" => {
                let id = call.id.rsplit('/').next().expect("an id").to_owned();
                let Value::Object(tags) = &call.body["tags"] else {
                    panic!("no tags: {}", call.body);
                };
                let scraper = self.find(&id, account, now)?;
                let tags = tags.iter();
                scraper
                    .tags
                    .extend(tags.map(|(key, value)| (key.clone(), value.as_str().expect("a text").to_owned())));
                Ok("{}".to_owned())
            }
            "UpdateScraper" => self.update(call, account, now),
            "DeleteScraper" => self.delete(call, account, setup, now),
            other => panic!("AMP is asked for {other}"),
        }
    }

    fn find(&mut self, id: &str, account: &str, now: Duration) -> Result<&mut Scraper, Refusal> {
        let mut all = self.scrapers.iter_mut();
        all.find(|scraper| scraper.id == id && scraper.account == account && scraper.state(now).is_some())
            .ok_or_else(|| not_found(id))
    }

    fn list(&self, call: &Call, account: &str, seen: Duration) -> String {
        let wanted = |field: &str, value: &str| call.fields.get(field).is_none_or(|wanted| wanted == value);
        let from: usize = call
            .fields
            .get("nextToken")
            .map_or(0, |token| token.parse().expect("a token"));
        let page = 3;
        let shown: Vec<Value> = self
            .there(seen)
            .filter(|(scraper, _)| {
                scraper.account == account
                    && wanted("sourceArn", scraper.cluster())
                    && wanted("destinationArn", &scraper.workspace)
            })
            .map(|(scraper, state)| scraper.shown(state, false))
            .collect();
        let some: Vec<&Value> = shown.iter().skip(from).take(page).collect();
        match from + page < shown.len() {
            true => json!({ "scrapers": some, "nextToken": (from + page).to_string() }),
            false => json!({ "scrapers": some }),
        }
        .to_string()
    }

    fn create(&mut self, call: &Call, region: &str, account: &str, setup: &Setup, now: Duration) -> Answered {
        let body = &call.body;
        let token = ("CreateScraper".to_owned(), text(&body["clientToken"]));
        if let Some((asked, answer)) = self.answered.get(&token) {
            let there = self.there(now).any(|(scraper, _)| answer["arn"] == json!(scraper.arn));
            match asked == body {
                _ if !there => {}
                true => return Ok(answer.to_string()),
                false => return Err(conflict("The client token was used with another request.")),
            }
        }
        if self
            .there(now)
            .filter(|(scraper, _)| scraper.account == account)
            .count()
            >= QUOTA
        {
            let why = "You have reached the limit of scrapers.".to_owned();
            return Err(Refusal(402, "ServiceQuotaExceededException", why));
        }
        let id = format!("s-{}", self.scrapers.len() + 1);
        let creation = self.creations.pop_front().unwrap_or(Creation {
            takes: Duration::from_secs(100),
            fails: false,
        });
        let tags = body["tags"].as_object().expect("tags").iter();
        let scraper = Scraper {
            arn: format!("arn:aws:aps:{region}:{account}:scraper/{id}"),
            account: account.to_owned(),
            alias: body["alias"].as_str().map(str::to_owned),
            tags: tags.map(|(key, value)| (key.clone(), text(value))).collect(),
            source: body["source"].clone(),
            workspace: text(&body["destination"]["ampConfiguration"]["workspaceArn"]),
            roles: body["roleConfiguration"].clone(),
            configuration: text(&body["scrapeConfiguration"]["configurationBlob"]),
            made_at: setup.epoch(now),
            states: vec![
                (now, "CREATING"),
                (
                    now + creation.takes,
                    if creation.fails { "CREATION_FAILED" } else { "ACTIVE" },
                ),
            ],
            reason: creation.fails.then_some("The scraper could not reach the cluster."),
            id,
        };
        let answer = json!({
            "scraperId": scraper.id, "arn": scraper.arn, "status": { "statusCode": "CREATING" }, "tags": scraper.tags,
        });
        self.answered.insert(token, (body.clone(), answer.clone()));
        self.scrapers.push(scraper);
        Ok(answer.to_string())
    }

    fn update(&mut self, call: &Call, account: &str, now: Duration) -> Answered {
        let body = &call.body;
        let token = ("UpdateScraper".to_owned(), text(&body["clientToken"]));
        let scraper = self.find(&call.id, account, now)?;
        if matches!(scraper.state(now), Some("CREATING" | "UPDATING" | "DELETING")) {
            return match self.answered.get(&token) {
                Some((asked, answer)) if asked == body => Ok(answer.to_string()),
                _ => Err(conflict("The scraper is in transition.")),
            };
        }
        assert!(body.get("destination").is_none(), "nobody moves a scraper");
        if let Some(alias) = body["alias"].as_str() {
            scraper.alias = Some(alias.to_owned());
        }
        if let Some(blob) = body["scrapeConfiguration"]["configurationBlob"].as_str() {
            scraper.configuration = blob.to_owned();
        }
        if body["roleConfiguration"].is_object() {
            scraper.roles = body["roleConfiguration"].clone();
        }
        let answer =
            json!({ "scraperId": scraper.id, "arn": scraper.arn, "status": { "statusCode": "UPDATING" }, "tags": {} });
        let then = match self.failing_updates {
            0 => "ACTIVE",
            _ => "UPDATE_FAILED",
        };
        self.failing_updates = self.failing_updates.saturating_sub(1);
        let scraper = self.find(&call.id, account, now)?;
        scraper.states.extend([(now, "UPDATING"), (now + UPDATING, then)]);
        self.answered.insert(token, (body.clone(), answer.clone()));
        Ok(answer.to_string())
    }

    fn delete(&mut self, call: &Call, account: &str, setup: &Setup, now: Duration) -> Answered {
        let fails = self.failing_deletions > 0;
        let scraper = self.find(&call.id, account, now)?;
        if matches!(scraper.state(now), Some("CREATING" | "UPDATING" | "DELETING")) {
            return Err(conflict("The scraper is in transition."));
        }
        let then = if fails { "DELETION_FAILED" } else { GONE };
        scraper.states.extend([(now, "DELETING"), (now + setup.deleting, then)]);
        let answer = json!({ "scraperId": scraper.id, "status": { "statusCode": "DELETING" } });
        self.failing_deletions = self.failing_deletions.saturating_sub(1);
        Ok(answer.to_string())
    }
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is no text"))
        .to_owned()
}

fn not_found(id: &str) -> Refusal {
    Refusal(404, "ResourceNotFoundException", format!("not found: {id}"))
}

fn conflict(why: &str) -> Refusal {
    Refusal(409, "ConflictException", why.to_owned())
}
