//! What keeps a service at work and safe, on a real server: every object is taken strictly, pods with files of their machine only
//! where they may have them, and applying takes no more than the role that is emitted.

use crate::apply::Ground;
use crate::bench::Bench;
use crate::definitions::at_hand;
use crate::emitted::apply;
use crate::surroundings::Place;
use serde_json::{Value, json};

const PLAN: &str = include_str!("../plans/operations.plan");

#[test]
fn a_strict_server_takes_what_keeps_a_service_safe() {
    let Some(bench) = Bench::start() else { return println!("skipped: needs Go") };
    let door = bench.door();
    if !at_hand() {
        return;
    }
    let blueprint = Place::new().planned(PLAN, 0);
    let ground = Ground::of(&bench, "operations", &blueprint);
    let looked = ground.run("apply", &["--dry-run"]).exits(2);
    for kind in ["DestinationRule", "AlertmanagerConfig", "CronJob", "Certificate"] {
        assert!(looked.out.contains(kind), "{}", looked.told());
    }
    assert!(!looked.out.contains("Pipeline"), "{}", looked.told());
    let objects = apply(&door, &ground.place.path("out"), "operations.plan");
    let kinds: Vec<&str> = objects.iter().filter_map(|object| object["kind"].as_str()).collect();
    for kind in [
        "AlertmanagerConfig",
        "AuthorizationPolicy",
        "CronJob",
        "EnvoyFilter",
        "PeerAuthentication",
        "RequestAuthentication",
    ] {
        assert!(kinds.contains(&kind), "{kinds:?}");
    }
    // The pod that reads files of its machine is refused in the namespace of the plan.
    let job = objects.iter().find(|object| object["kind"] == "CronJob").expect("a CronJob");
    let template = &job["spec"]["jobTemplate"]["spec"]["template"];
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "generateName": "bare-" }, "spec": template["spec"],
    });
    let tried = |namespace: &str| {
        let at = format!("/api/v1/namespaces/{namespace}/pods?dryRun=All&fieldValidation=Strict");
        door.ask("POST", &at, Some(&pod))
    };
    assert_eq!(tried("operations-etcd-backup").status, 201);
    let refused = tried("operations");
    assert!(refused.status == 403 && refused.body.to_string().contains("hostNetwork"), "{}", refused.body);
}

/// Between pods there is a route of the mesh in place of that of a gateway.
#[test]
fn a_strict_server_takes_a_mesh_without_a_gateway() {
    let Some(bench) = Bench::start() else { return println!("skipped: needs Go") };
    let door = bench.door();
    if !at_hand() {
        return;
    }
    let inside: String = PLAN
        .lines()
        .filter(|line| !line.contains("gateway ") && !line.contains("certificates"))
        .map(|line| format!("{line}\n"))
        .collect();
    let place = Place::new();
    place.planned(inside, 0);
    place.run(&["emit", "b.json", "--target", "kubernetes", "-o", "out"]).exits(0);
    let objects: Vec<Value> = apply(&door, &place.path("out"), "operations.plan");
    assert!(objects.iter().any(|object| object["kind"] == "VirtualService"));
}
