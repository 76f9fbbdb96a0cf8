//! Progress: one updating line on a terminal, plain lines elsewhere. It goes to standard error, so that standard output
//! has results only.

use indicatif::{ProgressBar, ProgressStyle};
use similar::TextDiff;
use std::{
    io::{IsTerminal, stderr},
    time::{Duration, Instant},
};

/// Reports progress.
#[derive(Debug, Clone, Copy)]
pub struct Report {
    live: bool,
    quiet: bool,
}

impl Report {
    /// Reports progress on standard error.
    pub fn new() -> Self {
        Self {
            live: stderr().is_terminal(),
            quiet: false,
        }
    }

    /// Reports nothing, for tests.
    pub fn quiet() -> Self {
        Self {
            live: false,
            quiet: true,
        }
    }

    /// Prints a permanent line.
    pub fn print(&self, line: &str) {
        if !self.quiet {
            eprintln!("{line}");
        }
    }

    /// Starts an activity that takes a while.
    pub fn start(&self, what: &str) -> Activity {
        let bar = self.live.then(|| {
            let bar = ProgressBar::new_spinner().with_message(what.to_owned());
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        if bar.is_none() {
            self.print(&format!("{what} …"));
        }
        Activity {
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

/// An activity that takes a while, until it is finished or dropped.
#[derive(Debug)]
pub struct Activity {
    report: Report,
    what: String,
    since: Instant,
    bar: Option<ProgressBar>,
}

impl Activity {
    /// Updates the progress line on a terminal; does nothing elsewhere.
    pub fn update(&self, what: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(what.to_owned());
        }
    }

    /// Prints a permanent line above the progress line.
    pub fn print(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| self.report.print(line)),
            None => self.report.print(line),
        }
    }

    /// Ends the activity and prints its duration.
    pub fn finish(self) {
        let line = format!("{}: {:.1} s", self.what, self.since.elapsed().as_secs_f64());
        self.finish_with(&line);
    }

    /// Ends the activity and prints the given line.
    pub fn finish_with(self, line: &str) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        self.report.print(line);
    }
}

impl Drop for Activity {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Parses the real seconds that a minute of a local cloud takes, from 0.01 to 60.
///
/// # Errors
/// A message with the expected value.
pub fn minute(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.01..=60.0).contains(&seconds) => Ok(seconds),
        _ => Err("expected the real seconds that a minute takes, from 0.01 to 60".to_owned()),
    }
}

/// Formats minutes as `mm:ss`.
pub fn clock(minutes: f64) -> String {
    let seconds = (minutes * 60.0).round().max(0.0) as u64;
    format!("{:>2}:{:02}", seconds / 60, seconds % 60)
}

/// The difference of two texts: removed lines are marked `-`, added lines `+`.
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
    fn minutes_above_an_hour_are_not_wrapped() {
        assert_eq!(clock(0.0), " 0:00");
        assert_eq!(clock(20.25), "20:15");
        assert_eq!(clock(75.0), "75:00");
    }

    #[test]
    fn only_different_lines_are_marked() {
        assert_eq!(change("a\nb\n", "a\nc\n"), "    a\n  - b\n  + c");
    }
}
