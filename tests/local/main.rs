//! `cargo run -p local`: checks for Python, builds the Lambda functions and the driver, and becomes the driver.

use local::{Progress, building, driver, python};
use std::{env, os::unix::process::CommandExt, process::Command, process::ExitCode};

/// The commands that need no Python, because they do not start a cloud.
const WITHOUT_PYTHON: [&str; 5] = ["graph", "help", "--help", "-h", "--version"];

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    let needs_python = arguments
        .first()
        .is_some_and(|command| !WITHOUT_PYTHON.iter().any(|name| command == name));
    let prepared = match needs_python {
        true => python::check(),
        false => Ok(()),
    };
    let prepared = prepared.and_then(|()| building::programs(Progress::stderr()));
    if let Err(error) = prepared {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    // Returns only on failure.
    let error = Command::new(driver()).args(arguments).exec();
    eprintln!("{} could not be started: {error}", driver().display());
    ExitCode::FAILURE
}
