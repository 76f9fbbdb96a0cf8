//! One line that moves on a terminal; elsewhere a plain line now and then, so that a log shows that work goes on.

use std::{
    io::{IsTerminal, Write, stderr},
    time::{Duration, Instant},
};

/// How often a plain line is written where there is no terminal.
const PLAIN_INTERVAL: Duration = Duration::from_secs(10);

/// Where progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// On standard error, as one line that moves.
    Line,
    /// On standard error, as plain lines.
    Plain,
    /// Nowhere.
    Quiet,
}

impl Progress {
    /// On standard error, in the form that suits it.
    pub fn stderr() -> Self {
        match stderr().is_terminal() {
            true => Self::Line,
            false => Self::Plain,
        }
    }
}

/// A line of progress, from its first change until it is dropped.
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

    /// Shows where the work is; `what` is completed by the time that has passed.
    pub(crate) fn at(&mut self, what: &str) {
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

    /// Ends it; says how long it took, if anything was shown.
    pub(crate) fn done(self, what: &str) {
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
