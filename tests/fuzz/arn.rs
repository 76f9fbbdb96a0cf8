//! Fuzz target: any text as an ARN.

use ampxa::arn::{ClusterArn, ScraperArn, WorkspaceArn};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fmt::{Debug, Display},
    str::FromStr,
};

/// An accepted ARN is displayed as it was written, and has no special meaning in a policy. No text is accepted as two
/// kinds of ARN.
pub fn check(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    let accepted = [
        accepts::<ClusterArn>(text),
        accepts::<WorkspaceArn>(text),
        accepts::<ScraperArn>(text),
    ];
    assert!(accepted.iter().filter(|accepted| **accepted).count() <= 1, "{text:?}");
}

/// Whether a kind of ARN accepts the text; checks the round trip if so.
fn accepts<T>(text: &str) -> bool
where
    T: FromStr<Err = String> + Display + Debug + PartialEq + Serialize + DeserializeOwned,
{
    let json = serde_json::Value::from(text);
    let arn: T = match text.parse() {
        Ok(arn) => arn,
        Err(message) => {
            crate::assert_one_short_line(&message);
            assert!(serde_json::from_value::<T>(json).is_err());
            return false;
        }
    };
    assert_eq!(arn.to_string(), text);
    assert_eq!(serde_json::to_value(&arn).unwrap(), json);
    assert_eq!(serde_json::from_value::<T>(json).unwrap(), arn);
    // No wildcard, no policy variable, and no character that ends a string.
    let harmless = |c: char| c.is_ascii_alphanumeric() || ":/-_.".contains(c);
    assert!(text.len() < 250 && text.chars().all(harmless), "{text:?}");
    true
}
