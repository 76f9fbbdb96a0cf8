//! The pictures of the state machines are current and complete.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use driver::{graph, project::Project};
use serde_json::{Value, json};
use std::fs;

fn file(path: &str) -> String {
    fs::read_to_string(Project::here().unwrap().root.join(path)).unwrap()
}

#[test]
fn every_picture_is_current() {
    for (path, picture) in graph::PICTURES {
        let drawn = graph::draw(&file(path)).unwrap();
        assert!(
            drawn == file(picture),
            "{picture} is not current with {path}: run `cargo run -p local -- graph`"
        );
    }
}

#[test]
fn every_state_is_drawn_exactly_once() {
    fn names(machine: &Value, all: &mut Vec<String>) {
        for (name, state) in machine["States"].as_object().unwrap() {
            all.push(name.clone());
            if state["ItemProcessor"].is_object() {
                names(&state["ItemProcessor"], all);
            }
        }
    }
    for (path, _) in graph::PICTURES {
        let (machine, mut all) = (file(path), Vec::new());
        names(&serde_yaml_ng::from_str(&machine).unwrap(), &mut all);
        let drawn = graph::draw(&machine).unwrap();
        for name in all {
            assert_eq!(drawn.matches(&format!(">{name}</text>")).count(), 1, "{name} of {path}");
        }
    }
}

#[test]
fn text_of_a_definition_is_escaped_in_its_picture() {
    let machine = json!({
        "Comment": "<script>alert(1)</script>",
        "States": { "a \"&<b>": { "Type": "Succeed", "Comment": "]]></title><script>" } },
    });
    let drawn = graph::draw(&machine.to_string()).unwrap();
    assert!(
        !drawn.contains("<script>") && drawn.contains("a &quot;&amp;&lt;b&gt;"),
        "{drawn}"
    );
    assert!(graph::draw("{}").is_err());
}
