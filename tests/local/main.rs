//! The commands of the local cloud.

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand};
use local::{
    bench,
    cloud::Options,
    events, faults, graph, onboard, page,
    project::Project,
    reach::{Reach, Way},
    status,
    terminal::Report,
    up,
};
use std::{path::PathBuf, process::ExitCode};
use tokio::signal::unix::{SignalKind, signal};

/// The whole of ampxa on this machine, without an AWS account.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Connects a demonstration cluster to a workspace in another account, and shows all of it.
    Onboard {
        /// Prints one JSON document on standard output, and nothing else there.
        #[arg(long)]
        json: bool,
        /// Where the page of the run is written; target/onboard.html by default.
        #[arg(long, value_name = "FILE")]
        page: Option<PathBuf>,
        #[command(flatten)]
        clock: Clock,
    },
    /// Starts the cloud with ampxa deployed, and keeps it until Ctrl-C.
    Up {
        /// The port to listen on; a free one by default.
        #[arg(long)]
        port: Option<u16>,
        #[command(flatten)]
        clock: Clock,
    },
    /// Measures each Lambda beside one that does nothing and a Python one.
    Bench {
        /// Prints one JSON document on standard output, and nothing else there.
        #[arg(long)]
        json: bool,
        /// How often each is started.
        #[arg(long, default_value_t = 15)]
        rounds: usize,
        /// Only this step; may be given more than once. Building one as it is deployed takes a while.
        #[arg(long, value_name = "STEP")]
        only: Vec<String>,
    },
    /// Lets clusters, accounts and a schedule start the product, and looks at what comes of it.
    Events {
        /// Only cases that have this in their name; may be given more than once.
        #[arg(long, value_name = "TEXT")]
        only: Vec<String>,
        /// Prints one JSON document on standard output, and nothing else there.
        #[arg(long)]
        json: bool,
    },
    /// Lists every pair that ampxa manages in some accounts; in AWS with your credentials, in a local cloud by its URL.
    Status {
        /// Accounts with clusters, with commas between them; of a local cloud its source account, unless said otherwise.
        #[arg(
            long,
            value_name = "IDS",
            value_delimiter = ',',
            value_parser = account,
            required_unless_present = "endpoint"
        )]
        accounts: Vec<String>,
        /// Regions, with commas between them; that of your configuration by default.
        #[arg(long, value_name = "REGIONS", value_delimiter = ',')]
        regions: Vec<String>,
        /// Exits with 1 when a pair is not as it should be, and not only when something could not be looked at.
        #[arg(long)]
        check: bool,
        #[command(flatten)]
        way: Where,
        /// Prints one JSON document on standard output, and nothing else there.
        #[arg(long)]
        json: bool,
    },
    /// Draws the state machines anew, into docs/.
    Graph,
    /// Writes the page of any onboarding: of one in AWS with your credentials, of one in a local cloud by its URL.
    Page {
        /// The ARN of an execution of ampxa-onboard.
        execution: String,
        #[command(flatten)]
        way: Where,
        /// Real seconds that a minute takes; of a local cloud as it was started, 1 unless said otherwise.
        #[arg(long, default_value_t = 60.0, default_value_if("endpoint", clap::builder::ArgPredicate::IsPresent, "1"), value_parser = minute)]
        minute: f64,
        /// Where the page is written.
        #[arg(long, value_name = "FILE", default_value = "onboard.html")]
        page: PathBuf,
    },
    /// Lets every call of AWS that a run makes fail in every way, and looks at what is left.
    Faults {
        /// Only cases that have this in their name.
        #[arg(long, value_name = "TEXT")]
        only: Option<String>,
        /// Only so many cases, as different as can be.
        #[arg(long, value_name = "N")]
        sample: Option<usize>,
        /// Prints one JSON document on standard output, and nothing else there.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
struct Where {
    /// The URL of a running `up`; AWS without it.
    #[arg(long, value_name = "URL", env = "AWS_ENDPOINT_URL")]
    endpoint: Option<String>,
    /// The role to assume in all accounts but that of your credentials, those of workspaces too.
    #[arg(long, value_name = "NAME", conflicts_with = "endpoint")]
    role_name: Option<String>,
}

impl Where {
    fn reach(self) -> Reach {
        Reach::new(match self.endpoint {
            Some(url) => Way::Local { url },
            None => Way::Aws { role: self.role_name },
        })
    }
}

#[derive(Debug, Args)]
struct Clock {
    /// Real seconds that a minute of the cloud takes.
    #[arg(long, default_value_t = 1.0, value_parser = minute)]
    minute: f64,
}

fn account(text: &str) -> Result<String, String> {
    match ampxa::arn::is_account(text) {
        true => Ok(text.to_owned()),
        false => Err("expected an account's id, 12 digits".to_owned()),
    }
}

fn minute(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.01..=60.0).contains(&seconds) => Ok(seconds),
        _ => Err("expected real seconds a minute takes, from 0.01 to 60".to_owned()),
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let interrupted = async {
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            done = tokio::signal::ctrl_c() => done,
            _ = terminate.recv() => Ok(()),
        }
    };
    // What runs is dropped when a signal comes, and with it the cloud and all its processes.
    let outcome = tokio::select! {
        outcome = run(Cli::parse().command) => outcome,
        _ = interrupted => {
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
        Command::Onboard { json, page, clock } => {
            let options = Options {
                minute: clock.minute,
                prometheus: true,
                ..Options::default()
            };
            let outcome = onboard::onboard(options, json, page).await?;
            if json {
                println!("{:#}", outcome.document);
            }
            Ok(outcome.good)
        }
        Command::Up { port, clock } => {
            let options = Options {
                port,
                minute: clock.minute,
                prometheus: true,
                ..Options::default()
            };
            let _cloud = up::start(options).await?;
            std::future::pending().await
        }
        Command::Faults { only, sample, json } => {
            let options = faults::Options {
                only,
                sample,
                ..faults::Options::default()
            };
            let matrix = faults::run(&options, &Report::new()).await?;
            if json {
                println!("{:#}", matrix.to_json());
            } else {
                matrix.print_table();
            }
            Ok(matrix.failed().is_empty())
        }
        Command::Events { only, json } => {
            let options = events::Options {
                only,
                ..events::Options::default()
            };
            let table = events::run(&options, &Report::new()).await?;
            if json {
                println!("{:#}", table.to_json());
            } else {
                table.print();
            }
            Ok(table.failed().is_empty())
        }
        Command::Page {
            execution,
            way,
            minute,
            page,
        } => {
            let run = page::told::of_execution(&way.reach(), &execution, minute).await?;
            std::fs::write(&page, page::page(&run)).with_context(|| format!("{} cannot be written", page.display()))?;
            println!("{}", page.display());
            Ok(true)
        }
        Command::Status {
            accounts,
            regions,
            check,
            way,
            json,
        } => {
            let reach = way.reach();
            let accounts = match accounts.is_empty() {
                true => vec![local::SOURCE.to_owned()],
                false => accounts,
            };
            let regions = match regions.is_empty() {
                true => vec![reach.region().await?],
                false => regions,
            };
            let fleet = status::look(&reach, &accounts, &regions, &Report::new()).await;
            match json {
                true => println!("{}", serde_json::to_string_pretty(&fleet)?),
                false => println!("{}", fleet.table()),
            }
            Ok(if check { fleet.is_fine() } else { fleet.is_whole() })
        }
        Command::Graph => {
            let project = Project::here()?;
            for (machine, picture) in graph::PICTURES {
                let definition = std::fs::read_to_string(project.root.join(machine))?;
                let picture = project.root.join(picture);
                std::fs::write(&picture, graph::draw(&definition)?)?;
                println!("{}", picture.display());
            }
            Ok(true)
        }
        Command::Bench { json, rounds, only } => {
            let (project, report) = (Project::here()?, Report::new());
            let mut steps = project.steps()?;
            if let Some(unknown) = only.iter().find(|name| !steps.contains(name)) {
                bail!(
                    "--only {unknown}: there is no such step; there are {}",
                    steps.join(", ")
                );
            }
            steps.retain(|step| only.is_empty() || only.contains(step));
            let programs: Vec<String> = steps.iter().cloned().chain(["do-nothing".to_owned()]).collect();
            let options = bench::Options {
                json,
                rounds,
                release_dir: project.build_release(&programs, &report)?,
                python: project.python(&report)?.interpreter(),
                steps,
            };
            // A thread of its own, so that a signal is heard while it measures.
            let (sender, receiver) = tokio::sync::oneshot::channel();
            std::thread::spawn(move || sender.send(bench::run(&options)));
            let measured = receiver.await??;
            if json {
                println!("{:#}", measured.to_json());
            } else {
                measured.print_table();
            }
            Ok(measured.within_limits())
        }
    }
}
