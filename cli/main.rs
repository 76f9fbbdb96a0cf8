//! The command `ampxa`.

use ampxa_cli::{
    credentials::{Credentials, Source},
    page, status,
    terminal::{Report, minute},
};
use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use std::{path::PathBuf, process::ExitCode};

/// Shows what ampxa manages, in AWS or in a local cloud.
///
/// In AWS it uses the credentials that every AWS tool finds: environment, profile, `aws login`, IAM Identity Center,
/// credential process. AWS_ENDPOINT_URL and AWS_ENDPOINT_URL_<SERVICE> say where AWS is, and leave the credentials as
/// they are.
#[derive(Debug, Parser)]
#[command(name = "ampxa", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists every pair that ampxa manages in some accounts: scraper, age, drift, samples.
    Status {
        /// Accounts with clusters, separated by commas; of a local cloud its source account, unless given.
        #[arg(
            long,
            value_name = "IDS",
            value_delimiter = ',',
            value_parser = account,
            required_unless_present = "local_cloud"
        )]
        accounts: Vec<String>,
        /// Regions, separated by commas; by default that of your configuration.
        #[arg(long, value_name = "REGIONS", value_delimiter = ',')]
        regions: Vec<String>,
        /// Exits with 1 unless there are pairs, all of them are as they should be, and every account has its
        /// provisioner. Without it only what could not be read is a failure.
        #[arg(long)]
        check: bool,
        #[command(flatten)]
        place: Place,
        /// Prints one JSON document on standard output, and nothing else there.
        #[arg(long)]
        json: bool,
    },
    /// Writes a page that shows an onboarding: states, trust policies, calls, samples.
    Page {
        /// The ARN of an execution of ampxa-onboard.
        execution: String,
        #[command(flatten)]
        place: Place,
        /// Real seconds that a minute takes: 60, in a local cloud as it was started (1 unless given).
        #[arg(long, default_value_t = 60.0, default_value_if("local_cloud", clap::builder::ArgPredicate::IsPresent, "1"), value_parser = minute)]
        minute: f64,
        /// Where the page is written.
        #[arg(long, value_name = "FILE", default_value = "onboard.html")]
        page: PathBuf,
    },
}

#[derive(Debug, Args)]
struct Place {
    /// The URL of a running local cloud: it is used as the root of each of its accounts.
    #[arg(long, value_name = "URL")]
    local_cloud: Option<String>,
    /// Where AWS is, for all services; your credentials are used there.
    #[arg(long, value_name = "URL", conflicts_with = "local_cloud")]
    endpoint_url: Option<String>,
    /// The role to assume in every account but that of your credentials, those of workspaces too.
    #[arg(long, value_name = "NAME", conflicts_with = "local_cloud")]
    role_name: Option<String>,
}

impl Place {
    fn credentials(self) -> Result<Credentials> {
        Credentials::new(match self.local_cloud {
            Some(url) => Source::LocalCloud { url },
            None => Source::Person {
                endpoint_url: self.endpoint_url,
                role: self.role_name,
            },
        })
    }
}

fn account(text: &str) -> Result<String, String> {
    match ampxa::arn::is_account(text) {
        true => Ok(text.to_owned()),
        false => Err("expected an account's id, 12 digits".to_owned()),
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = tokio::select! {
        outcome = run(Cli::parse().command) => outcome,
        _ = tokio::signal::ctrl_c() => {
            eprintln!("Stopped.");
            return ExitCode::from(130);
        }
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> Result<bool> {
    match command {
        Command::Status {
            mut accounts,
            mut regions,
            check,
            place,
            json,
        } => {
            let credentials = place.credentials()?;
            if accounts.is_empty() {
                accounts.push(ampxa_cli::LOCAL_SOURCE.to_owned());
            }
            if regions.is_empty() {
                regions.push(credentials.region().await?);
            }
            let fleet = status::look(&credentials, &accounts, &regions, &Report::new()).await;
            match json {
                true => println!("{}", serde_json::to_string_pretty(&fleet)?),
                false => println!("{}", fleet.table()),
            }
            Ok(if check { fleet.is_fine() } else { fleet.is_whole() })
        }
        Command::Page {
            execution,
            place,
            minute,
            page,
        } => {
            let run = page::from_aws::of_execution(&place.credentials()?, &execution, minute).await?;
            std::fs::write(&page, page::page(&run)).with_context(|| format!("{} cannot be written", page.display()))?;
            println!("{}", page.display());
            Ok(true)
        }
    }
}
