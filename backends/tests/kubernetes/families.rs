//! What is written around the workloads: each family where the plan asks for it, with the numbers that were planned.

use crate::common::{autoscaled, emitted, everything, object, placement, text, with};
use capstan_backends::kubernetes::{EmitError, emit, lint};
use capstan_types::blueprint::Blueprint;
use capstan_types::testing::blueprint::chat_blueprint;
use serde_json::{Value, json};

/// Kinds that are emitted for a blueprint and not for the plain one, without those of volumes that come along.
fn more(blueprint: &Blueprint) -> Vec<String> {
    let plain = emitted(&chat_blueprint()).manifests;
    let same = |kind: &str, name: &str| plain.iter().any(|one| one.kind == kind && one.name == name);
    let mut kinds: Vec<String> = emitted(blueprint)
        .manifests
        .into_iter()
        .filter(|manifest| !same(&manifest.kind, &manifest.name))
        .map(|manifest| manifest.kind)
        .collect();
    kinds.sort();
    kinds.dedup();
    kinds
}

#[test]
fn everything_that_a_plan_can_ask_for_becomes_these_files() {
    let mut all = emitted(&everything());
    let plain = emitted(&chat_blueprint()).manifests;
    all.manifests.retain(|manifest| !plain.iter().any(|one| one.path == manifest.path));
    insta::assert_snapshot!("everything", text(&all.manifests));
    let said: Vec<String> =
        all.warnings.iter().map(|warning| format!("{}: {}", warning.subject, warning.message)).collect();
    insta::assert_snapshot!("everything_warnings", said.join("\n"));
    assert_eq!(lint(&emitted(&everything()).manifests), []);
}

#[test]
fn each_family_is_written_only_where_it_is_asked_for() {
    assert_eq!(more(&with(|deploy| deploy.dashboard = true)), ["ConfigMap"]);
    assert_eq!(more(&with(|deploy| deploy.alerts = Some("pager".to_owned()))), ["AlertmanagerConfig"]);
    assert_eq!(more(&with(|deploy| deploy.quota = true)), ["ResourceQuota"]);
    assert_eq!(more(&with(|deploy| deploy.priorities = true)), ["PriorityClass"]);
    assert_eq!(more(&with(|deploy| deploy.load_test = true)), ["ConfigMap", "Job", "NetworkPolicy"]);
    assert_eq!(more(&with(|deploy| deploy.karpenter = Some("gpu".to_owned()))), ["NodePool"]);
    assert_eq!(more(&with(|deploy| deploy.secret_store = Some("vault".to_owned()))), ["ExternalSecret"]);
    let classed = with(|deploy| deploy.storage_class = Some("files".to_owned()));
    assert_eq!(more(&classed), ["Job", "NetworkPolicy", "PersistentVolumeClaim"]);
    let volume = &object(&emitted(&classed).manifests, "PersistentVolumeClaim", "chat-weights")["spec"];
    assert_eq!(volume["storageClassName"], "files");
}

#[test]
fn a_quota_below_what_is_planned_is_told() {
    let blueprint = with(|deploy| deploy.quota = true);
    let mut manifests = emitted(&blueprint).manifests;
    let quota = manifests.iter_mut().find(|one| one.kind == "ResourceQuota").expect("it is emitted");
    let tree: Value = serde_saphyr::from_str(&quota.yaml).expect("YAML");
    let planned = tree["spec"]["hard"]["requests.nvidia.com/gpu"].as_str().expect("a number").to_owned();
    let most: u32 = blueprint.services[0]
        .placements
        .iter()
        .map(|placement| placement.peak_replicas() * placement.candidate.accelerators)
        .sum();
    assert_eq!(planned, most.to_string());
    quota.yaml = quota.yaml.replace(&format!("gpu: \"{planned}\""), "gpu: \"3\"");
    let broken = lint(&manifests);
    assert!(broken.len() == 1 && broken[0].rule == "L22", "{broken:?}");
}

#[test]
fn quotas_of_the_queue_are_the_nodes_of_trainings() {
    let blueprint = everything();
    let manifests = emitted(&blueprint).manifests;
    let run = &blueprint.trainings[0];
    let queue = manifests.iter().find(|one| one.kind == "ClusterQueue").expect("it is emitted");
    let queue: Value = serde_saphyr::from_str(&queue.yaml).expect("YAML");
    let flavors = queue["spec"]["resourceGroups"][0]["flavors"].as_array().expect("flavors").clone();
    let quota: u32 = flavors
        .iter()
        .flat_map(|flavor| flavor["resources"].as_array().expect("rows").clone())
        .filter(|row| row["name"] == "nvidia.com/gpu")
        .map(|row| row["nominalQuota"].as_str().and_then(|text| text.parse::<u32>().ok()).expect("a number"))
        .sum();
    assert_eq!(quota, (run.candidate.nodes + run.spare_nodes) * 8);
}

#[test]
fn replicas_follow_the_requests_in_flight_that_were_planned() {
    let manifests = emitted(&autoscaled(2, 0.1, 28)).manifests;
    let scaler = &object(&manifests, "HorizontalPodAutoscaler", "chat")["spec"];
    let metric = &scaler["metrics"][0]["pods"];
    assert_eq!(metric["metric"]["name"], "capstan_requests_in_flight");
    assert_eq!(metric["target"]["averageValue"], "7.5");
    assert_eq!(scaler["minReplicas"], 2);
    assert_eq!(scaler["behavior"]["scaleUp"]["stabilizationWindowSeconds"], 30);
    assert_eq!(scaler["behavior"]["scaleDown"]["stabilizationWindowSeconds"], 450);
    assert_eq!(scaler["behavior"]["scaleUp"]["tolerance"], Value::Null);
    let rules = &object(&manifests, "PrometheusRule", "chat")["spec"]["groups"];
    assert_eq!(rules[1]["rules"][0]["record"], "capstan_requests_in_flight");
}

#[test]
fn the_last_replica_goes_by_keda() {
    let manifests = emitted(&autoscaled(0, 0.1, 28)).manifests;
    assert!(!manifests.iter().any(|one| one.kind == "HorizontalPodAutoscaler"));
    let scaled = &object(&manifests, "ScaledObject", "chat")["spec"];
    assert_eq!((&scaled["minReplicaCount"], &scaled["cooldownPeriod"]), (&json!(0), &json!(900)));
    assert_eq!(object(&manifests, "Deployment", "chat")["spec"]["replicas"], Value::Null);
    // Only its own pods are counted, not those of a workload `chat-pro`.
    let drawn = "[bcdfghjklmnpqrstvwxz2456789]";
    assert_eq!(
        scaled["triggers"][0]["metadata"]["query"],
        format!(
            "sum(capstan_requests_in_flight{{namespace=\"llm\",pod=~\"chat-{drawn}{{1,10}}-{drawn}{{5}}\"}}) or vector(0)"
        )
    );
}

#[test]
fn a_field_that_the_cluster_does_not_serve_yet_is_refused() {
    let told = emit(&autoscaled(2, 0.05, 34)).expect_err("tolerance is served since 1.35");
    assert_eq!(
        told.to_string(),
        "HorizontalPodAutoscaler `chat`: Kubernetes serves `spec.behavior.scaleUp.tolerance` of HorizontalPodAutoscaler since 1.35, and the plan is for 1.34"
    );
    let scaler = object(&emitted(&autoscaled(2, 0.05, 35)).manifests, "HorizontalPodAutoscaler", "chat");
    assert_eq!(scaler["spec"]["behavior"]["scaleDown"]["tolerance"], "0.05");
    let mut old = everything();
    old.inputs.spec.deploy.as_mut().expect("it deploys").minor = 30;
    assert!(matches!(emit(&old), Err(EmitError::NotServed { since: 31, minor: 30, .. })));
}

#[test]
fn spot_machines_are_tried_before_those_on_demand_and_reserved_ones_before_both() {
    let mut blueprint = with(|deploy| deploy.karpenter = Some("gpu".to_owned()));
    let site = placement(&mut blueprint).site.clone();
    let pools = emitted(&blueprint).manifests;
    let mut weights: Vec<(String, u64)> = pools
        .iter()
        .filter(|one| one.kind == "NodePool")
        .map(|one| {
            let tree: Value = serde_saphyr::from_str(&one.yaml).expect("YAML");
            let way =
                tree["spec"]["template"]["spec"]["requirements"][0]["values"][0].as_str().expect("a way");
            (way.to_owned(), tree["spec"]["weight"].as_u64().expect("a weight"))
        })
        .collect();
    weights.sort_by_key(|(_, weight)| std::cmp::Reverse(*weight));
    let ways: Vec<&str> = weights.iter().map(|(way, _)| way.as_str()).collect();
    let order = ["reserved", "spot", "on-demand"];
    let known: Vec<&str> = order.into_iter().filter(|way| ways.contains(way)).collect();
    assert_eq!(ways, known, "at {site}");
    assert!(!ways.is_empty(), "machines of {site} are rented");
}
