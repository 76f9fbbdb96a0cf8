//! What a person sees: one line that moves on a terminal, plain lines elsewhere. All of it goes to
//! standard error, so that standard output holds results only.

use indicatif::{ProgressBar, ProgressStyle};
use similar::TextDiff;
use std::{
    io::{IsTerminal, stderr},
    time::{Duration, Instant},
};

/// Where progress is told.
#[derive(Debug, Clone, Copy)]
pub struct Report {
    live: bool,
    quiet: bool,
}

impl Report {
    /// Tells progress on standard error.
    pub fn new() -> Self {
        Self {
            live: stderr().is_terminal(),
            quiet: false,
        }
    }

    /// Tells nothing: for tests.
    pub fn quiet() -> Self {
        Self {
            live: false,
            quiet: true,
        }
    }

    /// A line that stays.
    pub fn say(&self, line: &str) {
        if !self.quiet {
            eprintln!("{line}");
        }
    }

    /// Something that takes a while.
    pub fn doing(&self, what: &str) -> Doing {
        let bar = self.live.then(|| {
            let bar = ProgressBar::new_spinner().with_message(what.to_owned());
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        if bar.is_none() {
            self.say(&format!("{what} …"));
        }
        Doing {
            report: *self,
            what: what.to_owned(),
            since: Instant::now(),
            bar,
        }
    }
}

impl Default for Report {
    fn default() -> Self {
        Self::new()
    }
}

/// Something that takes a while, until it is done or dropped.
#[derive(Debug)]
pub struct Doing {
    report: Report,
    what: String,
    since: Instant,
    bar: Option<ProgressBar>,
}

impl Doing {
    /// Says what it is at, where a line can move.
    pub fn at(&self, what: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(what.to_owned());
        }
    }

    /// A line that stays, above the one that moves.
    pub fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| self.report.say(line)),
            None => self.report.say(line),
        }
    }

    /// Ends it with a line that says how long it took.
    pub fn done(self) {
        let line = format!("{}: {:.1} s", self.what, self.since.elapsed().as_secs_f64());
        self.end(&line);
    }

    /// Ends it with another line.
    pub fn end(self, line: &str) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        self.report.say(line);
    }
}

impl Drop for Doing {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Reads an argument: the real seconds that a minute of a local cloud takes, from 0.01 to 60.
///
/// # Errors
/// A sentence that says what was expected.
pub fn minute(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.01..=60.0).contains(&seconds) => Ok(seconds),
        _ => Err("expected the real seconds that a minute takes, from 0.01 to 60".to_owned()),
    }
}

/// Minutes and seconds.
pub fn clock(minutes: f64) -> String {
    let seconds = (minutes * 60.0).round().max(0.0) as u64;
    format!("{:>2}:{:02}", seconds / 60, seconds % 60)
}

/// Two texts as one, lines that went marked `-` and lines that came marked `+`.
pub fn change(before: &str, after: &str) -> String {
    let diff = TextDiff::from_lines(before, after);
    let lines = diff.iter_all_changes();
    lines
        .map(|line| format!("  {} {}", line.tag(), line.to_string().trim_end()))
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_counts_past_an_hour() {
        assert_eq!(clock(0.0), " 0:00");
        assert_eq!(clock(20.25), "20:15");
        assert_eq!(clock(75.0), "75:00");
    }

    #[test]
    fn a_change_marks_only_the_lines_that_differ() {
        assert_eq!(change("a\nb\n", "a\nc\n"), "    a\n  - b\n  + c");
    }
}
