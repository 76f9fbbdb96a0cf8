//! The three calls to EC2 that the checks need, without `aws-sdk-ec2`.
//!
//! Compiling `aws-sdk-ec2` takes many times longer than all other clients together (ARCHITECTURE.md has the figures).
//! This module defines three calls, which [`sigv4`] sends, and parses the responses with the SDK's XML parser (EC2 API
//! reference, version 2016-11-15).

use super::{
    request_log::RequestLog,
    sigv4::{self, Call, CallError, Form, Message},
};
use aws_config::SdkConfig;
use aws_smithy_runtime_api::{box_error::BoxError, client::orchestrator::HttpResponse};
use aws_smithy_types::error::ErrorMetadata;
use aws_smithy_xml::decode::{Document, XmlDecodeError, try_data};
use std::{collections::BTreeMap, fmt};

/// The version of EC2's API.
const API_VERSION: &str = "2016-11-15";

/// A call to EC2.
pub trait Ec2Call: fmt::Debug + Send + Sync + 'static {
    /// The action, as in IAM and in the request.
    const ACTION: &'static str;
    /// The parsed response.
    type Output: fmt::Debug + Send + Sync + 'static;
    /// Parses the response.
    ///
    /// # Errors
    /// `XmlDecodeError` if it is not a response of this call.
    fn parse(xml: &[u8]) -> Result<Self::Output, XmlDecodeError>;
}

impl<C: Ec2Call> Call for C {
    const SERVICE: &'static str = "ec2";
    const HOST: &'static str = "ec2";
    const VERSION: &'static str = API_VERSION;
    const ACTION: &'static str = C::ACTION;
    type Output = C::Output;
    fn parse(response: &HttpResponse) -> Result<C::Output, BoxError> {
        Ok(C::parse(response.body().bytes().unwrap_or_default())?)
    }
    fn error_metadata(response: &HttpResponse) -> ErrorMetadata {
        let xml = response.body().bytes().unwrap_or_default();
        let errors = items(xml, "Errors").unwrap_or_default();
        let mut error = errors.into_iter().next().unwrap_or_default();
        let mut metadata = ErrorMetadata::builder();
        if let Some(code) = error.remove("Code") {
            metadata = metadata.code(code).message(error.remove("Message").unwrap_or_default());
        }
        metadata.build()
    }
}

/// The call DescribeSubnets.
#[derive(Debug)]
pub struct DescribeSubnets;

impl Ec2Call for DescribeSubnets {
    const ACTION: &'static str = "DescribeSubnets";
    type Output = Vec<Subnet>;
    fn parse(xml: &[u8]) -> Result<Vec<Subnet>, XmlDecodeError> {
        let subnet = |mut leaves: Leaves| {
            Ok(Subnet {
                subnet_id: take(&mut leaves, "subnetId")?,
                vpc_id: take(&mut leaves, "vpcId")?,
                availability_zone: take(&mut leaves, "availabilityZone")?,
                available_ip_address_count: take(&mut leaves, "availableIpAddressCount")?
                    .parse()
                    .map_err(XmlDecodeError::unhandled)?,
            })
        };
        items(xml, "subnetSet")?.into_iter().map(subnet).collect()
    }
}

/// The call DescribeVpcAttribute.
#[derive(Debug)]
pub struct DescribeVpcAttribute;

impl Ec2Call for DescribeVpcAttribute {
    const ACTION: &'static str = "DescribeVpcAttribute";
    type Output = bool;
    fn parse(xml: &[u8]) -> Result<bool, XmlDecodeError> {
        let mut document = Document::try_from(xml)?;
        let mut root = document.root_element()?;
        while let Some(mut attribute) = root.next_tag() {
            if let Some(mut value) = attribute.next_tag() {
                return Ok(try_data(&mut value)? == "true");
            }
        }
        Err(XmlDecodeError::custom("the response has no attribute"))
    }
}

/// The call DescribeSecurityGroups.
#[derive(Debug)]
pub struct DescribeSecurityGroups;

impl Ec2Call for DescribeSecurityGroups {
    const ACTION: &'static str = "DescribeSecurityGroups";
    type Output = Vec<SecurityGroup>;
    fn parse(xml: &[u8]) -> Result<Vec<SecurityGroup>, XmlDecodeError> {
        let group = |mut leaves: Leaves| {
            Ok(SecurityGroup {
                group_id: take(&mut leaves, "groupId")?,
                vpc_id: leaves.remove("vpcId"),
            })
        };
        items(xml, "securityGroupInfo")?.into_iter().map(group).collect()
    }
}

/// The attributes of a subnet that the checks need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subnet {
    /// The id.
    pub subnet_id: String,
    /// The id of the VPC.
    pub vpc_id: String,
    /// The Availability Zone.
    pub availability_zone: String,
    /// The number of free IP addresses.
    pub available_ip_address_count: u32,
}

/// The attributes of a security group that the checks need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecurityGroup {
    /// The id.
    pub group_id: String,
    /// The id of the VPC.
    pub vpc_id: Option<String>,
}

/// The texts of an element's children, by name.
type Leaves = BTreeMap<String, String>;

/// The items of a list that is a child of the root element.
fn items(xml: &[u8], list: &str) -> Result<Vec<Leaves>, XmlDecodeError> {
    let mut document = Document::try_from(xml)?;
    let mut root = document.root_element()?;
    while let Some(mut element) = root.next_tag() {
        if !element.start_el().matches(list) {
            continue;
        }
        let mut items = Vec::new();
        while let Some(mut item) = element.next_tag() {
            let mut leaves = Leaves::new();
            while let Some(mut field) = item.next_tag() {
                let name = field.start_el().local().to_owned();
                // Children with children of their own are not needed.
                if let Ok(text) = try_data(&mut field) {
                    leaves.insert(name, text.into_owned());
                }
            }
            items.push(leaves);
        }
        return Ok(items);
    }
    Err(XmlDecodeError::custom(format!("the response has no {list}")))
}

fn take(leaves: &mut Leaves, name: &str) -> Result<String, XmlDecodeError> {
    let missing = || XmlDecodeError::custom(format!("an item has no {name}"));
    leaves.remove(name).ok_or_else(missing)
}

/// A client of EC2 in one account and Region.
#[derive(Debug, Clone)]
pub struct Client {
    config: SdkConfig,
    log: RequestLog,
}

impl Client {
    /// A client with this configuration's credentials, Region and connection.
    pub(super) fn new(config: &SdkConfig, log: &RequestLog) -> Self {
        Self {
            config: config.clone(),
            log: log.clone(),
        }
    }

    /// The subnets with these ids that exist, in any order.
    ///
    /// # Errors
    /// Those of the call.
    pub async fn subnets(&self, ids: &[String]) -> Result<Vec<Subnet>, CallError<DescribeSubnets>> {
        self.call::<DescribeSubnets>(filter("subnet-id", ids)).await
    }

    /// The security groups with these ids that exist, in any order.
    ///
    /// # Errors
    /// Those of the call.
    pub async fn security_groups(
        &self,
        ids: &[String],
    ) -> Result<Vec<SecurityGroup>, CallError<DescribeSecurityGroups>> {
        self.call::<DescribeSecurityGroups>(filter("group-id", ids)).await
    }

    /// Whether the attribute `enableDnsSupport` or `enableDnsHostnames` of a VPC is enabled.
    ///
    /// # Errors
    /// Those of the call.
    pub async fn vpc_attribute(&self, vpc: &str, attribute: &str) -> Result<bool, CallError<DescribeVpcAttribute>> {
        let parameters = vec![
            ("VpcId".to_owned(), vpc.to_owned()),
            ("Attribute".to_owned(), attribute.to_owned()),
        ];
        self.call::<DescribeVpcAttribute>(parameters).await
    }

    async fn call<C: Ec2Call>(&self, parameters: Form) -> Result<C::Output, CallError<C>> {
        let action = [("Action", C::ACTION), ("Version", API_VERSION)];
        let action = action.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let form = action.into_iter().chain(parameters).collect();
        sigv4::send::<C>(&self.config, &self.log, Message::form("/", &form)).await
    }
}

/// The parameters of a filter with any of these values.
fn filter(name: &str, values: &[String]) -> Form {
    let mut parameters = vec![("Filter.1.Name".to_owned(), name.to_owned())];
    for (i, value) in values.iter().enumerate() {
        parameters.push((format!("Filter.1.Value.{}", i + 1), value.clone()));
    }
    parameters
}
