//! A hall of its own: a strict server takes what makes its network, its nodes and its buckets, pods that span machines are placed
//! where every rail is, each kind is waited for, and what holds data stays.

use crate::apply::Ground;
use crate::bench::{Bench, Door, until};
use crate::definitions::at_hand;
use crate::emitted::apply;
use crate::jobs::tell;
use crate::oracle::{are_placed, provision, said};
use crate::places::placed;
use crate::surroundings::{HALL, Place};
use serde_json::{Value, json};

/// A place where the hall is planned in a namespace, and emitted.
fn planned(namespace: &str) -> Place {
    let place = Place::new();
    let blueprint = place.planned(HALL.replace("own-hall", namespace), 0);
    assert_eq!(blueprint.trainings[0].candidate.nodes, 2);
    place.run(&["emit", "b.json", "--target", "kubernetes", "-o", "out"]).exits(0);
    place
}

#[test]
fn machines_of_the_hall_hold_its_training_and_one_fewer_does_not() {
    let Some(bench) = Bench::start() else { return println!("skipped: needs Go") };
    let door = bench.door();
    if !at_hand() {
        return;
    }
    assert_eq!(are_placed(&bench, &door, "own hall", &planned("own-hall")), 2);
}

/// The pod template of the training.
fn template(objects: &[Value]) -> &Value {
    let runtime = objects.iter().find(|object| object["kind"] == "TrainingRuntime").expect("a runtime");
    &runtime["spec"]["template"]["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]
}

#[test]
fn a_machine_that_lacks_a_rail_takes_no_pod_that_spans_machines() {
    let Some(bench) = Bench::start() else { return println!("skipped: needs Go") };
    let door = bench.door();
    if !at_hand() {
        return;
    }
    bench.machines(&json!([]));
    let place = planned("lacking");
    place.write("kubeconfig", door.kubeconfig(&bench.admin));
    let objects = apply(&door, &place.path("out"), "lacking");
    provision(&door, &objects);
    let template = template(&objects);
    let limits = template["spec"]["containers"][0]["resources"]["limits"].clone();
    let machine = |name: &str, rails: usize| {
        let mut capacity = json!({ "cpu": "256", "memory": "2Ti", "nvidia.com/gpu": "8" });
        for rail in 0..rails {
            capacity[format!("nvidia.com/rail_{rail}")] = json!("1");
        }
        json!({ "name": name, "labels": template["spec"]["nodeSelector"], "capacity": capacity })
    };
    assert_eq!(limits["nvidia.com/rail_7"], "1", "{limits}");
    bench.machines(&json!([machine("whole", 8), machine("lacking", 7)]));
    for number in 0..2 {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "spec": template["spec"],
            "metadata": {
                "name": format!("domain-{number}"),
                "labels": template["metadata"]["labels"], "annotations": template["metadata"]["annotations"],
            },
        });
        assert_eq!(door.ask("POST", "/api/v1/namespaces/lacking/pods", Some(&pod)).status, 201);
    }
    assert_eq!(said(&place), (1, 2), "preflight counts rails");
    until("one pod is placed", 40, || placed(&door, "lacking") == (1, 1));
    bench.machines(&json!([machine("whole", 8), machine("lacking", 8)]));
    assert_eq!(said(&place), (2, 2));
    until("both pods are placed", 40, || placed(&door, "lacking") == (2, 0));
}

/// What the controllers of each kind would say once it is at work, and where its objects lie.
fn at_work() -> [(&'static str, Value); 8] {
    let condition = |kind: &str| {
        json!({ "conditions": [{
            "type": kind, "status": "True", "reason": "Test", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z",
        }] })
    };
    [
        ("/apis/mellanox.com/v1alpha1/nicclusterpolicies", json!({ "state": "ready" })),
        ("/apis/cluster.x-k8s.io/v1beta2/namespaces/hosts/machinedeployments", condition("Available")),
        ("/apis/ceph.rook.io/v1/namespaces/rook-ceph/cephclusters", json!({ "phase": "Ready" })),
        ("/apis/ceph.rook.io/v1/namespaces/rook-ceph/cephfilesystems", json!({ "phase": "Ready" })),
        ("/apis/ceph.rook.io/v1/namespaces/rook-ceph/cephobjectstores", json!({ "phase": "Ready" })),
        ("/apis/objectbucket.io/v1alpha1/namespaces/waited/objectbucketclaims", json!({ "phase": "Bound" })),
        ("/apis/kueue.x-k8s.io/v1beta2/clusterqueues", condition("Active")),
        ("/apis/kueue.x-k8s.io/v1beta2/namespaces/waited/localqueues", condition("Active")),
    ]
}

/// Returns the objects that lie at a path, each with its own.
fn listed(door: &Door<'_>, path: &str) -> Vec<(String, Value)> {
    let list = door.object(path).unwrap_or_default();
    let named = |item: &Value| {
        let mut item = item.clone();
        item["apiVersion"] = list["apiVersion"].clone();
        item["kind"] = json!(list["kind"].as_str().expect("a kind").trim_end_matches("List"));
        (format!("{path}/{}", item["metadata"]["name"].as_str().expect("a name")), item)
    };
    list["items"].as_array().into_iter().flatten().map(named).collect()
}

#[test]
fn every_kind_of_the_hall_is_waited_for_and_what_holds_data_stays() {
    let Some(bench) = Bench::start() else { return println!("skipped: needs Go") };
    if !at_hand() {
        return;
    }
    for namespace in ["hosts", "rook-ceph", "nvidia-network-operator"] {
        let own = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace } });
        let made = bench.door().change(&format!("/api/v1/namespaces/{namespace}"), "operators", &own);
        assert!(made.status < 300, "{}", made.body);
    }
    let ground = Ground::of(&bench, "waited", &planned("waited").blueprint("b.json"));
    let mut waited = Vec::new();
    for (path, status) in at_work() {
        // Nobody else says so: the run ends with what is not there yet.
        let late = ground.run("apply", &["--yes", "--timeout", "2"]).exits(1);
        let objects = listed(&ground.door, path);
        assert!(!objects.is_empty(), "nothing lies at {path}: {}", late.told());
        for (at, object) in objects {
            let kind = object["kind"].as_str().expect("a kind");
            assert!(late.err.contains(&format!("{kind} ")), "{kind} is not waited for: {}", late.told());
            waited.push(kind.to_owned());
            tell(&ground.door, &at, &object, &status);
        }
    }
    assert_eq!(waited.iter().filter(|kind| *kind == "ObjectBucketClaim").count(), 2, "{waited:?}");
    ground.run("apply", &["--yes", "--timeout", "30"]).exits(0);
    ground.run("drift", &[]).exits(0);
    let left = ground.run("destroy", &["--yes"]);
    let stays = |path: &str| !listed(&ground.door, path).is_empty();
    for (path, _) in at_work() {
        let holds = ["machinedeployments", "cephclusters", "cephobjectstores", "objectbucketclaims"];
        let holds = holds.iter().any(|plural| path.ends_with(plural));
        assert_eq!(stays(path), holds, "{path}: {}", left.told());
    }
    ground.run("destroy", &["--yes", "--protected"]).exits(0);
    assert!(at_work().iter().all(|(path, _)| !stays(path)));
}
