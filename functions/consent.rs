//! Consent: the owner of a workspace decides which accounts may write to it.
//!
//! The workspace's tag `ampxa:accept` lists account ids, ids of organizational units, or the word `organization`,
//! separated by spaces. The tags `ampxa:accept-2`, `ampxa:accept-3`, … continue the list. Unknown text accepts no account.

use crate::{
    arn::{AccountId, WorkspaceArn},
    environment,
    error::Error,
    input::shown,
    names::TARGET_READER,
    pair::Pair,
    routing,
    tags::{ACCEPT_TAG, CONSENT_TAG},
};
use aws_sdk_iam::types::Tag;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The maximum length of a tag's value, in characters (AMP API reference, TagResource).
const MAX_TAG_VALUE: usize = 256;

/// The parameters of the hub's template that concern consent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Whether the hub belongs to an organization. Its functions can then reach only accounts of the organization.
    pub organization: bool,
    /// Whether the hub has access to AWS Organizations.
    pub organizations_access: bool,
}

impl Settings {
    /// Reads `AMPXA_ORGANIZATION_ID` (`NONE` without an organization) and `AMPXA_ORGANIZATIONS` (`yes` or `no`).
    ///
    /// # Errors
    /// [`environment::Missing`] if one of them is not set.
    pub fn from_environment() -> Result<Self, environment::Missing> {
        let organization = environment::required("AMPXA_ORGANIZATION_ID")?;
        Ok(Self {
            organization: organization != "NONE",
            organizations_access: environment::required("AMPXA_ORGANIZATIONS")? == "yes",
        })
    }
}

/// The clients of the check.
#[derive(Debug)]
pub struct Clients {
    /// AWS Organizations, as the hub.
    pub organizations: aws_sdk_organizations::Client,
    /// IAM of the target account, as its reader.
    pub target_iam: aws_sdk_iam::Client,
}

/// What the tags of a workspace accept.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    accounts: BTreeSet<AccountId>,
    units: BTreeSet<String>,
    organization: bool,
    unknown: Vec<String>,
}

impl Accepted {
    /// Reads the tags of a workspace. `None` if it has no tag `ampxa:accept` and none that continues it.
    pub fn of(tags: &HashMap<String, String>) -> Option<Self> {
        let lists: BTreeMap<u32, &str> = lists(tags);
        if lists.is_empty() {
            return None;
        }
        let mut accepted = Self::default();
        for word in lists.values().flat_map(|list| list.split_whitespace()) {
            match word.parse::<AccountId>() {
                Ok(account) => {
                    accepted.accounts.insert(account);
                }
                Err(_) if word == "organization" => accepted.organization = true,
                Err(_) if routing::is_organizational_unit(word) => {
                    accepted.units.insert(word.to_owned());
                }
                Err(_) => accepted.unknown.push(word.to_owned()),
            }
        }
        Some(accepted)
    }
}

/// The lists in the tags, by their number: 1 for `ampxa:accept`.
fn lists(tags: &HashMap<String, String>) -> BTreeMap<u32, &str> {
    let number = |key: &str| match key.strip_prefix(ACCEPT_TAG)? {
        "" => Some(1),
        rest => rest.strip_prefix('-')?.parse().ok().filter(|number| *number >= 2),
    };
    let lists = tags
        .iter()
        .filter_map(|(key, value)| Some((number(key)?, value.as_str())));
    lists.collect()
}

/// Checks that a workspace with these tags accepts the account of the pair's cluster. Read-only.
///
/// `connected` says whether the pair has a scraper already, for the message.
///
/// # Errors
/// `NotAccepted` if it does not, with the command that accepts the account; and those of the calls to AWS Organizations.
pub async fn check(
    clients: &Clients,
    settings: Settings,
    pair: &Pair,
    tags: &HashMap<String, String>,
    connected: bool,
) -> Result<(), Error> {
    let reasons = refusals(clients, settings, pair.cluster.account(), tags).await?;
    match reasons.is_empty() {
        true => Ok(()),
        false => Err(not_accepted(pair, tags, connected, &reasons)),
    }
}

/// Why a workspace with these tags does not accept an account. Empty if it does. Read-only.
///
/// # Errors
/// Those of the calls to AWS Organizations.
pub(crate) async fn refusals(
    clients: &Clients,
    settings: Settings,
    account: &AccountId,
    tags: &HashMap<String, String>,
) -> Result<Vec<String>, Error> {
    let Some(accepted) = Accepted::of(tags) else {
        // The parameter is read only for a workspace without the tag.
        return Ok(match consent_is_optional(&clients.target_iam).await? {
            true => Vec::new(),
            false => vec![format!("it has no tag {ACCEPT_TAG}")],
        });
    };
    if accepted.accounts.contains(account) || (accepted.organization && settings.organization) {
        return Ok(Vec::new());
    }
    if !accepted.units.is_empty() && settings.organizations_access {
        let units = routing::units_above(&clients.organizations, account).await?;
        if units.iter().any(|unit| accepted.units.contains(unit)) {
            return Ok(Vec::new());
        }
    }
    Ok(reasons(&accepted, settings))
}

/// Whether the template of the target account has `WorkspaceConsent=OPTIONAL`. A call that is denied, a reader that does
/// not exist, and a tag that is missing or has another value, mean `REQUIRED`.
///
/// # Errors
/// `Transient` if IAM throttles the call or does not respond.
async fn consent_is_optional(target_iam: &aws_sdk_iam::Client) -> Result<bool, Error> {
    let answer = target_iam.get_role().role_name(TARGET_READER).send().await;
    let role = match answer.map_err(Error::from) {
        Ok(answer) => answer.role,
        Err(Error::Transient(why)) => return Err(Error::Transient(why)),
        Err(_) => None,
    };
    let tags = role.as_ref().map(|role| role.tags()).unwrap_or_default();
    let optional = |tag: &Tag| tag.key() == CONSENT_TAG && tag.value() == "OPTIONAL";
    Ok(tags.iter().any(optional))
}

fn reasons(accepted: &Accepted, settings: Settings) -> Vec<String> {
    let mut reasons = vec![format!("its tag {ACCEPT_TAG} does not name the account")];
    if accepted.organization {
        reasons.push("the word organization accepts no account, because the hub has OrganizationId=NONE".to_owned());
    }
    if !accepted.units.is_empty() && !settings.organizations_access {
        reasons.push(
            "organizational units accept no account, because the hub has no access to AWS Organizations \
             (OrganizationsAccess=no)"
                .to_owned(),
        );
    }
    reasons.extend(accepted.unknown.iter().take(3).map(|word| {
        format!(
            "{} is neither an account id, the id of an organizational unit, nor the word organization",
            shown(word)
        )
    }));
    reasons
}

fn not_accepted(pair: &Pair, tags: &HashMap<String, String>, connected: bool, reasons: &[String]) -> Error {
    let (workspace, account) = (&pair.workspace, pair.cluster.account());
    let consequence = match connected {
        true => format!(
            "The pair exists and was not changed: its scraper still writes to the workspace. To disconnect it, start \
             ampxa-offboard with {{\"clusterArn\": \"{}\", \"workspaceArn\": \"{workspace}\"}}.",
            pair.cluster
        ),
        false => "Nothing was created.".to_owned(),
    };
    Error::NotAccepted(format!(
        "The workspace {workspace} does not accept the account {account}: {}. {consequence} To accept the account, the \
         owner of the workspace runs, with credentials of the account {}:\n  {}\nThen start the execution again.",
        reasons.join("; "),
        workspace.account(),
        command(workspace, tags, account)
    ))
}

/// The command of the AWS CLI that adds an account to the workspace's tags.
fn command(workspace: &WorkspaceArn, tags: &HashMap<String, String>, account: &AccountId) -> String {
    let lists = lists(tags);
    let (number, list) = lists
        .last_key_value()
        .map_or((1, ""), |(number, list)| (*number, list.trim()));
    let (number, list) = match list.len() + 1 + account.len() <= MAX_TAG_VALUE {
        true => (number, format!("{list} {account}")),
        false => (number.saturating_add(1), account.to_string()),
    };
    let key = match number {
        1 => ACCEPT_TAG.to_owned(),
        number => format!("{ACCEPT_TAG}-{number}"),
    };
    format!(
        "aws amp tag-resource --region {} --resource-arn {workspace} --tags '{{\"{key}\": \"{}\"}}'",
        workspace.region(),
        list.trim()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(tags: &[(&str, &str)]) -> HashMap<String, String> {
        tags.iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn the_list_continues_in_numbered_tags() {
        let accepted = Accepted::of(&tags(&[
            ("ampxa:accept", " 111111111111  ou-abcd-12345678 "),
            ("ampxa:accept-2", "organization"),
            ("ampxa:accept-10", "222222222222"),
            ("ampxa:accept-1", "333333333333"),
            ("ampxa:accept-x", "444444444444"),
            ("ampxa:accepts", "555555555555"),
            ("Ampxa:accept", "666666666666"),
        ]));
        let accepted = accepted.unwrap();
        let accounts: Vec<&str> = accepted.accounts.iter().map(|account| &**account).collect();
        assert_eq!(accounts, ["111111111111", "222222222222"]);
        assert_eq!(accepted.units, BTreeSet::from(["ou-abcd-12345678".to_owned()]));
        assert!(accepted.organization && accepted.unknown.is_empty());
    }

    #[test]
    fn unknown_text_accepts_no_account() {
        let text =
            "* all Organization 22222222222 2222222222222 ou-abcd r-abcd o-a1b2c3d4e5 arn:aws:iam::222222222222:root";
        let accepted = Accepted::of(&tags(&[("ampxa:accept", text)])).unwrap();
        let unknown = text.split(' ').map(str::to_owned).collect();
        assert_eq!(
            accepted,
            Accepted {
                unknown,
                ..Accepted::default()
            }
        );
    }

    #[test]
    fn an_empty_tag_is_not_a_missing_tag() {
        assert_eq!(Accepted::of(&tags(&[("ampxa:accept", "")])), Some(Accepted::default()));
        assert_eq!(Accepted::of(&tags(&[("owner", "observability")])), None);
    }

    #[test]
    fn the_command_keeps_the_accounts_of_the_tag_and_continues_a_full_one() {
        let workspace: WorkspaceArn = "arn:aws:aps:us-west-2:333333333333:workspace/ws-1".parse().unwrap();
        let account: AccountId = "222222222222".parse().unwrap();
        let added = |before: &[(&str, &str)]| {
            let command = command(&workspace, &tags(before), &account);
            let rest = command.strip_prefix(
                "aws amp tag-resource --region us-west-2 --resource-arn \
                 arn:aws:aps:us-west-2:333333333333:workspace/ws-1 --tags ",
            );
            rest.unwrap().to_owned()
        };
        assert_eq!(added(&[]), r#"'{"ampxa:accept": "222222222222"}'"#);
        assert_eq!(
            added(&[("ampxa:accept", "111111111111 organization ")]),
            r#"'{"ampxa:accept": "111111111111 organization 222222222222"}'"#
        );
        let full = vec!["111111111111"; 19].join(" ");
        assert_eq!(
            added(&[("ampxa:accept", &full)]),
            r#"'{"ampxa:accept-2": "222222222222"}'"#
        );
        assert_eq!(
            added(&[("ampxa:accept", &full), ("ampxa:accept-2", "444444444444")]),
            r#"'{"ampxa:accept-2": "444444444444 222222222222"}'"#
        );
    }
}
