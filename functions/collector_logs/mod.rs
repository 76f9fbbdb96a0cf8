//! The logs of AMP's collector about its own failures: when a scraper writes them, and what they say.
//!
//! The rules are AMP's (AMP user guide, "Monitor collectors with vended logs"). ampxa changes the logging of a scraper only
//! if it is off, or if ampxa switched it on. The scraper's tag [`LOGS_TAG`] says so.

mod lines;

pub(crate) use lines::{read, unreadable};

use crate::{arn::ScraperArn, aws::none_if, error::Error, input::shown, tags::LOGS_TAG, task::Task};
use aws_sdk_amp::{
    Client,
    operation::describe_scraper_logging_configuration::DescribeScraperLoggingConfigurationOutput as Configuration,
    types::{
        CloudWatchLogDestination, ScraperComponent, ScraperComponentType, ScraperLoggingConfigurationStatus as Status,
        ScraperLoggingConfigurationStatusCode as StatusCode, ScraperLoggingDestination,
    },
};
use serde::{Deserialize, Serialize};

/// The log group of each Region (`infra/source-account.yaml`).
pub(crate) const LOG_GROUP: &str = "/aws/vendedlogs/ampxa/collectors";
const COMPONENTS: [ScraperComponentType; 3] = [
    ScraperComponentType::ServiceDiscovery,
    ScraperComponentType::Collector,
    ScraperComponentType::Exporter,
];

/// A change of a scraper's logging.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Change {
    /// It is switched on.
    Enable,
    /// It is switched off.
    Disable,
}

/// Values from earlier steps.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    /// The pair's scraper.
    pub scraper_arn: ScraperArn,
    /// What is changed.
    pub change: Change,
    /// The start of the execution: the value of the tag, so that a repeated step writes the same.
    pub started_at: String,
}

/// What [`update`] did.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// The start of the execution that switched the logs on. `None` if this one switched them off.
    pub collector_logs_since: Option<String>,
}

/// Switches the logs of the pair's scraper on or off, and notes it in the scraper's tag. Idempotent.
///
/// # Errors
/// `Conflict` if the scraper writes its logs elsewhere; `Transient` while AMP changes the logging; `NotReady` if the log
/// group does not exist in the Region; and those of the calls to AMP.
pub async fn update(amp: &Client, task: &Task<Input>) -> Result<Output, Error> {
    let scraper = &task.input.scraper_arn;
    let current = configuration(amp, scraper.id()).await?;
    if let Some(current) = &current
        && group_of(current) != Some(&group_arn(task))
    {
        return Err(Error::Conflict(format!(
            "The scraper {scraper} writes its logs to {}, so its logging is not changed. Read its logs there.",
            shown(group_of(current).unwrap_or("another destination"))
        )));
    }
    // The tag is there before the logs are on, and until they are off: logs without it would never be switched off.
    match task.input.change {
        Change::Enable => {
            let since = &task.input.started_at;
            let request = amp.tag_resource().resource_arn(scraper.to_string());
            request.tags(LOGS_TAG, since).send().await?;
            if !is_on(current.as_ref())?
                && let Err(error) = enable(amp, task).await
            {
                // The tag would say that the logs are on. It is no further error if it stays.
                drop(untag(amp, scraper).await);
                return Err(error);
            }
            Ok(Output {
                collector_logs_since: Some(since.clone()),
            })
        }
        Change::Disable => {
            match current {
                Some(_) => switch_off(amp, scraper).await?,
                None => untag(amp, scraper).await?,
            }
            Ok(Output {
                collector_logs_since: None,
            })
        }
    }
}

/// Switches the logs of a scraper off, then removes the tag that says that they are on. Idempotent.
///
/// # Errors
/// `Transient` while AMP changes the logging; and those of the calls.
pub(crate) async fn switch_off(amp: &Client, scraper: &ScraperArn) -> Result<(), Error> {
    let request = amp.delete_scraper_logging_configuration().scraper_id(scraper.id());
    none_if(request.send().await, |e| e.is_resource_not_found_exception()).map_err(in_transition)?;
    untag(amp, scraper).await
}

async fn untag(amp: &Client, scraper: &ScraperArn) -> Result<(), Error> {
    let request = amp.untag_resource().resource_arn(scraper.to_string());
    request.tag_keys(LOGS_TAG).send().await?;
    Ok(())
}

/// Whether a configuration is in effect, or will be.
///
/// # Errors
/// `Transient` while it is being deleted.
fn is_on(configuration: Option<&Configuration>) -> Result<bool, Error> {
    match configuration.and_then(Configuration::status).map(Status::status_code) {
        None | Some(StatusCode::CreationFailed | StatusCode::UpdateFailed) => Ok(false),
        Some(StatusCode::Deleting) => Err(Error::Transient(
            "The logs of the scraper are being switched off.".to_owned(),
        )),
        Some(_) => Ok(true),
    }
}

/// Switches off the logs of a scraper that is deleted next. It is no error if that is not possible: the account may not give
/// the permission any more, and a scraper that does not exist writes no logs.
///
/// # Errors
/// `Transient`.
pub(crate) async fn stop(amp: &Client, scraper_id: &str) -> Result<(), Error> {
    let request = amp.delete_scraper_logging_configuration().scraper_id(scraper_id);
    match request.send().await.map_err(Error::from) {
        Err(error @ Error::Transient(_)) => Err(error),
        _ => Ok(()),
    }
}

async fn enable(amp: &Client, task: &Task<Input>) -> Result<(), Error> {
    let invalid = |why| Error::invalid("collectorLogs", why);
    let group = CloudWatchLogDestination::builder()
        .log_group_arn(group_arn(task))
        .build();
    let components = COMPONENTS.map(|component| ScraperComponent::builder().r#type(component).build());
    let components: Result<Vec<_>, _> = components.into_iter().collect();
    let request = amp
        .update_scraper_logging_configuration()
        .scraper_id(task.input.scraper_arn.id())
        .logging_destination(ScraperLoggingDestination::CloudWatchLogs(group.map_err(invalid)?))
        .set_scraper_components(Some(components.map_err(invalid)?));
    match none_if(request.send().await, |e| e.is_resource_not_found_exception()).map_err(in_transition)? {
        Some(_) => Ok(()),
        None => Err(Error::NotReady(format!(
            "The log group {LOG_GROUP} does not exist in {region} of the account {account}. Deploy \
             infra/source-account.yaml with CollectorLogs=yes there, also in {region}.",
            region = task.pair.cluster.region(),
            account = task.pair.cluster.account()
        ))),
    }
}

/// AMP refuses the change while another one is in progress.
fn in_transition(error: impl Into<Error>) -> Error {
    match error.into() {
        Error::Conflict(message) => Error::Transient(message),
        other => other,
    }
}

/// The logging configuration of a scraper, if it has one.
async fn configuration(amp: &Client, id: &str) -> Result<Option<Configuration>, Error> {
    let request = amp.describe_scraper_logging_configuration().scraper_id(id);
    none_if(request.send().await, |e| e.is_resource_not_found_exception())
}

fn group_of(configuration: &Configuration) -> Option<&str> {
    let destination = configuration.logging_destination()?;
    Some(destination.as_cloud_watch_logs().ok()?.log_group_arn())
}

/// The ARN of the log group, as AMP requires it.
fn group_arn<I>(task: &Task<I>) -> String {
    let cluster = &task.pair.cluster;
    format!(
        "arn:{}:logs:{}:{}:log-group:{LOG_GROUP}:*",
        cluster.partition(),
        cluster.region(),
        cluster.account()
    )
}
