//! The keys of Prometheus' configuration that a scraper's configuration can contain, with the kinds of their values.
//!
//! Source: the configuration reference of Prometheus 3.14, and the structures of its source: `config/config.go`,
//! `discovery/kubernetes/kubernetes.go`, `discovery/targetgroup/targetgroup.go`, `model/relabel/relabel.go`, and
//! `config/http_config.go` of prometheus/common 0.70. [`Key::since`] is from the same files of the earlier versions.
//!
//! AWS does not document which version of Prometheus a scraper runs. Managed collectors were introduced in November
//! 2023, with the release of 2.48, so a scraper knows at least the keys of this version.

/// The kind of a value. Null is accepted for each of them.
pub(super) enum Kind {
    /// A string. Go's YAML library also accepts numbers and booleans.
    Text,
    /// One of these words.
    Word(&'static [&'static str]),
    /// The name of a label.
    LabelName,
    Boolean,
    /// A number that is not negative.
    Number,
    /// A number of bytes with a unit, such as `10MB`.
    Size,
    Duration,
    List(&'static Kind),
    /// A mapping with any keys.
    Map(&'static Kind),
    /// A mapping whose keys are names of labels.
    Labels,
    /// A mapping with known keys: the sum of these tables.
    Section(&'static [&'static [Key]]),
    /// What another check refuses.
    Unchecked,
}

/// A key of a mapping.
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// The version of Prometheus that introduced the key, if it is newer than 2.48 or was removed later.
    pub(super) since: Option<&'static str>,
}

const fn key(name: &'static str, kind: Kind) -> Key {
    Key {
        name,
        kind,
        since: None,
    }
}

const fn since(version: &'static str, name: &'static str, kind: Kind) -> Key {
    Key {
        name,
        kind,
        since: Some(version),
    }
}

/// A mapping that AMP does not support. It is unset if it is null.
const MAPPING: Kind = Kind::Map(&Kind::Unchecked);
const TEXTS: Kind = Kind::List(&Kind::Text);
const PROTOCOL: Kind = Kind::Word(&[
    "OpenMetricsText0.0.1",
    "OpenMetricsText1.0.0",
    "PrometheusProto",
    "PrometheusText0.0.4",
    "PrometheusText1.0.0",
]);
const VALIDATION_SCHEME: Kind = Kind::Word(&["", "legacy", "utf8"]);
const ESCAPING_SCHEME: Kind = Kind::Word(&["", "allow-utf-8", "dots", "underscores", "values"]);
const TLS_VERSION: Kind = Kind::Word(&["TLS10", "TLS11", "TLS12", "TLS13"]);
/// The roles of the discovery in Kubernetes.
pub(super) const ROLES: &[&str] = &["endpoints", "endpointslice", "ingress", "node", "pod", "service"];

/// The document. Other keys are refused by AMP's rules.
pub(super) const ROOT: &[Key] = &[
    key("global", Kind::Section(&[GLOBAL, LIMITS])),
    key("scrape_configs", Kind::List(&JOB)),
];

const GLOBAL: &[Key] = &[
    key("evaluation_interval", Kind::Duration),
    key("external_labels", Kind::Labels),
    key("query_log_file", Kind::Text),
    key("scrape_interval", Kind::Duration),
    key("scrape_timeout", Kind::Duration),
    since("2.53", "rule_query_offset", Kind::Duration),
];

/// The keys that `global` and a job have in common.
const LIMITS: &[Key] = &[
    key("body_size_limit", Kind::Size),
    key("keep_dropped_targets", Kind::Number),
    key("label_limit", Kind::Number),
    key("label_name_length_limit", Kind::Number),
    key("label_value_length_limit", Kind::Number),
    key("sample_limit", Kind::Number),
    key("target_limit", Kind::Number),
    since("2.49", "scrape_protocols", Kind::List(&PROTOCOL)),
    since("2.55", "metric_name_validation_scheme", VALIDATION_SCHEME),
    since("2.55", "scrape_failure_log_file", Kind::Text),
    since("3.0", "always_scrape_classic_histograms", Kind::Boolean),
    since("3.0", "convert_classic_histograms_to_nhcb", Kind::Boolean),
    since("3.4", "metric_name_escaping_scheme", ESCAPING_SCHEME),
    since("3.8", "scrape_native_histograms", Kind::Boolean),
    since("3.10", "extra_scrape_metrics", Kind::Boolean),
];

const JOB: Kind = Kind::Section(&[
    &[
        key("job_name", Kind::Text),
        key("honor_labels", Kind::Boolean),
        key("honor_timestamps", Kind::Boolean),
        key("kubernetes_sd_configs", Kind::List(&DISCOVERY)),
        key("metric_relabel_configs", Kind::List(&RULE)),
        key("metrics_path", Kind::Text),
        key("native_histogram_bucket_limit", Kind::Number),
        key("params", Kind::Map(&TEXTS)),
        key("relabel_configs", Kind::List(&RULE)),
        key("scheme", Kind::Text),
        key("scrape_interval", Kind::Duration),
        key("scrape_timeout", Kind::Duration),
        key("static_configs", Kind::List(&TARGETS)),
        key("track_timestamps_staleness", Kind::Boolean),
        since(
            "2.45; 3.0: always_scrape_classic_histograms",
            "scrape_classic_histograms",
            Kind::Boolean,
        ),
        since("2.49", "enable_compression", Kind::Boolean),
        since("2.50", "native_histogram_min_bucket_factor", Kind::Number),
        since("3.0", "fallback_scrape_protocol", PROTOCOL),
    ],
    LIMITS,
    HTTP,
]);

/// The discoveries that AMP does not support. They are unset if they are null.
pub(super) const DISCOVERIES: &[&str] = &[
    "aws",
    "azure",
    "consul",
    "digitalocean",
    "dns",
    "docker",
    "dockerswarm",
    "ec2",
    "eureka",
    "file",
    "gce",
    "hetzner",
    "http",
    "ionos",
    "kuma",
    "lightsail",
    "linode",
    "marathon",
    "nerve",
    "nomad",
    "oci",
    "openstack",
    "outscale",
    "ovhcloud",
    "puppetdb",
    "scaleway",
    "serverset",
    "stackit",
    "triton",
    "uyuni",
    "vultr",
];

/// The keys of the HTTP client, in a job and in a discovery.
const HTTP: &[Key] = &[
    key("authorization", Kind::Section(&[AUTHORIZATION])),
    key("basic_auth", MAPPING),
    key("bearer_token", Kind::Text),
    key("bearer_token_file", Kind::Text),
    key("enable_http2", Kind::Boolean),
    key("follow_redirects", Kind::Boolean),
    key("no_proxy", Kind::Text),
    key("oauth2", MAPPING),
    key("proxy_connect_header", MAPPING),
    key("proxy_from_environment", Kind::Boolean),
    key("proxy_url", Kind::Text),
    key("tls_config", Kind::Section(&[TLS])),
    since("2.54", "http_headers", Kind::Map(&HEADER)),
];

const AUTHORIZATION: &[Key] = &[
    key("credentials", Kind::Text),
    key("credentials_file", Kind::Text),
    key("type", Kind::Text),
    since("2.54", "credentials_ref", Kind::Text),
];

const TLS: &[Key] = &[
    key("ca", Kind::Text),
    key("ca_file", Kind::Text),
    key("cert", Kind::Text),
    key("cert_file", Kind::Text),
    key("insecure_skip_verify", Kind::Boolean),
    key("key", Kind::Text),
    key("key_file", Kind::Text),
    key("max_version", TLS_VERSION),
    key("min_version", TLS_VERSION),
    key("server_name", Kind::Text),
    since("2.54", "ca_ref", Kind::Text),
    since("2.54", "cert_ref", Kind::Text),
    since("2.54", "key_ref", Kind::Text),
];

const HEADER: Kind = Kind::Section(&[&[key("files", TEXTS), key("secrets", TEXTS), key("values", TEXTS)]]);

const TARGETS: Kind = Kind::Section(&[&[key("labels", Kind::Labels), key("targets", TEXTS)]]);

const DISCOVERY: Kind = Kind::Section(&[
    &[
        key("api_server", Kind::Text),
        key("attach_metadata", Kind::Section(&[METADATA])),
        key("kubeconfig_file", Kind::Text),
        key("namespaces", Kind::Section(&[NAMESPACES])),
        key("role", Kind::Word(ROLES)),
        key("selectors", Kind::List(&SELECTOR)),
    ],
    HTTP,
]);

const METADATA: &[Key] = &[
    key("node", Kind::Boolean),
    since("3.6", "namespace", Kind::Boolean),
    since("3.11", "cronjob", Kind::Boolean),
    since("3.11", "deployment", Kind::Boolean),
    since("3.11", "job", Kind::Boolean),
];

const NAMESPACES: &[Key] = &[key("names", TEXTS), key("own_namespace", Kind::Boolean)];

const SELECTOR: Kind = Kind::Section(&[&[
    key("field", Kind::Text),
    key("label", Kind::Text),
    key("role", Kind::Word(ROLES)),
]]);

/// A relabelling rule. The values of its action are checked by the rules of the action.
const RULE: Kind = Kind::Section(&[&[
    key("action", Kind::Text),
    key("modulus", Kind::Number),
    key("regex", Kind::Text),
    key("replacement", Kind::Text),
    key("separator", Kind::Text),
    key("source_labels", Kind::List(&Kind::LabelName)),
    key("target_label", Kind::Text),
]]);
