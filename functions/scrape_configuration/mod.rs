//! The scrape configuration: AMP's rules for it, and the labels that tell clusters apart.
//!
//! Without external labels the samples of many clusters in one workspace cannot be told apart, and
//! AMP's default configuration sets none.

mod rules;
mod yaml;

use crate::{arn::ClusterArn, error::Error};
use base64::{Engine, engine::general_purpose::STANDARD};
use std::collections::BTreeMap;
use yaml::Node;

/// The longest configuration, in bytes: it travels in the state machine's 256 KiB.
pub const LONGEST: usize = 65_536;

const FIELD: &str = "scrapeConfiguration";

/// The external labels of a cluster; the request's own win.
pub fn labels(cluster: &ClusterArn, own: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::from([
        ("clusterArn".to_owned(), cluster.to_string()),
        ("cluster".to_owned(), cluster.id().to_owned()),
        ("accountId".to_owned(), cluster.account().to_owned()),
        ("region".to_owned(), cluster.region().to_owned()),
    ]);
    labels.extend(own.clone());
    labels
}

/// A person's configuration: YAML, or base64 of YAML.
///
/// Every configuration has a `:` in it, and base64 has none.
///
/// # Errors
/// `InvalidRequest` when it is neither, or too long.
pub fn decode(text: &str) -> Result<String, Error> {
    let encoded = |c: char| c.is_ascii_alphanumeric() || "+/=\r\n".contains(c);
    let yaml = if !text.is_empty() && text.chars().all(encoded) {
        let joined: String = text.split_ascii_whitespace().collect();
        let bytes = STANDARD.decode(joined);
        let yaml = bytes.ok().and_then(|bytes| String::from_utf8(bytes).ok());
        yaml.ok_or_else(|| Error::invalid(FIELD, "expected YAML, or base64 of YAML in UTF-8"))?
    } else {
        text.to_owned()
    };
    if yaml.len() > LONGEST {
        return Err(Error::invalid(
            FIELD,
            format!("{} bytes are too long; at most {LONGEST} are taken", yaml.len()),
        ));
    }
    Ok(yaml)
}

/// Checks a person's configuration by AMP's rules.
///
/// # Errors
/// `InvalidRequest` with the path in the configuration and what would be right.
pub fn check(yaml: &str) -> Result<(), Error> {
    rules::check(&read(yaml)?).map_err(|(at, why)| Error::invalid(&format!("{FIELD}{at}"), why))
}

/// The configuration with those of the labels in `global.external_labels` that it does not set.
///
/// Comments and layout may change, the meaning of nothing else does: the result is read again and
/// compared.
///
/// # Errors
/// `InvalidRequest` when it is no configuration.
pub fn complete(yaml: &str, labels: &BTreeMap<String, String>) -> Result<String, Error> {
    let mut root = read(yaml)?;
    let external = mapping(mapping(&mut root, "global")?, "external_labels")?;
    let missing: Vec<_> = labels.iter().filter(|(name, _)| external.get(name).is_none()).collect();
    if let Node::Mapping(entries) = external {
        entries.extend(
            missing
                .into_iter()
                .map(|(name, value)| (Node::text(name), Node::text(value))),
        );
    }
    let written = yaml::write(&root);
    match read(&written) {
        Ok(again) if again == root => Ok(written),
        _ => Err(Error::invalid(
            FIELD,
            "this YAML cannot be given external labels without changing it; write it simpler",
        )),
    }
}

fn read(yaml: &str) -> Result<Node, Error> {
    yaml::read(yaml).map_err(|why| Error::invalid(FIELD, format!("this is no YAML: {why}")))
}

/// The mapping under a key, made when it is missing or says nothing.
fn mapping<'a>(parent: &'a mut Node, key: &str) -> Result<&'a mut Node, Error> {
    let refuse = || Error::invalid(&format!("{FIELD}.{key}"), "expected a mapping");
    let merged = parent.get(key).cloned();
    if parent.own_mut(key).is_none() {
        // What a merge key brings is written out: an own key would hide it.
        let Node::Mapping(entries) = &mut *parent else {
            return Err(refuse());
        };
        entries.insert(
            0,
            (Node::text(key), merged.unwrap_or_else(|| Node::Mapping(Vec::new()))),
        );
    }
    let node = parent.own_mut(key).ok_or_else(refuse)?;
    if node.is_null() {
        *node = Node::Mapping(Vec::new());
    }
    match node {
        Node::Mapping(_) => Ok(node),
        _ => Err(refuse()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some_labels() -> BTreeMap<String, String> {
        labels(
            &"arn:aws:eks:us-west-2:222222222222:cluster/demo".parse().unwrap(),
            &BTreeMap::from([
                ("team".to_owned(), "0123".to_owned()),
                ("region".to_owned(), "mine".to_owned()),
            ]),
        )
    }

    #[test]
    fn the_labels_of_cluster_and_request_are_added() {
        let done = complete("scrape_configs:\n- job_name: a # why\n", &some_labels()).unwrap();
        assert_eq!(
            done,
            "\"global\":\n  \"external_labels\":\n    \"accountId\": \"222222222222\"\n    \"cluster\": \"demo\"\n    \
             \"clusterArn\": \"arn:aws:eks:us-west-2:222222222222:cluster/demo\"\n    \"region\": \"mine\"\n    \
             \"team\": \"0123\"\nscrape_configs:\n  - job_name: a\n"
        );
    }

    #[test]
    fn amps_default_configuration_is_completed_and_keeps_its_rules() {
        let done = complete(
            include_str!("../../tests/golden/scrape_configuration/default.yaml"),
            &some_labels(),
        )
        .unwrap();
        assert!(check(&done).is_ok() && done.contains("\"clusterArn\""), "{done}");
    }

    #[test]
    fn a_label_that_is_set_already_stays() {
        for yaml in [
            "global: {external_labels: {cluster: theirs, version: 1.10}}\nscrape_configs: [{job_name: a}]",
            "global: {external_labels: {<<: {cluster: theirs}, version: 1.10}}\nscrape_configs: [{job_name: a}]",
        ] {
            let done = complete(yaml, &some_labels()).unwrap();
            assert!(
                done.contains("cluster: theirs") && !done.contains("demo\"\n    \"cluster\""),
                "{done}"
            );
            assert!(
                done.contains("version: 1.10\n") && done.contains("\"accountId\": \"222222222222\""),
                "{done}"
            );
            assert_eq!(
                complete(&done, &some_labels()).as_ref(),
                Ok(&done),
                "completing again changes nothing"
            );
        }
    }

    #[test]
    fn an_empty_global_is_filled() {
        for yaml in [
            "global:\nscrape_configs: [{job_name: a}]",
            "global: {external_labels: ~}\nscrape_configs: [{job_name: a}]",
        ] {
            assert!(complete(yaml, &some_labels()).unwrap().contains("clusterArn"));
        }
        assert!(complete("global: 5\nscrape_configs: []", &some_labels()).is_err());
        assert!(complete("[]", &some_labels()).is_err());
    }

    #[test]
    fn the_rules_name_the_place() {
        let job = |rest: &str| format!("scrape_configs:\n- job_name: a\n  {rest}\n");
        for (yaml, begins) in [
            ("[]".to_owned(), "scrapeConfiguration: expected a mapping"),
            ("scrape_configs: []".to_owned(), "scrapeConfiguration.scrape_configs: "),
            (
                "scrape_configs: [{}]".to_owned(),
                "scrapeConfiguration.scrape_configs[0].job_name: ",
            ),
            (
                "scrape_configs: [{job_name: a}, {job_name: a}]".to_owned(),
                "scrapeConfiguration.scrape_configs[1].job_name: ",
            ),
            (
                "remote_write: []\nscrape_configs: [{job_name: a}]".to_owned(),
                "scrapeConfiguration.remote_write: ",
            ),
            (
                "alerting: {}\nscrape_configs: [{job_name: a}]".to_owned(),
                "scrapeConfiguration.alerting: ",
            ),
            (
                job("scrape_interval: 10s"),
                "scrapeConfiguration.scrape_configs[0].scrape_interval: \"10s\" is below 30s",
            ),
            (
                job("scrape_interval: [1]"),
                "scrapeConfiguration.scrape_configs[0].scrape_interval: ",
            ),
            (
                job("scrape_timeout: 2m"),
                "scrapeConfiguration.scrape_configs[0].scrape_timeout: ",
            ),
            (
                job("consul_sd_configs: []"),
                "scrapeConfiguration.scrape_configs[0].consul_sd_configs: ",
            ),
            (
                job("static_configs: [{targets: [a.b:80]}]"),
                "scrapeConfiguration.scrape_configs[0].static_configs[0].targets[0]: ",
            ),
            (
                job("basic_auth: {username: a}"),
                "scrapeConfiguration.scrape_configs[0].basic_auth: ",
            ),
            (
                job("authorization: {credentials: a}"),
                "scrapeConfiguration.scrape_configs[0].authorization.credentials: ",
            ),
            (
                job("authorization: {credentials_file: /a}"),
                "scrapeConfiguration.scrape_configs[0].authorization.credentials_file: ",
            ),
            (
                job("tls_config: {ca_file: /a}"),
                "scrapeConfiguration.scrape_configs[0].tls_config.ca_file: ",
            ),
            (
                job("kubernetes_sd_configs: [{role: pod, api_server: a}]"),
                "scrapeConfiguration.scrape_configs[0].kubernetes_sd_configs[0].api_server: ",
            ),
            ("x: &d {scrape_interval: 1s}".to_owned(), "scrapeConfiguration.x: "),
            (
                "scrape_configs: [{job_name: a, <<: {scrape_interval: 1s}}]".to_owned(),
                "scrapeConfiguration.scrape_configs[0].scrape_interval: ",
            ),
        ] {
            let why = check(&yaml).unwrap_err();
            assert!(why.to_string().starts_with(begins), "{yaml}: {why}");
            assert_eq!(why.name(), "InvalidRequest");
        }
        assert!(check(&job("kubernetes_sd_configs: [{role: pod}]\n  scheme: https\n  authorization: {credentials_file: /var/run/secrets/kubernetes.io/serviceaccount/token}")).is_ok());
    }

    #[test]
    fn base64_of_yaml_is_taken_for_what_it_is() {
        let yaml = "scrape_configs:\n- job_name: a\n";
        assert_eq!(decode(yaml).unwrap(), yaml);
        assert_eq!(decode(&STANDARD.encode(yaml)).unwrap(), yaml);
        let encoded = STANDARD.encode(yaml);
        let (a, b) = encoded.split_at(20);
        assert_eq!(decode(&format!("{a}\n{b}\n")).unwrap(), yaml);
        assert!(decode("abcde").is_err() && decode("////").is_err());
        assert!(decode(&"a: b\n".repeat(20_000)).is_err());
    }
}
