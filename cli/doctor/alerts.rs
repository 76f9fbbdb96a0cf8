//! What the hub depends on to report and to receive: subscriptions, the trail, rules.

use super::Finding;
use crate::{
    api::{CLOUDTRAIL, EVENTS, SNS, xml},
    hub::Hub,
};
use serde_json::{Value, json};

/// Whether the topic of alerts has a confirmed subscription.
pub(super) async fn subscription(hub: &Hub) -> Finding {
    let check = "alerts";
    let Some(topic) = hub.outputs.get("AlertsTopicArn") else {
        return Finding::skip(check, "not checked: the stack has no output AlertsTopicArn");
    };
    let parameters = [("TopicArn", topic.as_str())];
    let response = hub.account.query_call(SNS, "ListSubscriptionsByTopic", &parameters);
    let response = match response.await {
        Ok(response) => response,
        Err(error) => return Finding::of_error(check, &error),
    };
    let path = ["ListSubscriptionsByTopicResult", "Subscriptions", "member"];
    let rows = xml::rows(&response, &path);
    let arns = rows.iter().filter_map(|row| row.get("SubscriptionArn"));
    let confirmed = arns.filter(|arn| arn.starts_with("arn:")).count();
    match (confirmed, rows.len()) {
        (0, 0) => Finding::fail(
            check,
            format!("the topic {topic} has no subscription, so alarms reach no person"),
            format!(
                "Subscribe with `aws sns subscribe --topic-arn {topic} --protocol email --notification-endpoint <address>`"
            ),
        ),
        (0, all) => Finding::fail(
            check,
            format!("none of the {all} subscriptions of {topic} is confirmed"),
            "Open the link in the message that SNS sent, or subscribe again",
        ),
        (confirmed, _) => Finding::ok(check, format!("confirmed subscriptions of {topic}: {confirmed}")),
    }
}

/// Whether a trail of the organization records management events: EventBridge receives calls to AWS only in an account
/// with such a trail.
pub(super) async fn trail(hub: &Hub) -> Finding {
    let check = "trail";
    let fix = "Create an organization trail with management events, or a trail in each source account: without one, \
               EventBridge receives no event of CreateCluster and DeleteCluster there";
    let trails = hub.account.json_call(CLOUDTRAIL, "DescribeTrails", &json!({})).await;
    let trails = match trails {
        Ok(trails) => trails,
        Err(error) => return Finding::of_error(check, &error),
    };
    let (mut own, mut error) = (None, None);
    for trail in trails["trailList"].as_array().into_iter().flatten() {
        let arn = trail["TrailARN"].as_str().unwrap_or_default();
        let name = json!({ "TrailName": arn });
        match hub.account.json_call(CLOUDTRAIL, "GetEventSelectors", &name).await {
            Ok(selectors) if records_writes(&selectors) => {
                if trail["IsOrganizationTrail"] == true {
                    return Finding::ok(check, format!("{arn} records management events of the organization"));
                }
                own = Some(arn);
            }
            Ok(_) => {}
            Err(why) => error = Some(why),
        }
    }
    match (own, error) {
        (Some(arn), _) => Finding::warn(
            check,
            format!("{arn} records management events of the hub's account only"),
            fix,
        ),
        (None, Some(error)) => Finding::of_error(check, &error),
        (None, None) => Finding::warn(
            check,
            "no trail that the hub's account shows records management events",
            fix,
        ),
    }
}

/// Whether selectors of either kind include management events that write.
fn records_writes(selectors: &Value) -> bool {
    let basic = selectors["EventSelectors"].as_array().into_iter().flatten();
    let mut basic = basic
        .filter(|one| one["IncludeManagementEvents"] != false)
        .map(|one| one["ReadWriteType"].as_str().unwrap_or("All"));
    let advanced = selectors["AdvancedEventSelectors"].as_array().into_iter().flatten();
    let mut advanced = advanced.map(|one| one["FieldSelectors"].as_array().cloned().unwrap_or_default());
    let equals = |fields: &[Value], field: &str, value: &str| {
        let mut fields = fields.iter().filter(|one| one["Field"] == field);
        fields.any(|one| one["Equals"].as_array().is_some_and(|all| all.contains(&json!(value))))
    };
    basic.any(|kind| kind != "ReadOnly")
        || advanced.any(|fields| equals(&fields, "eventCategory", "Management") && !equals(&fields, "readOnly", "true"))
}

/// Whether the rules of the hub's event bus are enabled.
pub(super) async fn rules(hub: &Hub) -> Finding {
    let check = "event rules";
    let Some(bus) = hub.outputs.get("EventBusArn") else {
        return Finding::skip(check, "not checked: the stack has no output EventBusArn");
    };
    let name = bus.rsplit('/').next().unwrap_or_default();
    let rules = hub
        .account
        .json_call(EVENTS, "ListRules", &json!({ "EventBusName": name }))
        .await;
    let rules = match rules {
        Ok(rules) => rules,
        Err(error) => return Finding::of_error(check, &error),
    };
    let rules: Vec<&Value> = rules["Rules"].as_array().into_iter().flatten().collect();
    let disabled: Vec<&str> = rules
        .iter()
        .filter(|rule| rule["State"] == "DISABLED")
        .filter_map(|rule| rule["Name"].as_str())
        .collect();
    if rules.is_empty() {
        return Finding::fail(
            check,
            format!("{name} has no rule"),
            "Deploy the current infra/template.yaml",
        );
    }
    match disabled.is_empty() {
        true => Finding::ok(check, format!("enabled rules of the bus {name}: {}", rules.len())),
        false => Finding::warn(
            check,
            format!("these rules of the bus {name} are disabled: {}", disabled.join(", ")),
            "Enable them with `aws events enable-rule`",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trail_must_record_management_events_that_write() {
        let basic = |kind: &str, management: bool| json!({ "EventSelectors": [{ "ReadWriteType": kind, "IncludeManagementEvents": management }] });
        assert!(records_writes(&basic("All", true)) && records_writes(&basic("WriteOnly", true)));
        assert!(!records_writes(&basic("ReadOnly", true)) && !records_writes(&basic("All", false)));
        let advanced = |fields: Value| json!({ "AdvancedEventSelectors": [{ "FieldSelectors": fields }] });
        let field = |name: &str, value: &str| json!({ "Field": name, "Equals": [value] });
        let management = field("eventCategory", "Management");
        assert!(records_writes(&advanced(json!([management]))));
        assert!(records_writes(&advanced(json!([
            management,
            field("readOnly", "false")
        ]))));
        assert!(!records_writes(&advanced(json!([
            management,
            field("readOnly", "true")
        ]))));
        assert!(!records_writes(&advanced(json!([field("eventCategory", "Data")]))));
        assert!(!records_writes(&json!({})));
    }
}
