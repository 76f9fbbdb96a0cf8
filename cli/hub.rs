//! The hub: the stack with the state machines, found by its name.

use crate::{
    account::Account,
    api::{CLOUDFORMATION, CallError, xml},
    credentials::Credentials,
};
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;

/// The stack of the hub.
#[derive(Debug, Clone)]
pub struct Hub {
    /// The account, in the Region of the stack.
    pub account: Account,
    /// The name of the stack.
    pub name: String,
    /// The status of the stack, such as `UPDATE_COMPLETE`.
    pub status: String,
    /// The outputs of the stack.
    pub outputs: BTreeMap<String, String>,
    /// The parameters of the stack.
    pub parameters: BTreeMap<String, String>,
}

impl Hub {
    /// Finds the stack in the account of the credentials, or in the hub's account of a local cloud.
    ///
    /// # Errors
    /// If the stack does not exist, or if it cannot be read.
    pub async fn find(credentials: &Credentials, region: Option<&str>, name: &str) -> Result<Self> {
        let region = match region {
            Some(region) => region.to_owned(),
            None => credentials
                .region()
                .await
                .context("the hub's Region is unknown: use --region")?,
        };
        let account = credentials.own(&region).await?;
        match Self::describe(&account, name).await {
            Ok(Some(hub)) => Ok(hub),
            Ok(None) => bail!(
                "the account {} has no CloudFormation stack {name} in {region}: use credentials of the hub's account, \
                 or name the stack with --hub and its Region with --region",
                account.id
            ),
            Err(error) if error.is_denied() => bail!("{error}: get this permission on the stack {name}"),
            Err(error) => Err(error).context(format!("the stack {name} of the hub cannot be read")),
        }
    }

    /// Reads the stack; `None` if it does not exist.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn describe(account: &Account, name: &str) -> Result<Option<Self>, CallError> {
        let parameters = [("StackName", name)];
        let response = account.query_call(CLOUDFORMATION, "DescribeStacks", &parameters);
        let response = match response.await {
            Ok(response) => response,
            // The error of a stack that does not exist (CloudFormation API reference, DescribeStacks).
            Err(error) if error.code == "ValidationError" => return Ok(None),
            Err(error) => return Err(error),
        };
        let rows = |path: &[&str]| {
            let stack = ["DescribeStacksResult", "Stacks", "member"];
            xml::rows(&response, &[&stack[..], path].concat())
        };
        let pairs = |list: &str, key: &str, value: &str| {
            let rows = rows(&[list, "member"]).into_iter();
            rows.filter_map(|mut row| Some((row.remove(key)?, row.remove(value)?)))
                .collect()
        };
        let stack = rows(&[]).into_iter().next();
        Ok(stack.map(|mut stack| Self {
            account: account.clone(),
            name: name.to_owned(),
            status: stack.remove("StackStatus").unwrap_or_default(),
            outputs: pairs("Outputs", "OutputKey", "OutputValue"),
            parameters: pairs("Parameters", "ParameterKey", "ParameterValue"),
        }))
    }

    /// An output of the stack.
    ///
    /// # Errors
    /// If the stack has no such output.
    pub fn output(&self, name: &str) -> Result<&str> {
        let output = self.outputs.get(name).map(String::as_str);
        output.with_context(|| {
            format!(
                "the stack {} (status {}) has no output {name}: deploy the current infra/template.yaml, or name another \
                 stack with --hub",
                self.name, self.status
            )
        })
    }
}
