//! `doctor`.

use super::{Exit, emit, print_json};
use crate::{arguments, doctor, hub::Hub, style::Style};
use anyhow::Result;

/// Checks the installation.
pub(super) async fn doctor(arguments: arguments::Doctor) -> Result<Exit> {
    let credentials = arguments.hub.endpoint.credentials(Some(&arguments.roles))?;
    let hub = Hub::find(&credentials, arguments.hub.region.as_deref(), &arguments.hub.hub).await?;
    let findings = doctor::examine(&credentials, &hub, &arguments.accounts).await;
    match arguments.json {
        true => print_json(&findings)?,
        false => emit(&findings.text(Style::of_stdout()))?,
    }
    Ok(Exit::of(findings.is_fine()))
}
