//! Replicas over several nodes: their controller is not on the bench, so the test makes its pods and tells its status.

use crate::apply::Ground;
use crate::bench::{Bench, Door, audited, chat, node, until};
use crate::definitions::at_hand;
use capstan_types::blueprint::Blueprint;
use serde_json::{Value, json};

/// The shared blueprint with replicas of sixteen accelerators, as many at each hour.
fn over_two_nodes(name: &str, replicas: u32) -> Blueprint {
    let mut blueprint = chat(name);
    for site in &mut blueprint.inputs.spec.sites {
        site.zones = None;
    }
    let placement = &mut blueprint.services[0].placements[0];
    let candidate = &mut placement.candidate;
    (candidate.accelerators, candidate.tensor, candidate.pipeline) = (16, 8, 2);
    (candidate.replicas_per_node, candidate.nodes_per_replica) = (0, 2);
    for planned in placement.replicas.iter_mut().flatten() {
        *planned = replicas;
    }
    audited(blueprint)
}

/// Makes the pods that the controller of a group would make; returns how many.
pub fn make_pods(door: &Door<'_>, group: &Value) -> usize {
    let (name, namespace) = (&group["metadata"]["name"], group["metadata"]["namespace"].as_str());
    let namespace = namespace.expect("a namespace");
    let (spec, template) = (&group["spec"], &group["spec"]["leaderWorkerTemplate"]);
    let (replicas, size) =
        (spec["replicas"].as_u64().unwrap_or(1), template["size"].as_u64().expect("a size"));
    for (replica, rank) in (0..replicas).flat_map(|replica| (0..size).map(move |rank| (replica, rank))) {
        let template = &template[if rank == 0 { "leaderTemplate" } else { "workerTemplate" }];
        let mut labels = template["metadata"]["labels"].clone();
        labels["leaderworkerset.sigs.k8s.io/name"] = name.clone();
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "spec": template["spec"],
            "metadata": { "name": format!("{}-{replica}-{rank}", name.as_str().expect("a name")), "labels": labels },
        });
        let made = door.ask("POST", &format!("/api/v1/namespaces/{namespace}/pods"), Some(&pod));
        assert_eq!(made.status, 201, "{}", made.body);
    }
    usize::try_from(replicas * size).expect("few pods")
}

#[test]
fn a_group_is_waited_for_until_its_controller_says_that_all_are_ready() {
    let Some(bench) = Bench::start() else { return println!("skipped: needs Go") };
    if !at_hand() {
        return;
    }
    bench.machines(&(0..4).map(|number| node(&format!("m{number}"), "a")).collect());
    let ground = Ground::of(&bench, "groups", &over_two_nodes("groups", 2));
    let path = "/apis/leaderworkerset.x-k8s.io/v1/namespaces/groups/leaderworkersets/chat-nodes";
    let tell = |ready: u32| {
        let status = json!({
            "apiVersion": "leaderworkerset.x-k8s.io/v1", "kind": "LeaderWorkerSet",
            "metadata": { "name": "chat-nodes", "namespace": "groups" },
            "status": { "replicas": 2, "readyReplicas": ready, "updatedReplicas": 2 },
        });
        let told = ground.door.change(&format!("{path}/status"), "controller", &status);
        assert_eq!(told.status, 200, "{}", told.body);
    };
    let late = ground.run("apply", &["--yes", "--timeout", "2"]).exits(1);
    assert!(
        late.err.contains("LeaderWorkerSet groups/chat-nodes: its controller has not seen it"),
        "{}",
        late.told()
    );
    let group = ground.door.object(path).expect("the group is there");
    let pods = make_pods(&ground.door, &group);
    assert_eq!(pods, 4);
    until("all pods of the group are placed", 30, || {
        crate::places::placed(&ground.door, "groups") == (pods, 0)
    });
    tell(1);
    let late = ground.run("apply", &["--yes", "--timeout", "2"]).exits(1);
    assert!(late.err.contains("LeaderWorkerSet groups/chat-nodes: 1 of 2 are ready"), "{}", late.told());
    tell(2);
    ground.run("apply", &["--yes", "--timeout", "30"]).exits(0);
}
