//! The command line of the local cloud.

use ampxa_cli::terminal::{Report, minute};
use anyhow::{Result, bail};
use clap::{Args, Parser, Subcommand};
use driver::{bench, cloud::Options, fleet, graph, onboard, project::Project, up};
use std::{path::PathBuf, process::ExitCode};
use tokio::signal::unix::{SignalKind, signal};

/// Runs ampxa on this machine, without an AWS account.
#[derive(Debug, Parser)]
#[command(name = "local", bin_name = "cargo run -p local --", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Connects a demo cluster to a workspace in another account, and shows the result.
    Onboard {
        /// Prints one JSON document on standard output.
        #[arg(long)]
        json: bool,
        /// The file of the page of the run. Default: target/onboard.html.
        #[arg(long, value_name = "FILE")]
        page: Option<PathBuf>,
        #[command(flatten)]
        clock: Clock,
    },
    /// Starts the local cloud with ampxa deployed, and keeps it until Ctrl-C.
    Up {
        /// The port to listen on. Default: a free port.
        #[arg(long)]
        port: Option<u16>,
        #[command(flatten)]
        clock: Clock,
    },
    /// Measures each Lambda function, and compares it with one that does nothing and one in Python.
    Bench {
        /// Prints one JSON document on standard output.
        #[arg(long)]
        json: bool,
        /// The number of starts of each function.
        #[arg(long, default_value_t = 15)]
        rounds: usize,
        /// Measures only this step; can be repeated. A release build takes some minutes.
        #[arg(long, value_name = "STEP")]
        only: Vec<String>,
        /// Skips the build and uses the programs in this folder, in the layout of `cargo lambda build --release`.
        #[arg(long, value_name = "FOLDER")]
        built: Option<PathBuf>,
    },
    /// Measures a plan and a reconciliation of many accounts in the local cloud.
    Fleet {
        /// The numbers of accounts.
        #[arg(default_values_t = [5, 50])]
        accounts: Vec<usize>,
        /// The number of clusters of each account.
        #[arg(long, default_value_t = 10)]
        clusters: usize,
        /// The largest fleet that is connected as well, in clusters.
        #[arg(long, default_value_t = 50)]
        max_applied: usize,
    },
    /// Draws the state machines into docs/.
    Graph,
}

#[derive(Debug, Args)]
struct Clock {
    /// The real seconds that a minute of the cloud's clock takes.
    #[arg(long, default_value_t = 1.0, value_parser = minute)]
    minute: f64,
}

#[tokio::main]
async fn main() -> ExitCode {
    let interrupted = async {
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            received = tokio::signal::ctrl_c() => received,
            _ = terminate.recv() => Ok(()),
        }
    };
    // A signal drops the running command, and with it the cloud and all its processes.
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
            Ok(outcome.succeeded)
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
        Command::Fleet {
            accounts,
            clusters,
            max_applied,
        } => {
            fleet::run(&accounts, clusters, max_applied).await?;
            Ok(true)
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
        Command::Bench {
            json,
            rounds,
            only,
            built,
        } => {
            let (project, report) = (Project::here()?, Report::new());
            let mut steps = project.steps()?;
            if let Some(unknown) = only.iter().find(|name| !steps.contains(name)) {
                bail!(
                    "--only {unknown}: this step does not exist; the steps are {}",
                    steps.join(", ")
                );
            }
            steps.retain(|step| only.is_empty() || only.contains(step));
            let programs: Vec<String> = steps.iter().cloned().chain(["do-nothing".to_owned()]).collect();
            let options = bench::Options {
                json,
                rounds,
                release_dir: match built {
                    Some(folder) => folder,
                    None => project.build_release(&programs)?,
                },
                python: project.python(&report)?.interpreter(),
                steps,
            };
            // A separate thread, so that signals are handled during the measurement.
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
