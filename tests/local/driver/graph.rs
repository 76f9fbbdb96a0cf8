//! `graph`: a state machine's picture, drawn from its ASL.
//!
//! The states stand in the order of the file, which is the order of the story: straight down what happens when
//! all is well, to its right what waits and comes back, and beside it, as stories of their own, each Map's inside
//! and what follows a failure. An edge to a failure is a dot at the state that may fail.

use anyhow::Result;
use indexmap::IndexMap;
use serde::Deserialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

/// Where the pictures are, for each machine that has one.
pub const PICTURES: [(&str, &str); 2] = [
    ("statemachine/onboard.asl.yaml", "docs/onboard.svg"),
    ("statemachine/offboard.asl.yaml", "docs/offboard.svg"),
];

const WIDTH: i32 = 208;
const HEIGHT: i32 = 34;
const ROW: i32 = 52;
/// Between the two columns of a story.
const GAP: i32 = 64;
/// Between two edges that run side by side.
const LANE: i32 = 9;
/// Left and right of a story, for edges that pass states.
const MARGIN: i32 = 48;
const TOP: i32 = 56;

/// A machine, as far as a picture shows it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Machine {
    #[serde(default)]
    comment: String,
    states: IndexMap<String, Definition>,
}

/// A state of a machine.
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
    choices: Vec<Leads>,
    #[serde(default)]
    catch: Vec<Leads>,
    item_processor: Option<Machine>,
}

/// A rule or a catcher.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Leads {
    next: String,
}

impl Definition {
    fn leads_to(&self) -> Vec<&str> {
        let choices = self.choices.iter().map(|rule| &rule.next);
        choices
            .chain(&self.default)
            .chain(&self.next)
            .map(String::as_str)
            .collect()
    }

    /// Whether all went well where it ends.
    fn is_good_end(&self) -> bool {
        self.r#type == "Succeed" || (self.end && self.r#type != "Pass")
    }
}

/// A state, where it stands, and where it leads.
#[derive(Debug)]
struct State {
    name: String,
    kind: String,
    comment: String,
    column: i32,
    row: i32,
    next: Vec<String>,
    /// Whether an error of it is undone, or ends the run at once; nothing if it has none.
    fails: Option<bool>,
}

/// States that are read from top to bottom.
#[derive(Debug)]
struct Story {
    title: String,
    states: Vec<State>,
}

/// Draws a machine.
///
/// # Errors
/// When it is no state machine.
pub fn draw(machine: &str) -> Result<String> {
    let machine: Machine = serde_yaml_ng::from_str(machine)?;
    let mut stories = Vec::new();
    tell("what happens", &machine, &mut stories);
    let mut body = String::new();
    let (mut left, mut bottom) = (0, 0);
    for story in &stories {
        let columns = 1 + story.states.iter().map(|state| state.column).max().unwrap_or_default();
        let width = 2 * MARGIN + columns * WIDTH + (columns - 1) * GAP;
        let rows = 1 + story.states.iter().map(|state| state.row).max().unwrap_or_default();
        story.draw(left, &mut body)?;
        left += width;
        bottom = bottom.max(TOP + rows * ROW + 12);
    }
    let title = escaped(&machine.comment);
    let mut legend = String::new();
    let dots = [
        (true, "undone", "may fail, and what was made is undone"),
        (false, "ends", "may fail, and the run ends there"),
    ];
    let all = || stories.iter().flat_map(|story| &story.states);
    let used = dots
        .iter()
        .filter(|(undone, ..)| all().any(|state| state.fails == Some(*undone)));
    for (at, (_, class, text)) in used.enumerate() {
        let x = MARGIN + 6 + 280 * at as i32;
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
         <rect class=\"ground\" width=\"100%\" height=\"100%\"/>\n{body}<g transform=\"translate(0 {bottom})\">{legend}</g>\n</svg>\n",
        height = bottom + 16,
    ))
}

const STYLE: &str = "\
    svg { --ink: #1f2328; --faint: #818b98; --ground: #ffffff; --task: #ddf4ff; --wait: #f6f8fa; --choice: #fff8c5; --good: #dafbe1; --bad: #ffebe9; --red: #cf222e; }\
    @media (prefers-color-scheme: dark) { svg { --ink: #e6edf3; --faint: #7d8590; --ground: #0d1117; --task: #0c2d6b; --wait: #21262d; --choice: #4b3a00; --good: #0f3d1e; --bad: #5d0f12; --red: #ff7b72; } }\
    text { font: 12px system-ui, sans-serif; fill: var(--ink); } .head { font-weight: 600; }\
    .ground { fill: var(--ground); } .box { stroke: var(--faint); } .Task, .Map { fill: var(--task); } .Map { stroke-width: 3; } .Choice { fill: var(--choice); }\
    .Wait { fill: var(--wait); stroke-dasharray: 4 3; } .Pass { fill: var(--wait); } .Succeed { fill: var(--good); } .Fail { fill: var(--bad); }\
    .edge { fill: none; stroke: var(--faint); stroke-width: 1.3; } .tip { fill: var(--faint); }\
    .undone { fill: var(--red); } .ends { fill: var(--ground); stroke: var(--red); stroke-width: 1.5; }";

/// Adds a machine's stories: its own, then each Map's, then what follows a failure.
fn tell(title: &str, machine: &Machine, stories: &mut Vec<Story>) {
    let states = &machine.states;
    // A failure is what no way leads back from to a good end.
    let good = states.iter().filter(|(_, state)| state.is_good_end());
    let mut hopeful: BTreeSet<&str> = good.map(|(name, _)| name.as_str()).collect();
    loop {
        let leads_there = |state: &Definition| state.leads_to().iter().any(|next| hopeful.contains(next));
        let more = states
            .iter()
            .find(|(name, state)| !hopeful.contains(name.as_str()) && leads_there(state));
        match more {
            Some((name, _)) => _ = hopeful.insert(name),
            None => break,
        }
    }
    let failure = |name: &str| !hopeful.contains(name);
    let of = |wanted: bool| -> Vec<State> {
        let chosen = states.iter().filter(|(name, _)| failure(name) == wanted);
        chosen
            .map(|(name, state)| read(name, state, states, &failure))
            .collect()
    };
    let (mut told, mut failed) = (of(false), of(true));
    // A single end is no story of its own.
    if failed.len() == 1 {
        told.append(&mut failed);
    }
    stories.push(Story::placed(title, told));
    for (name, state) in states {
        if let Some(inside) = &state.item_processor {
            tell(&format!("inside \u{201c}{name}\u{201d}"), inside, stories);
        }
    }
    if !failed.is_empty() {
        stories.push(Story::placed("when something fails", failed));
    }
}

fn read(
    name: &str,
    state: &Definition,
    states: &IndexMap<String, Definition>,
    failure: &dyn Fn(&str) -> bool,
) -> State {
    // A failure's own story shows its edges; in another one they are dots.
    let own = failure(name);
    let (bad, next): (Vec<&str>, Vec<&str>) = state.leads_to().into_iter().partition(|next| !own && failure(next));
    // What is caught and goes on to a good end is no failure.
    let caught = state.catch.iter().map(|catch| catch.next.as_str());
    let caught = caught.filter(|next| failure(next));
    let is_end = |next: &str| {
        states
            .get(next)
            .is_none_or(|state| ["Fail", "Pass"].contains(&state.r#type.as_str()))
    };
    let fails = bad.into_iter().chain(caught).map(|next| !is_end(next)).max();
    let mut once: Vec<String> = Vec::new();
    for next in next {
        if !once.iter().any(|known| known == next) {
            once.push(next.to_owned());
        }
    }
    State {
        name: name.to_owned(),
        kind: state.r#type.clone(),
        comment: state.comment.clone(),
        column: 0,
        row: 0,
        next: once,
        fails,
    }
}

impl Story {
    /// Gives each state its place.
    fn placed(title: &str, mut states: Vec<State>) -> Self {
        let order: BTreeMap<String, usize> = states
            .iter()
            .enumerate()
            .map(|(at, state)| (state.name.clone(), at))
            .collect();
        let mut free = [0, 0];
        for at in 0..states.len() {
            let state = &states[at];
            let comes_back = !state.next.is_empty()
                && state
                    .next
                    .iter()
                    .all(|next| order.get(next).is_some_and(|next| *next < at));
            let aside = at > 0 && (state.kind == "Wait" || comes_back) && at + 1 < states.len();
            // Beside what leads there, below what stands there already.
            let from = states[..at]
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
            (states[at].column, states[at].row) = (column as i32, row);
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
        let places: BTreeMap<&str, &State> = self.states.iter().map(|state| (state.name.as_str(), state)).collect();
        let (mut outer, mut inner) = (Lanes::default(), Lanes::default());
        for from in &self.states {
            for to in from.next.iter().filter_map(|next| places.get(next.as_str())) {
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
                        // Into a state that one comes to from its row as well: not on the edge that goes out there.
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

/// Which lanes are taken, and from which row to which.
#[derive(Debug, Default)]
struct Lanes(Vec<Vec<(i32, i32)>>);

impl Lanes {
    /// The first lane that nothing runs in between two rows.
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
        if let Some(undone) = self.fails {
            let class = if undone { "undone" } else { "ends" };
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

/// A text as XML takes it.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
