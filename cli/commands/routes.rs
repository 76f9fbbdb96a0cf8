//! `routes check` and `routes explain`.

use super::{Exit, emit, print_json, read};
use crate::{
    arguments,
    credentials::Credentials,
    hub::Hub,
    routes::{check, explain, parse, settings},
    style::printable,
};
use ampxa::{
    Error,
    routing::{self, Cluster, Routes, Settings},
};
use anyhow::{Context, Result};
use serde_json::json;
use std::collections::BTreeMap;

/// Runs a command of `routes`.
pub(super) async fn run(arguments: arguments::Routes) -> Result<Exit> {
    match arguments {
        arguments::Routes::Check(arguments) => check(&arguments),
        arguments::Routes::Explain(arguments) => explain(&arguments).await,
    }
}

fn check(arguments: &arguments::RoutesCheck) -> Result<Exit> {
    let file = arguments.file.display().to_string();
    let routes = match parse(Some(&read(&arguments.file)?), &settings(&arguments.hub), &file) {
        Ok(routes) => routes,
        Err(error) if arguments.json => {
            print_json(&json!({ "valid": false, "error": error.to_string(), "warnings": [] }))?;
            return Ok(Exit::Failure);
        }
        Err(error) => return Err(error),
    };
    let warnings = check::warnings(&routes);
    if arguments.json {
        print_json(&json!({ "valid": true, "error": null, "warnings": warnings }))?;
        return Ok(Exit::Success);
    }
    for warning in &warnings {
        emit(&format!("warning: {}", printable(warning)))?;
    }
    emit(&format!(
        "{file} is valid: {} rules, {} warnings.",
        routes.rules.len(),
        warnings.len()
    ))?;
    Ok(Exit::Success)
}

async fn explain(arguments: &arguments::RoutesExplain) -> Result<Exit> {
    let arn = &arguments.cluster;
    // A table in a file, with tags, needs no access to AWS.
    let offline = arguments.file.is_some() && !arguments.tags.is_empty();
    let credentials = match offline {
        true => None,
        false => Some(arguments.hub.endpoint.credentials(Some(&arguments.roles))?),
    };
    let (routes, hub) = match (&arguments.file, &credentials) {
        (Some(file), _) => {
            let text = read(file)?;
            let settings = settings(&arguments.hub.hub);
            (parse(Some(&text), &settings, &file.display().to_string())?, None)
        }
        (None, Some(credentials)) => {
            let hub = Hub::find(credentials, arguments.hub.region.as_deref(), &arguments.hub.hub).await?;
            (table_of(&hub).await?, Some(hub))
        }
        (None, None) => (Routes::default(), None),
    };
    let mut tags: BTreeMap<String, String> = arguments.tags.iter().cloned().collect();
    if let (true, Some(credentials)) = (arguments.tags.is_empty(), &credentials) {
        match tags_of(credentials, arn).await {
            Ok(of_cluster) => tags = of_cluster,
            Err(error) => note(&format!(
                "the tags of the cluster are unknown, name them with --tags ({error:#})"
            )),
        }
    }
    let mut units = arguments.organizational_units.clone();
    if units.is_empty() && routes.uses_organizational_units() {
        let unknown = "the organizational units of the account are unknown: name them with --ou";
        match &hub {
            Some(hub) => match routing::units_above(&hub.account.organizations(), arn.account()).await {
                Ok(above) => units = above,
                Err(error) => note(&format!("{unknown}; {error}")),
            },
            None => note(unknown),
        }
    }
    let cluster = Cluster {
        arn,
        tags: &tags,
        organizational_units: &units,
        workspace: None,
    };
    let explanation = explain::explain(&routes, &cluster);
    match arguments.json {
        true => print_json(&explanation)?,
        false => emit(&explanation.text())?,
    }
    Ok(Exit::Success)
}

fn note(text: &str) {
    eprintln!("Note: {}", printable(text));
}

/// The table of a hub, with the parameters of its stack.
async fn table_of(hub: &Hub) -> Result<Routes> {
    let parameter = |name: &str| hub.parameters.get(name).cloned().unwrap_or_default();
    let settings = Settings {
        parameter: hub.output("RoutesParameter")?.to_owned(),
        default_workspace: parameter("DefaultWorkspaceArn"),
        default_workspace_any_account: parameter("DefaultWorkspaceAnyAccount") == "yes",
        organizations: parameter("OrganizationsAccess") == "yes",
        ..settings(&hub.name)
    };
    let routes = routing::read(&hub.account.ssm(), &settings).await;
    routes.with_context(|| format!("the routing table {} of the hub", settings.parameter))
}

async fn tags_of(credentials: &Credentials, arn: &ampxa::arn::ClusterArn) -> Result<BTreeMap<String, String>> {
    let source = credentials.source(arn.account(), arn.region()).await?;
    let response = source.eks().describe_cluster().name(arn.id()).send().await;
    let cluster = response
        .map_err(Error::from)?
        .cluster
        .context("the response of EKS has no cluster")?;
    Ok(cluster.tags.unwrap_or_default().into_iter().collect())
}
