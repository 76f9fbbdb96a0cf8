//! A policy document, as IAM might give it back.

use ampxa::{
    pair::Pair,
    policy::{self, Gate, same_meaning},
    roles,
};
use serde_json::Value;
use std::{collections::BTreeSet, sync::LazyLock};

/// To mean the same is an equivalence, blind to order and shape only; and no document that says
/// anything else, or more, means the same as one of ours.
///
/// The first line is a document, the rest another one.
pub fn holds(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (one, other) = text.split_once('\n').unwrap_or((&text, ""));
    let (one, other) = (roles::document(one), roles::document(other));
    for document in [&one, &other] {
        assert!(same_meaning(document, document), "{document}");
        assert!(same_meaning(document, &reshaped(document)), "{document}");
        let same: Vec<&Value> = OURS.iter().filter(|ours| agree(document, ours)).collect();
        assert!(same.len() <= 1, "{document}");
    }
    if agree(&one, &other) {
        for ours in OURS.iter() {
            assert_eq!(same_meaning(&one, ours), same_meaning(&other, ours), "{one} {other}");
        }
    }
}

/// Every document that the product writes for a pair.
static OURS: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let pair = Pair {
        cluster: "arn:aws:eks:us-west-2:222222222222:cluster/demo".parse().unwrap(),
        workspace: "arn:aws:aps:us-west-2:333333333333:workspace/ws-1".parse().unwrap(),
    };
    let scraper = "arn:aws:aps:us-west-2:222222222222:scraper/s-1".parse().unwrap();
    vec![
        policy::source_trust(&pair, Gate::Placeholder),
        policy::source_trust(&pair, Gate::Scraper(&scraper)),
        policy::target_trust(&pair, Gate::Placeholder),
        policy::target_trust(&pair, Gate::Scraper(&scraper)),
        policy::source_permissions(&pair),
        policy::target_permissions(&pair),
    ]
});

/// Whether two documents mean the same, and if so, whether they say the same.
fn agree(one: &Value, other: &Value) -> bool {
    let same = same_meaning(one, other);
    assert_eq!(same, same_meaning(other, one), "{one} {other}");
    if same {
        assert_eq!(said(one), said(other), "{one} {other}");
    }
    same
}

/// What a document says, statement by statement: each value with the keys that lead to it, wherever
/// lists stand in between. Known without a thought of policies, so that it errs in other places.
fn said(document: &Value) -> BTreeSet<BTreeSet<String>> {
    let mut statements: Vec<&Value> = match &document["Statement"] {
        Value::Array(list) => list.iter().collect(),
        one => vec![one],
    };
    let mut rest = document.clone();
    if let Value::Object(rest) = &mut rest {
        rest.remove("Statement");
    }
    statements.push(&rest);
    let all = statements.into_iter().map(|statement| {
        let mut leaves = BTreeSet::new();
        collect(&mut leaves, String::new(), statement);
        leaves
    });
    all.collect()
}

fn collect(leaves: &mut BTreeSet<String>, path: String, value: &Value) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                collect(leaves, format!("{path}/{key:?}"), value);
            }
        }
        Value::Array(list) if !list.is_empty() => {
            for value in list {
                collect(leaves, path.clone(), value);
            }
        }
        // JSON's 0.0 and -0.0 are one number in two spellings.
        Value::Number(number) => {
            leaves.insert(format!("{path}={:?}", number.as_f64().map(|number| number + 0.0)));
        }
        leaf => {
            leaves.insert(format!("{path}={leaf}"));
        }
    }
}

/// The same with its statements backwards, a lone one in a list, and each action in a list twice.
fn reshaped(document: &Value) -> Value {
    let mut document = document.clone();
    let Some(statements) = document.as_object_mut().and_then(|map| map.get_mut("Statement")) else {
        return document;
    };
    let mut list = match statements.take() {
        Value::Array(list) => list,
        one => vec![one],
    };
    list.reverse();
    for statement in &mut list {
        if let Some(action) = statement.as_object_mut().and_then(|map| map.get_mut("Action")) {
            let mut actions = match action.take() {
                Value::Array(list) => list,
                one => vec![one],
            };
            actions.extend(actions.clone());
            actions.reverse();
            *action = actions.into();
        }
    }
    *statements = list.into();
    document
}
