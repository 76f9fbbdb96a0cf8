//! The three reads of EC2 that the checks need, on the SDK's own runtime.
//!
//! `aws-sdk-ec2` is the whole of EC2, and takes many times the compile time of all the other
//! clients together (ARCHITECTURE.md has the figures). This module gives [`super::plain`] three requests to
//! send, and reads the answers with the SDK's own XML reader (EC2 API reference, version 2016-11-15).

use super::sigv4::{Call, CallError, Form, send};
use aws_config::SdkConfig;
use aws_smithy_runtime_api::{box_error::BoxError, client::orchestrator::HttpResponse};
use aws_smithy_types::error::ErrorMetadata;
use aws_smithy_xml::decode::{Document, XmlDecodeError, try_data};
use std::{collections::BTreeMap, fmt};

/// The version of EC2's API that these calls speak.
const API_VERSION: &str = "2016-11-15";

/// A call of EC2's: what it is named and what it answers.
pub trait Read: fmt::Debug + Send + Sync + 'static {
    /// The action, as in IAM and on the wire.
    const ACTION: &'static str;
    /// What is read of the answer.
    type Answer: fmt::Debug + Send + Sync + 'static;
    /// Reads the answer.
    ///
    /// # Errors
    /// When it is not what EC2 answers this call with.
    fn read(xml: &[u8]) -> Result<Self::Answer, XmlDecodeError>;
}

impl<R: Read> Call for R {
    const SERVICE: &'static str = "ec2";
    const HOST: &'static str = "ec2";
    const VERSION: &'static str = API_VERSION;
    const ACTION: &'static str = R::ACTION;
    type Answer = R::Answer;
    fn read(body: &[u8]) -> Result<R::Answer, BoxError> {
        Ok(R::read(body)?)
    }
    fn refusal(response: &HttpResponse) -> ErrorMetadata {
        let xml = response.body().bytes().unwrap_or_default();
        let mut said = items(xml, "Errors")
            .unwrap_or_default()
            .into_iter()
            .next()
            .unwrap_or_default();
        let mut metadata = ErrorMetadata::builder();
        if let Some(code) = said.remove("Code") {
            metadata = metadata.code(code).message(said.remove("Message").unwrap_or_default());
        }
        metadata.build()
    }
}

/// Reads subnets.
#[derive(Debug)]
pub struct DescribeSubnets;

impl Read for DescribeSubnets {
    const ACTION: &'static str = "DescribeSubnets";
    type Answer = Vec<Subnet>;
    fn read(xml: &[u8]) -> Result<Vec<Subnet>, XmlDecodeError> {
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

/// Reads one attribute of a VPC.
#[derive(Debug)]
pub struct DescribeVpcAttribute;

impl Read for DescribeVpcAttribute {
    const ACTION: &'static str = "DescribeVpcAttribute";
    type Answer = bool;
    fn read(xml: &[u8]) -> Result<bool, XmlDecodeError> {
        let mut document = Document::try_from(xml)?;
        let mut root = document.root_element()?;
        while let Some(mut attribute) = root.next_tag() {
            if let Some(mut value) = attribute.next_tag() {
                return Ok(try_data(&mut value)? == "true");
            }
        }
        Err(XmlDecodeError::custom("the answer has no attribute"))
    }
}

/// Reads security groups.
#[derive(Debug)]
pub struct DescribeSecurityGroups;

impl Read for DescribeSecurityGroups {
    const ACTION: &'static str = "DescribeSecurityGroups";
    type Answer = Vec<SecurityGroup>;
    fn read(xml: &[u8]) -> Result<Vec<SecurityGroup>, XmlDecodeError> {
        let group = |mut leaves: Leaves| {
            Ok(SecurityGroup {
                group_id: take(&mut leaves, "groupId")?,
                vpc_id: leaves.remove("vpcId"),
            })
        };
        items(xml, "securityGroupInfo")?.into_iter().map(group).collect()
    }
}

/// A subnet, as far as a scraper cares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subnet {
    /// Its id.
    pub subnet_id: String,
    /// The VPC it lies in.
    pub vpc_id: String,
    /// The Availability Zone it lies in.
    pub availability_zone: String,
    /// How many of its addresses nobody uses.
    pub available_ip_address_count: u32,
}

/// A security group, as far as a scraper cares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecurityGroup {
    /// Its id.
    pub group_id: String,
    /// The VPC it lies in.
    pub vpc_id: Option<String>,
}

/// The texts right below an element, by name.
type Leaves = BTreeMap<String, String>;

/// The items of a list right below the answer's root, each as its leaves.
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
                // What is nested deeper is none of a scraper's business.
                if let Ok(text) = try_data(&mut field) {
                    leaves.insert(name, text.into_owned());
                }
            }
            items.push(leaves);
        }
        return Ok(items);
    }
    Err(XmlDecodeError::custom(format!("the answer has no {list}")))
}

fn take(leaves: &mut Leaves, name: &str) -> Result<String, XmlDecodeError> {
    let missing = || XmlDecodeError::custom(format!("an item has no {name}"));
    leaves.remove(name).ok_or_else(missing)
}

/// A client of EC2 in one account and Region.
#[derive(Debug, Clone)]
pub struct Client {
    config: SdkConfig,
}

impl Client {
    /// A client with this configuration's credentials, Region and connection.
    pub fn new(config: &SdkConfig) -> Self {
        Self { config: config.clone() }
    }

    /// Those of the subnets that exist, in no order.
    ///
    /// # Errors
    /// What EC2 refuses, and what is lost on the way.
    pub async fn subnets(&self, ids: &[String]) -> Result<Vec<Subnet>, CallError<DescribeSubnets>> {
        self.call::<DescribeSubnets>(filter("subnet-id", ids)).await
    }

    /// Those of the security groups that exist, in no order.
    ///
    /// # Errors
    /// What EC2 refuses, and what is lost on the way.
    pub async fn security_groups(
        &self,
        ids: &[String],
    ) -> Result<Vec<SecurityGroup>, CallError<DescribeSecurityGroups>> {
        self.call::<DescribeSecurityGroups>(filter("group-id", ids)).await
    }

    /// Whether a VPC's attribute, `enableDnsSupport` or `enableDnsHostnames`, is on.
    ///
    /// # Errors
    /// What EC2 refuses, and what is lost on the way.
    pub async fn vpc_attribute(&self, vpc: &str, attribute: &str) -> Result<bool, CallError<DescribeVpcAttribute>> {
        let parameters = vec![
            ("VpcId".to_owned(), vpc.to_owned()),
            ("Attribute".to_owned(), attribute.to_owned()),
        ];
        self.call::<DescribeVpcAttribute>(parameters).await
    }

    async fn call<C: Read>(&self, parameters: Form) -> Result<C::Answer, CallError<C>> {
        let action = [("Action", C::ACTION), ("Version", API_VERSION)];
        let action = action.map(|(name, value)| (name.to_owned(), value.to_owned()));
        send::<C>(
            &self.config,
            "/".to_owned(),
            action.into_iter().chain(parameters).collect(),
        )
        .await
    }
}

fn filter(name: &str, values: &[String]) -> Form {
    let numbered = values.iter().enumerate();
    std::iter::once(("Filter.1.Name".to_owned(), name.to_owned()))
        .chain(numbered.map(|(i, value)| (format!("Filter.1.Value.{}", i + 1), value.clone())))
        .collect()
}
