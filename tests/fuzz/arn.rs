//! An ARN, as any text.

use ampxa::arn::{ClusterArn, ScraperArn, WorkspaceArn};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fmt::{Debug, Display},
    str::FromStr,
};

/// What is accepted is printed as it was written and means nothing to a policy but itself; no text
/// is an ARN of two kinds.
pub fn holds(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    let kinds = [
        reads_back::<ClusterArn>(text),
        reads_back::<WorkspaceArn>(text),
        reads_back::<ScraperArn>(text),
    ];
    assert!(kinds.iter().filter(|accepted| **accepted).count() <= 1, "{text:?}");
}

fn reads_back<T>(text: &str) -> bool
where
    T: FromStr<Err = String> + Display + Debug + PartialEq + Serialize + DeserializeOwned,
{
    let json = serde_json::Value::from(text);
    let arn: T = match text.parse() {
        Ok(arn) => arn,
        Err(why) => {
            crate::short(&why);
            assert!(serde_json::from_value::<T>(json).is_err());
            return false;
        }
    };
    assert_eq!(arn.to_string(), text);
    assert_eq!(serde_json::to_value(&arn).unwrap(), json);
    assert_eq!(serde_json::from_value::<T>(json).unwrap(), arn);
    // Neither a wildcard nor a policy variable, nothing that ends a string.
    let harmless = |c: char| c.is_ascii_alphanumeric() || ":/-_.".contains(c);
    assert!(text.len() < 250 && text.chars().all(harmless), "{text:?}");
    true
}
