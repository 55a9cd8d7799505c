//! Services with and without data, on parts of accelerators and on none: applied, placed by the scheduler on the machines
//! that were planned, waited for, and away again; what they kept stays.

use crate::apply::Ground;
use crate::bench::{Bench, until};
use crate::definitions::at_hand;
use crate::oracle::{provision, said};
use crate::places::placed;
use crate::surroundings::{LAB, LAB_MACHINES, Place};
use capstan_types::blueprint::Blueprint;
use serde_json::{Value, json};

const NAME: &str = "tools";

/// Pods of all services of the plan.
const PODS: usize = 8 + 1 + 3 + 20 + 5;

const PLAN: &str = r#"use catalog "lab.toml"
plan tools { currency = USD, horizon = 2027-01-01 .. 2027-12-31 }
site a { provider = "lab", region = "a" }
service gateway { image = "kong/kong-gateway:3.9", port = 8000, replicas = 8, cpu = 8, memory = 16 GB }
service large { image = "registry.example.com/large:1", cpu = 50, memory = 100 GB }
service queue { image = "nats:2.11", port = 4222, replicas = 3, cpu = 4, memory = 8 GB, storage = 20 GB, mount = "/data/jetstream" }
service embed { image = "registry.example.com/embed:1", replicas = 20, cpu = 0.5, memory = 4 GB, slice = "1g.10gb" }
service rerank { image = "registry.example.com/rerank:1", port = 9000, replicas = 5, cpu = 1, memory = 4 GB, slice = 25% }
workspace lab { users = 14, cpu = 1, memory = 4 GB, storage = 10 GB, slice = "1g.10gb" }
deploy kubernetes {
  namespace     = "tools"
  version       = "1.36"
  monitoring    = prometheus
  quota         = true
  priorities    = true
  storage_class = "fast"
}
"#;

/// Returns how many machines of a shape are planned for the busiest hour.
fn planned(blueprint: &Blueprint, shape: &str) -> u32 {
    let pools = blueprint.pools.iter().filter(|pool| pool.shape == shape);
    pools.flat_map(|pool| pool.needed.iter().flatten()).copied().max().unwrap_or(0)
}

/// Returns the planned machines: those without accelerators, and those with some of which five are cut into slices and three
/// are shared by time.
fn machines(hosts: u32, cut: u32, slices: u32) -> Value {
    let hosts = (0..hosts).map(|number| {
        json!({
            "name": format!("host-{number}"), "labels": { "capstan.dev/shape": "lab-cpu" },
            "capacity": { "cpu": "64", "memory": "256G" },
        })
    });
    let cut = (0..cut).map(|number| {
        json!({
            "name": format!("cut-{number}"),
            "labels": {
                "nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB",
                "nvidia.com/device-plugin.config": "share-4",
            },
            "capacity": {
                "cpu": "96", "memory": "1T",
                "nvidia.com/mig-1g.10gb": slices.to_string(), "nvidia.com/gpu.shared": "12",
            },
        })
    });
    hosts.chain(cut).collect()
}

/// Somebody deletes the set: it comes again, and its instances find what they kept.
fn comes_back(ground: &Ground<'_>, set: &str) {
    let door = &ground.door;
    let claim = || {
        let path = format!("/api/v1/namespaces/{NAME}/persistentvolumeclaims/data-queue-0");
        door.object(&path).expect("what it kept is there")["metadata"]["uid"].clone()
    };
    let kept = claim();
    assert_eq!(door.ask("DELETE", set, None).status, 200);
    until("its pods are gone", 60, || placed(door, NAME) == (PODS - 3, 0));
    let gone = ground.run("drift", &[]).exits(2);
    assert!(gone.out.contains("StatefulSet tools/queue"), "{}", gone.told());
    ground.run("apply", &["--yes", "--timeout", "60"]).exits(0);
    assert_eq!(claim(), kept);
}

#[test]
fn services_are_placed_on_the_machines_that_were_planned_and_what_they_keep_stays() {
    let Some(bench) = Bench::start() else { return println!("skipped: needs Go") };
    if !at_hand() {
        return;
    }
    let place = Place::new();
    place.write("lab.toml", format!("{LAB}{LAB_MACHINES}"));
    let blueprint = place.planned(PLAN, 0);
    let (hosts, cut) = (planned(&blueprint, "lab.cpu"), planned(&blueprint, "lab.a100"));
    // Twenty instances and fourteen people at seven on each accelerator, five instances at four: 3 + 2 + 2 of eight.
    assert_eq!(cut, 1);
    bench.machines(&machines(0, cut, 19));
    let ground = Ground::of(&bench, NAME, &blueprint);
    let door = &ground.door;
    let set: Value =
        serde_saphyr::from_str(&ground.place.read("out/kubernetes/15-queue/statefulset.yaml")).expect("YAML");
    provision(door, &[set]);
    // Values for the chart of the notebooks lie beside, and nothing is made of them.
    assert!(ground.place.read("out/charts/lab.values.yaml").contains("activeServerLimit: 14"));
    let late = ground.run("apply", &["--yes", "--timeout", "5"]).exits(1);
    assert!(late.err.contains("Insufficient nvidia.com/mig-1g.10gb"), "{}", late.told());
    // One slice is missing, and every machine without accelerators.
    assert_eq!(said(&ground.place), (19 + 5, PODS));
    until("as many are placed as preflight says", 40, || placed(door, NAME) == (24, 13));
    bench.machines(&machines(hosts, cut, 35));
    assert_eq!(said(&ground.place), (PODS, PODS));
    until("all are placed", 40, || placed(door, NAME) == (PODS, 0));
    ground.run("apply", &["--yes", "--timeout", "60"]).exits(0);
    ground.run("drift", &[]).exits(0);
    let (_, writes) = ground.counted("apply", &["--yes"]);
    assert_eq!(writes, Vec::<String>::new());
    let set = format!("/apis/apps/v1/namespaces/{NAME}/statefulsets/queue");
    assert_eq!(door.object(&set).expect("a set")["status"]["readyReplicas"], 3);
    comes_back(&ground, &set);
    ground.run("destroy", &["--yes"]).exits(0);
    assert!(door.object(&set).is_none(), "the set is gone");
    until("its pods are gone", 60, || placed(door, NAME) == (0, 0));
    for number in 0..3 {
        let claim = format!("/api/v1/namespaces/{NAME}/persistentvolumeclaims/data-queue-{number}");
        let claim = door.object(&claim).expect("what it kept is there");
        assert!(claim["metadata"]["deletionTimestamp"].is_null() && claim["status"]["phase"] == "Bound");
    }
}
