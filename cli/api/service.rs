//! The services.

/// A service with its name in signatures and in environment variables.
#[derive(Debug, Clone, Copy)]
pub struct Service {
    /// The name in signatures, and the first label of the host.
    pub name: &'static str,
    /// The suffix of `AWS_ENDPOINT_URL_<SERVICE>`.
    pub variable: &'static str,
    /// The version of the query API, or the prefix of the operations of the JSON API.
    pub api: &'static str,
}

/// AWS CloudFormation.
pub const CLOUDFORMATION: Service = Service {
    name: "cloudformation",
    variable: "CLOUDFORMATION",
    api: "2010-05-15",
};
/// Amazon SNS.
pub const SNS: Service = Service {
    name: "sns",
    variable: "SNS",
    api: "2010-03-31",
};
/// AWS CloudTrail.
pub const CLOUDTRAIL: Service = Service {
    name: "cloudtrail",
    variable: "CLOUDTRAIL",
    api: "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101",
};
/// Amazon EventBridge.
pub const EVENTS: Service = Service {
    name: "events",
    variable: "EVENTBRIDGE",
    api: "AWSEvents",
};
/// Amazon EC2.
pub const EC2: Service = Service {
    name: "ec2",
    variable: "EC2",
    api: "2016-11-15",
};
/// Amazon S3.
pub(super) const S3: Service = Service {
    name: "s3",
    variable: "S3",
    api: "2006-03-01",
};
