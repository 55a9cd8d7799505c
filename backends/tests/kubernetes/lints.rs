//! Each rule fires on a manifest that breaks it, and on nothing that is emitted.

use crate::common::{constant, emitted, in_two_parts, on_engine, two_nodes, two_parts, two_sites};
use capstan_backends::kubernetes::{Manifest, lint};
use capstan_types::blueprint::Blueprint;
use capstan_types::testing::blueprint::chat_blueprint;

/// Checks that changing one text of a manifest breaks exactly one rule.
fn check(blueprint: &Blueprint, kind: &str, from: &str, to: &str, rule: &str) {
    let mut manifests = emitted(blueprint).manifests;
    let manifest = manifests.iter_mut().find(|manifest| manifest.kind == kind).expect("the kind is emitted");
    assert!(manifest.yaml.contains(from), "{kind} holds no {from:?}:\n{}", manifest.yaml);
    manifest.yaml = manifest.yaml.replacen(from, to, 1);
    let path = manifest.path.clone();
    let broken = lint(&manifests);
    assert!(!broken.is_empty(), "{kind}: {from:?} → {to:?} breaks nothing");
    assert!(broken.iter().all(|lint| lint.rule == rule), "{broken:#?}");
    assert!(broken.iter().any(|lint| lint.path == path), "{broken:#?}");
}

fn check_chat(kind: &str, from: &str, to: &str, rule: &str) {
    check(&chat_blueprint(), kind, from, to, rule);
}

#[test]
fn what_is_emitted_breaks_no_rule() {
    let plans = [
        chat_blueprint(),
        two_nodes(),
        two_parts(),
        two_sites(),
        constant(1),
        constant(5),
        in_two_parts(constant(1)),
        on_engine("sglang"),
    ];
    for blueprint in plans {
        assert_eq!(lint(&emitted(&blueprint).manifests), []);
    }
}

#[test]
fn accelerators_are_whole() {
    check_chat(
        "Deployment",
        "limits:\n            memory: 858Gi\n            nvidia.com/gpu: \"4\"",
        "limits:\n            memory: 858Gi\n            nvidia.com/gpu: \"3\"",
        "L3",
    );
    let mut manifests = emitted(&chat_blueprint()).manifests;
    for manifest in &mut manifests {
        manifest.yaml = manifest.yaml.replace("nvidia.com/gpu: \"4\"", "nvidia.com/gpu: \"1.5\"");
    }
    assert!(lint(&manifests).iter().any(|lint| lint.rule == "L3" && lint.message.contains("whole")));
}

#[test]
fn rollouts_do_not_surge_and_wait_for_loading() {
    check_chat("Deployment", "maxSurge: 0", "maxSurge: 1", "L4");
    check_chat("Deployment", "progressDeadlineSeconds: 746", "progressDeadlineSeconds: 370", "L4");
    check_chat("Deployment", "startupProbe:", "otherProbe:", "L4");
    check(&two_nodes(), "LeaderWorkerSet", "maxSurge: 0", "maxSurge: 1", "L4");
}

#[test]
fn replicas_have_one_owner() {
    check_chat("Deployment", "\nspec:\n", "\nspec:\n  replicas: 3\n", "L6");
    check(&constant(5), "Deployment", "  replicas: 5\n", "", "L6");
}

#[test]
fn groups_hold_their_ranks() {
    check(&two_nodes(), "LeaderWorkerSet", "size: 2", "size: 0", "L10");
    check(&two_nodes(), "LeaderWorkerSet", "size: 2", "size: 4", "L10");
}

#[test]
fn budgets_allow_a_drain() {
    // Three replicas at the quietest hour: as many that must stay leave none to evict.
    check_chat("PodDisruptionBudget", "maxUnavailable: 1", "minAvailable: 3", "E2");
    check_chat("PodDisruptionBudget", "maxUnavailable: 1", "maxUnavailable: 0", "E2");
}

#[test]
fn several_accelerators_share_memory() {
    check_chat("Deployment", "medium: Memory", "medium: \"\"", "E3");
    check_chat("Deployment", "mountPath: /dev/shm", "mountPath: /dev/other", "E3");
    check_chat("Deployment", "sizeLimit: 8Gi", "sizeLimit: 858Gi", "E3");
}

#[test]
fn images_name_a_version() {
    check_chat("Deployment", "vllm-openai:v0.10.1", "vllm-openai:latest", "image-tag");
    check_chat("Deployment", "vllm-openai:v0.10.1", "vllm-openai", "image-tag");
    check_chat("Deployment", "vllm/vllm-openai:v0.10.1", "registry.example:5000/vllm", "image-tag");
}

#[test]
fn no_secret_is_written() {
    let from = "- name: HF_TOKEN\n          valueFrom:\n            secretKeyRef:\n              name: hf-token\n              key: token\n              optional: true";
    check_chat("Deployment", from, "- name: HF_TOKEN\n          value: hf_abc", "no-secret");
    let mut manifests = emitted(&chat_blueprint()).manifests;
    manifests.push(Manifest {
        path: "kubernetes/secret.yaml".to_owned(),
        kind: "Secret".to_owned(),
        name: "hf-token".to_owned(),
        yaml: "apiVersion: v1\nkind: Secret\nmetadata:\n  name: hf-token\n  namespace: llm\nstringData:\n  token: a\n".to_owned(),
        wave: manifests[0].wave,
    });
    assert_eq!(lint(&manifests).iter().map(|lint| lint.rule).collect::<Vec<_>>(), ["no-secret"]);
}

#[test]
fn names_are_labels() {
    check_chat("NetworkPolicy", "name: default-deny", "name: Default_Deny", "dns-label");
}

#[test]
fn selectors_select_something() {
    check_chat("Service", "component: server", "component: other", "selector-matches");
    check_chat("PodMonitor", "component: server", "component: other", "selector-matches");
    let from = "selector:\n    matchLabels:\n      app.kubernetes.io/instance: chat\n";
    check_chat("Deployment", from, &from.replace("chat", "other"), "selector-matches");
    check_chat("PodDisruptionBudget", from, &from.replace("chat", "other"), "E2");
}

#[test]
fn autoscalers_have_a_target() {
    check_chat("HorizontalPodAutoscaler", "minReplicas: 3", "minReplicas: 30", "autoscaler-target");
    let mut manifests = emitted(&chat_blueprint()).manifests;
    for manifest in manifests.iter_mut().filter(|manifest| manifest.kind == "HorizontalPodAutoscaler") {
        manifest.yaml =
            manifest.yaml.replace("kind: Deployment\n    name: chat", "kind: Deployment\n    name: other");
    }
    let rules: Vec<&str> = lint(&manifests).iter().map(|lint| lint.rule).collect();
    // The Deployment is then without an owner of its replicas too.
    assert_eq!(rules, ["L6", "autoscaler-target"]);
}

#[test]
fn pods_may_resolve_names() {
    let mut manifests = emitted(&chat_blueprint()).manifests;
    manifests.retain(|manifest| manifest.name != "allow-dns");
    assert_eq!(lint(&manifests).iter().map(|lint| lint.rule).collect::<Vec<_>>(), ["dns-egress"]);
    let mut manifests = emitted(&chat_blueprint()).manifests;
    for manifest in manifests.iter_mut().filter(|manifest| manifest.name == "allow-dns") {
        manifest.yaml =
            manifest.yaml.replace("protocol: TCP\n      port: 53", "protocol: TCP\n      port: 54");
    }
    assert_eq!(lint(&manifests).iter().map(|lint| lint.rule).collect::<Vec<_>>(), ["dns-egress"]);
}

#[test]
fn files_are_block_style_yaml() {
    check_chat(
        "PodMonitor",
        "  podMetricsEndpoints:\n  - port: http\n    path: /metrics\n    interval: 15s\n",
        "  podMetricsEndpoints:\n  - {port: http, path: /metrics}\n",
        "block-style",
    );
    check_chat("Service", "apiVersion: v1", "apiVersion: [", "yaml");
}
