//! AMP's scrapers and workspaces: a status that changes with virtual time, conflicts during transitions, client tokens.

use super::{Call, CallResult, ServiceError};
use crate::world::Setup;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

/// Scrapers per Region and account (AMP service quotas).
const QUOTA: usize = 10;
/// AMP's default scrape configuration, as its API returns it.
pub const DEFAULT_CONFIGURATION: &str = include_str!("../../golden/scrape_configuration/aws-sample.yaml");

/// The duration and the result of the creation of a scraper.
#[derive(Debug, Clone, Copy)]
pub struct Creation {
    pub duration: Duration,
    pub fails: bool,
}

#[derive(Debug, Default)]
pub struct Amp {
    pub scrapers: Vec<Scraper>,
    /// The next creations, in order. Later scrapers become ACTIVE after 100 seconds.
    pub creations: VecDeque<Creation>,
    /// The number of updates that fail, from the next one on.
    pub failing_updates: usize,
    /// The number of deletions that fail, from the next one on.
    pub failing_deletions: usize,
    /// The request and the response, by action and client token.
    pub responses: BTreeMap<(String, String), (Value, Value)>,
    pub workspaces: Vec<String>,
    /// The log group of each scraper that writes logs, and the time from which it does, by the scraper's id.
    pub logging: BTreeMap<String, (Value, Duration)>,
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
    /// The roles before the last update. AMP does not document which roles it uses until the end of an update.
    pub former_roles: Value,
    /// Encoded in base64, as AMP stores it.
    pub configuration: String,
    /// In seconds since the epoch.
    pub created_at: f64,
    /// Each status and the time from which it applies; the last time may be in the future.
    pub states: Vec<(Duration, &'static str)>,
    pub reason: Option<&'static str>,
}

/// The status of a scraper that does not exist any more; AMP never returns it.
pub const DELETED: &str = "DELETED";

impl Scraper {
    /// The status at a time; `None` if the scraper does not exist.
    pub fn state(&self, now: Duration) -> Option<&'static str> {
        let (_, state) = self.states.iter().rev().find(|(since, _)| *since <= now)?;
        (*state != DELETED).then_some(*state)
    }

    /// Its scrape configuration.
    pub fn yaml(&self) -> String {
        let bytes = aws_smithy_types::base64::decode(&self.configuration).expect("base64");
        String::from_utf8(bytes).expect("UTF-8")
    }

    pub fn cluster(&self) -> &str {
        self.source["eksConfiguration"]["clusterArn"]
            .as_str()
            .expect("a cluster")
    }

    /// The scraper in AMP's JSON: as `DescribeScraper` returns it if `detailed`, otherwise as `ListScrapers` does.
    fn to_json(&self, state: &str, detailed: bool, setup: &Setup) -> Value {
        let roles = match setup.shows_former_roles && state == "UPDATING" {
            true => &self.former_roles,
            false => &self.roles,
        };
        let mut scraper = json!({
            "arn": self.arn,
            "scraperId": self.id,
            "roleArn": format!(
                "arn:aws:iam::{}:role/aws-service-role/scraper.aps.amazonaws.com/\
                 AWSServiceRoleForAmazonPrometheusScraper_{}",
                self.account, self.id
            ),
            "status": { "statusCode": state },
            "createdAt": self.created_at,
            "lastModifiedAt": self.created_at,
            "tags": self.tags,
            "source": self.source,
            "destination": { "ampConfiguration": { "workspaceArn": self.workspace } },
            "roleConfiguration": roles,
        });
        if let Some(alias) = &self.alias {
            scraper["alias"] = json!(alias);
        }
        if detailed {
            scraper["scrapeConfiguration"] = json!({ "configurationBlob": self.configuration });
            if let Some(reason) = self.reason {
                scraper["statusReason"] = json!(reason);
            }
        }
        scraper
    }
}

impl Amp {
    /// All scrapers that exist at a time, with their status.
    pub fn existing(&self, now: Duration) -> impl Iterator<Item = (&Scraper, &'static str)> {
        self.scrapers
            .iter()
            .filter_map(move |scraper| Some((scraper, scraper.state(now)?)))
    }

    /// Handles a call to AMP.
    pub fn handle(
        &mut self,
        call: &Call,
        region: &str,
        account: &str,
        setup: &Setup,
        random: &mut fastrand::Rng,
        now: Duration,
    ) -> CallResult {
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
                        "tags": { "ampxa:accept": "222222222222" },
                    } })
                    .to_string()),
                    false => Err(not_found(&call.id)),
                }
            }
            // No workspace of the simulation has a policy or limits.
            "DescribeResourcePolicy" => Err(not_found(&call.id)),
            "DescribeWorkspaceConfiguration" => {
                Ok(json!({ "workspaceConfiguration": { "status": { "statusCode": "ACTIVE" } } }).to_string())
            }
            "ListScrapers" => Ok(self.list(call, account, setup, now.saturating_sub(lag))),
            "CreateScraper" => self.create(call, region, account, setup, now),
            "DescribeScraper" => {
                // A new scraper becomes visible here as late as in lists.
                let scraper = self.find(&call.id, account, now)?;
                let (since, _) = scraper.states[0];
                match since + lag <= now {
                    true => {
                        let state = scraper.state(now).expect("the scraper exists");
                        Ok(json!({ "scraper": scraper.to_json(state, true, setup) }).to_string())
                    }
                    false => Err(not_found(&call.id)),
                }
            }
            "TagResource" => {
                let id = call.id.rsplit('/').next().expect("an id").to_owned();
                let Value::Object(tags) = &call.body["tags"] else {
                    panic!("a request without tags: {}", call.body);
                };
                let scraper = self.find(&id, account, now)?;
                let tags = tags.iter();
                scraper.tags.extend(tags.map(|(key, value)| (key.clone(), text(value))));
                Ok("{}".to_owned())
            }
            "UntagResource" => {
                let id = call.id.rsplit('/').next().expect("an id").to_owned();
                let scraper = self.find(&id, account, now)?;
                scraper.tags.retain(|key, _| !call.tag_keys.contains(key));
                Ok("{}".to_owned())
            }
            action if action.ends_with("ScraperLoggingConfiguration") => self.change_logging(call, account, now),
            "UpdateScraper" => self.update(call, account, setup, now),
            "DeleteScraper" => self.delete(call, account, setup, now),
            other => panic!("AMP does not simulate {other}"),
        }
    }

    fn find(&mut self, id: &str, account: &str, now: Duration) -> Result<&mut Scraper, ServiceError> {
        let mut all = self.scrapers.iter_mut();
        all.find(|scraper| scraper.id == id && scraper.account == account && scraper.state(now).is_some())
            .ok_or_else(|| not_found(id))
    }

    /// The calls for the logging configuration of a scraper.
    fn change_logging(&mut self, call: &Call, account: &str, now: Duration) -> CallResult {
        let id = call.id.split('/').next().expect("an id").to_owned();
        self.find(&id, account, now)?;
        let current = self.logging.get(&id).cloned();
        let is_changing = current.as_ref().is_some_and(|(_, since)| now < *since);
        match (call.action.as_str(), current) {
            ("DescribeScraperLoggingConfiguration" | "DeleteScraperLoggingConfiguration", None) => Err(not_found(&id)),
            ("DescribeScraperLoggingConfiguration", Some((destination, _))) => Ok(json!({
                "scraperId": id, "loggingDestination": destination, "scraperComponents": [], "modifiedAt": 1.0,
                "status": { "statusCode": if is_changing { "CREATING" } else { "ACTIVE" } },
            })
            .to_string()),
            _ if is_changing => Err(conflict("The logging configuration is in transition.")),
            ("DeleteScraperLoggingConfiguration", Some(_)) => {
                self.logging.remove(&id);
                Ok("{}".to_owned())
            }
            _ => {
                let destination = call.body["loggingDestination"].clone();
                self.logging.insert(id, (destination, now + Duration::from_secs(30)));
                Ok(json!({ "status": { "statusCode": "CREATING" } }).to_string())
            }
        }
    }

    fn list(&self, call: &Call, account: &str, setup: &Setup, as_of: Duration) -> String {
        let matches = |field: &str, value: &str| call.fields.get(field).is_none_or(|filter| filter == value);
        let from: usize = call
            .fields
            .get("nextToken")
            .map_or(0, |token| token.parse().expect("a token"));
        let page = 3;
        let matching: Vec<Value> = self
            .existing(as_of)
            .filter(|(scraper, _)| {
                scraper.account == account
                    && matches("sourceArn", scraper.cluster())
                    && matches("destinationArn", &scraper.workspace)
            })
            .map(|(scraper, state)| scraper.to_json(state, false, setup))
            .collect();
        let scrapers: Vec<&Value> = matching.iter().skip(from).take(page).collect();
        match from + page < matching.len() {
            true => json!({ "scrapers": scrapers, "nextToken": (from + page).to_string() }),
            false => json!({ "scrapers": scrapers }),
        }
        .to_string()
    }

    fn create(&mut self, call: &Call, region: &str, account: &str, setup: &Setup, now: Duration) -> CallResult {
        let body = &call.body;
        let token = ("CreateScraper".to_owned(), text(&body["clientToken"]));
        if let Some((request, response)) = self.responses.get(&token) {
            let exists = self
                .existing(now)
                .any(|(scraper, _)| response["arn"] == json!(scraper.arn));
            match request == body {
                _ if !exists => {}
                true => return Ok(response.to_string()),
                false => return Err(conflict("The client token was used with another request.")),
            }
        }
        if self
            .existing(now)
            .filter(|(scraper, _)| scraper.account == account)
            .count()
            >= QUOTA
        {
            let message = "You have reached the limit of scrapers.".to_owned();
            return Err(ServiceError(402, "ServiceQuotaExceededException", message));
        }
        let id = format!("s-{}", self.scrapers.len() + 1);
        let creation = self.creations.pop_front().unwrap_or(Creation {
            duration: Duration::from_secs(100),
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
            former_roles: Value::Null,
            roles: body["roleConfiguration"].clone(),
            configuration: text(&body["scrapeConfiguration"]["configurationBlob"]),
            created_at: setup.epoch(now),
            states: vec![
                (now, "CREATING"),
                (
                    now + creation.duration,
                    if creation.fails { "CREATION_FAILED" } else { "ACTIVE" },
                ),
            ],
            reason: creation.fails.then_some("The scraper could not reach the cluster."),
            id,
        };
        let response = json!({
            "scraperId": scraper.id, "arn": scraper.arn, "status": { "statusCode": "CREATING" }, "tags": scraper.tags,
        });
        self.responses.insert(token, (body.clone(), response.clone()));
        self.scrapers.push(scraper);
        Ok(response.to_string())
    }

    fn update(&mut self, call: &Call, account: &str, setup: &Setup, now: Duration) -> CallResult {
        let body = &call.body;
        let token = ("UpdateScraper".to_owned(), text(&body["clientToken"]));
        let scraper = self.find(&call.id, account, now)?;
        if matches!(scraper.state(now), Some("CREATING" | "UPDATING" | "DELETING")) {
            return match self.responses.get(&token) {
                Some((request, response)) if request == body => Ok(response.to_string()),
                _ => Err(conflict("The scraper is in transition.")),
            };
        }
        scraper.former_roles = scraper.roles.clone();
        if let Some(destination) = body.get("destination") {
            assert_eq!(
                destination["ampConfiguration"]["workspaceArn"],
                json!(scraper.workspace),
                "ampxa never changes the destination of a scraper"
            );
            // Without roles, the scraper gets AMP's service-linked role.
            scraper.roles = Value::Null;
        }
        if let Some(alias) = body["alias"].as_str() {
            scraper.alias = Some(alias.to_owned());
        }
        if let Some(blob) = body["scrapeConfiguration"]["configurationBlob"].as_str() {
            scraper.configuration = blob.to_owned();
        }
        if body["roleConfiguration"].is_object() {
            scraper.roles = body["roleConfiguration"].clone();
        }
        let response =
            json!({ "scraperId": scraper.id, "arn": scraper.arn, "status": { "statusCode": "UPDATING" }, "tags": {} });
        let end = match self.failing_updates {
            0 => "ACTIVE",
            _ => "UPDATE_FAILED",
        };
        self.failing_updates = self.failing_updates.saturating_sub(1);
        let scraper = self.find(&call.id, account, now)?;
        scraper
            .states
            .extend([(now, "UPDATING"), (now + setup.update_duration, end)]);
        self.responses.insert(token, (body.clone(), response.clone()));
        Ok(response.to_string())
    }

    fn delete(&mut self, call: &Call, account: &str, setup: &Setup, now: Duration) -> CallResult {
        let fails = self.failing_deletions > 0;
        let scraper = self.find(&call.id, account, now)?;
        if matches!(scraper.state(now), Some("CREATING" | "UPDATING" | "DELETING")) {
            return Err(conflict("The scraper is in transition."));
        }
        let end = if fails { "DELETION_FAILED" } else { DELETED };
        scraper
            .states
            .extend([(now, "DELETING"), (now + setup.deletion_duration, end)]);
        let response = json!({ "scraperId": scraper.id, "status": { "statusCode": "DELETING" } });
        self.failing_deletions = self.failing_deletions.saturating_sub(1);
        Ok(response.to_string())
    }
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("not a string: {value}"))
        .to_owned()
}

fn not_found(id: &str) -> ServiceError {
    ServiceError(404, "ResourceNotFoundException", format!("not found: {id}"))
}

fn conflict(message: &str) -> ServiceError {
    ServiceError(409, "ConflictException", message.to_owned())
}
