//! The command `ampxa`.

use ampxa_cli::{
    credentials::{Credentials, Role, Source},
    page, status,
    terminal::{Report, minute},
};
use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use std::{path::PathBuf, process::ExitCode};

/// Shows the pairs and executions of ampxa, in AWS or in a local cloud. Read-only.
///
/// Credentials come from the environment, a profile, `aws login`, IAM Identity Center or a credential process.
/// AWS_ENDPOINT_URL and AWS_ENDPOINT_URL_<SERVICE> change the endpoints of AWS; the credentials stay the same.
#[derive(Debug, Parser)]
#[command(name = "ampxa", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists all pairs of the given accounts: scraper, age, samples, drift.
    Status {
        /// Source accounts, separated by commas. Default for a local cloud: its source account.
        #[arg(
            long,
            value_name = "IDS",
            value_delimiter = ',',
            value_parser = account_id,
            required_unless_present = "local_cloud"
        )]
        accounts: Vec<String>,
        /// Regions, separated by commas. Default: the Region of your configuration.
        #[arg(long, value_name = "REGIONS", value_delimiter = ',')]
        regions: Vec<String>,
        /// Exits with 1 if there are no pairs, if a pair is not in the desired state, if an account lacks
        /// the roles of ampxa, or if something could not be read. Without --check, only the last is a failure.
        #[arg(long)]
        check: bool,
        #[command(flatten)]
        access: Access,
        /// Prints one JSON document on standard output.
        #[arg(long)]
        json: bool,
    },
    /// Writes an HTML page of an onboarding: states, trust policies, calls, samples.
    Page {
        /// The ARN of an execution of ampxa-onboard.
        execution: String,
        #[command(flatten)]
        access: Access,
        /// Real seconds that a minute takes: 60 in AWS; in a local cloud the value of its --minute (default 1).
        #[arg(long, default_value_t = 60.0, default_value_if("local_cloud", clap::builder::ArgPredicate::IsPresent, "1"), value_parser = minute)]
        minute: f64,
        /// The file of the page.
        #[arg(long, value_name = "FILE", default_value = "onboard.html")]
        page: PathBuf,
    },
}

#[derive(Debug, Args)]
struct Access {
    /// The URL of a running local cloud, with its path. The command uses the root user of each account.
    #[arg(long, value_name = "URL")]
    local_cloud: Option<String>,
    /// The endpoint URL for all services. Your credentials are used there.
    #[arg(long, value_name = "URL", conflicts_with = "local_cloud")]
    endpoint_url: Option<String>,
    /// The role to assume in every account other than that of your credentials, including target accounts.
    #[arg(long, value_name = "NAME", conflicts_with = "local_cloud")]
    role_name: Option<String>,
    /// Assumes ampxa's readers: ampxa-reader-source in source accounts, ampxa-reader-target in target accounts. The
    /// parameter ReaderPrincipalArns of the account templates must contain your role.
    #[arg(long, conflicts_with_all = ["local_cloud", "role_name"])]
    readers: bool,
}

impl Access {
    fn credentials(self) -> Result<Credentials> {
        Credentials::new(match self.local_cloud {
            Some(url) => Source::LocalCloud { url },
            None => Source::User {
                endpoint_url: self.endpoint_url,
                role: match self.role_name {
                    Some(name) => Role::Named(name),
                    None if self.readers => Role::Readers,
                    None => Role::None,
                },
            },
        })
    }
}

fn account_id(text: &str) -> Result<String, String> {
    text.parse::<ampxa::arn::AccountId>().map(String::from)
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
            access,
            json,
        } => {
            let credentials = access.credentials()?;
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
            Ok(if check {
                fleet.is_in_desired_state()
            } else {
                fleet.is_whole()
            })
        }
        Command::Page {
            execution,
            access,
            minute,
            page,
        } => {
            let run = page::from_aws::of_execution(&access.credentials()?, &execution, minute).await?;
            std::fs::write(&page, page::page(&run)).with_context(|| format!("{} cannot be written", page.display()))?;
            println!("{}", page.display());
            Ok(true)
        }
    }
}
