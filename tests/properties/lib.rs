//! Hostile texts, which have a special meaning in JSON, YAML, JSONata, IAM, shells or terminals; and assertions about
//! messages that quote them.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use ampxa::Error;
use serde_json::{Value, json};

/// The ARN of a cluster.
pub const CLUSTER: &str = "arn:aws:eks:us-west-2:222222222222:cluster/demo";
/// The ARN of a workspace in the cluster's Region.
pub const WORKSPACE: &str = "arn:aws:aps:us-west-2:333333333333:workspace/ws-1";

/// The ARN of an execution, for the input of a step.
pub const EXECUTION: &str = "arn:aws:states:us-west-2:111111111111:execution:ampxa-onboard:e";

/// The minimal request with one field added or replaced.
pub fn with(field: &str, value: impl Into<Value>) -> Value {
    let mut request = json!({ "clusterArn": CLUSTER, "workspaceArn": WORKSPACE });
    request[field] = value.into();
    request
}

/// Texts with a special meaning in JSON, YAML, JSONata, IAM, shells or terminals; and long texts.
pub fn hostile_texts() -> Vec<String> {
    let mut texts: Vec<String> = [
        "",
        " ",
        "\"",
        "'",
        "\\",
        "\\\"",
        "\n",
        "a\r\nb",
        "\0",
        "a\0b",
        "\u{1b}[31mred",
        "\u{7f}",
        "\u{85}",
        "\u{2028}",
        "\u{2029}",
        "\u{202e}txt.exe",
        "\u{2066}a\u{2069}",
        "\u{200b}",
        "\u{feff}",
        "\u{fffd}",
        "\u{fffe}",
        "\u{10ffff}",
        "e\u{301}",
        "\u{ff0e}\u{ff0f}",
        "{%",
        "%}",
        "{% $states.context.Execution.Id %}",
        "%}{% $eval('1') %}",
        "$states.input",
        "$eval(\"$states\")",
        "$$.**",
        "States.ALL",
        "${CheckRequest}",
        "${AWS::AccountId}",
        "${aws:username}",
        "${aws:PrincipalTag/team}",
        "${*}",
        "${?}",
        "*",
        "?",
        "a*",
        "arn:aws:iam::*:role/*",
        "\",\"Principal\":\"*\",\"x\":\"",
        "\"}]},{\"Effect\":\"Allow\",\"Action\":\"*\",\"Resource\":\"*\"}",
        "{\"errorMessage\":\"x\"}",
        "{\"errorMessage\"",
        "{",
        "[",
        "null",
        "~",
        "yes",
        "1e400",
        "0x1F",
        ": ",
        "a: b",
        "a: [b",
        "- a",
        "? a",
        "# a",
        "a #b",
        "&a *a",
        "!!python/object:os.system",
        "<<",
        "|",
        ">-",
        "@",
        "`id`",
        "$(id)",
        "; rm -rf /",
        "../../etc/passwd",
        "<script>alert(1)</script>",
        "%00",
        "%2A",
        "%22%7D",
        "aws:x",
        "ampxa:cluster",
        "__proto__",
        "clusterArn",
    ]
    .map(str::to_owned)
    .into();
    for unit in ["x", "\"", "\n", "*", "é", "\u{202e}", "\u{10ffff}", "{", "a: "] {
        texts.push(unit.repeat(100));
        texts.push(unit.repeat(1_000));
    }
    for unit in ["x", "\u{10ffff}", "[", "a: ", "- ", "{% "] {
        texts.push(unit.repeat(1024 * 1024 / unit.len()));
    }
    texts
}

/// Asserts that an error is an `InvalidRequest` whose message consists of short lines that start with `field`. Only a
/// scrape configuration has several lines: 20 problems, and the number of the others.
///
/// # Panics
/// If it is not.
pub fn assert_rejected(error: &Error, field: &str) {
    let message = error.to_string();
    assert_eq!(error.name(), "InvalidRequest", "{message}");
    let lines: Vec<&str> = message.split('\n').collect();
    assert!(
        lines.len() == 1 || (lines.len() <= 21 && field == "scrapeConfiguration"),
        "{message}"
    );
    for line in lines {
        assert!(line.starts_with(field), "{line} does not start with {field}");
        assert_one_short_line(line);
    }
}

/// Asserts that a message is one line of less than 600 characters, without characters that control a terminal.
///
/// # Panics
/// If it is not.
pub fn assert_one_short_line(message: &str) {
    let length = message.chars().count();
    assert!(length < 600, "{length} characters: {message}");
    // Control characters, Unicode's line separators, and Unicode's marks that change the direction of writing.
    let controls = |c: char| {
        c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    assert!(!message.chars().any(controls), "{message:?}");
}
