use super::*;
use proptest::prelude::*;
use serde_yaml_ng::{Mapping as Other, Value};
use std::{fs, path::Path, time::Instant};

pub(super) fn labels_to_add() -> BTreeMap<String, String> {
    let cluster = "arn:aws:eks:us-west-2:222222222222:cluster/payments".parse().unwrap();
    labels(&cluster, &BTreeMap::from([("team".to_owned(), "payments".to_owned())]))
}

fn refused(yaml: &str) -> String {
    let error = complete(yaml, &labels_to_add()).unwrap_err();
    assert_eq!(error.name(), "InvalidRequest");
    error.to_string()
}

/// The tree as another YAML library reads it, with the labels added.
fn expected(yaml: &str) -> Option<Value> {
    let mut tree: Value = serde_yaml_ng::from_str(yaml).ok()?;
    tree.apply_merge().ok()?;
    let ensure_mapping = |map: &mut Other, name: &str| {
        let entry = map.entry(Value::from(name)).or_insert(Value::Null);
        if entry.is_null() {
            *entry = Value::Mapping(Other::new());
        }
    };
    let root = tree.as_mapping_mut()?;
    ensure_mapping(root, "global");
    let global = root["global"].as_mapping_mut()?;
    ensure_mapping(global, "external_labels");
    let external = global["external_labels"].as_mapping_mut()?;
    for (name, value) in labels_to_add() {
        if name == IDENTITY_LABEL {
            external.insert(Value::from(name), Value::from(value));
        } else {
            external.entry(Value::from(name)).or_insert(Value::from(value));
        }
    }
    Some(tree)
}

/// Asserts that another YAML library reads the same tree with the labels added, and that completion is idempotent.
fn assert_completed(yaml: &str, completed: &str) {
    assert_eq!(complete(completed, &labels_to_add()).as_deref(), Ok(completed));
    let read: Value = serde_yaml_ng::from_str(completed).unwrap_or_else(|why| panic!("{why}: {completed}"));
    if let Some(expected) = expected(yaml) {
        assert_eq!(read, expected, "{completed}");
    }
}

#[test]
fn completed_configurations_match_the_golden_files() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/scrape_configuration");
    let mut seen = 0;
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.to_string_lossy().ends_with(".completed.yaml") {
            continue;
        }
        let yaml = fs::read_to_string(&path).unwrap();
        let completed = complete(&yaml, &labels_to_add()).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
        let golden = path.with_extension("completed.yaml");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&golden, &completed).unwrap();
        }
        assert_eq!(completed, fs::read_to_string(&golden).unwrap(), "{}", golden.display());
        assert!(expected(&yaml).is_some(), "{}", path.display());
        assert_completed(&yaml, &completed);
        seen += 1;
    }
    assert_eq!(seen, 4);
}

#[test]
fn labels_of_the_configuration_override_those_of_the_request_and_those_override_ours() {
    let cluster = "arn:aws-us-gov:eks:us-gov-west-1:222222222222:cluster/a"
        .parse()
        .unwrap();
    let labels = labels(&cluster, &BTreeMap::from([("region".to_owned(), "north".to_owned())]));
    let yaml = "global: {external_labels: {accountId: ~, 'cluster': x}}\nscrape_configs: [{job_name: a}]";
    assert_eq!(
        complete(yaml, &labels).unwrap(),
        "global:\n  external_labels:\n    accountId: ~\n    cluster: x\n    \
         clusterArn: arn:aws-us-gov:eks:us-gov-west-1:222222222222:cluster/a\n    region: north\n\
         scrape_configs:\n  - job_name: a\n"
    );
}

#[test]
fn a_missing_or_empty_global_section_is_filled() {
    for yaml in [
        "scrape_configs: [{job_name: a}]",
        "global:\nscrape_configs: [{job_name: a}]",
        "global: {external_labels: }\nscrape_configs: [{job_name: a}]",
        "\u{feff}---\r\nscrape_configs:\r\n- job_name: a\r\n...\r\n",
    ] {
        let completed = complete(yaml, &labels_to_add()).unwrap();
        assert!(completed.contains("    team: payments\n"), "{completed}");
        assert_completed(yaml, &completed);
    }
}

#[test]
fn only_a_plain_merge_key_merges() {
    let completed = complete(
        "scrape_configs: [{job_name: a, params: {\"<<\": [b]}}]",
        &labels_to_add(),
    )
    .unwrap();
    assert!(
        completed.ends_with("    params:\n      \"<<\":\n        - b\n"),
        "{completed}"
    );
}

#[test]
fn configurations_that_amp_allows_are_accepted() {
    let token = "/var/run/secrets/kubernetes.io/serviceaccount/token";
    for job in [
        "scrape_interval: 30s".to_owned(),
        "scrape_interval: 1h, scrape_timeout: 59m60s".to_owned(),
        "scrape_interval: ~, authorization: ~, static_configs: ~".to_owned(),
        format!("authorization: {{credentials_file: {token}}}"),
        format!("bearer_token_file: {token}, tls_config: {{insecure_skip_verify: true}}"),
        "kubernetes_sd_configs: [{role: pod, kubeconfig_file: '', follow_redirects: true}]".to_owned(),
        "static_configs: [{targets: [10.0.0.1, '10.0.0.1:65535', '[::1]', '[::1]:1', kubernetes.default.svc]}]"
            .to_owned(),
        "relabel_configs: [{action: keep}], metric_relabel_configs: [], params: {basic_auth: [a]}".to_owned(),
        "relabel_configs: ~, metric_relabel_configs: ~, static_configs: [{labels: ~}], params: ~".to_owned(),
    ] {
        complete(&format!("scrape_configs: [{{job_name: a, {job}}}]"), &labels_to_add())
            .unwrap_or_else(|why| panic!("{job}: {why}"));
    }
}

#[test]
fn an_error_begins_with_the_path_of_the_field() {
    for (yaml, begins, contains) in [
        ("a", "scrapeConfiguration: ", "expected a mapping, not a scalar"),
        ("[a: b]", "scrapeConfiguration: ", "expected a mapping, not a list"),
        (
            "global: {}",
            "scrapeConfiguration.scrape_configs: ",
            "at least one scrape job",
        ),
        (
            "scrape_configs: []",
            "scrapeConfiguration.scrape_configs: ",
            "at least one scrape job",
        ),
        (
            "scrape_configs: {a: b}",
            "scrapeConfiguration.scrape_configs: ",
            "expected a list",
        ),
        (
            "scrape_configs: [~]",
            "scrapeConfiguration.scrape_configs[0]: ",
            "expected a mapping, not null",
        ),
        (
            "remote_write: []",
            "scrapeConfiguration.remote_write: ",
            "writes to the workspace",
        ),
        (
            "'remote_write': []",
            "scrapeConfiguration.remote_write: ",
            "writes to the workspace",
        ),
        ("rule_files: []", "scrapeConfiguration.rule_files: ", "workspace"),
        (
            "otlp: {}",
            "scrapeConfiguration.otlp: ",
            "only global and scrape_configs",
        ),
        ("global: [a]", "scrapeConfiguration.global: ", "expected a mapping"),
        (
            "global: {external_labels: a}",
            "scrapeConfiguration.global.external_labels: ",
            "expected a mapping",
        ),
        (
            "global: {external_labels: {a-b: c}}",
            "scrapeConfiguration.global.external_labels.a-b: ",
            "not a valid label name",
        ),
        (
            "global: {external_labels: {a: [c]}}",
            "scrapeConfiguration.global.external_labels.a: ",
            "expected a scalar",
        ),
        (
            "global: {scrape_interval: 29s999ms}",
            "scrapeConfiguration.global.scrape_interval: \"29s999ms\" is below 30s",
            "AMP",
        ),
        (
            "global: {scrape_timeout: 61s}",
            "scrapeConfiguration.global.scrape_timeout: ",
            "longer than the scrape interval",
        ),
        (
            "scrape_configs: [{scrape_interval: 60s}]",
            "scrapeConfiguration.scrape_configs[0]: ",
            "job_name is missing",
        ),
        (
            "scrape_configs: [{job_name: ''}]",
            "scrapeConfiguration.scrape_configs[0].job_name: ",
            "empty",
        ),
        (
            "scrape_configs: [{job_name: a}, {job_name: 'a'}]",
            "scrapeConfiguration.scrape_configs[1].job_name: ",
            "already used by scrapeConfiguration.scrape_configs[0].job_name",
        ),
    ] {
        let message = refused(yaml);
        assert!(
            message.starts_with(begins),
            "{message:?} does not begin with {begins:?}"
        );
        assert!(message.contains(contains), "{message:?} does not contain {contains:?}");
    }
    for (job, path, contains) in [
        (
            "scrape_interval: 10s",
            "scrape_interval",
            "\"10s\" is below 30s, AMP's minimum",
        ),
        ("scrape_interval: 0", "scrape_interval", "below 30s"),
        (
            "scrape_interval: 60",
            "scrape_interval",
            "not a duration; expected one such as 30s",
        ),
        ("scrape_interval: 1s1m", "scrape_interval", "not a duration"),
        ("scrape_interval: ''", "scrape_interval", "not a duration"),
        ("scrape_interval: 1.5h", "scrape_interval", "not a duration"),
        ("scrape_interval: 300y", "scrape_interval", "not a duration"),
        (
            "scrape_interval: 99999999999999999999s",
            "scrape_interval",
            "not a duration",
        ),
        ("<<: {scrape_interval: 10s}", "scrape_interval", "below 30s"),
        (
            "scrape_timeout: 90s",
            "scrape_timeout",
            "longer than the scrape interval, 60000ms",
        ),
        (
            "ec2_sd_configs: []",
            "ec2_sd_configs",
            "only kubernetes_sd_configs and static_configs",
        ),
        (
            "dns_sd_config: a",
            "dns_sd_config",
            "only kubernetes_sd_configs and static_configs",
        ),
        (
            "static_configs: [{targets: ['example.com:80']}]",
            "static_configs[0].targets[0]",
            "not an IP address",
        ),
        (
            "static_configs: [{targets: ['fd00::1']}]",
            "static_configs[0].targets[0]",
            "[fd00::1]:9100",
        ),
        (
            "static_configs: [{targets: ['[10.0.0.1]:80']}]",
            "static_configs[0].targets[0]",
            "not an IP address",
        ),
        (
            "static_configs: [{targets: ['10.0.0.1:']}]",
            "static_configs[0].targets[0]",
            "no valid port",
        ),
        (
            "static_configs: [{targets: ['10.0.0.1:+80']}]",
            "static_configs[0].targets[0]",
            "no valid port",
        ),
        (
            "static_configs: [{targets: ['10.0.0.1:65536']}]",
            "static_configs[0].targets[0]",
            "no valid port",
        ),
        (
            "static_configs: [{targets: ['kubernetes.default.svc.cluster.local']}]",
            "static_configs[0].targets[0]",
            "not an IP address",
        ),
        (
            "static_configs: [{targets: ['http://10.0.0.1']}]",
            "static_configs[0].targets[0]",
            "not an IP address",
        ),
        (
            "static_configs: [{targets: 10.0.0.1}]",
            "static_configs[0].targets",
            "expected a list",
        ),
        ("static_configs: [10.0.0.1]", "static_configs[0]", "expected a mapping"),
        (
            "static_configs: [{labels: [a]}]",
            "static_configs[0].labels",
            "expected a mapping",
        ),
        ("relabel_configs: {a: b}", "relabel_configs", "expected a list"),
        (
            "metric_relabel_configs: [keep]",
            "metric_relabel_configs[0]",
            "expected a mapping",
        ),
        (
            "relabel_configs: [{target_label: [a]}]",
            "relabel_configs[0].target_label",
            "expected a scalar",
        ),
        ("authorization: {type: Basic}", "authorization.type", "expected Bearer"),
        (
            "authorization: {credentials: secret}",
            "authorization.credentials",
            "a secret is not allowed",
        ),
        (
            "authorization: {type: Bearer}",
            "authorization",
            "credentials_file is missing",
        ),
        (
            "authorization: {credentials_file: /etc/passwd}",
            "authorization.credentials_file",
            "serviceaccount/token",
        ),
        (
            "bearer_token_file: /etc/passwd",
            "bearer_token_file",
            "serviceaccount/token",
        ),
        ("bearer_token: secret", "bearer_token", "does not support"),
        ("basic_auth: {}", "basic_auth", "does not support"),
        ("oauth2: {}", "oauth2", "does not support"),
        ("sigv4: {}", "sigv4", "does not support"),
        ("proxy_url: 'http://a'", "proxy_url", "does not support"),
        (
            "tls_config: {ca_file: /etc/ca}",
            "tls_config.ca_file",
            "serviceaccount/ca.crt",
        ),
        (
            "tls_config: {key_file: /etc/key}",
            "tls_config.key_file",
            "no such file",
        ),
        ("tls_config: {key: secret}", "tls_config.key", "no such file or secret"),
        (
            "http_headers: {a: {files: [/etc/passwd]}}",
            "http_headers.a.files",
            "use values",
        ),
        (
            "kubernetes_sd_configs: [{role: pod, api_server: 'https://a'}]",
            "kubernetes_sd_configs[0].api_server",
            "own cluster",
        ),
        (
            "kubernetes_sd_configs: [{role: pod, kubeconfig_file: a}]",
            "kubernetes_sd_configs[0].kubeconfig_file",
            "own cluster",
        ),
        (
            "kubernetes_sd_configs: [{role: pod, basic_auth: {}}]",
            "kubernetes_sd_configs[0].basic_auth",
            "does not support",
        ),
        (
            "kubernetes_sd_configs: [{role: pod, tls_config: {ca_file: a}}]",
            "kubernetes_sd_configs[0].tls_config",
            "only together with api_server",
        ),
    ] {
        let message = refused(&format!("scrape_configs: [{{job_name: a, {job}}}]"));
        let begins = format!("scrapeConfiguration.scrape_configs[0].{path}: ");
        assert!(
            message.starts_with(&begins),
            "{message:?} does not begin with {begins:?}"
        );
        assert!(message.contains(contains), "{message:?} does not contain {contains:?}");
    }
}

const CLUSTER: &str = "arn:aws:eks:us-west-2:222222222222:cluster/payments";

/// A configuration with one job, which has these fields.
fn with_job(job: &str) -> String {
    format!("scrape_configs: [{{job_name: a, {job}}}]")
}

/// Asserts that a job is refused, and that the message is a path in the job and a text.
fn assert_job_refused(job: &str, path: &str, why: &str) {
    let expected = format!("scrapeConfiguration.scrape_configs[0].{path}: {why}");
    assert_eq!(refused(&with_job(job)), expected, "{job}");
}

fn assert_job_accepted(job: &str) {
    complete(&with_job(job), &labels_to_add()).unwrap_or_else(|why| panic!("{job}: {why}"));
}

#[test]
fn the_label_that_identifies_the_cluster_is_always_its_arn() {
    for given in [
        "",
        "clusterArn: ~",
        "clusterArn: ''",
        &format!("clusterArn: '{CLUSTER}'"),
    ] {
        let yaml = format!("global: {{external_labels: {{{given}}}}}\nscrape_configs: [{{job_name: a}}]");
        let completed = complete(&yaml, &labels_to_add()).unwrap();
        assert_eq!(completed.matches("clusterArn").count(), 1, "{completed}");
        assert!(
            completed.contains(&format!("    clusterArn: {CLUSTER}\n")),
            "{completed}"
        );
        assert_completed(&yaml, &completed);
    }
    let requested = BTreeMap::from([(IDENTITY_LABEL.to_owned(), "shared".to_owned())]);
    assert_eq!(labels(&CLUSTER.parse().unwrap(), &requested)[IDENTITY_LABEL], CLUSTER);
    let default = complete_default("global: {external_labels: {clusterArn: shared}}", &labels_to_add()).unwrap();
    assert!(default.contains(CLUSTER) && !default.contains("shared"), "{default}");
}

#[test]
fn another_value_of_the_label_that_identifies_the_cluster_is_refused() {
    let why = "\"shared\" is not the ARN of the cluster; leave it out: ampxa sets this label, because it identifies the \
               cluster";
    let yaml = "global: {external_labels: {clusterArn: shared}}\nscrape_configs: [{job_name: a}]";
    assert_eq!(
        refused(yaml),
        format!("scrapeConfiguration.global.external_labels.clusterArn: {why}")
    );
    assert_job_refused(
        "static_configs: [{labels: {clusterArn: shared}}]",
        "static_configs[0].labels.clusterArn",
        why,
    );
    for value in ["~", "\"\"", &format!("\"{CLUSTER}\"")] {
        assert_job_accepted(&format!("static_configs: [{{labels: {{clusterArn: {value}}}}}]"));
    }
    let list = refused("global: {external_labels: {clusterArn: []}}\nscrape_configs: [{job_name: a}]");
    assert!(list.contains("expected a scalar, not a list"), "{list}");
}

#[test]
fn relabelling_to_the_label_that_identifies_the_cluster_is_refused() {
    const WHY: &str = "which ampxa sets, because it identifies the cluster";
    for rules in ["relabel_configs", "metric_relabel_configs"] {
        let refuse = |rule: &str, field: &str, why: &str| {
            assert_job_refused(&format!("{rules}: [{{{rule}}}]"), &format!("{rules}[0]{field}"), why);
        };
        for action in [
            "",
            ", action: Replace",
            ", action: hashmod, modulus: 2",
            ", action: lowercase",
        ] {
            refuse(
                &format!("target_label: clusterArn{action}"),
                ".target_label",
                &format!("leave this rule out: it sets clusterArn, {WHY}"),
            );
        }
        refuse(
            "target_label: 'x$1'",
            ".target_label",
            &format!("\"x$1\" can become any label, also clusterArn, {WHY}; write the name of one label"),
        );
        for replacement in ["clusterArn", "cluster$1", "${1}Arn", "$1$2", "x_c$1", "x_clusterArn_$1"] {
            refuse(
                &format!("action: LABELMAP, regex: (.*), replacement: '{replacement}'"),
                ".replacement",
                &format!("\"{replacement}\" can become clusterArn, {WHY}; use a replacement such as $1 or label_$1"),
            );
        }
        for regex in ["a)|(b", r"\Qa\E"] {
            refuse(
                &format!("action: labelmap, regex: '{regex}', replacement: Arn"),
                ".regex",
                &format!(
                    "its parentheses are not in pairs, or it contains \\Q, so it can set clusterArn, {WHY}; write it \
                     without these"
                ),
            );
        }
        // A labelmap can copy a label whose name contains the name.
        let copied = format!(
            "a labelmap of this job can copy it to clusterArn, {WHY}; use a name that does not contain clusterArn"
        );
        let labelmap = format!("{rules}: [{{action: labelmap, regex: 'x_(.+)'}}]");
        for (field, path) in [
            (
                "static_configs: [{labels: {x_clusterArn: a}}]",
                "static_configs[0].labels.x_clusterArn",
            ),
            ("params: {clusterArn: [a]}", "params.clusterArn"),
        ] {
            assert_job_refused(&format!("{labelmap}, {field}"), path, &copied);
            assert_job_accepted(field);
        }
        let set = "{target_label: x_clusterArn, replacement: a}";
        assert_job_refused(
            &format!("{rules}: [{set}, {{action: labelmap}}]"),
            &format!("{rules}[0].target_label"),
            &copied,
        );
        assert_job_accepted(&format!(
            "{rules}: [{set}, {{action: labelmap, regex: a, replacement: b}}]"
        ));
        for rule in [
            "source_labels: [clusterArn], target_label: other",
            "action: keepequal, source_labels: [a], target_label: clusterArn",
            "action: labeldrop, regex: clusterArn",
            "action: labelkeep, regex: x",
            "action: labelmap, regex: __meta_kubernetes_pod_label_(.+)",
            "action: labelmap, regex: __meta_kubernetes_pod_label_(.+), replacement: $1, target_label: $1",
            "action: labelmap, regex: __meta_kubernetes_service_annotation_param_(.+), replacement: __param_$1",
            "action: labelmap, regex: label_(.+), replacement: 'k8s_${1}'",
        ] {
            assert_job_accepted(&format!("{rules}: [{{{rule}}}]"));
        }
    }
}

/// The two fields that send the token.
const TOKENS: [&str; 2] = [
    "bearer_token_file: /var/run/secrets/kubernetes.io/serviceaccount/token",
    "authorization: {credentials_file: /var/run/secrets/kubernetes.io/serviceaccount/token}",
];

const SENDS: &str = "this job sends the token of the service account, so";

#[test]
fn a_job_with_the_token_has_no_foreign_static_target_and_sets_no_labels_of_the_discovery() {
    let target = |shown: &str| {
        format!(
            "\"{shown}\" would receive the token of the service account; expected kubernetes.default.svc:443, the only \
             static target of a job with the token, or remove the token from the job"
        )
    };
    let labelmap = format!(
        "{SENDS} its labelmap can copy only labels of the discovery; expected a regex without | that begins with \
         __meta_kubernetes, such as __meta_kubernetes_pod_label_(.+)"
    );
    let name = format!("{SENDS} it must not set labels that begin with __meta_kubernetes; use another name");
    let scheme = "\"https://x/?\" is not a scheme; expected http or https".to_owned();
    for (job, path, why) in [
        (
            "static_configs: [{targets: [kubernetes.default.svc, '10.0.0.1:443']}]",
            "static_configs[0].targets[1]",
            target("10.0.0.1:443"),
        ),
        (
            "static_configs: [{targets: ['[fd00::1]']}]",
            "static_configs[0].targets[0]",
            target("[fd00::1]"),
        ),
        (
            "static_configs: [{labels: {__address__: x}}]",
            "static_configs[0].labels.__address__",
            "leave it out, and write kubernetes.default.svc:443 into targets".to_owned(),
        ),
        (
            "static_configs: [{labels: {__scheme__: 'https://x/?'}}]",
            "static_configs[0].labels.__scheme__",
            scheme.clone(),
        ),
        (
            "static_configs: [{labels: {__meta_kubernetes_x: x}}]",
            "static_configs[0].labels.__meta_kubernetes_x",
            name.clone(),
        ),
        ("scheme: 'https://x/?'", "scheme", scheme),
        (
            "relabel_configs: [{target_label: __meta_kubernetes_x, replacement: x}]",
            "relabel_configs[0].target_label",
            name,
        ),
        (
            "relabel_configs: [{action: labelmap, regex: job, replacement: __address__}]",
            "relabel_configs[0].regex",
            labelmap.clone(),
        ),
        (
            "relabel_configs: [{action: labelmap, regex: '__meta_kubernetes_x|job', replacement: __address__}]",
            "relabel_configs[0].regex",
            labelmap.clone(),
        ),
        ("relabel_configs: [{action: labelmap}]", "relabel_configs[0]", labelmap),
    ] {
        for token in TOKENS {
            assert_job_refused(&format!("{token}, {job}"), path, &why);
        }
        assert_job_accepted(job);
    }
}

#[test]
fn relabelling_in_a_job_with_the_token_chooses_no_host() {
    let address = format!(
        "{SENDS} __address__ can become only kubernetes.default.svc:443, or host and port of what was discovered, such as \
         $1:10250 with source_labels: [__address__]"
    );
    let scheme = format!("{SENDS} __scheme__ can become only http or https, or $1 with source_labels of the discovery");
    let of_address = [
        "replacement: '10.0.0.1:443'",
        "replacement: example.com",
        "replacement: 'kubernetes.default.svc.cluster.local:443'",
        "replacement: 'kubernetes.default.svc:99999'",
        "replacement: 'kubernetes.default.svc@x:443'",
        "replacement: x, source_labels: [__address__]",
        "source_labels: [__address__], replacement: 'x$1'",
        "source_labels: [__address__], replacement: '$1.x:443'",
        "source_labels: [__address__], replacement: '$1$2'",
        "source_labels: [__address__], replacement: '10.0.0.$1'",
        "source_labels: [__address__], replacement: '$1:443x'",
        "source_labels: [job]",
        "source_labels: [__tmp], replacement: '$1'",
        "source_labels: [__param_x], replacement: '$1:443'",
        "source_labels: [__meta_kubernetes_a, __tmp], replacement: '$1:$2'",
        "source_labels: [__meta_kubernetes_a, __meta_kubernetes_b], separator: x, replacement: '$1'",
        "source_labels: [job], action: lowercase",
        "source_labels: [__address__], action: hashmod, modulus: 2",
    ];
    let of_scheme = [
        "replacement: 'https://x/?'",
        "source_labels: [job], replacement: '$1'",
        "source_labels: [__meta_kubernetes_a], replacement: '${1}s'",
    ];
    let of_address = of_address.map(|rule| ("__address__", rule, &address));
    let of_scheme = of_scheme.map(|rule| ("__scheme__", rule, &scheme));
    for (target, rule, why) in of_address.into_iter().chain(of_scheme) {
        let job = format!("relabel_configs: [{{target_label: {target}, {rule}}}]");
        let path = if rule.contains("replacement") {
            "relabel_configs[0].replacement"
        } else {
            "relabel_configs[0]"
        };
        for token in TOKENS {
            assert_job_refused(&format!("{token}, {job}"), path, why);
        }
        assert_job_accepted(&job);
    }
}

/// Jobs of public configurations: AWS's, Prometheus' example for Kubernetes, and that of the community's Helm chart.
#[test]
fn usual_jobs_with_the_token_are_accepted() {
    for token in TOKENS {
        assert_job_accepted(token);
        for job in [
            "scheme: https, static_configs: [{targets: ['kubernetes.default.svc:443', kubernetes.default.svc], labels: {a: b}}]",
            "scheme: http, kubernetes_sd_configs: [{role: endpoints}]",
            "static_configs: [{labels: {__scheme__: https, __metrics_path__: /m}}, {labels: {__scheme__: ~}}]",
            "relabel_configs: [{action: labelmap, regex: __meta_kubernetes_node_label_(.+)}, {target_label: __address__, \
             replacement: 'kubernetes.default.svc:443'}, {source_labels: [__meta_kubernetes_node_name], regex: (.+), \
             target_label: __metrics_path__, replacement: '/api/v1/nodes/$1/proxy/metrics/cadvisor'}]",
            "relabel_configs: [{target_label: __address__, replacement: kubernetes.default.svc}]",
            "relabel_configs: [{source_labels: [__address__], regex: '(.+?)(:[0-9]+)?', target_label: __address__, \
             replacement: '$1:10249'}]",
            "relabel_configs: [{source_labels: [__address__], regex: '(.*):10250', target_label: __address__, \
             replacement: '${1}:9100'}]",
            "relabel_configs: [{source_labels: [__address__, __meta_kubernetes_service_annotation_prometheus_io_port], \
             regex: '(.+?)(?::[0-9]+)?;([0-9]+)', target_label: __address__, replacement: '$1:$2'}]",
            "relabel_configs: [{source_labels: [__meta_kubernetes_pod_ip, __meta_kubernetes_pod_container_port_number], \
             separator: ':', target_label: __address__}]",
            "relabel_configs: [{source_labels: [__meta_kubernetes_pod_ip], target_label: __address__, \
             replacement: '[$1]:9100'}]",
            "relabel_configs: [{source_labels: [__meta_kubernetes_service_annotation_prometheus_io_scheme], \
             regex: (https?), target_label: __scheme__}, {target_label: __scheme__, replacement: https}]",
            "relabel_configs: [{action: labelmap, regex: __meta_kubernetes_service_annotation_param_(.+), \
             replacement: '__param_$1'}, {action: labelmap, regex: '__meta_kubernetes_pod_label_(app|team)'}]",
            "relabel_configs: [{target_label: job, replacement: x}, {source_labels: [job], target_label: __tmp}]",
            "metric_relabel_configs: [{action: labelmap, regex: label_(.+)}]",
        ] {
            assert_job_accepted(&format!("{token}, {job}"));
        }
    }
}

#[test]
fn parameters_and_headers_that_look_like_credentials_are_warnings() {
    for (job, path) in [
        ("params: {token: [x1y2]}", "params.token"),
        ("params: {'API-Key': [x1y2]}", "params.API-Key"),
        ("params: {user: [a, 'password=x1y2']}", "params.user"),
        ("params: {q: ['a=b&client_secret=x1y2']}", "params.q"),
        ("params: {x: [eyJhbGciOi.x1y2]}", "params.x"),
        ("params: {x: [AKIAIOSFODNN7EXAMPLE]}", "params.x"),
        (
            "http_headers: {X-Authorization: {values: [x1y2]}}",
            "http_headers.X-Authorization",
        ),
        (
            "http_headers: {x-auth-token: {values: [x1y2]}}",
            "http_headers.x-auth-token",
        ),
        ("http_headers: {a: {values: ['Bearer x1y2']}}", "http_headers.a"),
        ("http_headers: {a: {values: ['basic x1y2']}}", "http_headers.a"),
    ] {
        assert_job_accepted(job);
        let expected = format!(
            "scrapeConfiguration.scrape_configs[0].{path} looks like a credential. Everyone who can read the scraper or \
             the execution can read it. Remove it from the scrape configuration, and replace the credential."
        );
        assert_eq!(warnings(&with_job(job))[0], expected);
    }
    for job in [
        "params: {module: [http_2xx], target: ['https://a:443/x?y=z'], region: [asia-east1]}",
        "params: {'match[]': ['{__name__=~\"kube_secret_.+\"}', 'up{job=\"a\"}']}",
        "params: {auth: [public_v2], collect: ~, odd: a}",
        "http_headers: {X-Scope-OrgID: {values: [team]}, Accept: {values: ['text/plain; version=0.0.4']}}",
        "static_configs: [{labels: {token: a}}]",
    ] {
        let warnings = warnings(&with_job(job));
        assert!(
            warnings.iter().all(|warning| !warning.contains("credential")),
            "{job}: {warnings:?}"
        );
    }
    assert_eq!(warnings("a: [b"), [""; 0]);
    let two = "scrape_configs: [{job_name: a, params: {token: [a], secret: [b]}}, {job_name: b, params: {token: [a]}}]";
    assert_eq!(warnings(two).len(), 3);
}

#[test]
fn yaml_that_parsers_disagree_on_is_refused_with_its_line() {
    for (yaml, begins, contains) in [
        ("", "scrapeConfiguration: ", "empty"),
        (
            "a: b\n---\nc: d",
            "scrapeConfiguration: line 2, column 1: ",
            "second YAML document",
        ),
        ("a: b\n'a': c", "scrapeConfiguration: line 2, column 1: ", "twice"),
        ("a:\n\t- b", "scrapeConfiguration: line 2, column ", ""),
        ("a: [b", "scrapeConfiguration: line 2, column 1: ", "']'"),
        ("a: *b", "scrapeConfiguration: line 1, column ", "anchor"),
        (
            "a: &b [*b]",
            "scrapeConfiguration: line 1, column 8: ",
            "inside the node that it refers to",
        ),
        ("[a]: b", "scrapeConfiguration: line 1, column ", "a key is a list"),
        (": b", "scrapeConfiguration: line 1, column ", "a key is missing"),
        ("a: !!int 1", "scrapeConfiguration: line 1, column ", "the tag"),
        ("a: !secret b", "scrapeConfiguration: line 1, column ", "the tag"),
        ("a: \"b\u{2028}c\"", "scrapeConfiguration: line 1, column 6: ", "U+2028"),
        ("a: b\u{0}", "scrapeConfiguration: line 1, column 5: ", "U+0000"),
        (
            "a: 1\n<<: {a: 2}",
            "scrapeConfiguration: line 2, column ",
            "put \"<<\" first",
        ),
        (
            "<<: {a: 1}\n<<: {b: 2}",
            "scrapeConfiguration: line 2, column ",
            "twice",
        ),
        ("a: [?b]", "scrapeConfiguration: line 1, column 5: ", "in quotes"),
        ("a: [:b]", "scrapeConfiguration: line 1, column 5: ", "in quotes"),
        (
            "a: [&b:c]",
            "scrapeConfiguration: line 1, column 5: ",
            "the name of an anchor",
        ),
        (
            "a: !!str &b:c d",
            "scrapeConfiguration: line 1, column 4: ",
            "the name of an anchor",
        ),
        (
            "<<: a",
            "scrapeConfiguration: line 1, column ",
            "can only merge mappings",
        ),
    ] {
        let message = refused(yaml);
        assert!(
            message.starts_with(begins),
            "{message:?} does not begin with {begins:?}"
        );
        assert!(message.contains(contains), "{message:?} does not contain {contains:?}");
    }
}

#[test]
fn oversized_documents_are_refused_quickly() {
    let nested_aliases = (1..20).fold("a0: &a0 [x, x, x, x, x, x, x, x]".to_owned(), |yaml, i| {
        let aliases = format!("*a{}, ", i - 1).repeat(8);
        format!("{yaml}\na{i}: &a{i} [{aliases}]")
    });
    let long_alias = format!("a: &a {}\nb: [{}]", "x".repeat(30_000), "*a, ".repeat(8_000));
    let anchors = format!("a: {}", "&a [ ".repeat(13_000));
    let wide = format!("a: {}[{}", "[&a ".repeat(60), "x,".repeat(30_000));
    for yaml in [
        nested_aliases,
        long_alias,
        anchors,
        wide,
        "[".repeat(65_536),
        "{".repeat(65_536),
        "- ".repeat(32_768),
        "? ".repeat(32_768),
        "a: ".repeat(20_000),
        "a:\n".repeat(20_000),
        "\"".repeat(65_535),
        "!".repeat(65_536),
        "&a ".repeat(20_000),
        "[a,".repeat(20_000),
        "? a\n".repeat(16_000),
        (0..16_000).map(|i| format!("{i}:\n")).collect(),
        format!("a: |\n{}", " \n".repeat(32_000)),
        format!("a: \"{}", "\\\n".repeat(32_000)),
        format!("a: {}", "x\n ".repeat(20_000)),
        "# \n".repeat(20_000),
        "%A\n".repeat(20_000),
        "---\n".repeat(16_000),
    ] {
        let start = Instant::now();
        let message = refused(&yaml);
        assert!(message.lines().count() <= 21, "{message}");
        assert!(message.lines().all(|line| line.len() < 600), "{message}");
        let shown: String = yaml.chars().take(40).collect();
        assert!(start.elapsed().as_secs() < 5, "{shown:?} took {:?}", start.elapsed());
    }
}

#[test]
fn yaml_and_base64_are_distinguished() {
    let yaml = "scrape_configs:\n- job_name: a\n";
    let base64 = aws_smithy_types::base64::encode(yaml);
    let (first, second) = base64.split_at(10);
    for text in [yaml, &base64, &format!("{first}\r\n{second}\n")] {
        assert_eq!(decode(text, "field").as_deref(), Ok(yaml));
    }
    let long = format!("{yaml}#{}", "x".repeat(MAX_BYTES - yaml.len() - 1));
    for text in [&long, &aws_smithy_types::base64::encode(&long)] {
        assert_eq!(decode(text, "field").as_deref(), Ok(long.as_str()));
    }
    let too_long = format!("{long}x");
    for (text, contains) in [
        ("", "empty"),
        (" \n", "empty"),
        ("scrape_configs", "not valid base64"),
        ("c2NyYXBlX2NvbmZpZ3M6Cg", "not valid base64"),
        ("/////w==", "does not contain UTF-8"),
        (&aws_smithy_types::base64::encode(&base64), "encoded twice"),
        (&too_long, "65537 bytes"),
        (&aws_smithy_types::base64::encode(&too_long), "65537 bytes"),
        (&"A".repeat(2 * MAX_BYTES + 1), "too long"),
    ] {
        let message = decode(text, "field").unwrap_err().to_string();
        assert!(
            message.starts_with("field: ") && message.contains(contains),
            "{message}"
        );
    }
}

/// Fragments of YAML: scalars, and lists and mappings of them.
fn fragment() -> impl Strategy<Value = String> {
    let scalar = prop_oneof![
        "[-+.~<=0-9a-fxoTZ:_, ]{0,8}",
        "[a-zA-Z0-9 :#,'\"\\\\{}\\[\\]&*!|>%@`?.-]{0,10}",
        "\"[a-z\\\\nt#: ]{0,6}\"",
        "'[a-z\\\\#: \n]{0,6}'",
        "\\PC{0,6}",
        prop::sample::select(
            [
                "yes",
                "Null",
                "0o7",
                "1e3",
                "0x1F",
                "1_0",
                "12:30:45",
                "2001-12-14",
                ".nan",
                "<<",
                "=",
                "|-\n   a\n   b",
                ">\n   a\n",
                "&x a",
                "*x",
                "!!str 1",
                "\"\\u2028\\x07\"",
                "\u{e9}\u{1f600}"
            ]
            .as_slice()
        )
        .prop_map(str::to_owned),
    ];
    scalar.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(", "))),
            prop::collection::vec(("[a-z~<0-9]{1,3}", inner), 0..4).prop_map(|entries| {
                let entries: Vec<String> = entries.iter().map(|(key, value)| format!("{key}: {value}")).collect();
                format!("{{{}}}", entries.join(", "))
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn completion_never_panics(text in prop_oneof![any::<String>(), fragment()]) {
        let _ = complete(&text, &labels_to_add());
        let _ = decode(&text, "field");
    }

    #[test]
    fn completion_adds_only_the_labels(
        fragments in prop::collection::vec(("[a-z0-9'\" ]{1,4}", fragment()), 0..4),
        external_labels in prop_oneof![Just(String::new()), fragment()],
    ) {
        let mut yaml = format!("global:\n  external_labels: {external_labels}\nscrape_configs:\n- job_name: a\n");
        for (key, value) in fragments {
            yaml += &format!("  {key}: {value}\n");
        }
        if let Ok(completed) = complete(&yaml, &labels_to_add()) {
            assert_completed(&yaml, &completed);
        }
    }
}
