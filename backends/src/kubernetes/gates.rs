//! Which server serves what is written? A field that the cluster of the plan does not know is refused, never dropped.
//!
//! Kinds and fields with the minor version of Kubernetes 1 since which a server takes them without a switch being set, and
//! operators with the oldest that they run on. What is not listed here every supported version serves.

use super::{EmitError, Manifest};
use serde_json::Value;

/// A kind, a path of fields in it (`*` is every element; empty is the kind itself), since when, and where that stands.
///
/// Read on 2026-08: release notes of Kubernetes, `pkg/features/kube_features.go` and `pkg/apis` of 1.36.2, and the release
/// notes of the operators.
const GATES: [(&str, &str, u32, &str); 13] = [
    ("HorizontalPodAutoscaler", "spec.behavior.scaleUp.tolerance", 35, "HPAConfigurableTolerance, beta"),
    ("HorizontalPodAutoscaler", "spec.behavior.scaleDown.tolerance", 35, "HPAConfigurableTolerance, beta"),
    ("Service", "spec.trafficDistribution", 31, "ServiceTrafficDistribution, beta"),
    ("ResourceClaimTemplate", "", 34, "resource.k8s.io/v1"),
    ("Pod", "spec.resources", 34, "PodLevelResources, beta"),
    ("Pod", "spec.volumes.*.image", 36, "ImageVolume, stable"),
    ("Pod", "spec.containers.*.lifecycle.preStop.sleep", 30, "PodLifecycleSleepAction, beta"),
    ("LLMInferenceService", "", 29, "SidecarContainers, beta: KServe puts one before the part that answers"),
    ("CephCluster", "", 31, "Rook 1.20 runs on 1.31 to 1.36"),
    ("NicClusterPolicy", "", 32, "Network operator 26.7 runs on 1.32 and newer"),
    ("MachineDeployment", "", 33, "a cluster that Cluster API 1.14 manages from within: 1.33 to 1.37"),
    ("PeerAuthentication", "", 31, "Istio 1.29 runs on 1.31 to 1.35, recalled from its table of releases"),
    ("Certificate", "", 31, "cert-manager 1.19 runs on 1.31 to 1.35, recalled from its table of releases"),
];

/// Fails where a server of the plan's version would not know a kind or a field that was written.
pub(super) fn check(manifests: &[Manifest], minor: u32) -> Result<(), EmitError> {
    for manifest in manifests {
        let Ok(tree) = serde_saphyr::from_str::<Value>(&manifest.yaml) else { continue };
        if let Some((what, since)) = missing(&tree, minor) {
            return Err(EmitError::NotServed {
                object: format!("{} `{}`", manifest.kind, manifest.name),
                what,
                since,
                minor,
            });
        }
    }
    Ok(())
}

/// Returns the first kind or field of an object that a server does not know yet, and since when servers do.
fn missing(tree: &Value, minor: u32) -> Option<(String, u32)> {
    let kind = tree["kind"].as_str().unwrap_or_default();
    GATES.iter().filter(|(_, _, since, _)| *since > minor).find_map(|(gated, path, since, _)| {
        let there = if *gated == "Pod" {
            templates(tree).into_iter().any(|template| has(template, path))
        } else {
            *gated == kind && has(tree, path)
        };
        let what = if path.is_empty() { format!("the kind {gated}") } else { format!("`{path}` of {gated}") };
        there.then_some((what, *since))
    })
}

/// Returns every pod template anywhere in an object.
fn templates(tree: &Value) -> Vec<&Value> {
    let below: Vec<&Value> = match tree {
        Value::Object(map) => map.values().flat_map(templates).collect(),
        Value::Array(list) => list.iter().flat_map(templates).collect(),
        _ => Vec::new(),
    };
    if tree["spec"]["containers"].is_array() { [vec![tree], below].concat() } else { below }
}

fn has(value: &Value, path: &str) -> bool {
    let Some((first, rest)) = path.split_once('.').or((!path.is_empty()).then_some((path, ""))) else {
        return !value.is_null();
    };
    match first {
        "*" => value.as_array().is_some_and(|list| list.iter().any(|one| has(one, rest))),
        name => value.get(name).is_some_and(|below| has(below, rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_field_is_refused_below_its_version_and_served_from_it_on() {
        let scaler = json!({"kind": "HorizontalPodAutoscaler", "spec": {"behavior": {"scaleUp": {"tolerance": "0.05"}}}});
        assert_eq!(missing(&scaler, 34).map(|(_, since)| since), Some(35));
        assert_eq!(missing(&scaler, 35), None);
        let without = json!({"kind": "HorizontalPodAutoscaler", "spec": {"behavior": {"scaleUp": {}}}});
        assert_eq!(missing(&without, 28), None);
    }

    #[test]
    fn pods_are_found_wherever_their_template_stands() {
        let pod = json!({"spec": {"containers": [], "volumes": [{"name": "a"}, {"name": "b", "image": {"reference": "r"}}]}});
        let deep = json!({"kind": "TrainingRuntime", "spec": {"template": {"spec": {"replicatedJobs": [{"template": {"spec": {"template": pod}}}]}}}});
        let (what, since) = missing(&deep, 35).expect("it is not served");
        assert_eq!((what.as_str(), since), ("`spec.volumes.*.image` of Pod", 36));
        assert_eq!(missing(&json!({"kind": "CephCluster", "spec": {}}), 30).map(|found| found.1), Some(31));
    }

    #[test]
    fn every_gate_is_of_a_version_that_plans_can_name() {
        use capstan_types::spec::{NEWEST_KUBERNETES, OLDEST_KUBERNETES};
        for (kind, _, since, source) in GATES {
            assert!((OLDEST_KUBERNETES + 1..=NEWEST_KUBERNETES).contains(&since), "{kind}");
            assert!(!source.is_empty(), "{kind}");
        }
    }
}
