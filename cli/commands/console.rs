//! Results, questions and files.

use super::Usage;
use anyhow::{Context, Result, bail};
use serde::Serialize;
use std::{
    io::{ErrorKind, IsTerminal, Write, stderr, stdin, stdout},
    path::Path,
    thread,
};
use tokio::sync::oneshot;

/// Prints a result and a line break. A reader that has ended, such as `head`, is no error.
pub(super) fn emit(text: &str) -> Result<()> {
    let mut out = stdout().lock();
    match out
        .write_all(text.as_bytes())
        .and_then(|()| out.write_all(b"\n"))
        .and_then(|()| out.flush())
    {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

pub(super) fn print_json(value: &impl Serialize) -> Result<()> {
    emit(&serde_json::to_string_pretty(value)?)
}

/// Fails before anything is started, if a question could not be asked.
pub(super) fn require_answer(yes: bool) -> Result<()> {
    match yes || stdin().is_terminal() {
        true => Ok(()),
        false => bail!(Usage(
            "standard input is not a terminal, so the command cannot ask whether to apply the plan: add --yes, or use \
             `ampxa plan`"
                .to_owned()
        )),
    }
}

/// Asks on standard error. Only `y` and `yes` are consent.
pub(super) async fn confirm(question: &str) -> Result<bool> {
    eprint!("{question} [y/N] ");
    stderr().flush()?;
    let (sender, receiver) = oneshot::channel();
    // A thread of its own: the runtime would wait for its end after Ctrl-C.
    thread::spawn(move || {
        let mut answer = String::new();
        let read = stdin().read_line(&mut answer);
        // The receiver is gone after Ctrl-C.
        let _ = sender.send(read.map(|_| answer));
    });
    let answer = receiver.await.context("standard input ended")??;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// Reads a file of the user.
pub(super) fn read(file: &Path) -> Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))
}
