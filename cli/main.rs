//! The command `ampxa`.

use ampxa_cli::{
    arguments::Cli,
    commands::{self, Exit, INTERRUPTED, USAGE, Usage},
    progress,
};
use clap::Parser;
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = tokio::select! {
        outcome = commands::run(Cli::parse().command) => outcome,
        _ = tokio::signal::ctrl_c() => {
            match progress::followed() {
                Some(command) => eprintln!("\nStopped. The execution continues; follow it with\n  {command}"),
                None => eprintln!("\nStopped."),
            }
            return ExitCode::from(INTERRUPTED);
        }
    };
    match outcome {
        Ok(exit) => ExitCode::from(exit.code()),
        Err(error) => {
            eprintln!("{error:#}");
            match error.is::<Usage>() {
                true => ExitCode::from(USAGE),
                false => ExitCode::from(Exit::Failure.code()),
            }
        }
    }
}
