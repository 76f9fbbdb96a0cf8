//! Creates clusters and workspaces for the demo and for tests.

use ampxa::arn::Partition;
use ampxa_cli::account::Account;
use anyhow::{Context, Result};
use aws_sdk_eks::types::{AuthenticationMode, CreateAccessConfigRequest, VpcConfigRequest};

/// The configuration of a cluster to create.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// The name.
    pub name: String,
    /// The authentication mode.
    pub mode: AuthenticationMode,
    /// Whether the private endpoint is enabled.
    pub private_access: bool,
    /// The subnets; if empty, all subnets of the account's default VPC.
    pub subnets: Vec<String>,
    /// The tags; those that begin with `local:` configure the local cloud.
    pub tags: Vec<(String, String)>,
}

impl Cluster {
    /// A cluster that can be scraped.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            mode: AuthenticationMode::ApiAndConfigMap,
            private_access: true,
            subnets: Vec::new(),
            tags: Vec::new(),
        }
    }

    /// Adds a tag.
    #[must_use]
    pub fn tag(mut self, key: &str, value: &str) -> Self {
        self.tags.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Creates the cluster in an account; returns its ARN.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn make(&self, account: &Account) -> Result<String> {
        let subnets = match &self.subnets[..] {
            [] => default_subnets(account)?.into_iter().map(|subnet| subnet.id).collect(),
            subnets => subnets.to_vec(),
        };
        let role = cluster_role(account).await?;
        let response = account
            .eks()
            .create_cluster()
            .name(&self.name)
            .role_arn(role)
            .access_config(
                CreateAccessConfigRequest::builder()
                    .authentication_mode(self.mode.clone())
                    .build(),
            )
            .resources_vpc_config(
                VpcConfigRequest::builder()
                    .set_subnet_ids(Some(subnets))
                    .endpoint_public_access(true)
                    .endpoint_private_access(self.private_access)
                    .build(),
            )
            .set_tags(Some(self.tags.iter().cloned().collect()))
            .send()
            .await?;
        let arn = response.cluster.and_then(|cluster| cluster.arn);
        arn.context("the response of EKS has no ARN of the cluster")
    }
}

/// Creates the role that EKS needs for a cluster, unless it exists; returns its ARN.
///
/// # Errors
/// If the call fails.
pub async fn cluster_role(account: &Account) -> Result<String> {
    let trust = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"eks.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
    let created = account
        .iam()
        .create_role()
        .role_name("eks-cluster")
        .assume_role_policy_document(trust)
        .send()
        .await;
    match created {
        Err(error)
            if !error
                .as_service_error()
                .is_some_and(|e| e.is_entity_already_exists_exception()) =>
        {
            Err(error.into())
        }
        _ => {
            let partition = Partition::of_region(&account.region);
            Ok(format!("arn:{partition}:iam::{}:role/eks-cluster", account.id))
        }
    }
}

/// A subnet of an account's default VPC.
#[derive(Debug, Clone)]
pub struct Subnet {
    /// The subnet id.
    pub id: String,
    /// The Availability Zone.
    pub zone: String,
    /// The id of the VPC.
    pub vpc: String,
}

/// Reads the subnets of an account's default VPC.
///
/// # Errors
/// If the call fails.
pub fn default_subnets(account: &Account) -> Result<Vec<Subnet>> {
    let xml = account.ec2(
        "DescribeSubnets",
        &[("Filter.1.Name", "default-for-az"), ("Filter.1.Value.1", "true")],
    )?;
    let items = xml.split("<item>").skip(1).filter(|item| item.contains("<subnetId>"));
    let subnet = |item| {
        Some(Subnet {
            id: element(item, "subnetId")?,
            zone: element(item, "availabilityZone")?,
            vpc: element(item, "vpcId")?,
        })
    };
    items
        .map(subnet)
        .collect::<Option<_>>()
        .context("the response of EC2 cannot be parsed")
}

/// Reads the id of a security group of an account.
///
/// # Errors
/// If the call fails.
pub fn security_group(account: &Account) -> Result<String> {
    let xml = account.ec2("DescribeSecurityGroups", &[])?;
    element(&xml, "groupId").context("the response of EC2 cannot be parsed")
}

/// The text of the first XML element with this name.
pub fn element(xml: &str, name: &str) -> Option<String> {
    let rest = xml.split(&format!("<{name}>")).nth(1)?;
    Some(rest.split('<').next()?.to_owned())
}

/// Creates a workspace in an account that accepts every account of the organization; returns its ARN.
///
/// # Errors
/// If a call fails.
pub async fn workspace(account: &Account, alias: &str) -> Result<String> {
    workspace_that_accepts(account, alias, Some("organization")).await
}

/// Creates a workspace in an account, with a value of the tag `ampxa:accept` or without the tag; returns its ARN.
///
/// # Errors
/// If a call fails.
pub async fn workspace_that_accepts(account: &Account, alias: &str, accept: Option<&str>) -> Result<String> {
    let mut create = account.amp().create_workspace().alias(alias);
    if let Some(accept) = accept {
        create = create.tags("ampxa:accept", accept);
    }
    Ok(create.send().await?.arn)
}
