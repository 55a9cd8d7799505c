//! In which order do objects go to the cluster? By what each stands on.
//!
//! A manifest says its wave; what an object names (its namespace, its definition, its configuration, what it scales)
//! comes first, and beats the wave where the two disagree.

use crate::object::{Id, Object};
use crate::served::items;
use crate::trouble::Trouble;
use petgraph::Direction;
use petgraph::algo::toposort;
use petgraph::graph::{DiGraph, NodeIndex};
use serde_json::Value;
use std::collections::BTreeMap;

/// Returns the objects in waves: all of a wave may go at once, and each wave stands on those before it.
pub(crate) fn waves(objects: &[Object]) -> Result<Vec<Vec<Object>>, Trouble> {
    let mut graph: DiGraph<&Object, ()> = DiGraph::new();
    let nodes: Vec<NodeIndex> = objects.iter().map(|object| graph.add_node(object)).collect();
    for (index, object) in objects.iter().enumerate() {
        for (other, base) in objects.iter().enumerate() {
            if index != other && stands_on(object, base) {
                graph.add_edge(nodes[other], nodes[index], ());
            }
        }
    }
    let order =
        toposort(&graph, None).map_err(|cycle| Trouble::Cycle(graph[cycle.node_id()].id.to_string()))?;
    // The place of an object: the latest wave that it or anything under it asks for, then its depth within that wave.
    let mut places: BTreeMap<NodeIndex, (u32, u32)> = BTreeMap::new();
    for node in order {
        let own = graph[node].wave();
        let below: Vec<(u32, u32)> =
            graph.neighbors_directed(node, Direction::Incoming).map(|base| places[&base]).collect();
        let wave = below.iter().map(|place| place.0).max().unwrap_or(own).max(own);
        let depth = below.iter().filter(|place| place.0 == wave).map(|place| place.1 + 1).max().unwrap_or(0);
        places.insert(node, (wave, depth));
    }
    let mut waves: BTreeMap<(u32, u32), Vec<Object>> = BTreeMap::new();
    for node in nodes {
        waves.entry(places[&node]).or_default().push(graph[node].clone());
    }
    Ok(waves.into_values().collect())
}

/// Returns whether an object can only be, or only work, once another is there.
fn stands_on(object: &Object, base: &Object) -> bool {
    let id = &base.id;
    let name = id.name.as_str();
    match id.kind.as_str() {
        "Namespace" => object.id.namespace.as_deref() == Some(name),
        "CustomResourceDefinition" => {
            let spec = &base.value["spec"];
            spec["group"] == object.id.group() && spec["names"]["kind"] == object.id.kind.as_str()
        }
        "PriorityClass" => object.pods().iter().any(|pods| pods.spec["priorityClassName"] == name),
        "RuntimeClass" => object.pods().iter().any(|pods| pods.spec["runtimeClassName"] == name),
        "StorageClass" => {
            let spec = &object.value["spec"];
            let asks = |claim: &Value| claim["spec"]["storageClassName"] == name;
            spec["storageClassName"] == name || items(spec, "volumeClaimTemplates").iter().any(asks)
        }
        "CephObjectStore" => {
            object.id.kind == "StorageClass" && object.value["parameters"]["objectStoreName"] == name
        }
        "CephFilesystem" => object.id.kind == "StorageClass" && object.value["parameters"]["fsName"] == name,
        "CephCluster" => {
            object.id.group() == id.group()
                && object.id.kind != id.kind
                && object.id.namespace == id.namespace
        }
        "ResourceFlavor" => {
            let groups = items(&object.value["spec"], "resourceGroups");
            groups.iter().flat_map(|group| items(group, "flavors")).any(|flavor| flavor["name"] == name)
        }
        "ClusterQueue" => object.id.kind == "LocalQueue" && object.value["spec"]["clusterQueue"] == name,
        "LocalQueue" => {
            let label = &object.value["metadata"]["labels"]["kueue.x-k8s.io/queue-name"];
            object.id.namespace == id.namespace && *label == name
        }
        "ConfigMap" | "Secret" | "PersistentVolumeClaim" | "ServiceAccount" => {
            object.id.namespace == id.namespace
                && (object.pods().iter().any(|pods| mounts(pods.spec, id)) || reads(&object.value, id))
        }
        _ => object.id.namespace == id.namespace && names(&object.value, id),
    }
}

/// Returns whether a workload of KServe takes its weights from a claim.
fn reads(value: &Value, id: &Id) -> bool {
    let claim = value["spec"]["model"]["uri"].as_str().and_then(|uri| uri.strip_prefix("pvc://"));
    id.kind == "PersistentVolumeClaim"
        && claim.and_then(|rest| rest.split('/').next()) == Some(id.name.as_str())
}

/// Returns whether pods use an object of their namespace.
fn mounts(spec: &Value, id: &Id) -> bool {
    let name = id.name.as_str();
    items(spec, "volumes").iter().any(|volume| match id.kind.as_str() {
        "ConfigMap" => volume["configMap"]["name"] == name,
        "Secret" => volume["secret"]["secretName"] == name,
        "PersistentVolumeClaim" => volume["persistentVolumeClaim"]["claimName"] == name,
        _ => false,
    }) || (id.kind == "ServiceAccount" && spec["serviceAccountName"] == name)
}

/// Returns whether an object refers to another by kind and name: what it scales, where it routes to.
fn names(value: &Value, id: &Id) -> bool {
    let spec = &value["spec"];
    let refers = |reference: &Value, kind: &str| {
        reference["name"] == id.name.as_str() && reference["kind"].as_str().unwrap_or(kind) == id.kind
    };
    // Instances that know each other by name are ready only when the name is there.
    let is_known_by =
        id.kind == "Service" && value["kind"] == "StatefulSet" && spec["serviceName"] == id.name.as_str();
    is_known_by
        || refers(&spec["scaleTargetRef"], "Deployment")
        || refers(&spec["template"]["spec"]["bootstrap"]["configRef"], "KubeadmConfigTemplate")
        || refers(&spec["template"]["spec"]["infrastructureRef"], "Metal3MachineTemplate")
        || refers(&spec["runtimeRef"], "ClusterTrainingRuntime")
        || refers(&spec["endpointPickerRef"], "Service")
        || items(spec, "parentRefs").iter().any(|reference| refers(reference, "Gateway"))
        || items(&spec["router"]["gateway"], "refs").iter().any(|reference| refers(reference, "Gateway"))
        || items(spec, "rules")
            .iter()
            .any(|rule| items(rule, "backendRefs").iter().any(|reference| refers(reference, "Service")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(kind: &str, name: &str, wave: u32, spec: Value) -> Object {
        let namespace = (kind != "Namespace").then_some("llm");
        let value = json!({
            "apiVersion": "v1", "kind": kind, "spec": spec,
            "metadata": {"name": name, "namespace": namespace, "annotations": {"capstan.dev/wave": wave.to_string()}},
        });
        Object::of(value, "test").expect("an object")
    }

    fn names_of(waves: &[Vec<Object>]) -> Vec<Vec<&str>> {
        waves.iter().map(|wave| wave.iter().map(|object| object.id.name.as_str()).collect()).collect()
    }

    #[test]
    fn waves_follow_the_manifests() {
        let objects = [
            object("Service", "chat", 3, json!({})),
            object("Deployment", "chat", 2, json!({})),
            object("Namespace", "llm", 0, json!({})),
            object("Service", "other", 3, json!({})),
        ];
        assert_eq!(
            names_of(&waves(&objects).expect("no cycle")),
            [vec!["llm"], vec!["chat"], vec!["chat", "other"]]
        );
    }

    #[test]
    fn a_set_stands_on_the_name_and_the_class_of_its_instances() {
        let spec = json!({
            "serviceName": "queue-headless",
            "volumeClaimTemplates": [{"spec": {"storageClassName": "fast"}}],
        });
        let set = object("StatefulSet", "queue", 0, spec);
        for base in
            [object("Service", "queue-headless", 1, json!({})), object("StorageClass", "fast", 1, json!({}))]
        {
            let id = base.id.clone();
            let all = waves(&[set.clone(), base]).expect("no cycle");
            assert!(all.len() == 2 && all[1][0].id == set.id, "{id}");
        }
        let other = object("Service", "queue", 1, json!({}));
        assert_eq!(names_of(&waves(&[set, other]).expect("no cycle")), [["queue"], ["queue"]]);
    }

    #[test]
    fn a_workload_of_kserve_stands_on_its_gateway_its_weights_and_the_classes_of_both_parts() {
        let spec = json!({
            "model": {"uri": "pvc://weights/owner/model"}, "router": {"gateway": {"refs": [{"name": "p", "namespace": "llm"}]}},
            "template": {"containers": []}, "prefill": {"template": {"priorityClassName": "first", "containers": []}},
        });
        let service = object("LLMInferenceService", "chat", 0, spec);
        let class = object("PriorityClass", "first", 1, json!({}));
        for base in [
            object("Gateway", "p", 1, json!({})),
            object("PersistentVolumeClaim", "weights", 1, json!({})),
            class,
        ] {
            let id = base.id.clone();
            let all = waves(&[service.clone(), base]).expect("no cycle");
            assert!(all.len() == 2 && all[1][0].id == service.id, "{id}");
        }
        let other = object("PersistentVolumeClaim", "owner", 1, json!({}));
        assert_eq!(names_of(&waves(&[service, other]).expect("no cycle")), [vec!["chat"], vec!["owner"]]);
    }

    #[test]
    fn machines_stand_on_their_templates_and_buckets_on_their_store() {
        let refer = |kind: &str| json!({"apiGroup": "x", "kind": kind, "name": "t"});
        let machines = object(
            "MachineDeployment",
            "m",
            0,
            json!({"template": {"spec": {
                "bootstrap": {"configRef": refer("KubeadmConfigTemplate")},
                "infrastructureRef": refer("Metal3MachineTemplate"),
            }}}),
        );
        for kind in ["KubeadmConfigTemplate", "Metal3MachineTemplate"] {
            let all = waves(&[machines.clone(), object(kind, "t", 1, json!({}))]).expect("no cycle");
            assert_eq!(names_of(&all), [["t"], ["m"]], "{kind}");
        }
        let mut class = object("StorageClass", "c", 0, json!({}));
        class.value["parameters"] = json!({"objectStoreName": "s"});
        let bucket = object("ObjectBucketClaim", "b", 0, json!({"storageClassName": "c"}));
        let all = waves(&[bucket, class, object("CephObjectStore", "s", 1, json!({}))]).expect("no cycle");
        assert_eq!(names_of(&all), [["s"], ["c"], ["b"]]);
    }

    #[test]
    fn what_is_named_comes_first_and_beats_the_wave() {
        let mounted = json!({"template": {"spec": {
            "containers": [], "volumes": [{"name": "options", "configMap": {"name": "options"}}],
        }}});
        let scaler = json!({"scaleTargetRef": {"kind": "Deployment", "name": "chat"}});
        let objects = [
            object("HorizontalPodAutoscaler", "scaler", 0, scaler),
            object("Deployment", "chat", 1, mounted),
            object("ConfigMap", "options", 1, json!({})),
        ];
        assert_eq!(
            names_of(&waves(&objects).expect("no cycle")),
            [vec!["options"], vec!["chat"], vec!["scaler"]]
        );
    }

    #[test]
    fn a_circle_is_named() {
        let one = object("One", "a", 0, json!({"scaleTargetRef": {"kind": "Two", "name": "b"}}));
        let two = object("Two", "b", 0, json!({"scaleTargetRef": {"kind": "One", "name": "a"}}));
        assert!(matches!(waves(&[one, two]), Err(Trouble::Cycle(_))));
    }
}
