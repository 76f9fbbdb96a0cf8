//! ARNs, account ids and Regions, as types that hold only valid values.

use crate::input::shown;
use serde::{Deserialize, Serialize};
use std::{fmt, ops::Deref, str::FromStr};

/// An AWS partition that ampxa supports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Partition {
    /// The commercial Regions.
    Aws,
    /// AWS GovCloud (US).
    AwsUsGov,
}

impl Partition {
    /// The partition's name in an ARN.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::AwsUsGov => "aws-us-gov",
        }
    }

    /// The partition that a supported Region belongs to.
    pub fn of_region(region: &str) -> Self {
        match region.starts_with("us-gov-") {
            true => Self::AwsUsGov,
            false => Self::Aws,
        }
    }
}

/// The partition that is not supported and that a Region belongs to (the `regionRegex` of each partition in the AWS
/// SDKs).
fn unsupported_partition(region: &str) -> Option<&'static str> {
    let mut words = region.split('-');
    match (words.next()?, words.next()?) {
        ("cn", _) => Some("aws-cn"),
        ("eusc", _) => Some("aws-eusc"),
        (_, "isob") => Some("aws-iso-b"),
        (_, "isoe") => Some("aws-iso-e"),
        (_, "isof") => Some("aws-iso-f"),
        (_, word) if word.starts_with("iso") => Some("aws-iso"),
        _ => None,
    }
}

/// Why a partition is not supported.
fn refusal(partition: &str) -> String {
    match partition {
        "aws-cn" => "Amazon Managed Service for Prometheus does not exist in the partition aws-cn".to_owned(),
        name if name == "aws-eusc" || name.starts_with("aws-iso") => {
            format!(
                "the partition {} is not supported yet, only aws and aws-us-gov are",
                shown(name)
            )
        }
        _ => "the partition is not aws or aws-us-gov".to_owned(),
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The parts of a regional ARN.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Parts {
    partition: Partition,
    region: Region,
    account: AccountId,
    id: String,
}

impl Parts {
    /// Parses `arn:<partition>:<service>:<region>:<account>:<kind>/<id>`. The error contains `expected`, the format.
    fn parse(text: &str, service: &str, kind: &str, expected: &str) -> Result<Self, String> {
        let invalid = |reason: &str| format!("{} is not a {kind} ARN: {reason}; expected {expected}", shown(text));
        let fields: Vec<&str> = text.splitn(6, ':').collect();
        let [prefix, partition, actual_service, region, account, resource] = fields[..] else {
            return Err(invalid("it has fewer than six parts"));
        };
        let partition = match partition {
            "aws" => Partition::Aws,
            "aws-us-gov" => Partition::AwsUsGov,
            other => return Err(invalid(&refusal(other))),
        };
        if prefix != "arn" {
            return Err(invalid("it does not start with arn:"));
        }
        if actual_service != service {
            return Err(invalid(&format!("the service is not {service}")));
        }
        let region: Region = match region.parse::<Region>() {
            Ok(region) if Partition::of_region(&region) == partition => region,
            _ => return Err(invalid("the Region does not belong to the partition")),
        };
        let account = account
            .parse()
            .map_err(|_| invalid("the account id does not have 12 digits"))?;
        let id = resource
            .strip_prefix(kind)
            .and_then(|rest| rest.strip_prefix('/'))
            .ok_or_else(|| invalid(&format!("the resource type is not {kind}")))?;
        Ok(Self {
            partition,
            region,
            account,
            id: id.to_owned(),
        })
    }
}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident, $expected:literal, $valid:expr $(, $refusal:expr)?) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The format, for messages.
            pub const EXPECTED: &'static str = $expected;
        }

        impl FromStr for $name {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                let valid: fn(&str) -> bool = $valid;
                if !valid(text) {
                    return Err(format!("{} is not valid; expected {}", shown(text), $expected));
                }
                $(
                    let refusal: fn(&str) -> Option<String> = $refusal;
                    if let Some(reason) = refusal(text) {
                        return Err(format!("{} is not valid: {reason}; expected {}", shown(text), $expected));
                    }
                )?
                Ok(Self(text.to_owned()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = String;
            fn try_from(text: String) -> Result<Self, String> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(identifier: $name) -> String {
                identifier.0
            }
        }

        impl Deref for $name {
            type Target = str;
            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, text: &&str) -> bool {
                self.0 == *text
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, text: &str) -> bool {
                self.0 == text
            }
        }
    };
}

identifier!(
    /// The id of an AWS account: 12 digits.
    AccountId,
    "an account id of 12 digits",
    |text| text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
);

identifier!(
    /// The name of a Region of a supported partition, such as `us-west-2` or `us-gov-east-1`: lower-case words, and a
    /// number at the end.
    Region,
    "a Region such as us-west-2",
    |text| {
        let words: Vec<&str> = text.split('-').collect();
        let Some((number, words)) = words.split_last() else {
            return false;
        };
        let lower = |word: &&str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase());
        text.len() <= 32
            && words.len() >= 2
            && words.iter().all(lower)
            && (1..=2).contains(&number.len())
            && number.bytes().all(|byte| byte.is_ascii_digit())
    },
    |text| unsupported_partition(text).map(refusal)
);

identifier!(
    /// The ARN of an execution of a state machine. That of a child execution of a Map contains the label of the Map.
    ExecutionArn,
    "arn:<partition>:states:<region>:<account>:execution:<state machine>:<name>",
    |text| {
        let parts: Vec<&str> = text.split(':').collect();
        matches!(parts[..], ["arn", _, "states", _, _, "execution", machine, name]
            if !machine.is_empty() && !name.is_empty())
            && !text.contains(char::is_whitespace)
    }
);

impl ExecutionArn {
    /// The name of the state machine in the text of an execution's ARN. `None` if the text has no colon.
    pub fn state_machine(text: &str) -> Option<&str> {
        text.rsplit(':').nth(1)
    }
}

macro_rules! arn {
    ($(#[$doc:meta])* $name:ident, $service:literal, $kind:literal, $expected:literal, $valid_id:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Parts);

        impl $name {
            /// The partition.
            pub fn partition(&self) -> Partition {
                self.0.partition
            }
            /// The Region.
            pub fn region(&self) -> &Region {
                &self.0.region
            }
            /// The account that owns the resource.
            pub fn account(&self) -> &AccountId {
                &self.0.account
            }
            /// The id: the part after the slash.
            pub fn id(&self) -> &str {
                &self.0.id
            }
        }

        impl FromStr for $name {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                let parts = Parts::parse(text, $service, $kind, $expected)?;
                let valid: fn(&str) -> bool = $valid_id;
                if !valid(&parts.id) {
                    return Err(format!("{} is not a valid {} id; expected {}", shown(&parts.id), $kind, $expected));
                }
                Ok(Self(parts))
            }
        }

        impl TryFrom<String> for $name {
            type Error = String;
            fn try_from(text: String) -> Result<Self, String> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(arn: $name) -> String {
                arn.to_string()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let Parts { partition, region, account, id } = &self.0;
                write!(f, "arn:{partition}:{}:{region}:{account}:{}/{id}", $service, $kind)
            }
        }
    };
}

arn!(
    /// The ARN of an EKS cluster. Its id is the cluster's name.
    ///
    /// A name has 1 to 100 letters, digits, `-` and `_`, and starts with a letter or a digit (EKS API reference,
    /// CreateCluster).
    ClusterArn,
    "eks",
    "cluster",
    "arn:<partition>:eks:<region>:<account>:cluster/<name>",
    |id| is_id(id, 100, "-_")
);

arn!(
    /// The ARN of an AMP workspace.
    WorkspaceArn,
    "aps",
    "workspace",
    "arn:<partition>:aps:<region>:<account>:workspace/ws-<id>",
    |id| id.starts_with("ws-") && id.len() > 3 && is_id(id, 64, "-_.")
);

arn!(
    /// The ARN of an AMP scraper.
    ScraperArn,
    "aps",
    "scraper",
    "arn:<partition>:aps:<region>:<account>:scraper/s-<id>",
    |id| id.starts_with("s-") && id.len() > 2 && is_id(id, 64, "-_.")
);

/// Whether a text has only ASCII letters, digits and characters of `punctuation`, at most `max` of them, and starts
/// with a letter or a digit.
fn is_id(text: &str, max: usize, punctuation: &str) -> bool {
    text.len() <= max
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || punctuation.contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_is_displayed_as_it_was_written() {
        for text in [
            "arn:aws:eks:us-west-2:222222222222:cluster/payments-prod",
            "arn:aws-us-gov:eks:us-gov-east-1:222222222222:cluster/A_b-3",
        ] {
            let arn: ClusterArn = text.parse().unwrap();
            assert_eq!(arn.to_string(), text);
            assert_eq!(arn.account(), "222222222222");
        }
        let arn: WorkspaceArn = "arn:aws:aps:eu-central-1:333333333333:workspace/ws-0a1b"
            .parse()
            .unwrap();
        assert_eq!(
            (&**arn.region(), arn.id(), arn.partition()),
            ("eu-central-1", "ws-0a1b", Partition::Aws)
        );
    }

    #[test]
    fn another_partition_is_refused_with_the_reason() {
        let no_amp = "Amazon Managed Service for Prometheus does not exist in the partition aws-cn";
        for (partition, region, reason) in [
            ("aws-cn", "cn-north-1", no_amp),
            ("aws-cn", "cn-northwest-1", no_amp),
            (
                "aws-iso",
                "us-iso-east-1",
                "the partition \"aws-iso\" is not supported yet",
            ),
            (
                "aws-iso-b",
                "us-isob-east-1",
                "the partition \"aws-iso-b\" is not supported yet",
            ),
            (
                "aws-iso-e",
                "eu-isoe-west-1",
                "the partition \"aws-iso-e\" is not supported yet",
            ),
            (
                "aws-iso-f",
                "us-isof-south-1",
                "the partition \"aws-iso-f\" is not supported yet",
            ),
            (
                "aws-eusc",
                "eusc-de-east-1",
                "the partition \"aws-eusc\" is not supported yet",
            ),
        ] {
            let arn = |partition: &str| format!("arn:{partition}:eks:{region}:222222222222:cluster/a");
            let error = arn(partition).parse::<ClusterArn>().unwrap_err();
            assert!(error.contains(reason), "{error}");
            let error = region.parse::<Region>().unwrap_err();
            assert!(error.contains(reason) && error.contains(region), "{error}");
            let error = arn("aws").parse::<ClusterArn>().unwrap_err();
            assert!(error.contains("the Region does not belong to the partition"), "{error}");
        }
        let error = "arn:aws-x:eks:us-west-2:222222222222:cluster/a".parse::<ClusterArn>();
        assert!(error.unwrap_err().contains("the partition is not aws or aws-us-gov"));
    }

    #[test]
    fn an_invalid_identifier_is_rejected() {
        assert_eq!("222222222222".parse::<AccountId>().unwrap(), *"222222222222");
        assert_eq!(
            "2222".parse::<AccountId>().unwrap_err(),
            "\"2222\" is not valid; expected an account id of 12 digits"
        );
        for region in ["us-west-2", "us-gov-east-1", "ap-southeast-5"] {
            assert!(region.parse::<Region>().is_ok(), "{region}");
        }
        assert!("oregon".parse::<Region>().is_err());
        for arn in [
            "arn:aws:states:us-west-2:111111111111:execution:ampxa-onboard:a",
            "arn:aws:states:us-west-2:111111111111:execution:ampxa-reconcile/Batch:0f3c",
        ] {
            assert!(arn.parse::<ExecutionArn>().is_ok(), "{arn}");
        }
        for arn in [
            "",
            "arn:aws:states:us-west-2:111111111111:stateMachine:ampxa-onboard",
            "arn:e",
        ] {
            assert!(arn.parse::<ExecutionArn>().is_err(), "{arn}");
        }
    }

    #[test]
    fn an_invalid_arn_is_rejected_and_the_error_has_the_expected_format() {
        let long = format!("arn:aws:eks:us-west-2:222222222222:cluster/{}", "x".repeat(101));
        for text in [
            "",
            "payments-prod",
            "arn:aws:eks:us-west-2:222222222222",
            "arn:aws:eks:us-west-2:22222222222:cluster/a",
            "arn:aws:eks:us-west-2:２２２２22222222:cluster/a",
            "arn:aws:eks:cn-north-1:222222222222:cluster/a",
            "arn:aws-cn:eks:us-west-2:222222222222:cluster/a",
            "arn:aws-iso:eks:us-iso-east-1:222222222222:cluster/a",
            "arn:aws:eks:uswest2:222222222222:cluster/a",
            "arn:aws:eks:us-west-2:222222222222:cluster/",
            "arn:aws:eks:us-west-2:222222222222:cluster/a/b",
            "arn:aws:eks:us-west-2:222222222222:cluster/a:b",
            "arn:aws:eks:us-west-2:222222222222:cluster/a\"b",
            "arn:aws:eks:us-west-2:222222222222:nodegroup/a",
            "arn:aws:aps:us-west-2:222222222222:cluster/a",
            "arn:aws:eks:us-west-2:222222222222:cluster/-a",
            &long,
        ] {
            let error = text.parse::<ClusterArn>().unwrap_err();
            assert!(error.contains("expected arn:<partition>:eks:"), "{error}");
        }
        assert!(
            "arn:aws:aps:us-west-2:333333333333:workspace/ws-"
                .parse::<WorkspaceArn>()
                .is_err()
        );
        assert!(
            "arn:aws:aps:us-west-2:333333333333:workspace/s-1"
                .parse::<WorkspaceArn>()
                .is_err()
        );
        assert!(
            "arn:aws:aps:us-west-2:333333333333:scraper/*"
                .parse::<ScraperArn>()
                .is_err()
        );
    }
}
