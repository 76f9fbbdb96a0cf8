//! `graph`: draws a state machine as an SVG picture from its definition.
//!
//! The states are drawn in the order of the definition. A chart has two columns: the main path on the left, states that
//! wait and lead back on the right. The states inside each Map and the states after a failure have charts of their own.
//! A transition to a failure is drawn as a dot at the state that can fail.

use anyhow::Result;
use indexmap::IndexMap;
use serde::Deserialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

/// The definitions that are drawn, and the files of their pictures.
pub const PICTURES: [(&str, &str); 2] = [
    ("statemachine/onboard.asl.yaml", "docs/onboard.svg"),
    ("statemachine/offboard.asl.yaml", "docs/offboard.svg"),
];

const WIDTH: i32 = 208;
const HEIGHT: i32 = 34;
const ROW: i32 = 52;
/// The distance between the two columns of a chart.
const GAP: i32 = 64;
/// The distance between two parallel edges.
const LANE: i32 = 9;
/// The space left and right of a chart, for edges that pass states.
const MARGIN: i32 = 48;
const TOP: i32 = 56;

/// The part of a definition that a picture shows.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Machine {
    #[serde(default)]
    comment: String,
    states: IndexMap<String, Definition>,
}

/// A state in the definition.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Definition {
    r#type: String,
    #[serde(default)]
    comment: String,
    next: Option<String>,
    default: Option<String>,
    #[serde(default)]
    end: bool,
    #[serde(default)]
    choices: Vec<Transition>,
    #[serde(default)]
    catch: Vec<Transition>,
    item_processor: Option<Machine>,
}

/// A choice rule or a catcher.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Transition {
    next: String,
}

impl Definition {
    fn successors(&self) -> Vec<&str> {
        let choices = self.choices.iter().map(|rule| &rule.next);
        choices
            .chain(&self.default)
            .chain(&self.next)
            .map(String::as_str)
            .collect()
    }

    /// Whether the machine ends here with success.
    fn is_success(&self) -> bool {
        self.r#type == "Succeed" || (self.end && self.r#type != "Pass")
    }
}

/// A state with its position and its successors.
#[derive(Debug)]
struct State {
    name: String,
    kind: String,
    comment: String,
    column: i32,
    row: i32,
    next: Vec<String>,
    /// Whether a failure leads to a rollback (`true`) or ends the execution (`false`); `None` if the state cannot fail.
    rolls_back: Option<bool>,
}

/// A group of states, drawn from top to bottom.
#[derive(Debug)]
struct Chart {
    title: String,
    states: Vec<State>,
}

/// Draws a state machine as SVG.
///
/// # Errors
/// If the text is not a definition of a state machine.
pub fn draw(machine: &str) -> Result<String> {
    let machine: Machine = serde_yaml_ng::from_str(machine)?;
    let mut charts = Vec::new();
    add_charts("Execution", &machine, &mut charts);
    let mut body = String::new();
    let (mut left, mut bottom) = (0, 0);
    for chart in &charts {
        let columns = 1 + chart.states.iter().map(|state| state.column).max().unwrap_or_default();
        let width = 2 * MARGIN + columns * WIDTH + (columns - 1) * GAP;
        let rows = 1 + chart.states.iter().map(|state| state.row).max().unwrap_or_default();
        chart.draw(left, &mut body)?;
        left += width;
        bottom = bottom.max(TOP + rows * ROW + 12);
    }
    let title = escaped(&machine.comment);
    let mut legend = String::new();
    let dots = [
        (true, "rollback", "can fail; a rollback follows"),
        (false, "ends", "can fail; the execution ends"),
    ];
    let all = || charts.iter().flat_map(|chart| &chart.states);
    let used = dots
        .iter()
        .filter(|(rolls_back, ..)| all().any(|state| state.rolls_back == Some(*rolls_back)));
    for (position, (_, class, text)) in used.enumerate() {
        let x = MARGIN + 6 + 280 * position as i32;
        write!(
            legend,
            "<circle class=\"{class}\" cx=\"{x}\" cy=\"-8\" r=\"4\"/><text x=\"{}\" y=\"-4\">{text}</text>",
            x + 10
        )?;
    }
    Ok(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {left} {height}\" width=\"{left}\" height=\"{height}\" role=\"img\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n\
         <defs><marker id=\"arrow\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\">\
         <path class=\"tip\" d=\"M0,0 L8,4 L0,8 z\"/></marker></defs>\n\
         <rect class=\"background\" width=\"100%\" height=\"100%\"/>\n{body}<g transform=\"translate(0 {bottom})\">{legend}</g>\n</svg>\n",
        height = bottom + 16,
    ))
}

const STYLE: &str = "\
    svg { --ink: #1f2328; --faint: #818b98; --background: #ffffff; --task: #ddf4ff; --wait: #f6f8fa; --choice: #fff8c5; --good: #dafbe1; --bad: #ffebe9; --red: #cf222e; }\
    @media (prefers-color-scheme: dark) { svg { --ink: #e6edf3; --faint: #7d8590; --background: #0d1117; --task: #0c2d6b; --wait: #21262d; --choice: #4b3a00; --good: #0f3d1e; --bad: #5d0f12; --red: #ff7b72; } }\
    text { font: 12px system-ui, sans-serif; fill: var(--ink); } .head { font-weight: 600; }\
    .background { fill: var(--background); } .box { stroke: var(--faint); } .Task, .Map { fill: var(--task); } .Map { stroke-width: 3; } .Choice { fill: var(--choice); }\
    .Wait { fill: var(--wait); stroke-dasharray: 4 3; } .Pass { fill: var(--wait); } .Succeed { fill: var(--good); } .Fail { fill: var(--bad); }\
    .edge { fill: none; stroke: var(--faint); stroke-width: 1.3; } .tip { fill: var(--faint); }\
    .rollback { fill: var(--red); } .ends { fill: var(--background); stroke: var(--red); stroke-width: 1.5; }";

/// Adds the charts of a machine: its main path, then each Map, then the states after a failure.
fn add_charts(title: &str, machine: &Machine, charts: &mut Vec<Chart>) {
    let states = &machine.states;
    // A state is part of a failure if no path from it leads to success.
    let success = states.iter().filter(|(_, state)| state.is_success());
    let mut can_succeed: BTreeSet<&str> = success.map(|(name, _)| name.as_str()).collect();
    loop {
        let leads_there = |state: &Definition| state.successors().iter().any(|next| can_succeed.contains(next));
        let more = states
            .iter()
            .find(|(name, state)| !can_succeed.contains(name.as_str()) && leads_there(state));
        match more {
            Some((name, _)) => _ = can_succeed.insert(name),
            None => break,
        }
    }
    let failure = |name: &str| !can_succeed.contains(name);
    let select = |failed: bool| -> Vec<State> {
        let selected = states.iter().filter(|(name, _)| failure(name) == failed);
        selected
            .map(|(name, state)| read(name, state, states, &failure))
            .collect()
    };
    let (mut main, mut failed) = (select(false), select(true));
    // A single Fail state needs no chart of its own.
    if failed.len() == 1 {
        main.append(&mut failed);
    }
    charts.push(Chart::arranged(title, main));
    for (name, state) in states {
        if let Some(inside) = &state.item_processor {
            add_charts(&format!("In \u{201c}{name}\u{201d}"), inside, charts);
        }
    }
    if !failed.is_empty() {
        charts.push(Chart::arranged("After a failure", failed));
    }
}

fn read(
    name: &str,
    state: &Definition,
    states: &IndexMap<String, Definition>,
    failure: &dyn Fn(&str) -> bool,
) -> State {
    // The chart after a failure shows edges to failures; the other charts show dots.
    let is_failure = failure(name);
    let (failures, next): (Vec<&str>, Vec<&str>) = state
        .successors()
        .into_iter()
        .partition(|next| !is_failure && failure(next));
    // A caught error from which a path leads to success is not a failure.
    let caught = state.catch.iter().map(|catch| catch.next.as_str());
    let caught = caught.filter(|next| failure(next));
    let is_end = |next: &str| {
        states
            .get(next)
            .is_none_or(|state| ["Fail", "Pass"].contains(&state.r#type.as_str()))
    };
    let rolls_back = failures.into_iter().chain(caught).map(|next| !is_end(next)).max();
    let mut unique: Vec<String> = Vec::new();
    for next in next {
        if !unique.iter().any(|other| other == next) {
            unique.push(next.to_owned());
        }
    }
    State {
        name: name.to_owned(),
        kind: state.r#type.clone(),
        comment: state.comment.clone(),
        column: 0,
        row: 0,
        next: unique,
        rolls_back,
    }
}

impl Chart {
    /// Arranges the states in rows and columns.
    fn arranged(title: &str, mut states: Vec<State>) -> Self {
        let order: BTreeMap<String, usize> = states
            .iter()
            .enumerate()
            .map(|(index, state)| (state.name.clone(), index))
            .collect();
        let mut free = [0, 0];
        for index in 0..states.len() {
            let state = &states[index];
            let leads_back = !state.next.is_empty()
                && state
                    .next
                    .iter()
                    .all(|next| order.get(next).is_some_and(|next| *next < index));
            let aside = index > 0 && (state.kind == "Wait" || leads_back) && index + 1 < states.len();
            // In the row of the state that leads here, or in the next free row.
            let from = states[..index]
                .iter()
                .filter(|other| other.next.contains(&state.name))
                .map(|other| other.row)
                .max();
            let row = match aside {
                true => from.unwrap_or(free[0]).max(free[1]),
                false => free[0],
            };
            let column = usize::from(aside);
            free[column] = row + 1;
            (states[index].column, states[index].row) = (column as i32, row);
        }
        Self {
            title: title.to_owned(),
            states,
        }
    }

    fn draw(&self, left: i32, body: &mut String) -> Result<()> {
        let x = |column: i32| left + MARGIN + column * (WIDTH + GAP);
        let y = |row: i32| TOP + row * ROW;
        writeln!(
            body,
            "<text class=\"head\" x=\"{}\" y=\"{}\">{}</text>",
            x(0),
            TOP - 28,
            escaped(&self.title)
        )?;
        let by_name: BTreeMap<&str, &State> = self.states.iter().map(|state| (state.name.as_str(), state)).collect();
        let (mut outer, mut inner) = (Lanes::default(), Lanes::default());
        for from in &self.states {
            for to in from.next.iter().filter_map(|next| by_name.get(next.as_str())) {
                let middle = |state: &State| y(state.row) + HEIGHT / 2;
                let path = match (from.column, to.column) {
                    (a, b) if a == b && to.row == from.row + 1 => {
                        let center = x(a) + WIDTH / 2;
                        format!("M{center},{} V{}", y(from.row) + HEIGHT, y(to.row) - 1)
                    }
                    (0, 1) if from.row == to.row => format!("M{},{} H{}", x(0) + WIDTH, middle(from), x(1) - 1),
                    (0, 0) => {
                        let lane = x(0) - 10 - LANE * outer.free(from.row, to.row);
                        format!(
                            "M{},{} H{lane} V{} H{}",
                            x(0),
                            middle(from) + 6,
                            middle(to) - 6,
                            x(0) - 1
                        )
                    }
                    (a, b) => {
                        let lane = x(0) + WIDTH + 12 + LANE * inner.free(from.row, to.row);
                        let side = |column: i32| if column == 0 { x(0) + WIDTH } else { x(1) };
                        let tip = if b == 0 { 1 } else { -1 };
                        // Above the middle on the left column, where another edge leaves the state.
                        let enter = if b == 0 { middle(to) - 8 } else { middle(to) };
                        format!("M{},{} H{lane} V{enter} H{}", side(a), middle(from) + 8, side(b) + tip)
                    }
                };
                writeln!(body, "<path class=\"edge\" d=\"{path}\" marker-end=\"url(#arrow)\"/>")?;
            }
        }
        for state in &self.states {
            state.draw(x(state.column), y(state.row), body)?;
        }
        Ok(())
    }
}

/// The lanes of parallel edges: for each lane, the ranges of rows in use.
#[derive(Debug, Default)]
struct Lanes(Vec<Vec<(i32, i32)>>);

impl Lanes {
    /// Reserves the first lane that is free between two rows.
    fn free(&mut self, one: i32, other: i32) -> i32 {
        let (from, to) = (one.min(other), one.max(other));
        let free = self
            .0
            .iter()
            .position(|lane| lane.iter().all(|(a, b)| *b < from || *a > to));
        let lane = free.unwrap_or_else(|| {
            self.0.push(Vec::new());
            self.0.len() - 1
        });
        self.0[lane].push((from, to));
        lane as i32
    }
}

impl State {
    fn draw(&self, x: i32, y: i32, body: &mut String) -> Result<()> {
        let (name, kind, comment) = (escaped(&self.name), &self.kind, escaped(&self.comment));
        let (right, bottom) = (x + WIDTH, y + HEIGHT);
        writeln!(body, "<g><title>{comment}</title>")?;
        match kind.as_str() {
            "Choice" => {
                let half = y + HEIGHT / 2;
                let (inner_left, inner_right) = (x + 14, right - 14);
                writeln!(
                    body,
                    "<path class=\"box {kind}\" d=\"M{x},{half} L{inner_left},{y} H{inner_right} L{right},{half} L{inner_right},{bottom} H{inner_left} z\"/>"
                )?;
            }
            _ => {
                let round = if matches!(kind.as_str(), "Succeed" | "Fail") {
                    HEIGHT / 2
                } else {
                    6
                };
                writeln!(
                    body,
                    "<rect class=\"box {kind}\" x=\"{x}\" y=\"{y}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"{round}\"/>"
                )?;
            }
        }
        writeln!(
            body,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{name}</text>",
            x + WIDTH / 2,
            y + HEIGHT / 2 + 4
        )?;
        if let Some(rolls_back) = self.rolls_back {
            let class = if rolls_back { "rollback" } else { "ends" };
            writeln!(
                body,
                "<circle class=\"{class}\" cx=\"{}\" cy=\"{}\" r=\"4\"/>",
                right - 6,
                bottom - 6
            )?;
        }
        writeln!(body, "</g>")?;
        Ok(())
    }
}

/// Escapes a text for XML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
