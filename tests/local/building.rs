//! Cargo, with its progress as one line.
//!
//! All programs of the workspace are built in one selection: Cargo then chooses the same features of every dependency as
//! `cargo test --workspace` does, and compiles the AWS SDK once for both.

use crate::{Progress, progress::Shown, root};
use std::{
    env,
    io::{BufReader, Read},
    process::{Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

/// Builds the Lambda functions, the driver and the command `ampxa`, as tests and the local cloud run them.
///
/// # Errors
/// Cargo's own words.
pub fn programs(progress: Progress) -> Result<(), String> {
    cargo(
        &["build", "--workspace", "--bins"],
        "the functions and the local cloud",
        progress,
    )
}

/// Builds these programs as they are deployed.
///
/// # Errors
/// Cargo's own words.
pub fn release(names: &[String], progress: Progress) -> Result<(), String> {
    let mut arguments = vec!["build", "--release", "--package", "ampxa", "--package", "do-nothing"];
    arguments.extend(names.iter().flat_map(|name| ["--bin", name]));
    cargo(&arguments, "the functions as they are deployed", progress)
}

fn cargo(arguments: &[&str], what: &str, progress: Progress) -> Result<(), String> {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // What Cargo sets for a program it runs would change the fingerprints of build scripts that read it, and so compile
    // their crates again for each program that calls this.
    for (name, _) in env::vars_os() {
        let own = [
            "CARGO_PKG_",
            "CARGO_MANIFEST_",
            "CARGO_BIN_",
            "CARGO_CRATE_",
            "CARGO_PRIMARY_",
        ];
        if name
            .to_str()
            .is_some_and(|name| own.iter().any(|prefix| name.starts_with(prefix)))
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
    let mut said = String::new();
    let mut now = format!("Building {what}");
    let (sender, lines) = mpsc::channel();
    if let Some(output) = child.stderr.take() {
        // The thread ends with the output.
        thread::spawn(move || each_line(output, |line| _ = sender.send(line.to_owned())));
    }
    loop {
        match lines.recv_timeout(Duration::from_secs(1)) {
            Ok(line) => match Step::of(&line) {
                Some(Step::Counted { done, all, at }) => now = format!("Building {what}: {done} of {all} ({at})"),
                Some(Step::Fetching(at)) => now = format!("Building {what}: {at}"),
                Some(Step::Compiling) => {}
                None => {
                    said.push_str(&line);
                    said.push('\n');
                }
            },
            // The time goes on while one crate compiles for minutes.
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        shown.at(&now);
    }
    match child.wait() {
        Ok(status) if status.success() => {
            shown.done(&format!("Built {what}"));
            Ok(())
        }
        _ => Err(format!(
            "{said}\nBuilding {what} failed: `cargo {}`.",
            arguments.join(" ")
        )),
    }
}

/// What a line of Cargo's says of its progress.
#[derive(Debug, PartialEq, Eq)]
enum Step<'a> {
    /// `Building [===>   ] 12/264: aws-sdk-iam, …`
    Counted { done: &'a str, all: &'a str, at: &'a str },
    /// `Updating crates.io index`, `Downloaded serde v1.0.229`
    Fetching(&'a str),
    /// `Compiling serde v1.0.229`: the counted line says it too.
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

/// Lines that end with a carriage return, as a moving line does, or with a line feed.
fn each_line(from: impl Read, mut seen: impl FnMut(&str)) {
    let mut line = Vec::new();
    for byte in BufReader::new(from).bytes().map_while(Result::ok) {
        if byte == b'\r' || byte == b'\n' {
            let text = String::from_utf8_lossy(&line);
            if !text.trim().is_empty() {
                seen(&text);
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
    fn the_count_of_a_moving_line_is_read() {
        let line = "    Building [=====>                    ]  61/264: aws-sdk-iam, ring(build)";
        let counted = Step::Counted {
            done: "61",
            all: "264",
            at: "aws-sdk-iam",
        };
        assert_eq!(Step::of(line), Some(counted));
    }

    #[test]
    fn what_the_compiler_says_is_kept() {
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
    fn lines_end_with_a_return_or_a_feed() {
        let mut lines = Vec::new();
        each_line(&b"one\rtwo\n\r\nthree\n"[..], |line| lines.push(line.to_owned()));
        assert_eq!(lines, ["one", "two", "three"]);
    }
}
