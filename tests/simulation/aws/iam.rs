//! IAM's roles: unique ids, principals stored as ids, deletion in order, and eventually consistent reads (IAM user
//! guide, "Troubleshoot IAM", "Changes that I make are not always immediately visible").

use super::{Call, CallResult, ServiceError};
use crate::world::Setup;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// A role as IAM stores it: its trust policy names other roles by their ids.
#[derive(Debug, Clone, PartialEq)]
pub struct Role {
    pub arn: String,
    pub id: String,
    pub trust: Value,
    pub boundary: Option<String>,
    pub tags: BTreeMap<String, String>,
    pub inline: BTreeMap<String, Value>,
    pub attached: BTreeSet<String>,
}

/// The roles of one account.
#[derive(Debug, Default)]
pub struct Iam {
    histories: BTreeMap<String, Vec<Version>>,
    created: usize,
}

/// The role after a write (`None` after its deletion), and the time from which reads return it.
#[derive(Debug)]
struct Version {
    visible_from: Duration,
    role: Option<Role>,
}

impl Iam {
    /// The role after the last write, which reads may not return yet.
    pub fn current(&self, name: &str) -> Option<&Role> {
        self.histories.get(name)?.last()?.role.as_ref()
    }

    /// All roles after the last write, with their names.
    pub fn all(&self) -> impl Iterator<Item = (&String, &Role)> {
        self.histories
            .iter()
            .filter_map(|(name, history)| Some((name, history.last()?.role.as_ref()?)))
    }

    /// The role as reads return it.
    pub fn visible(&self, name: &str, now: Duration) -> Option<&Role> {
        let history = self.histories.get(name)?;
        let version = history.iter().rev().find(|version| version.visible_from <= now)?;
        version.role.as_ref()
    }

    /// Writes a role, or deletes it with `None`. Reads return the new version from `visible_from` on.
    pub fn set(&mut self, name: &str, role: Option<Role>, visible_from: Duration) {
        let version = Version { visible_from, role };
        self.histories.entry(name.to_owned()).or_default().push(version);
    }

    /// A role id that was not used before.
    pub fn next_id(&mut self, account: &str) -> String {
        self.created += 1;
        format!("AROA{account}{:04}", self.created)
    }
}

/// Handles a call to IAM.
pub fn handle(
    all: &mut BTreeMap<String, Iam>,
    call: &Call,
    setup: &Setup,
    random: &mut fastrand::Rng,
    now: Duration,
) -> CallResult {
    let account = call.account.as_str();
    assert!(all.contains_key(account), "unknown account {account}");
    let action = call.action.as_str();
    let visible_from = now + Duration::from_millis(random.u64(..=setup.iam_lag_ms));
    match action {
        "ListRoles" => return Ok(list_roles(all, call, now)),
        "CreateRole" => {
            let name = call.field("RoleName");
            if all[account].current(name).is_some() {
                let message = format!("Role with name {name} already exists.");
                return Err(ServiceError(409, "EntityAlreadyExists", message));
            }
            let trust = with_ids(all, document(call, "AssumeRolePolicyDocument"), now)?;
            let role = Role {
                arn: format!("arn:aws:iam::{account}:role/{name}"),
                id: all.get_mut(account).expect("an account").next_id(account),
                trust,
                boundary: call.fields.get("PermissionsBoundary").cloned(),
                tags: tags(call),
                inline: BTreeMap::new(),
                attached: BTreeSet::new(),
            };
            let response = role_response(all, name, &role, action);
            all.get_mut(account)
                .expect("an account")
                .set(name, Some(role), visible_from);
            return Ok(response);
        }
        _ => {}
    }
    let name = call.field("RoleName").to_owned();
    let not_found = || {
        let message = format!("The role with name {name} cannot be found.");
        Err(ServiceError(404, "NoSuchEntity", message))
    };
    let visible = all[account].visible(&name, now);
    match action {
        "GetRole" => {
            return match visible {
                Some(role) => Ok(role_response(all, &name, role, action)),
                None => not_found(),
            };
        }
        "GetRolePolicy" => {
            let policy = call.field("PolicyName");
            return match visible.and_then(|role| role.inline.get(policy)) {
                Some(document) => Ok(format!(
                    "<GetRolePolicyResponse><GetRolePolicyResult><RoleName>{name}</RoleName><PolicyName>{policy}\
                     </PolicyName><PolicyDocument>{}</PolicyDocument></GetRolePolicyResult></GetRolePolicyResponse>",
                    encoded(document)
                )),
                None => not_found(),
            };
        }
        "ListAttachedRolePolicies" => {
            let Some(role) = visible else { return not_found() };
            let members = role.attached.iter().map(|arn| {
                let name = arn.rsplit('/').next().unwrap_or_default();
                format!("<member><PolicyName>{name}</PolicyName><PolicyArn>{arn}</PolicyArn></member>")
            });
            return Ok(list_response(action, "AttachedPolicies", &members.collect::<String>()));
        }
        "ListRolePolicies" => {
            let Some(role) = visible else { return not_found() };
            let members = role.inline.keys().map(|name| format!("<member>{name}</member>"));
            return Ok(list_response(action, "PolicyNames", &members.collect::<String>()));
        }
        _ => {}
    }
    // Writes apply to the current version, but may find a new role only when reads return it.
    let found = !setup.iam_writes_lag || visible.is_some();
    let removes = matches!(action, "DetachRolePolicy" | "DeleteRolePolicy" | "DeleteRole");
    if removes && all[account].current(&name).is_none() {
        // The provisioners' policies allow removals only for tagged roles, and a deleted role has no tags.
        let message = format!("User is not authorized to perform: iam:{action}");
        return Err(ServiceError(403, "AccessDenied", message));
    }
    let Some(mut role) = all[account].current(&name).filter(|_| found).cloned() else {
        return not_found();
    };
    // The policies of the provisioners allow these calls only on roles with the permissions boundary. The drift tests
    // change it.
    let side = if name.starts_with("ampxa-source-") {
        "source"
    } else {
        "target"
    };
    let boundary = format!("arn:aws:iam::{account}:policy/ampxa-{side}-boundary");
    let has_no_condition = matches!(action, "PutRolePermissionsBoundary" | "TagRole");
    if !has_no_condition && role.boundary.as_deref() != Some(&boundary) {
        let message = format!("User is not authorized to perform: iam:{action}");
        return Err(ServiceError(403, "AccessDenied", message));
    }
    match action {
        "UpdateAssumeRolePolicy" => role.trust = with_ids(all, document(call, "PolicyDocument"), now)?,
        "PutRolePermissionsBoundary" => role.boundary = Some(call.field("PermissionsBoundary").to_owned()),
        "TagRole" => role.tags.extend(tags(call)),
        "PutRolePolicy" => {
            let policy = call.field("PolicyName").to_owned();
            role.inline.insert(policy, document(call, "PolicyDocument"));
        }
        "AttachRolePolicy" => {
            role.attached.insert(call.field("PolicyArn").to_owned());
        }
        "DetachRolePolicy" => {
            if !role.attached.remove(call.field("PolicyArn")) {
                return not_found();
            }
        }
        "DeleteRolePolicy" => {
            if role.inline.remove(call.field("PolicyName")).is_none() {
                return not_found();
            }
        }
        "DeleteRole" => {
            if !role.attached.is_empty() || !role.inline.is_empty() {
                let message = "Cannot delete entity, must remove its policies first.";
                return Err(ServiceError(409, "DeleteConflict", message.to_owned()));
            }
            all.get_mut(account).expect("an account").set(&name, None, visible_from);
            return Ok(empty_response(action));
        }
        other => panic!("IAM does not simulate {other}"),
    }
    all.get_mut(account)
        .expect("an account")
        .set(&name, Some(role), visible_from);
    Ok(empty_response(action))
}

fn list_roles(all: &BTreeMap<String, Iam>, call: &Call, now: Duration) -> String {
    let iam = &all[&call.account];
    let after = call.fields.get("Marker").cloned().unwrap_or_default();
    let page = 2;
    let mut visible = iam
        .histories
        .keys()
        .filter(|name| **name > after)
        .filter_map(|name| Some((name, iam.visible(name, now)?)));
    let members: Vec<(&String, String)> = visible
        .by_ref()
        .take(page)
        // ListRoles returns no tags.
        .map(|(name, role)| {
            let untagged = Role {
                tags: BTreeMap::new(),
                ..role.clone()
            };
            (name, format!("<member>{}</member>", fields(all, name, &untagged)))
        })
        .collect();
    let more = match (visible.next(), members.last()) {
        (Some(_), Some((last, _))) => format!("<IsTruncated>true</IsTruncated><Marker>{last}</Marker>"),
        _ => "<IsTruncated>false</IsTruncated>".to_owned(),
    };
    let members: String = members.into_iter().map(|(_, member)| member).collect();
    format!("<ListRolesResponse><ListRolesResult><Roles>{members}</Roles>{more}</ListRolesResult></ListRolesResponse>")
}

/// A trust policy as IAM stores it: each role that it names must be visible, and is replaced by its id.
fn with_ids(all: &BTreeMap<String, Iam>, mut trust: Value, now: Duration) -> Result<Value, ServiceError> {
    for principal in principals(&mut trust) {
        let text = principal.as_str().expect("one principal").to_owned();
        let found = text.starts_with("arn:").then(|| {
            let account = text.split(':').nth(4).expect("an account");
            let name = text.rsplit('/').next().expect("a name");
            all.get(account)?.visible(name, now)
        });
        match found {
            Some(Some(role)) => *principal = json!(role.id),
            _ => {
                let message = format!("Invalid principal in policy: \"AWS\":\"{text}\"");
                return Err(ServiceError(400, "MalformedPolicyDocument", message));
            }
        }
    }
    Ok(trust)
}

/// A trust policy as IAM returns it: with the ARNs of roles. The id of a deleted role stays an id.
pub fn with_arns(all: &BTreeMap<String, Iam>, trust: &Value) -> Value {
    let mut trust = trust.clone();
    for principal in principals(&mut trust) {
        let mut roles = all.values().flat_map(Iam::all);
        if let Some((_, role)) = roles.find(|(_, role)| *principal == json!(role.id)) {
            *principal = json!(role.arn);
        }
    }
    trust
}

fn principals(trust: &mut Value) -> Vec<&mut Value> {
    let statements = trust["Statement"].as_array_mut().expect("statements");
    statements
        .iter_mut()
        .filter_map(|statement| statement.get_mut("Principal")?.get_mut("AWS"))
        .collect()
}

fn document(call: &Call, field: &str) -> Value {
    serde_json::from_str(call.field(field)).expect("a policy document")
}

fn tags(call: &Call) -> BTreeMap<String, String> {
    let numbered = (1..).map_while(|n| {
        let field = |name: &str| call.fields.get(&format!("Tags.member.{n}.{name}")).cloned();
        Some((field("Key")?, field("Value")?))
    });
    numbered.collect()
}

fn role_response(all: &BTreeMap<String, Iam>, name: &str, role: &Role, action: &str) -> String {
    let fields = fields(all, name, role);
    format!("<{action}Response><{action}Result><Role>{fields}</Role></{action}Result></{action}Response>")
}

fn fields(all: &BTreeMap<String, Iam>, name: &str, role: &Role) -> String {
    let boundary = role.boundary.as_ref().map_or(String::new(), |arn| {
        format!(
            "<PermissionsBoundary><PermissionsBoundaryType>Policy</PermissionsBoundaryType>\
             <PermissionsBoundaryArn>{arn}</PermissionsBoundaryArn></PermissionsBoundary>"
        )
    });
    let tags = role.tags.iter();
    let tags: String = tags
        .map(|(key, value)| format!("<member><Key>{key}</Key><Value>{value}</Value></member>"))
        .collect();
    format!(
        "<Path>/</Path><RoleName>{name}</RoleName><RoleId>{}</RoleId><Arn>{}</Arn>\
         <CreateDate>2026-01-01T00:00:00Z</CreateDate><AssumeRolePolicyDocument>{}</AssumeRolePolicyDocument>{boundary}\
         <Tags>{tags}</Tags>",
        role.id,
        role.arn,
        encoded(&with_arns(all, &role.trust)),
    )
}

fn encoded(document: &Value) -> String {
    utf8_percent_encode(&document.to_string(), NON_ALPHANUMERIC).to_string()
}

fn list_response(action: &str, list: &str, members: &str) -> String {
    format!(
        "<{action}Response><{action}Result><IsTruncated>false</IsTruncated><{list}>{members}</{list}>\
         </{action}Result></{action}Response>"
    )
}

fn empty_response(action: &str) -> String {
    format!("<{action}Response><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></{action}Response>")
}
