//! A hall of its own, from the plan to the files: rails of its network, its machines as nodes, buckets of its storage.

use crate::surroundings::{HALL, Place};
use serde_json::Value;

#[test]
fn network_machines_and_buckets_follow_from_what_was_planned() {
    let place = Place::new();
    let blueprint = place.planned(HALL, 0);
    let (network, pool) = (&blueprint.networks[0], &blueprint.pools[0]);
    assert_eq!(network.ports_per_node * network.planes, 8, "{network:?}");
    let told = place.run(&["emit", "b.json", "--target", "kubernetes", "-o", "out"]).exits(0);
    let index = place.read("out/kubernetes/kustomization.yaml");
    let count = |kind: &str| index.lines().filter(|line| line.contains(&format!("/{kind}-"))).count();
    assert_eq!(
        (count("nicclusterpolicy"), count("sriovnetworknodepolicy"), count("sriovibnetwork")),
        (1, 8, 8)
    );
    assert_eq!((count("machinedeployment"), count("metal3machinetemplate")), (1, 1));
    assert_eq!((count("cephobjectstore"), count("objectbucketclaim")), (1, 2), "{index}");
    let read = |kind: &str| -> Value {
        let line = index.lines().find(|line| line.contains(&format!("/{kind}-"))).expect("it is written");
        let path = line.trim_start_matches("- ");
        serde_saphyr::from_str(&place.read(&format!("out/kubernetes/{path}"))).expect("YAML")
    };
    assert_eq!(read("machinedeployment")["spec"]["replicas"], pool.most_nodes());
    assert_eq!(read("sriovnetworknodepolicy")["spec"]["linkType"], "IB");
    for words in ["describe each own.dgx_a100_8 as a BareMetalHost", "make an IPPool of nv-ipam"] {
        assert!(told.err.contains(words) || told.out.contains(words), "{}", told.told());
    }
}

#[test]
fn ports_that_are_not_those_of_the_planned_network_are_told() {
    let place = Place::new();
    place.planned(HALL.replace("\"ibs8f0\"]", "\"ibs8f0\", \"ibs9f0\"]"), 0);
    let told = place.run(&["emit", "b.json", "--target", "kubernetes", "-o", "out"]).exits(1);
    assert!(
        told.err.contains("names 9 ports, and a machine of own.dgx_a100_8 at `hall` has 8"),
        "{}",
        told.told()
    );
    // Where the plan names the switch, the text alone says it.
    place.write(
        "p.plan",
        HALL.replace("storage files", "fabric wires { switch = hdr_infiniband }\nstorage files")
            .replace(", \"ibs8f0\"", ""),
    );
    let told = place.run(&["check", "p.plan"]).exits(1);
    assert!(told.err.contains("7 ports are named, and a machine of own.dgx_a100_8 has 8"), "{}", told.told());
}
