//! Replicas that KServe runs: it is not on the bench, so the test makes the Deployment that it would make and tells the status.

use crate::apply::Ground;
use crate::bench::{Bench, audited, chat, node, until};
use crate::definitions::at_hand;
use crate::emitted::{apply, predicted};
use crate::oracle::said;
use crate::places::placed;
use serde_json::{Value, json};

const NAME: &str = "predictors";

/// Returns the Deployment that KServe makes of an InferenceService: its own labels select, those of the plan come along.
fn deployment(service: &Value, replicas: u64) -> Value {
    let (mut own, pod) = predicted(service).expect("a predictor");
    let selector = json!({ "app": "isvc.chat-predictor" });
    own["app"] = selector["app"].clone();
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": "chat-predictor", "namespace": NAME },
        "spec": {
            "replicas": replicas, "selector": { "matchLabels": selector },
            "template": { "metadata": { "labels": own }, "spec": pod },
        },
    })
}

#[test]
fn replicas_are_placed_as_preflight_says_and_waited_for_by_what_kserve_tells() {
    let Some(bench) = Bench::start() else { return println!("skipped: needs Go") };
    if !at_hand() {
        return;
    }
    bench.machines(&json!([]));
    let mut blueprint = chat(NAME);
    blueprint.inputs.spec.deploy.as_mut().expect("it deploys").kserve = true;
    for site in &mut blueprint.inputs.spec.sites {
        site.zones = None;
    }
    for planned in blueprint.services[0].placements[0].replicas.iter_mut().flatten() {
        *planned = 3;
    }
    let ground = Ground::of(&bench, NAME, &audited(blueprint));
    apply(&ground.door, &ground.place.path("out"), NAME);
    let late = ground.run("apply", &["--yes", "--timeout", "2"]).exits(1);
    assert!(
        late.err.contains("InferenceService predictors/chat: it has no condition Ready yet"),
        "{}",
        late.told()
    );
    let path = format!("/apis/serving.kserve.io/v1beta1/namespaces/{NAME}/inferenceservices/chat");
    let service = ground.door.object(&path).expect("the service is there");
    let replicas = service["spec"]["predictor"]["minReplicas"].as_u64().expect("a number");
    assert_eq!(replicas, 3);
    let at = format!("/apis/apps/v1/namespaces/{NAME}/deployments/chat-predictor");
    let made = ground.door.change(&at, "kserve", &deployment(&service, replicas));
    assert!(made.status < 300, "{}", made.body);
    // One machine of two halves is too little for three.
    bench.machines(&json!([node("m0", "a")]));
    until("as many are placed as a machine holds", 40, || placed(&ground.door, NAME) == (2, 1));
    assert_eq!(said(&ground.place), (2, 3));
    let late = ground.run("apply", &["--yes", "--timeout", "2"]).exits(1);
    assert!(late.err.contains("Insufficient nvidia.com/gpu"), "{}", late.told());
    bench.machines(&json!([node("m0", "a"), node("m1", "a")]));
    until("all are placed", 40, || placed(&ground.door, NAME) == (3, 0));
    let status = json!({
        "apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService",
        "metadata": { "name": "chat", "namespace": NAME },
        "status": { "conditions": [{ "type": "Ready", "status": "True", "lastTransitionTime": "2026-08-21T00:00:00Z" }] },
    });
    let told = ground.door.change(&format!("{path}/status"), "controller", &status);
    assert_eq!(told.status, 200, "{}", told.body);
    ground.run("apply", &["--yes", "--timeout", "30"]).exits(0);
    ground.run("drift", &[]).exits(0);
}
