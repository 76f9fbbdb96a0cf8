//! The pictures of the state machines.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use driver::{graph, project::Project};
use serde_json::{Value, json};
use std::fs;

fn kept(path: &str) -> String {
    fs::read_to_string(Project::here().unwrap().root.join(path)).unwrap()
}

#[test]
fn every_picture_is_what_its_machine_is_now() {
    for (path, picture) in graph::PICTURES {
        let drawn = graph::draw(&kept(path)).unwrap();
        assert!(
            drawn == kept(picture),
            "{picture} is not what {path} is: cargo run -p local -- graph"
        );
    }
}

#[test]
fn every_state_is_drawn_once_under_its_name() {
    fn names(machine: &Value, all: &mut Vec<String>) {
        for (name, state) in machine["States"].as_object().unwrap() {
            all.push(name.clone());
            if state["ItemProcessor"].is_object() {
                names(&state["ItemProcessor"], all);
            }
        }
    }
    for (path, _) in graph::PICTURES {
        let (machine, mut all) = (kept(path), Vec::new());
        names(&serde_yaml_ng::from_str(&machine).unwrap(), &mut all);
        let drawn = graph::draw(&machine).unwrap();
        for name in all {
            assert_eq!(drawn.matches(&format!(">{name}</text>")).count(), 1, "{name} of {path}");
        }
    }
}

#[test]
fn what_stands_in_a_machine_stays_text_in_its_picture() {
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
