//! The real scheduler as the oracle: what the blueprint's machines are said to hold, they hold; one fewer does not.

use crate::bench::{Bench, chat, node, until, with_replicas};
use crate::surroundings::Place;
use serde_json::{Value, json};

/// Pods of a namespace that are on machines, and that are not.
pub fn placed(door: &crate::bench::Door<'_>, namespace: &str) -> (usize, usize) {
    let listed = door.object(&format!("/api/v1/namespaces/{namespace}/pods")).unwrap_or_default();
    let pods = listed["items"].as_array().cloned().unwrap_or_default();
    let on = pods.iter().filter(|pod| pod["spec"]["nodeName"].is_string()).count();
    (on, pods.len() - on)
}

#[test]
fn machines_of_the_blueprint_hold_all_its_pods_and_one_fewer_does_not() {
    let Some(bench) = Bench::start() else { return println!("skipped: needs Go") };
    let blueprint = chat("oracle");
    // Every hour as the busiest, so that no autoscaler stands between the plan and its pods.
    let placement = &blueprint.services[0].placements[0];
    let most = placement.replicas.iter().flatten().copied().max().expect("hours");
    let blueprint = with_replicas(&blueprint, |_| most);
    let placement = &blueprint.services[0].placements[0];
    let per_node = placement.candidate.replicas_per_node;
    let machines = most.div_ceil(per_node);
    assert!(machines >= 2, "the blueprint needs {machines} machines");
    let nodes = |count: u32| -> Value {
        (0..count).map(|number| node(&format!("m{number}"), ["a", "b"][number as usize % 2])).collect()
    };
    let door = bench.door();
    let place = Place::new();
    place.write("kubeconfig", door.kubeconfig(&bench.admin));
    place.write_blueprint("b.json", &blueprint);
    bench.machines(&nodes(machines - 1));
    let preflight = place.run(&["preflight", "b.json", "--kubeconfig", "kubeconfig"]).exits(5);
    let line = preflight.out.lines().find(|line| line.contains("pods find machines")).unwrap_or_default();
    let said = line.split(" of ").next().and_then(|text| text.rsplit(' ').next());
    let fit: u32 = said.and_then(|word| word.parse().ok()).unwrap_or_else(|| panic!("{}", preflight.told()));
    // Zones must be even, so the larger one cannot be filled.
    assert!(fit < most && fit >= (machines - 2) * per_node, "{}", preflight.told());
    let late =
        place.run(&["apply", "b.json", "--kubeconfig", "kubeconfig", "--yes", "--timeout", "5"]).exits(1);
    assert!(late.err.contains("Insufficient nvidia.com/gpu"), "the scheduler says why: {}", late.told());
    assert_eq!(placed(&door, "oracle"), (fit as usize, (most - fit) as usize), "as preflight said");
    bench.machines(&nodes(machines));
    place.run(&["preflight", "b.json", "--kubeconfig", "kubeconfig"]).exits(0);
    until("all pods are placed", 30, || placed(&door, "oracle") == (most as usize, 0));
    place.run(&["apply", "b.json", "--kubeconfig", "kubeconfig", "--yes", "--timeout", "60"]).exits(0);
}

/// As many machines and pods as a large site has.
#[test]
#[ignore = "a thousand pods take a while"]
fn long_a_thousand_pods_are_placed_on_five_hundred_machines() {
    let Some(bench) = Bench::start() else { return println!("skipped: needs Go") };
    bench.pods("default", "never");
    bench.machines(&(0..500).map(|number| node(&format!("m{number}"), "a")).collect());
    let door = bench.door();
    let pods = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "many", "namespace": "default" },
        "spec": { "replicas": 1000, "selector": { "matchLabels": { "a": "b" } }, "template": {
            "metadata": { "labels": { "a": "b" } },
            "spec": { "containers": [{ "name": "c", "image": "x:1", "resources": { "limits": { "nvidia.com/gpu": "4" } } }] },
        } },
    });
    let began = std::time::Instant::now();
    assert_eq!(door.ask("POST", "/apis/apps/v1/namespaces/default/deployments", Some(&pods)).status, 201);
    until("all are placed", 60, || placed(&door, "default") == (1000, 0));
    println!("1000 pods in {:.1} s", began.elapsed().as_secs_f64());
}
