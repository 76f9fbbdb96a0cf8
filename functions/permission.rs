//! What the stack of a source account allows beyond the connection of clusters.

use crate::{aws::none_if, error::Error, names::SOURCE_PROVISIONER};

/// A permission that a parameter of `infra/source-account.yaml` gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Permission {
    /// `MayPrepareClusters=yes`.
    PrepareClusters,
    /// `CollectorLogs=yes`.
    CollectorLogs,
}

impl Permission {
    /// The inline policy of the provisioner. It exists if the account gives the permission.
    fn policy(self) -> &'static str {
        match self {
            Self::PrepareClusters => "prepare-clusters",
            Self::CollectorLogs => "collector-logs",
        }
    }

    /// Whether the account gives the permission. `source_iam` is IAM of the source account, with its reader.
    ///
    /// # Errors
    /// Those of the call to IAM.
    pub async fn is_given(self, source_iam: &aws_sdk_iam::Client) -> Result<bool, Error> {
        let request = source_iam.get_role_policy().role_name(SOURCE_PROVISIONER);
        let result = request.policy_name(self.policy()).send().await;
        Ok(none_if(result, |e| e.is_no_such_entity_exception())?.is_some())
    }
}
