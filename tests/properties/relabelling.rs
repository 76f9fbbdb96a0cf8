//! The author of an accepted scrape configuration cannot choose the value of the label `clusterArn`, or the host that
//! receives the token. Prometheus' relabelling is simulated (`model/relabel` and `scrape/target.go` of Prometheus).
//!
//! Only the author's values contain the letter X.

use crate::CLUSTER;
use ampxa::scrape_configuration::{complete, labels};
use proptest::prelude::*;
use regex::Regex;
use serde_json::{Value, json};
use std::collections::BTreeMap;

type Labels = BTreeMap<String, String>;

/// A choice of texts.
fn one_of(texts: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    prop::sample::select(texts)
}

/// Names of labels from which `clusterArn`, `__address__` and `__scheme__` can be composed.
fn name() -> impl Strategy<Value = &'static str> {
    one_of(&[
        "clusterArn",
        "x_clusterArn",
        "__tmp_clusterArn",
        "cluster",
        "__tmp_cluster",
        "clusterzz",
        "cluster_Arn",
        "Arn",
        "app",
        "job",
        "__address__",
        "__scheme__",
        "__tmp",
        "__tmp___address__",
        "__meta_kubernetes_pod_name",
        "__param_clusterArn",
        "$1",
    ])
}

fn rule() -> impl Strategy<Value = Value> {
    let regex = one_of(&[
        "(.*)",
        "(.+)",
        "__tmp_(.+)",
        "x_(.+)",
        "(x_)?(cluster)(.*)",
        "(.+)_(.+)",
        "__meta_kubernetes_pod_label_(.+)",
        "__meta_kubernetes_(pod_name|node_name)",
        "__meta_kubernetes_pod_name|(job)",
        "__param_(.+)",
        "label_(.+)",
        "(.+?)(:[0-9]+)?",
        "(.+):(.+)",
        "job",
        "q)|(zz",
        "[(]q)|(?:zz[)]?",
        r"\Q(\Eq)|(zz",
    ]);
    let replacement = one_of(&[
        "$1",
        "${1}",
        "$0",
        "$2",
        "$1$2",
        "$1:$2",
        "$1:443",
        "[$1]:443",
        "X$1",
        "X:443",
        "kubernetes.default.svc:443",
        "https",
        "cluster$1",
        "${1}Arn",
        "Arn",
        "x_$1",
        "__tmp_$1",
        "clusterArn",
        "__address__",
        "__scheme__",
        "__meta_kubernetes_pod_name",
    ]);
    let action = one_of(&[
        "replace",
        "labelmap",
        "labelmap",
        "LabelMap",
        "lowercase",
        "hashmod",
        "labeldrop",
    ]);
    let sources = prop::collection::vec(name(), 0..3);
    let separator = one_of(&[";", ":", "X"]);
    (action, regex, replacement, name(), sources, separator).prop_map(
        |(action, regex, replacement, target, sources, separator)| {
            let all = json!({
                "action": action, "regex": regex, "replacement": replacement, "target_label": target,
                "source_labels": sources, "separator": separator, "modulus": 7,
            });
            let used: &[&str] = match action {
                "labelmap" | "LabelMap" => &["action", "regex", "replacement"],
                "labeldrop" => &["action", "regex"],
                "hashmod" => &["action", "source_labels", "target_label", "separator", "modulus"],
                "lowercase" => &["action", "source_labels", "target_label", "separator"],
                _ => &["regex", "replacement", "target_label", "source_labels", "separator"],
            };
            used.iter()
                .map(|name| ((*name).to_owned(), all[*name].clone()))
                .collect::<serde_json::Map<_, _>>()
                .into()
        },
    )
}

fn job() -> impl Strategy<Value = Value> {
    let labels = prop::collection::btree_map(name(), one_of(&["X", "https", CLUSTER, ""]), 0..2);
    let params = prop::collection::btree_map(one_of(&["clusterArn", "a", "__address__"]), Just(json!(["X"])), 0..2);
    let rules = || prop::collection::vec(rule(), 0..4);
    let scheme = one_of(&["https", "https", "X"]);
    (labels, params, rules(), rules(), scheme, any::<bool>()).prop_map(
        |(labels, params, relabel, metric_relabel, scheme, token)| {
            let mut job = plain_job(token);
            job["scheme"] = json!(scheme);
            job["static_configs"][0]["labels"] = json!(labels);
            job["params"] = json!(params);
            job["relabel_configs"] = json!(relabel);
            job["metric_relabel_configs"] = json!(metric_relabel);
            job
        },
    )
}

/// The labels after a list of rules. `None` if Prometheus would not accept them.
fn relabelled(mut labels: Labels, rules: &Value) -> Option<Labels> {
    for rule in rules.as_array()? {
        let text = |name: &str, default: &'static str| rule[name].as_str().unwrap_or(default).to_owned();
        let regex = Regex::new(&format!("^(?s:{})$", text("regex", "(.*)"))).ok()?;
        let (target, replacement) = (text("target_label", ""), text("replacement", "$1"));
        let sources = rule["source_labels"].as_array().into_iter().flatten();
        let values = sources.map(|name| labels.get(name.as_str().unwrap()).cloned().unwrap_or_default());
        let value = values.collect::<Vec<_>>().join(&text("separator", ";"));
        match text("action", "replace").to_lowercase().as_str() {
            "replace" => {
                let Some(found) = regex.captures(&value) else { continue };
                let (mut name, mut result) = (String::new(), String::new());
                found.expand(&target, &mut name);
                found.expand(&replacement, &mut result);
                labels.insert(name, result);
            }
            "lowercase" => {
                labels.insert(target, value.to_lowercase());
            }
            "hashmod" => {
                labels.insert(target, "3".to_owned());
            }
            "labelmap" => {
                let copied: Labels = labels
                    .iter()
                    .filter(|(name, _)| regex.is_match(name))
                    .map(|(name, value)| (regex.replace_all(name, &*replacement).into_owned(), value.clone()))
                    .collect();
                labels.extend(copied);
            }
            "labeldrop" => labels.retain(|name, _| !regex.is_match(name)),
            action => panic!("unknown action {action}"),
        }
        labels.retain(|_, value| !value.is_empty());
    }
    Some(labels)
}

/// Each target of a job, with its labels before relabelling.
fn targets(job: &Value) -> Vec<Labels> {
    let discovered = [
        ("__address__", "10.0.0.1:9100"),
        ("__meta_kubernetes_pod_name", "pod"),
        ("__meta_kubernetes_node_name", "node"),
        ("__meta_kubernetes_pod_label_app", "shop"),
        ("__meta_kubernetes_pod_label_clusterArn", "of-the-pod"),
    ];
    let given = [("__address__", "kubernetes.default.svc:443")];
    let own = |labels: &[(&str, &str)]| -> Labels {
        labels
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    };
    let mut given = own(&given);
    for (name, value) in job["static_configs"][0]["labels"].as_object().unwrap() {
        given.entry(name.clone()).or_insert(value.as_str().unwrap().to_owned());
    }
    let of_job = |mut labels: Labels| {
        for (name, value) in [("job", &job["job_name"]), ("__scheme__", &job["scheme"])] {
            labels
                .entry(name.to_owned())
                .or_insert(value.as_str().unwrap().to_owned());
        }
        for (name, values) in job["params"].as_object().unwrap() {
            labels.insert(format!("__param_{name}"), values[0].as_str().unwrap().to_owned());
        }
        labels
    };
    [own(&discovered), given].map(of_job).into()
}

/// The value of the author that becomes the label `clusterArn`, or a part of the URL that receives the token.
fn chosen_by_the_author(job: &Value) -> Option<String> {
    let of_the_author = |value: String| value.contains(['x', 'X']).then_some(value);
    targets(job).into_iter().find_map(|target| {
        let mut target = relabelled(target, &job["relabel_configs"])?;
        let part = |name: &str| target.get(name).cloned().unwrap_or_default();
        let url = format!("{}://{}", part("__scheme__"), part("__address__"));
        if job["bearer_token_file"].is_string()
            && let Some(url) = of_the_author(url)
        {
            return Some(url);
        }
        target.retain(|name, _| !name.starts_with("__"));
        // What the target exposes, beside its own labels.
        for (name, value) in [("label_clusterArn", "of-the-pod"), ("code", "200")] {
            target.entry(name.to_owned()).or_insert(value.to_owned());
        }
        of_the_author(relabelled(target, &job["metric_relabel_configs"])?.remove("clusterArn")?)
    })
}

fn is_accepted(job: &Value) -> bool {
    let yaml = json!({ "scrape_configs": [job] }).to_string();
    complete(&yaml, &labels(&CLUSTER.parse().unwrap(), &BTreeMap::new())).is_ok()
}

/// A job without rules. The token is sent if `token` is true.
fn plain_job(token: bool) -> Value {
    let mut job = json!({
        "job_name": "X",
        "scheme": "https",
        "kubernetes_sd_configs": [{ "role": "pod" }],
        "static_configs": [{ "targets": ["kubernetes.default.svc:443"], "labels": {} }],
        "params": {},
        "relabel_configs": [],
        "metric_relabel_configs": [],
    });
    if token {
        job["bearer_token_file"] = json!("/var/run/secrets/kubernetes.io/serviceaccount/token");
    }
    job
}

#[test]
fn attacks_that_work_in_prometheus_are_refused() {
    let labelmap =
        |regex: &str, replacement: &str| json!({ "action": "labelmap", "regex": regex, "replacement": replacement });
    let set = |target: &str, value: &str| json!({ "target_label": target, "replacement": value });
    let from = |sources: &[&str], target: &str, replacement: &str| json!({ "source_labels": sources, "target_label": target, "replacement": replacement });
    let with = |token: bool, field: &str, value: Value| {
        let mut job = plain_job(token);
        job[field] = value;
        job
    };
    let rules = |token: bool, rules: Value| with(token, "relabel_configs", rules);
    let labels = |token: bool, labels: Value| {
        with(
            token,
            "static_configs",
            json!([{ "targets": ["kubernetes.default.svc:443"], "labels": labels }]),
        )
    };
    let and_rules = |mut job: Value, rules: Value| {
        job["relabel_configs"] = rules;
        job
    };
    let mut separated = from(&["__meta_kubernetes_a", "__meta_kubernetes_b"], "__address__", "$1");
    separated["separator"] = json!("X");
    for job in [
        // The label that identifies the cluster.
        labels(false, json!({ "clusterArn": "X" })),
        rules(false, json!([set("clusterArn", "X")])),
        with(false, "metric_relabel_configs", json!([set("clusterArn", "X")])),
        rules(false, json!([from(&["job"], "clusterArn", "$1")])),
        rules(false, json!([labelmap("job", "clusterArn")])),
        with(false, "metric_relabel_configs", json!([labelmap("job", "clusterArn")])),
        rules(false, json!([set("__tmp", "clusterArn"), from(&["__tmp"], "$1", "X")])),
        rules(
            false,
            json!([set("__tmp_clusterArn", "X"), labelmap("__tmp_(.+)", "$1")]),
        ),
        rules(false, json!([set("cluster_Arn", "X"), labelmap("(.+)_(.+)", "$1$2")])),
        rules(false, json!([set("x_cluster", "X"), labelmap("x_(.+)", "${1}Arn")])),
        rules(false, json!([set("x_Arn", "X"), labelmap("x_(.+)", "cluster$1")])),
        rules(false, json!([set("clusterzz", "X"), labelmap("q)|(zz", "Arn")])),
        rules(
            false,
            json!([set("clusterzz", "X"), labelmap("[(]q)|(?:zz[)]?", "Arn")]),
        ),
        and_rules(
            labels(false, json!({ "x_clusterArn": "X" })),
            json!([labelmap("x_(.+)", "$1")]),
        ),
        and_rules(
            with(false, "params", json!({ "clusterArn": ["X"] })),
            json!([labelmap("__param_(.+)", "$1")]),
        ),
        // The host that receives the token.
        with(true, "scheme", json!("https://X/?")),
        labels(true, json!({ "__scheme__": "https://X/?" })),
        rules(true, json!([set("__scheme__", "https://X/?")])),
        rules(true, json!([from(&["job"], "__scheme__", "$1")])),
        rules(true, json!([set("__address__", "X:443")])),
        rules(true, json!([from(&["job"], "__address__", "$1")])),
        rules(true, json!([from(&["__address__"], "__address__", "$1.X")])),
        rules(true, json!([separated])),
        rules(true, json!([labelmap("job", "__address__")])),
        rules(true, json!([labelmap("__meta_kubernetes_x|job", "__address__")])),
        rules(
            true,
            json!([
                set("__meta_kubernetes_x", "X"),
                from(&["__meta_kubernetes_x"], "__address__", "$1")
            ]),
        ),
    ] {
        assert!(chosen_by_the_author(&job).is_some(), "the attack does not work: {job}");
        assert!(!is_accepted(&job), "{job}");
    }
    for token in [false, true] {
        assert!(is_accepted(&plain_job(token)) && chosen_by_the_author(&plain_job(token)).is_none());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 700, max_global_rejects: 1_000_000, ..ProptestConfig::default() })]

    #[test]
    fn the_author_of_an_accepted_job_chooses_neither_the_cluster_nor_the_host(job in job()) {
        prop_assume!(is_accepted(&job));
        let chosen = chosen_by_the_author(&job);
        prop_assert!(chosen.is_none(), "{chosen:?}: {job}");
    }
}
