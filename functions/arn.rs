//! The ARNs this project handles, as types that cannot hold a wrong one.

use crate::input::shown;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// What a well-formed ARN of a kind looks like, for messages.
type Expected = &'static str;

/// An AWS partition: a world of its own, with its own ARNs and endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Partition {
    /// The commercial Regions.
    Aws,
    /// The Regions in China.
    AwsCn,
    /// AWS GovCloud (US).
    AwsUsGov,
}

impl Partition {
    /// The partition as it stands in an ARN.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::AwsCn => "aws-cn",
            Self::AwsUsGov => "aws-us-gov",
        }
    }

    /// The partition that a Region belongs to.
    pub fn of_region(region: &str) -> Self {
        match region {
            r if r.starts_with("cn-") => Self::AwsCn,
            r if r.starts_with("us-gov-") => Self::AwsUsGov,
            _ => Self::Aws,
        }
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A regional ARN, taken apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Parts {
    partition: Partition,
    region: String,
    account: String,
    id: String,
}

impl Parts {
    /// Reads `arn:<partition>:<service>:<region>:<account>:<kind>/<id>`, or says what is wrong.
    fn read(text: &str, service: &str, kind: &str, expected: Expected) -> Result<Self, String> {
        let wrong = |why: &str| format!("{} is no {kind} ARN: {why}; expected {expected}", shown(text));
        let fields: Vec<&str> = text.splitn(6, ':').collect();
        let [arn, partition, its_service, region, account, resource] = fields[..] else {
            return Err(wrong("it has too few parts"));
        };
        let partition = match partition {
            "aws" => Partition::Aws,
            "aws-cn" => Partition::AwsCn,
            "aws-us-gov" => Partition::AwsUsGov,
            _ => return Err(wrong("the partition is none of aws, aws-cn, aws-us-gov")),
        };
        if arn != "arn" || its_service != service {
            return Err(wrong("it is of another service"));
        }
        if !is_region(region) || Partition::of_region(region) != partition {
            return Err(wrong("the Region is not one of the partition's"));
        }
        if !is_account(account) {
            return Err(wrong("the account is not 12 digits"));
        }
        let id = resource
            .strip_prefix(kind)
            .and_then(|rest| rest.strip_prefix('/'))
            .ok_or_else(|| wrong("it names another kind of resource"))?;
        Ok(Self {
            partition,
            region: region.to_owned(),
            account: account.to_owned(),
            id: id.to_owned(),
        })
    }
}

/// Whether a text is an account's id: 12 digits.
pub fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

/// `us-west-2`, `us-gov-east-1`, `ap-southeast-5`: lower-case words and a number at the end.
pub(crate) fn is_region(text: &str) -> bool {
    let words: Vec<&str> = text.split('-').collect();
    let Some((number, words)) = words.split_last() else {
        return false;
    };
    let lower = |w: &&str| !w.is_empty() && w.bytes().all(|b| b.is_ascii_lowercase());
    text.len() <= 32
        && words.len() >= 2
        && words.iter().all(lower)
        && (1..=2).contains(&number.len())
        && number.bytes().all(|b| b.is_ascii_digit())
}

macro_rules! arn {
    ($(#[$doc:meta])* $name:ident, $service:literal, $kind:literal, $expected:literal, $valid_id:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Parts);

        impl $name {
            /// The partition it lies in.
            pub fn partition(&self) -> Partition {
                self.0.partition
            }
            /// The Region it lies in.
            pub fn region(&self) -> &str {
                &self.0.region
            }
            /// The account that owns it: 12 digits.
            pub fn account(&self) -> &str {
                &self.0.account
            }
            /// What stands behind the slash.
            pub fn id(&self) -> &str {
                &self.0.id
            }
        }

        impl FromStr for $name {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                let parts = Parts::read(text, $service, $kind, $expected)?;
                let valid: fn(&str) -> bool = $valid_id;
                if !valid(&parts.id) {
                    return Err(format!("{} is no {} id; expected {}", shown(&parts.id), $kind, $expected));
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
    /// An EKS cluster's ARN; its id is the cluster's name.
    ///
    /// A name is 1 to 100 letters, digits, `-` and `_`, and begins with a letter or a digit
    /// (EKS API reference, CreateCluster).
    ClusterArn,
    "eks",
    "cluster",
    "arn:<partition>:eks:<region>:<account>:cluster/<name>",
    |id| is_id(id, 100, "-_")
);

arn!(
    /// An AMP workspace's ARN.
    WorkspaceArn,
    "aps",
    "workspace",
    "arn:<partition>:aps:<region>:<account>:workspace/ws-<id>",
    |id| id.starts_with("ws-") && id.len() > 3 && is_id(id, 64, "-_.")
);

arn!(
    /// An AMP scraper's ARN.
    ScraperArn,
    "aps",
    "scraper",
    "arn:<partition>:aps:<region>:<account>:scraper/s-<id>",
    |id| id.starts_with("s-") && id.len() > 2 && is_id(id, 64, "-_.")
);

fn is_id(text: &str, longest: usize, punctuation: &str) -> bool {
    text.len() <= longest
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || punctuation.contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_reads_back_as_it_was_written() {
        for text in [
            "arn:aws:eks:us-west-2:222222222222:cluster/payments-prod",
            "arn:aws-cn:eks:cn-northwest-1:222222222222:cluster/a",
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
            (arn.region(), arn.id(), arn.partition()),
            ("eu-central-1", "ws-0a1b", Partition::Aws)
        );
    }

    #[test]
    fn a_malformed_arn_is_refused_with_what_would_be_right() {
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
            let why = text.parse::<ClusterArn>().unwrap_err();
            assert!(why.contains("expected arn:<partition>:eks:"), "{why}");
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
