//! Values that mean something to somebody on their way: JSON, YAML, JSONata, IAM, shells, terminals. And what must hold
//! of a message whatever value it quotes.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use ampxa::Error;
use serde_json::{Value, json};

/// A cluster's ARN.
pub const CLUSTER: &str = "arn:aws:eks:us-west-2:222222222222:cluster/demo";
/// The ARN of a workspace for it.
pub const WORKSPACE: &str = "arn:aws:aps:us-west-2:333333333333:workspace/ws-1";

/// The least request with another field.
pub fn with(field: &str, value: impl Into<Value>) -> Value {
    let mut request = json!({ "clusterArn": CLUSTER, "workspaceArn": WORKSPACE });
    request[field] = value.into();
    request
}

/// Texts that mean something to somebody on their way: JSON, YAML, JSONata, IAM, shells, terminals.
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
    for one in ["x", "\"", "\n", "*", "é", "\u{202e}", "\u{10ffff}", "{", "a: "] {
        texts.push(one.repeat(100));
        texts.push(one.repeat(1_000));
    }
    for one in ["x", "\u{10ffff}", "[", "a: ", "- ", "{% "] {
        texts.push(one.repeat(1024 * 1024 / one.len()));
    }
    texts
}

/// What a person reads of a refusal: the field first, one line, and not long.
///
/// # Panics
/// When it is not so.
pub fn refusal(error: &Error, field: &str) {
    let message = error.to_string();
    assert_eq!(error.name(), "InvalidRequest", "{message}");
    assert!(message.starts_with(field), "{message} does not begin with {field}");
    one_short_line(&message);
}

/// Whether a message is one line that no terminal acts on, and not long.
///
/// # Panics
/// When it is not.
pub fn one_short_line(message: &str) {
    let length = message.chars().count();
    assert!(length < 600, "{length} characters: {message}");
    // Unicode's line separators and its marks that turn the direction of writing, beside what is
    // a control character everywhere.
    let acts = |c: char| {
        c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    assert!(!message.chars().any(acts), "{message:?}");
}
