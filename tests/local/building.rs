//! Runs Cargo and shows its progress in one line.
//!
//! All programs of the workspace are built in one selection: Cargo then chooses the same features of every dependency
//! as for `cargo test --workspace`, and compiles the AWS SDK once for both.

use crate::{Progress, progress::Shown, root};
use std::{
    env,
    io::{BufReader, Read},
    process::{Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

/// Builds the Lambda functions, the driver and the command `ampxa` for tests and the local cloud.
///
/// # Errors
/// Cargo's output.
pub fn programs(progress: Progress) -> Result<(), String> {
    cargo(
        &["build", "--workspace", "--bins"],
        "the functions and the local cloud",
        progress,
    )
}

/// Builds these programs with the profile of a deployment.
///
/// # Errors
/// Cargo's output.
pub fn release(names: &[String], progress: Progress) -> Result<(), String> {
    let mut arguments = vec!["build", "--release", "--package", "ampxa", "--package", "do-nothing"];
    arguments.extend(names.iter().flat_map(|name| ["--bin", name]));
    cargo(&arguments, "the functions for release", progress)
}

fn cargo(arguments: &[&str], what: &str, progress: Progress) -> Result<(), String> {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // Cargo sets these variables for programs that it runs. They would change the fingerprints of build scripts that
    // read them, and Cargo would compile those crates again for each program that calls this function.
    for (name, _) in env::vars_os() {
        let set_by_cargo = [
            "CARGO_PKG_",
            "CARGO_MANIFEST_",
            "CARGO_BIN_",
            "CARGO_CRATE_",
            "CARGO_PRIMARY_",
        ];
        if name
            .to_str()
            .is_some_and(|name| set_by_cargo.iter().any(|prefix| name.starts_with(prefix)))
        {
            command.env_remove(name);
        }
    }
    let mut child = command
        .args(arguments)
        .current_dir(root())
        .env("CARGO_TERM_PROGRESS_WHEN", "always")
        .env("CARGO_TERM_PROGRESS_WIDTH", "200")
        .env("CARGO_TERM_COLOR", "never")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cargo could not be started: {error}"))?;
    let mut shown = Shown::new(progress);
    let mut messages = String::new();
    let mut status = format!("Building {what}");
    let (sender, lines) = mpsc::channel();
    if let Some(output) = child.stderr.take() {
        // The thread ends at the end of the output.
        thread::spawn(move || each_line(output, |line| _ = sender.send(line.to_owned())));
    }
    loop {
        match lines.recv_timeout(Duration::from_secs(1)) {
            Ok(line) => match Step::of(&line) {
                Some(Step::Counted { done, all, at }) => {
                    status = format!("Building {what}: {done} of {all} ({at})");
                }
                Some(Step::Fetching(at)) => status = format!("Building {what}: {at}"),
                Some(Step::Compiling) => {}
                None => {
                    messages.push_str(&line);
                    messages.push('\n');
                }
            },
            // The shown time is updated while one crate compiles for minutes.
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        shown.update(&status);
    }
    match child.wait() {
        Ok(status) if status.success() => {
            shown.finish(&format!("Built {what}"));
            Ok(())
        }
        _ => Err(format!(
            "{messages}\nBuilding {what} failed: `cargo {}`.",
            arguments.join(" ")
        )),
    }
}

/// The progress in a line of Cargo's output.
#[derive(Debug, PartialEq, Eq)]
enum Step<'a> {
    /// `Building [===>   ] 12/264: aws-sdk-iam, …`
    Counted { done: &'a str, all: &'a str, at: &'a str },
    /// `Updating crates.io index`, `Downloaded serde v1.0.229`
    Fetching(&'a str),
    /// `Compiling serde v1.0.229`: not shown, because the line with the count contains it.
    Compiling,
}

impl<'a> Step<'a> {
    fn of(line: &'a str) -> Option<Self> {
        let line = line.trim();
        match line.split_once(' ')?.0 {
            "Compiling" | "Finished" | "Running" | "Fresh" | "Locking" | "Adding" | "Blocking" => Some(Self::Compiling),
            "Updating" | "Downloading" | "Downloaded" | "Fetch" => Some(Self::Fetching(line)),
            "Building" => {
                let (_, counted) = line.split_once(']')?;
                let (count, at) = counted.split_once(':').unwrap_or((counted, ""));
                let (done, all) = count.trim().split_once('/')?;
                let at = at.trim().split(',').next().unwrap_or_default();
                Some(Self::Counted { done, all, at })
            }
            _ => None,
        }
    }
}

/// Splits output into lines, which end with a line feed or, for an updating line, with a carriage return.
fn each_line(from: impl Read, mut on_line: impl FnMut(&str)) {
    let mut line = Vec::new();
    for byte in BufReader::new(from).bytes().map_while(Result::ok) {
        if byte == b'\r' || byte == b'\n' {
            let text = String::from_utf8_lossy(&line);
            if !text.trim().is_empty() {
                on_line(&text);
            }
            line.clear();
        } else {
            line.push(byte);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_of_the_progress_line_is_parsed() {
        let line = "    Building [=====>                    ]  61/264: aws-sdk-iam, ring(build)";
        let counted = Step::Counted {
            done: "61",
            all: "264",
            at: "aws-sdk-iam",
        };
        assert_eq!(Step::of(line), Some(counted));
    }

    #[test]
    fn compiler_messages_are_kept() {
        for line in [
            "error[E0425]: cannot find value `x`",
            "warning: unused import",
            "  --> functions/arn.rs:1:1",
        ] {
            assert_eq!(Step::of(line), None, "{line}");
        }
        assert_eq!(Step::of("   Compiling serde v1.0.229"), Some(Step::Compiling));
    }

    #[test]
    fn lines_end_with_a_carriage_return_or_a_line_feed() {
        let mut lines = Vec::new();
        each_line(&b"one\rtwo\n\r\nthree\n"[..], |line| lines.push(line.to_owned()));
        assert_eq!(lines, ["one", "two", "three"]);
    }
}
