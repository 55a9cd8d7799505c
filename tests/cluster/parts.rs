//! A workload in two parts: KServe is not on the bench, so the test makes the pods of both templates and tells the status.

use crate::apply::Ground;
use crate::bench::{Bench, Door, node, until};
use crate::definitions::at_hand;
use crate::emitted::apply;
use crate::oracle::said;
use crate::places::placed;
use crate::surroundings::Place;
use serde_json::{Value, json};

const NAME: &str = "two-parts";

const PLAN: &str = r#"plan two_parts { currency = USD }
site cloud { provider = aws, region = "us-east-1" }
serve chat {
  model         = "meta-llama/Llama-3.1-70B-Instruct"
  precision     = fp8
  accelerator   = h100_sxm
  load          = { rate = 6 req/s, prompt = 8 ktok, output = 300 tok }
  slo ttft { p99 <= 4 s }
  slo tpot { p99 <= 60 ms }
  disaggregated = always
}
deploy kubernetes { namespace = "two-parts", version = "1.36", monitoring = prometheus, quota = true, priorities = true }
"#;

const SERVICE: &str = "/apis/serving.kserve.io/v1alpha2/namespaces/two-parts/llminferenceservices/chat";

/// Makes the pods that the Deployments of KServe would make; returns how many.
fn make_pods(door: &Door<'_>) -> usize {
    let service = door.object(SERVICE).expect("the service is there");
    let mut made = 0;
    for (word, part) in [("prefill", &service["spec"]["prefill"]), ("decode", &service["spec"])] {
        for number in 0..part["replicas"].as_u64().expect("a number") {
            let pod = json!({
                "apiVersion": "v1", "kind": "Pod", "spec": part["template"],
                "metadata": { "name": format!("chat-{word}-{number}"), "labels": part["labels"] },
            });
            let asked = door.ask("POST", &format!("/api/v1/namespaces/{NAME}/pods"), Some(&pod));
            assert_eq!(asked.status, 201, "{}", asked.body);
            made += 1;
        }
    }
    made
}

#[test]
fn both_parts_are_placed_on_the_machines_that_were_planned_and_waited_for() {
    let Some(bench) = Bench::start() else { return println!("skipped: needs Go") };
    if !at_hand() {
        return;
    }
    bench.machines(&json!([]));
    let blueprint = Place::new().planned(PLAN, 0);
    let ground = Ground::of(&bench, NAME, &blueprint);
    apply(&ground.door, &ground.place.path("out"), "two parts");
    let late = ground.run("apply", &["--yes", "--timeout", "2"]).exits(1);
    let waits = "LLMInferenceService two-parts/chat: it has no condition Ready yet";
    assert!(late.err.contains(waits), "{}", late.told());
    // The quota is the accelerators of both parts: one that was smaller would refuse a pod here.
    let pods = make_pods(&ground.door);
    let planned: u32 = blueprint.services.iter().map(|service| service.placements[0].peak_replicas()).sum();
    assert_eq!(pods, planned as usize);
    let machines =
        |count: u32| -> Value { (0..count).map(|number| node(&format!("m{number}"), "a")).collect() };
    let bought = blueprint.pools[0].nodes(0);
    bench.machines(&machines(bought - 1));
    let (fit, all) = said(&ground.place);
    assert!(all == pods && fit < pods, "{fit} of {all}, {pods} planned");
    until("as many are placed as preflight says", 40, || placed(&ground.door, NAME) == (fit, pods - fit));
    // What keeps them waiting is looked for in the pods of both parts.
    let late = ground.run("apply", &["--yes", "--timeout", "2"]).exits(1);
    assert!(late.err.contains("Insufficient nvidia.com/gpu"), "{}", late.told());
    bench.machines(&machines(bought));
    assert_eq!(said(&ground.place), (pods, pods));
    until("all pods of both parts are placed", 40, || placed(&ground.door, NAME) == (pods, 0));
    let status = json!({
        "apiVersion": "serving.kserve.io/v1alpha2", "kind": "LLMInferenceService",
        "metadata": { "name": "chat", "namespace": NAME },
        "status": { "conditions": [{ "type": "Ready", "status": "True", "lastTransitionTime": "2026-08-21T00:00:00Z" }] },
    });
    let told = ground.door.change(&format!("{SERVICE}/status"), "controller", &status);
    assert_eq!(told.status, 200, "{}", told.body);
    ground.run("apply", &["--yes", "--timeout", "30"]).exits(0);
    ground.run("drift", &[]).exits(0);
}
