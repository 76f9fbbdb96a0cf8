//! SECURITY.md explains each statement of the roles in source and target accounts, and says which of them each function
//! may assume.

use super::{functions, read, template};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The Sids of a part of a template.
fn gather_sids(part: &Value, sids: &mut BTreeSet<String>) {
    match part {
        Value::Object(fields) => {
            sids.extend(fields.get("Sid").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|value| gather_sids(value, sids));
        }
        Value::Array(items) => items.iter().for_each(|item| gather_sids(item, sids)),
        _ => {}
    }
}

/// The Sids of each role and managed policy of the account templates, by the name of the role or policy.
fn sids_of_templates() -> BTreeMap<String, BTreeSet<String>> {
    let mut all = BTreeMap::new();
    for name in ["source-account", "target-account"] {
        for (id, resource) in template(name)["Resources"].as_object().unwrap() {
            let mut sids = BTreeSet::new();
            gather_sids(resource, &mut sids);
            if sids.is_empty() {
                continue;
            }
            let properties = &resource["Properties"];
            let named = ["RoleName", "ManagedPolicyName"].map(|field| properties[field].as_str());
            let named = named.into_iter().flatten().next();
            let named = named.unwrap_or_else(|| panic!("{id} of {name}.yaml has statements with a Sid, but no name"));
            all.insert(named.to_owned(), sids);
        }
    }
    all
}

/// The names in backticks in a text.
fn names(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The names in the first column of the tables of a document, by the name in the heading above them.
fn sids_of_document(document: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut heading = None;
    for line in document.lines() {
        if line.starts_with('#') {
            heading = line.strip_prefix("### ").and_then(|title| names(title).next());
        }
        let (Some(heading), Some(row)) = (heading, line.strip_prefix("| ")) else {
            continue;
        };
        let cells: Vec<&str> = row.split(" | ").collect();
        // The table of statements has four columns. That of the conditions of a boundary has two.
        if cells.len() == 4 {
            let sids = all.entry(heading.to_owned()).or_default();
            sids.extend(names(cells[0]).map(str::to_owned));
        }
    }
    all
}

#[test]
fn the_tables_of_security_md_have_each_statement_of_the_account_templates_and_no_other() {
    assert_eq!(sids_of_document(&read("SECURITY.md")), sids_of_templates());
}

/// The roles in other accounts that each function may assume, by the name of its step.
fn assumable_of_template() -> BTreeMap<String, BTreeSet<String>> {
    let mut all = BTreeMap::new();
    for function in functions().values() {
        let properties = &function["Properties"];
        let step = properties["CodeUri"].as_str().unwrap().trim_end_matches('/');
        let step = step.rsplit('/').next().unwrap();
        let policies = properties["Policies"].as_array().into_iter().flatten();
        let assumed = policies.filter_map(|policy| match policy["!Ref"].as_str()? {
            "AssumeSourceReader" => Some("source reader"),
            "AssumeTargetReader" => Some("target reader"),
            "AssumeSourceProvisioner" => Some("source provisioner"),
            "AssumeTargetProvisioner" => Some("target provisioner"),
            _ => None,
        });
        all.insert(step.to_owned(), assumed.map(str::to_owned).collect());
    }
    all
}

#[test]
fn the_table_of_functions_in_security_md_has_the_roles_that_each_may_assume() {
    let document = read("SECURITY.md");
    let table = document
        .split("| functions | roles that it may assume |")
        .nth(1)
        .unwrap();
    let table = table.split("\n\n").next().unwrap();
    let mut documented = BTreeMap::new();
    for row in table.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.trim_start_matches("| ").split(" | ").collect();
        let roles: BTreeSet<String> = match cells[1] {
            "none" => BTreeSet::new(),
            roles => roles.split(", ").map(str::to_owned).collect(),
        };
        documented.extend(names(cells[0]).map(|step| (step.to_owned(), roles.clone())));
    }
    assert_eq!(documented, assumable_of_template());
}
