//! IAM's roles: unique ids, principals kept as ids, deletion in order, and reads that lag behind
//! (IAM user guide, "Troubleshoot IAM", "Changes that I make are not always immediately visible").

use super::{Answered, Call, Refusal};
use crate::world::Setup;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// A role as IAM keeps it: its trust policy names roles by their ids.
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
    made: usize,
}

/// What a role became, and from when on reads show it.
#[derive(Debug)]
struct Version {
    shown_from: Duration,
    role: Option<Role>,
}

impl Iam {
    /// The role as it is, whatever reads show.
    pub fn truth(&self, name: &str) -> Option<&Role> {
        self.histories.get(name)?.last()?.role.as_ref()
    }

    /// All roles as they are, by name.
    pub fn all(&self) -> impl Iterator<Item = (&String, &Role)> {
        self.histories
            .iter()
            .filter_map(|(name, history)| Some((name, history.last()?.role.as_ref()?)))
    }

    fn shown(&self, name: &str, now: Duration) -> Option<&Role> {
        let history = self.histories.get(name)?;
        let version = history.iter().rev().find(|version| version.shown_from <= now)?;
        version.role.as_ref()
    }

    /// Writes a role, by hand or by a call; reads show it from a moment on.
    pub fn set(&mut self, name: &str, role: Option<Role>, shown_from: Duration) {
        let version = Version { shown_from, role };
        self.histories.entry(name.to_owned()).or_default().push(version);
    }

    /// An id that no role had before.
    pub fn next_id(&mut self, account: &str) -> String {
        self.made += 1;
        format!("AROA{account}{:04}", self.made)
    }
}

pub fn take(
    all: &mut BTreeMap<String, Iam>,
    call: &Call,
    setup: &Setup,
    random: &mut fastrand::Rng,
    now: Duration,
) -> Answered {
    let account = call.account.as_str();
    assert!(all.contains_key(account), "nobody has roles in {account}");
    let action = call.action.as_str();
    let shown_from = now + Duration::from_millis(random.u64(..=setup.iam_lag_ms));
    match action {
        "ListRoles" => return Ok(list_roles(all, call, now)),
        "CreateRole" => {
            let name = call.field("RoleName");
            if all[account].truth(name).is_some() {
                let why = format!("Role with name {name} already exists.");
                return Err(Refusal(409, "EntityAlreadyExists", why));
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
            let answer = show(all, name, &role, action);
            all.get_mut(account)
                .expect("an account")
                .set(name, Some(role), shown_from);
            return Ok(answer);
        }
        _ => {}
    }
    let name = call.field("RoleName").to_owned();
    let absent = || {
        let why = format!("The role with name {name} cannot be found.");
        Err(Refusal(404, "NoSuchEntity", why))
    };
    let shown = all[account].shown(&name, now);
    match action {
        "GetRole" => {
            return match shown {
                Some(role) => Ok(show(all, &name, role, action)),
                None => absent(),
            };
        }
        "GetRolePolicy" => {
            let policy = call.field("PolicyName");
            return match shown.and_then(|role| role.inline.get(policy)) {
                Some(document) => Ok(format!(
                    "<GetRolePolicyResponse><GetRolePolicyResult><RoleName>{name}</RoleName><PolicyName>{policy}\
                     </PolicyName><PolicyDocument>{}</PolicyDocument></GetRolePolicyResult></GetRolePolicyResponse>",
                    encoded(document)
                )),
                None => absent(),
            };
        }
        "ListAttachedRolePolicies" => {
            let Some(role) = shown else { return absent() };
            let members = role.attached.iter().map(|arn| {
                let name = arn.rsplit('/').next().unwrap_or_default();
                format!("<member><PolicyName>{name}</PolicyName><PolicyArn>{arn}</PolicyArn></member>")
            });
            return Ok(listed(action, "AttachedPolicies", &members.collect::<String>()));
        }
        "ListRolePolicies" => {
            let Some(role) = shown else { return absent() };
            let members = role.inline.keys().map(|name| format!("<member>{name}</member>"));
            return Ok(listed(action, "PolicyNames", &members.collect::<String>()));
        }
        _ => {}
    }
    // Writes go to one place, which may know a new role no sooner than reads do.
    let known = !setup.iam_writes_lag || shown.is_some();
    let removes = matches!(action, "DetachRolePolicy" | "DeleteRolePolicy" | "DeleteRole");
    if removes && all[account].truth(&name).is_none() {
        // The provisioners may remove tagged roles only, and what is gone has no tags.
        let why = format!("User is not authorized to perform: iam:{action}");
        return Err(Refusal(403, "AccessDenied", why));
    }
    let Some(mut role) = all[account].truth(&name).filter(|_| known).cloned() else {
        return absent();
    };
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
                return absent();
            }
        }
        "DeleteRolePolicy" => {
            if role.inline.remove(call.field("PolicyName")).is_none() {
                return absent();
            }
        }
        "DeleteRole" => {
            if !role.attached.is_empty() || !role.inline.is_empty() {
                let why = "Cannot delete entity, must remove its policies first.";
                return Err(Refusal(409, "DeleteConflict", why.to_owned()));
            }
            all.get_mut(account).expect("an account").set(&name, None, shown_from);
            return Ok(done(action));
        }
        other => panic!("IAM is asked for {other}"),
    }
    all.get_mut(account)
        .expect("an account")
        .set(&name, Some(role), shown_from);
    Ok(done(action))
}

fn list_roles(all: &BTreeMap<String, Iam>, call: &Call, now: Duration) -> String {
    let iam = &all[&call.account];
    let after = call.fields.get("Marker").cloned().unwrap_or_default();
    let page = 2;
    let mut shown = iam
        .histories
        .keys()
        .filter(|name| **name > after)
        .filter_map(|name| Some((name, iam.shown(name, now)?)));
    let members: Vec<(&String, String)> = shown
        .by_ref()
        .take(page)
        // A list shows no tags.
        .map(|(name, role)| {
            let plain = Role {
                tags: BTreeMap::new(),
                ..role.clone()
            };
            (name, format!("<member>{}</member>", fields(all, name, &plain)))
        })
        .collect();
    let more = match (shown.next(), members.last()) {
        (Some(_), Some((last, _))) => format!("<IsTruncated>true</IsTruncated><Marker>{last}</Marker>"),
        _ => "<IsTruncated>false</IsTruncated>".to_owned(),
    };
    let members: String = members.into_iter().map(|(_, member)| member).collect();
    format!("<ListRolesResponse><ListRolesResult><Roles>{members}</Roles>{more}</ListRolesResult></ListRolesResponse>")
}

/// A trust policy as it is saved: each role that it names must be seen, and is kept as its id.
fn with_ids(all: &BTreeMap<String, Iam>, mut trust: Value, now: Duration) -> Result<Value, Refusal> {
    for principal in principals(&mut trust) {
        let named = principal.as_str().expect("one principal").to_owned();
        let found = named.starts_with("arn:").then(|| {
            let account = named.split(':').nth(4).expect("an account");
            let name = named.rsplit('/').next().expect("a name");
            all.get(account)?.shown(name, now)
        });
        match found {
            Some(Some(role)) => *principal = json!(role.id),
            _ => {
                let why = format!("Invalid principal in policy: \"AWS\":\"{named}\"");
                return Err(Refusal(400, "MalformedPolicyDocument", why));
            }
        }
    }
    Ok(trust)
}

/// A trust policy as it is shown: the id of a role that is gone stays an id.
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
        let field = |what: &str| call.fields.get(&format!("Tags.member.{n}.{what}")).cloned();
        Some((field("Key")?, field("Value")?))
    });
    numbered.collect()
}

fn show(all: &BTreeMap<String, Iam>, name: &str, role: &Role, action: &str) -> String {
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

fn listed(action: &str, what: &str, members: &str) -> String {
    format!(
        "<{action}Response><{action}Result><IsTruncated>false</IsTruncated><{what}>{members}</{what}></{action}Result>\
         </{action}Response>"
    )
}

fn done(action: &str) -> String {
    format!("<{action}Response><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></{action}Response>")
}
