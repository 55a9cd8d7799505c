//! Replicas that KServe runs: the pods of a Deployment in an InferenceService, with everything around them as it was.

use crate::common::{
    autoscaled, breaks_one, by_kserve, constant, deploy, emitted, object, on_engine, operated, tree,
    two_nodes, with,
};
use capstan_backends::kubernetes::{EmitError, Manifest, emit, lint};
use capstan_types::blueprint::Blueprint;
use capstan_types::testing::blueprint::chat_blueprint;
use serde_json::{Value, json};

fn kserve(mut blueprint: Blueprint) -> Blueprint {
    deploy(&mut blueprint).kserve = true;
    blueprint
}

/// The pod of a predictor, without what KServe reads of it.
fn pod(predictor: &Value) -> Value {
    let mut pod = predictor.clone();
    let fields = pod.as_object_mut().expect("a record");
    let own = ["labels", "annotations", "minReplicas", "maxReplicas", "deploymentStrategy"];
    fields.retain(|name, _| !own.contains(&name.as_str()));
    pod["containers"][0]["name"] = Value::Null;
    pod
}

#[test]
fn a_predictor_is_the_pod_of_the_deployment_with_every_engine() {
    for engine in ["vllm", "sglang", "tensorrt_llm"] {
        let plain = object(&emitted(&on_engine(engine)).manifests, "Deployment", "chat");
        let manifests = emitted(&kserve(on_engine(engine))).manifests;
        let service = object(&manifests, "InferenceService", "chat");
        let predictor = &service["spec"]["predictor"];
        let template = &plain["spec"]["template"];
        let mut same = template["spec"].clone();
        same["containers"][0]["name"] = Value::Null;
        assert_eq!(pod(predictor), same, "{engine}");
        assert_eq!(predictor["labels"], template["metadata"]["labels"]);
        assert_eq!(predictor["deploymentStrategy"], plain["spec"]["strategy"]);
        assert_eq!(predictor["containers"][0]["name"], "kserve-container");
        assert!(!manifests.iter().any(|one| one.kind == "Deployment"), "{engine}");
    }
}

/// What stands around a Deployment stands around an InferenceService, and nothing else does.
#[test]
fn all_else_stays_as_it_was() {
    let rest = |blueprint: &Blueprint| -> Vec<Value> {
        let own =
            ["Deployment", "InferenceService", "HorizontalPodAutoscaler", "Kustomization", "ClusterRole"];
        let manifests = emitted(blueprint).manifests;
        manifests.iter().filter(|one| !own.contains(&one.kind.as_str())).map(tree).collect()
    };
    assert_eq!(rest(&by_kserve()), rest(&chat_blueprint()));
    let mut meshed = operated();
    deploy(&mut meshed).ci.clear();
    assert_eq!(rest(&kserve(meshed.clone())), rest(&meshed));
}

#[test]
fn replicas_of_a_predictor_have_one_owner() {
    let class = |manifests: &[Manifest]| {
        let service = object(manifests, "InferenceService", "chat");
        (service["metadata"]["annotations"]["serving.kserve.io/autoscalerClass"].clone(), service)
    };
    let manifests = emitted(&kserve(autoscaled(2, 0.1, 28))).manifests;
    let (owner, service) = class(&manifests);
    assert_eq!((owner, &service["spec"]["predictor"]["minReplicas"]), (json!("external"), &Value::Null));
    let target = &object(&manifests, "HorizontalPodAutoscaler", "chat")["spec"]["scaleTargetRef"];
    assert_eq!(target, &json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": "chat-predictor" }));
    let zero = emitted(&kserve(autoscaled(0, 0.1, 28))).manifests;
    assert_eq!(object(&zero, "ScaledObject", "chat")["spec"]["scaleTargetRef"]["name"], "chat-predictor");
    let (owner, service) = class(&emitted(&kserve(constant(3))).manifests);
    assert_eq!(owner, "none");
    let predictor = &service["spec"]["predictor"];
    assert_eq!((&predictor["minReplicas"], &predictor["maxReplicas"]), (&json!(3), &json!(3)));
}

#[test]
fn a_replica_over_machines_stays_a_group_and_a_name_that_kserve_cannot_label_is_refused() {
    let group = emitted(&kserve(two_nodes()));
    assert!(!group.manifests.iter().any(|one| one.kind == "InferenceService"));
    assert!(
        group.warnings.iter().any(|one| one.message.contains("a LeaderWorkerSet runs it and not KServe"))
    );
    let named = |letters: usize| {
        let name = "a".repeat(letters);
        let mut blueprint = by_kserve();
        blueprint.inputs.spec.serves[0].name.clone_from(&name);
        blueprint.services[0].workload.clone_from(&name);
        emit(&blueprint)
    };
    assert!(named(48).is_ok());
    assert!(matches!(named(49), Err(EmitError::LongForKserve { most: 48, .. })));
    assert!(!emitted(&with(|_| ())).manifests.iter().any(|one| one.kind == "InferenceService"));
}

/// Checks that changing one text of the object breaks exactly one rule.
fn breaks(from: &str, to: &str, rule: &str) {
    let mut blueprint = kserve(constant(3));
    deploy(&mut blueprint).quota = true;
    breaks_one(&blueprint, "InferenceService", (from, to), rule);
}

#[test]
fn a_predictor_keeps_the_rules_of_workloads() {
    breaks("maxSurge: 0", "maxSurge: 1", "L4");
    breaks("startupProbe", "startProbe", "L4");
    breaks("    minReplicas: 3\n", "", "L6");
    breaks("minReplicas: 3", "minReplicas: 300", "L22");
    breaks("medium: Memory", "medium: \"\"", "E3");
    breaks("vllm-openai:v0.10.1", "vllm-openai:latest", "image-tag");
    // A scaler whose Deployment nothing makes.
    let mut manifests = emitted(&kserve(autoscaled(2, 0.1, 28))).manifests;
    let scaler = manifests.iter_mut().find(|one| one.kind == "HorizontalPodAutoscaler").expect("it is there");
    scaler.yaml = scaler.yaml.replace("name: chat-predictor", "name: chat");
    let rules: Vec<&str> = lint(&manifests).into_iter().map(|lint| lint.rule).collect();
    assert!(rules.contains(&"autoscaler-target") && rules.contains(&"L6"), "{rules:?}");
}
