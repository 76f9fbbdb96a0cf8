//! Fuzz target: any text as a policy document that IAM returns.

use ampxa::{
    pair::Pair,
    policy::{self, Gate, same_meaning},
    roles,
};
use serde_json::Value;
use std::{collections::BTreeSet, sync::LazyLock};

/// `same_meaning` is an equivalence relation that ignores only order and shape. A document with other or additional
/// content never has the same meaning as a document of ampxa.
///
/// The first line of the input is one document, the rest is another one.
pub fn check(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (one, other) = text.split_once('\n').unwrap_or((&text, ""));
    let (one, other) = (roles::document(one), roles::document(other));
    for document in [&one, &other] {
        assert!(same_meaning(document, document), "{document}");
        assert!(same_meaning(document, &reshaped(document)), "{document}");
        let same: Vec<&Value> = OWN_DOCUMENTS
            .iter()
            .filter(|own| have_same_meaning(document, own))
            .collect();
        assert!(same.len() <= 1, "{document}");
    }
    if have_same_meaning(&one, &other) {
        for own in OWN_DOCUMENTS.iter() {
            assert_eq!(same_meaning(&one, own), same_meaning(&other, own), "{one} {other}");
        }
    }
}

/// All policy documents that ampxa writes for a pair.
static OWN_DOCUMENTS: LazyLock<Vec<Value>> = LazyLock::new(|| {
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

/// Whether two documents have the same meaning; asserts that they have the same content if so.
fn have_same_meaning(one: &Value, other: &Value) -> bool {
    let same = same_meaning(one, other);
    assert_eq!(same, same_meaning(other, one), "{one} {other}");
    if same {
        assert_eq!(content(one), content(other), "{one} {other}");
    }
    same
}

/// The content of a document by statement: each value with its path of keys, without the indexes of lists. It does not
/// use the rules of policies, so that it does not have the same bugs as `same_meaning`.
fn content(document: &Value) -> BTreeSet<BTreeSet<String>> {
    let mut statements: Vec<&Value> = match &document["Statement"] {
        Value::Array(list) => list.iter().collect(),
        statement => vec![statement],
    };
    let mut other_fields = document.clone();
    if let Value::Object(fields) = &mut other_fields {
        fields.remove("Statement");
    }
    statements.push(&other_fields);
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
        // 0.0 and -0.0 are the same number.
        Value::Number(number) => {
            leaves.insert(format!("{path}={:?}", number.as_f64().map(|number| number + 0.0)));
        }
        leaf => {
            leaves.insert(format!("{path}={leaf}"));
        }
    }
}

/// The document with its statements in a list in reverse order, and with each action in a list twice.
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
