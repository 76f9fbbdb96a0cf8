//! Clusters and workspaces to connect.

use ampxa_cli::account::Account;
use anyhow::{Context, Result};
use aws_sdk_eks::types::{AuthenticationMode, CreateAccessConfigRequest, VpcConfigRequest};

/// A cluster as a test or a demonstration wants it.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// Its name.
    pub name: String,
    /// How it lets people and services in.
    pub mode: AuthenticationMode,
    /// Whether its endpoint can be reached from its VPC.
    pub private_access: bool,
    /// Its subnets; all of the account's default VPC when empty.
    pub subnets: Vec<String>,
    /// Tags; those that begin with `local:` are knobs of the cloud.
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

    /// The same, with a tag.
    #[must_use]
    pub fn tag(mut self, key: &str, value: &str) -> Self {
        self.tags.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Makes it in an account; answers its ARN.
    ///
    /// # Errors
    /// When the cloud refuses it.
    pub async fn make(&self, account: &Account) -> Result<String> {
        let subnets = match &self.subnets[..] {
            [] => default_subnets(account)?.into_iter().map(|subnet| subnet.id).collect(),
            some => some.to_vec(),
        };
        let role = cluster_role(account).await?;
        let answer = account
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
        let arn = answer.cluster.and_then(|cluster| cluster.arn);
        arn.context("EKS answered without the cluster's ARN")
    }
}

/// Makes the role that EKS needs for a cluster, unless the account has it; returns its ARN.
///
/// # Errors
/// When the cloud refuses it.
pub async fn cluster_role(account: &Account) -> Result<String> {
    let trust = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"eks.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
    let made = account
        .iam()
        .create_role()
        .role_name("eks-cluster")
        .assume_role_policy_document(trust)
        .send()
        .await;
    match made {
        Err(error)
            if !error
                .as_service_error()
                .is_some_and(|e| e.is_entity_already_exists_exception()) =>
        {
            Err(error.into())
        }
        _ => Ok(format!("arn:aws:iam::{}:role/eks-cluster", account.id)),
    }
}

/// A subnet of an account's default VPC.
#[derive(Debug, Clone)]
pub struct Subnet {
    /// Its id.
    pub id: String,
    /// Its Availability Zone.
    pub zone: String,
    /// The VPC.
    pub vpc: String,
}

/// The subnets of an account's default VPC.
///
/// # Errors
/// When the cloud refuses to say.
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
        .context("EC2's answer could not be read")
}

/// A security group of an account.
///
/// # Errors
/// When the cloud refuses to say.
pub fn security_group(account: &Account) -> Result<String> {
    let xml = account.ec2("DescribeSecurityGroups", &[])?;
    element(&xml, "groupId").context("EC2's answer could not be read")
}

/// The text of the first element of a name.
pub fn element(xml: &str, name: &str) -> Option<String> {
    let rest = xml.split(&format!("<{name}>")).nth(1)?;
    Some(rest.split('<').next()?.to_owned())
}

/// Makes a workspace in an account; answers its ARN.
///
/// # Errors
/// When the cloud refuses it.
pub async fn workspace(account: &Account, alias: &str) -> Result<String> {
    Ok(account.amp().create_workspace().alias(alias).send().await?.arn)
}
