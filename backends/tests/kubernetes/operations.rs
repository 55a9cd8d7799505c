//! What keeps a service at work and safe: who is told of alerts, who may ask, and by which certificates.

use crate::common::{changed, emitted, object, on_engine, with};
use capstan_backends::kubernetes::Manifest;
use capstan_types::spec::Limit;
use capstan_types::testing::blueprint::chat_blueprint;
use serde_json::{Value, json};

/// Every alert of all rules.
fn alerts(manifests: &[Manifest]) -> Vec<Value> {
    let rules = manifests.iter().filter(|one| one.kind == "PrometheusRule").map(crate::common::tree);
    let groups = rules.flat_map(|rule| rule["spec"]["groups"].as_array().cloned().expect("groups"));
    let rules = groups.flat_map(|group| group["rules"].as_array().cloned().expect("rules"));
    rules.filter(|rule| rule["alert"].is_string()).collect()
}

fn alert(manifests: &[Manifest], name: &str) -> Value {
    let found = alerts(manifests).into_iter().find(|alert| alert["alert"] == name);
    found.unwrap_or_else(|| panic!("no alert {name}"))
}

/// The operator routes by the namespace of an alert, and addresses are chosen by severity: an alert without one of both would
/// reach nobody.
#[test]
fn every_alert_reaches_an_address_of_the_secret() {
    let manifests = emitted(&with(|deploy| deploy.alerts = Some("pager".to_owned()))).manifests;
    let config = object(&manifests, "AlertmanagerConfig", "chat-and-pretrain");
    let receivers = config["spec"]["receivers"].as_array().expect("receivers").clone();
    let addresses: Vec<Value> =
        receivers.iter().map(|one| one["webhookConfigs"][0]["urlSecret"].clone()).collect();
    assert_eq!(
        addresses,
        [json!({ "name": "pager", "key": "page" }), json!({ "name": "pager", "key": "ticket" })]
    );
    let all = alerts(&manifests);
    assert!(all.len() > 8, "{all:?}");
    for alert in all {
        let labels = &alert["labels"];
        assert_eq!(labels["namespace"], config["metadata"]["namespace"], "{alert}");
        assert!(receivers.iter().any(|one| one["name"] == labels["severity"]), "{alert}");
        assert!(labels["about"].is_string(), "{alert}");
    }
    assert!(!manifests.iter().any(|one| one.yaml.contains("http://") && one.kind == "AlertmanagerConfig"));
}

#[test]
fn a_page_silences_the_ticket_about_the_same_and_no_other() {
    let manifests = emitted(&with(|deploy| deploy.alerts = Some("pager".to_owned()))).manifests;
    let config = object(&manifests, "AlertmanagerConfig", "chat-and-pretrain");
    let rule = &config["spec"]["inhibitRules"][0];
    let is = |rows: &Value, severity: &str| {
        rows == &json!([{ "name": "severity", "value": severity, "matchType": "=" }])
    };
    assert!(is(&rule["sourceMatch"], "page") && is(&rule["targetMatch"], "ticket"));
    let equal: Vec<&str> =
        rule["equal"].as_array().expect("labels").iter().filter_map(Value::as_str).collect();
    let silences = |page: &str, ticket: &str| {
        let (page, ticket) = (alert(&manifests, page), alert(&manifests, ticket));
        assert_eq!(
            (&page["labels"]["severity"], &ticket["labels"]["severity"]),
            (&json!("page"), &json!("ticket"))
        );
        equal.iter().all(|label| page["labels"][label] == ticket["labels"][label])
    };
    assert!(silences("ChatErrorsFastBurn", "ChatErrorsSlowBurn"));
    assert!(!silences("ChatErrorsFastBurn", "ChatDemandAbovePlan"));
    assert!(!silences("ChatReplicasBelowPlan", "ContainersRestart"));
}

#[test]
fn requests_that_fail_burn_the_budget_of_the_availability_that_was_planned() {
    let burn = |blueprint| alert(&emitted(&blueprint).manifests, "ChatErrorsFastBurn");
    let planned = changed(|blueprint| {
        let serve = &mut blueprint.inputs.spec.serves[0];
        serve.availability = Some(Limit { value: 0.995, place: serve.place.clone() });
    });
    let expr = burn(planned)["expr"].as_str().expect("a query").to_owned();
    assert!(expr.contains("status=\"5xx\"}[1h]") && expr.contains("status=\"5xx\"}[5m]"), "{expr}");
    assert_eq!(expr.matches("> 0.072").count(), 2, "14.4 × 0.5 %: {expr}");
    let plain = changed(|blueprint| blueprint.inputs.spec.serves[0].availability = None);
    assert!(burn(plain)["expr"].as_str().expect("a query").contains("> 0.0144"));
    let other = emitted(&on_engine("tensorrt_llm")).manifests;
    assert!(!alerts(&other).iter().any(|alert| alert["labels"]["about"] == "errors"));
}

#[test]
fn what_happens_to_machines_is_told() {
    let manifests = emitted(&chat_blueprint()).manifests;
    let busy = alert(&manifests, "AcceleratorsBusy");
    assert_eq!(busy["for"], "5m");
    assert!(busy["expr"].as_str().expect("a query").ends_with("> 90"));
    for name in ["AcceleratorError", "ContainersRestart"] {
        assert!(alert(&manifests, name)["expr"].as_str().is_some_and(|expr| expr.starts_with("increase(")));
    }
}
