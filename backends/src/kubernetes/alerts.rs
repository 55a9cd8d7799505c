//! Who is told of alerts, and of which that hold for all pods of the plan?
//!
//! An AlertmanagerConfig of the Prometheus operator: what pages goes to one address, the rest to another, both from a secret
//! that is named. It does not know the cluster's Alertmanager, nor who selects this object.

use super::object::{Labels, Object, labels};
use super::server::shortened;
use super::{EmitError, Files, Frame, Wave};
use serde_json::{Value, json};

const FOLDER: &str = "00-namespace";

/// The label of every alert that says what it is about, such as `ttft-p99`: the page on a thing silences its ticket.
pub(super) const ABOUT: &str = "about";

/// How urgent alerts are, which is also the key of the secret: whether somebody is woken or reads it in the morning.
const SEVERITIES: [&str; 2] = ["page", "ticket"];

/// Adds the alert on pods and who is told, where the plan is watched.
pub(super) fn add(frame: &Frame<'_>, files: &mut Files) -> Result<(), EmitError> {
    if !frame.deploy.monitoring {
        return Ok(());
    }
    let name = shortened(&format!("{}-pods", frame.plan));
    let namespace = frame.deploy.namespace.as_str();
    let expr =
        format!("increase(kube_pod_container_status_restarts_total{{namespace=\"{namespace}\"}}[30m]) > 2");
    let rule = json!({
        "alert": "ContainersRestart", "expr": expr, "for": "0m",
        "labels": labels([("severity", "ticket"), ("namespace", namespace), (ABOUT, "restarts")]),
        "annotations": { "summary": "{{ $labels.pod }} restarts again and again" },
    });
    let object = Object {
        api_version: "monitoring.coreos.com/v1",
        kind: "PrometheusRule",
        metadata: frame.meta(&name, Wave::Monitoring, &Labels::new()),
        spec: json!({ "groups": [{ "name": name, "rules": [rule] }] }),
    };
    let note = "an alert on any pod that restarts, as kube-state-metrics counts it.";
    files.add(Wave::Monitoring, FOLDER, ("PrometheusRule", &name), note, &object)?;
    match &frame.deploy.alerts {
        Some(secret) => add_route(frame, secret, files),
        None => Ok(()),
    }
}

fn add_route(frame: &Frame<'_>, secret: &str, files: &mut Files) -> Result<(), EmitError> {
    let receiver = |severity: &str| {
        let address = json!({ "name": secret, "key": severity });
        json!({ "name": severity, "webhookConfigs": [{ "urlSecret": address, "sendResolved": true }] })
    };
    let is = |severity: &str| json!([{ "name": "severity", "value": severity, "matchType": "=" }]);
    let [page, ticket] = SEVERITIES;
    let receivers: Vec<Value> = SEVERITIES.into_iter().map(receiver).collect();
    let spec = json!({
        "route": {
            "groupBy": ["workload", ABOUT],
            "groupWait": "30s", "groupInterval": "5m", "repeatInterval": "12h",
            "receiver": ticket,
            "routes": [{ "matchers": is(page), "receiver": page, "groupWait": "10s", "repeatInterval": "1h" }],
        },
        "receivers": receivers,
        // Labels that neither has count as equal: those of an accelerator are of its own alerts only.
        "inhibitRules": [{
            "sourceMatch": is(page), "targetMatch": is(ticket),
            "equal": ["namespace", "workload", ABOUT, "Hostname", "gpu"],
        }],
    });
    let object = Object {
        api_version: "monitoring.coreos.com/v1alpha1",
        kind: "AlertmanagerConfig",
        metadata: frame.meta(&frame.plan, Wave::Monitoring, &Labels::new()),
        spec,
    };
    let message = format!(
        "alerts are sent to the addresses under `page` and `ticket` in the secret `{secret}`; make it: kubectl -n {} create secret generic {secret} --from-file=page=PATH --from-file=ticket=PATH",
        frame.deploy.namespace
    );
    files.warn(&frame.plan, message);
    let note = "who is told: pages and tickets go to addresses of their own, and a page silences the ticket about the same.";
    files.add(Wave::Monitoring, FOLDER, ("AlertmanagerConfig", &frame.plan), note, &object)
}
