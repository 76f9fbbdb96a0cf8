//! The names and words that were replaced before the first release stay replaced.

use super::root;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Identifiers of requests, outputs, states, errors, metrics, parameters, tags, functions and files.
const IDENTIFIERS: [&str; 59] = [
    "take-turn",
    "TakeTurn",
    "Take turn",
    "OURS",
    "THEIRS",
    "settleSeconds",
    "settle_seconds",
    "UNDO",
    "OnFailure::Undo",
    "Undo what was made?",
    "sweep",
    "Sweep",
    "check-sweep",
    "SweepIncomplete",
    "SweepAccounts",
    "SweepRegions",
    "SweepSchedule",
    "remember-gone",
    "RememberGone",
    "absences",
    "GONE_ONCE",
    "CAME_BACK",
    "inTheWay",
    "in_the_way",
    "OldScraperStayed",
    "ScraperStayed",
    "ScraperDidNotStart",
    "ClusterDidNotStart",
    "Let AWS settle",
    "ALREADY_FINE",
    "leftAlone",
    "left_alone",
    "\"looks\"",
    "\"made\"",
    "made-by",
    "madeBy",
    "made_by",
    "ampxa:gone",
    "ARRIVING",
    "DISCOVERED_BUT_DOWN",
    "lookAt",
    "look_at",
    "Refused",
    "Gate::Shut",
    "Gate::Open",
    "patienceMinutes",
    "patience_minutes",
    "complete.rs",
    "standing.rs",
    "absences.rs",
    "plain.rs",
    "calls.rs",
    "trust.rs",
    "turn.rs",
    "failedWith",
    "aftermath",
    "NOT_OURS",
    "NOT_MADE_BY_THIS",
    "seenBy",
];

/// Words that were used in a private sense.
const WORDS: [&str; 8] = ["told", "mend", "mends", "mended", "nobody", "wears", "worn", "somebody"];

/// Every text file of the project but data, generated files and the history of changes.
fn texts(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
    let skipped = [
        "target",
        ".git",
        "node_modules",
        "corpus",
        "golden",
        "Cargo.lock",
        "package-lock.json",
        "CHANGELOG.md",
        "glossary.rs",
        "__pycache__",
        ".pytest_cache",
    ];
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
        if skipped.contains(&name.as_str()) {
            continue;
        }
        if path.is_dir() {
            texts(&path, found);
        } else if let Ok(text) = fs::read_to_string(&path) {
            found.push((path, text));
        }
    }
}

/// Where a text has a name or word that no letter, digit or underscore continues.
fn lines_with<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    text.lines().enumerate().filter_map(move |(number, line)| {
        let whole = line.match_indices(word).any(|(at, _)| {
            let (before, after) = (line[..at].chars().next_back(), line[at + word.len()..].chars().next());
            let (first, last) = (word.chars().next(), word.chars().next_back());
            let within = part(first) && part(before) || part(last) && part(after);
            !within
        });
        whole.then_some(number + 1)
    })
}

#[test]
fn no_replaced_name_or_word_is_left() {
    let mut files = Vec::new();
    texts(&root(), &mut files);
    assert!(files.len() > 200, "{} files", files.len());
    let mut found = Vec::new();
    for (path, text) in &files {
        let path = path.strip_prefix(root()).unwrap().display();
        let lower = text.to_lowercase();
        for name in IDENTIFIERS {
            found.extend(lines_with(text, name).map(|line| format!("{path}:{line}: {name}")));
        }
        for word in WORDS {
            found.extend(lines_with(&lower, word).map(|line| format!("{path}:{line}: {word}")));
        }
    }
    assert!(found.is_empty(), "{} places:\n{}", found.len(), found.join("\n"));
}

#[test]
fn a_name_within_another_is_not_found() {
    let text = "a Refused b\nNotRefused\nRefusedBy x Refused";
    assert_eq!(lines_with(text, "Refused").collect::<Vec<_>>(), [1, 3]);
}
