//! Progress: one updating line on a terminal; elsewhere a plain line every ten seconds, so that a log shows activity.

use std::{
    io::{IsTerminal, Write, stderr},
    time::{Duration, Instant},
};

/// The interval of plain lines.
const PLAIN_INTERVAL: Duration = Duration::from_secs(10);

/// The form in which progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// On standard error, as one updating line.
    Line,
    /// On standard error, as plain lines.
    Plain,
    /// Not at all.
    Quiet,
}

impl Progress {
    /// On standard error: as an updating line if it is a terminal, as plain lines otherwise.
    pub fn stderr() -> Self {
        match stderr().is_terminal() {
            true => Self::Line,
            false => Self::Plain,
        }
    }
}

/// A progress line.
#[derive(Debug)]
pub(crate) struct Shown {
    progress: Progress,
    began: Instant,
    last: Option<Instant>,
}

impl Shown {
    pub(crate) fn new(progress: Progress) -> Self {
        Self {
            progress,
            began: Instant::now(),
            last: None,
        }
    }

    /// Shows `what` and the elapsed time.
    pub(crate) fn update(&mut self, what: &str) {
        let time = clock(self.began.elapsed());
        match self.progress {
            Progress::Line => {
                let _ = write!(stderr(), "\r\x1b[2K{what}, {time}");
                let _ = stderr().flush();
            }
            Progress::Plain if self.last.is_none_or(|last| last.elapsed() >= PLAIN_INTERVAL) => {
                eprintln!("{what}, {time}");
            }
            Progress::Plain | Progress::Quiet => return,
        }
        self.last = Some(Instant::now());
    }

    /// Ends the line, and prints the duration if progress was shown.
    pub(crate) fn finish(self, what: &str) {
        if self.progress == Progress::Line && self.last.is_some() {
            let _ = write!(stderr(), "\r\x1b[2K");
        }
        if self.last.is_some() {
            eprintln!("{what}: {}", clock(self.began.elapsed()));
        }
    }
}

fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    format!("{}:{:02}", seconds / 60, seconds % 60)
}
