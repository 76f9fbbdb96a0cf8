//! Colors and cells of text for a terminal.

use std::io::{IsTerminal, stderr, stdout};

/// A color of a part of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Color {
    /// Red: deletions and failures.
    Red,
    /// Green: creations and successes.
    Green,
    /// Yellow: updates and warnings.
    Yellow,
}

/// Whether text has colors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    colored: bool,
}

impl Style {
    /// Text without colors.
    pub fn plain() -> Self {
        Self { colored: false }
    }

    /// Colors on standard output, if it is a terminal and `NO_COLOR` is not set (<https://no-color.org>).
    pub fn of_stdout() -> Self {
        Self::of(stdout().is_terminal())
    }

    /// Colors on standard error, if it is a terminal and `NO_COLOR` is not set.
    pub fn of_stderr() -> Self {
        Self::of(stderr().is_terminal())
    }

    fn of(terminal: bool) -> Self {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            colored: terminal && !no_color,
        }
    }

    /// The text in a color.
    pub fn paint(self, color: Color, text: &str) -> String {
        if !self.colored {
            return text.to_owned();
        }
        let code = match color {
            Color::Red => 31,
            Color::Green => 32,
            Color::Yellow => 33,
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// The text without control characters, which could change the state of a terminal. Lines and tabs are kept.
pub fn printable(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control() || matches!(c, '\n' | '\t'))
        .collect()
}

/// Aligns the cells of rows to columns, with two spaces between them. Line breaks in a cell become spaces.
pub fn columns(rows: &[Vec<String>]) -> Vec<String> {
    let clean = |cell: &String| printable(cell).replace(['\n', '\t'], " ");
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(clean).collect()).collect();
    let count = rows.iter().map(Vec::len).max().unwrap_or_default();
    let length = |row: &Vec<String>, column: usize| row.get(column).map_or(0, |cell| cell.chars().count());
    let widths: Vec<usize> = (0..count)
        .map(|column| rows.iter().map(|row| length(row, column)).max().unwrap_or_default())
        .collect();
    rows.iter()
        .map(|row| {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_has_no_colors() {
        assert_eq!(Style::plain().paint(Color::Red, "- delete"), "- delete");
        let colored = Style { colored: true };
        assert_eq!(colored.paint(Color::Red, "- delete"), "\x1b[31m- delete\x1b[0m");
    }

    #[test]
    fn control_characters_are_not_printed() {
        assert_eq!(printable("a\x1b[2Jb\u{9b}c\nd"), "a[2Jbc\nd");
    }

    #[test]
    fn columns_are_as_wide_as_their_longest_cell() {
        let row = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        let rows = [row(["cluster", "workspace"]), row(["é", "two\nlines"])];
        assert_eq!(columns(&rows), ["cluster  workspace", "é        two lines"]);
    }
}
