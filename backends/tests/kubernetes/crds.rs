//! Custom resources against the schemas that real servers hold, strictly: types, required and unknown fields.

use crate::apps::all;
use crate::common::{
    autoscaled, by_kserve, emitted, everything, object, operated, own_hall, trained, tree, two_nodes,
    two_parts,
};
use capstan_types::hardware::Link;
use capstan_types::spec::JobKind;
use capstan_types::testing::blueprint::chat_blueprint;
use capstan_types::testing::data;
use serde_json::Value;
use std::fs;

/// Returns the schema of one version of a resource definition.
fn schema(file: &str, version: &str) -> Option<Value> {
    let text =
        fs::read_to_string(data()?.join("crds").join(file)).expect("the data folder holds this definition");
    let crd: Value = serde_saphyr::from_str(&text).expect("a definition is YAML");
    let versions = crd["spec"]["versions"].as_array().expect("a definition has versions");
    let found = versions.iter().find(|row| row["name"] == version).expect("the version is served");
    Some(found["schema"]["openAPIV3Schema"].clone())
}

/// Returns what a strict server would say of a value.
fn faults(value: &Value, schema: &Value, path: &str) -> Vec<String> {
    if schema["x-kubernetes-int-or-string"] == true {
        return if value.is_i64() || value.is_string() {
            Vec::new()
        } else {
            vec![format!("{path}: int or string")]
        };
    }
    let kind = schema["type"].as_str().unwrap_or_default();
    let fits = match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        _ => true,
    };
    if !fits {
        return vec![format!("{path}: not of type {kind}: {value}")];
    }
    let mut found = Vec::new();
    if let Some(allowed) = schema["enum"].as_array()
        && !allowed.contains(value)
    {
        found.push(format!("{path}: {value} is not one of {allowed:?}"));
    }
    if let Some(most) = schema["minimum"].as_f64()
        && value.as_f64().is_some_and(|number| number < most)
    {
        found.push(format!("{path}: {value} is below {most}"));
    }
    for (at, item) in value.as_array().into_iter().flatten().enumerate() {
        found.extend(faults(item, &schema["items"], &format!("{path}[{at}]")));
    }
    if let Some(fields) = value.as_object() {
        found.extend(field_faults(fields, schema, path));
    }
    found
}

/// Fields that every object has, so that a definition may leave them out, as those of Istio do.
const OF_EVERY_OBJECT: [&str; 3] = ["apiVersion", "kind", "metadata"];

fn field_faults(fields: &serde_json::Map<String, Value>, schema: &Value, path: &str) -> Vec<String> {
    let mut found = Vec::new();
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !fields.contains_key(name) {
            found.push(format!("{path}.{name}: required"));
        }
    }
    for (name, field) in fields {
        let below = format!("{path}.{name}");
        // What all objects have, definitions leave to the server.
        if path == "object" && ["apiVersion", "kind", "metadata"].contains(&name.as_str()) {
            continue;
        }
        if let Some(known) = schema["properties"].get(name) {
            found.extend(faults(field, known, &below));
        } else if schema["additionalProperties"].is_object() {
            found.extend(faults(field, &schema["additionalProperties"], &below));
        } else if schema["x-kubernetes-preserve-unknown-fields"] != true
            && !(path == "object" && OF_EVERY_OBJECT.contains(&name.as_str()))
        {
            found.push(format!("{below}: unknown field"));
        }
    }
    found
}

#[test]
fn a_leader_worker_set_is_what_its_server_knows() {
    let Some(schema) = schema("lws/leaderworkerset.x-k8s.io_leaderworkersets.yaml", "v1") else { return };
    let group = object(&emitted(&two_nodes()).manifests, "LeaderWorkerSet", "chat-nodes");
    assert_eq!(faults(&group, &schema, "object"), Vec::<String>::new());
}

#[test]
fn monitors_and_rules_are_what_the_prometheus_operator_knows() {
    let manifests = emitted(&chat_blueprint()).manifests;
    for (kind, file) in [
        ("PodMonitor", "prometheus-operator/monitoring.coreos.com_podmonitors.yaml"),
        ("PrometheusRule", "prometheus-operator/monitoring.coreos.com_prometheusrules.yaml"),
    ] {
        let Some(schema) = schema(file, "v1") else { return };
        assert_eq!(faults(&object(&manifests, kind, "chat"), &schema, "object"), Vec::<String>::new());
    }
}

/// Where the definition of each kind lies that operators bring, and the version that is emitted. Of ExternalSecret and
/// Metal3MachineTemplate none is at hand; of JobSet it is what a TrainingRuntime embeds.
const DEFINITIONS: [(&str, &str, &str); 39] = [
    ("AlertmanagerConfig", "prometheus-operator/monitoring.coreos.com_alertmanagerconfigs.yaml", "v1alpha1"),
    ("AuthorizationPolicy", "istio/security.istio.io_authorizationpolicies.yaml", "v1"),
    ("CephCluster", "rook/ceph.rook.io_cephclusters.yaml", "v1"),
    ("CephFilesystem", "rook/ceph.rook.io_cephfilesystems.yaml", "v1"),
    ("CephObjectStore", "rook/ceph.rook.io_cephobjectstores.yaml", "v1"),
    ("Certificate", "cert-manager/cert-manager.io_certificates.yaml", "v1"),
    ("ClusterPolicy", "nvidia-gpu-operator/nvidia.com_clusterpolicies.yaml", "v1"),
    ("ClusterQueue", "kueue/kueue.x-k8s.io_clusterqueues.yaml", "v1beta2"),
    ("DestinationRule", "istio/networking.istio.io_destinationrules.yaml", "v1"),
    ("EnvoyFilter", "istio/networking.istio.io_envoyfilters.yaml", "v1alpha3"),
    ("Gateway", "gateway-api/gateway.networking.k8s.io_gateways.yaml", "v1"),
    ("HTTPRoute", "gateway-api/gateway.networking.k8s.io_httproutes.yaml", "v1"),
    (
        "InferencePool",
        "gateway-api-inference-extension/inference.networking.k8s.io_inferencepools.yaml",
        "v1",
    ),
    ("InferenceService", "kserve/serving.kserve.io_inferenceservices.yaml", "v1beta1"),
    (
        "KubeadmConfigTemplate",
        "cluster-api/bootstrap.cluster.x-k8s.io_kubeadmconfigtemplates.yaml",
        "v1beta2",
    ),
    ("LLMInferenceService", "kserve/serving.kserve.io_llminferenceservices.yaml", "v1alpha2"),
    ("LocalQueue", "kueue/kueue.x-k8s.io_localqueues.yaml", "v1beta2"),
    ("MPIJob", "kubeflow-training-operator/kubeflow.org_mpijobs.yaml", "v1"),
    ("MachineDeployment", "cluster-api/cluster.x-k8s.io_machinedeployments.yaml", "v1beta2"),
    ("NicClusterPolicy", "nvidia-network-operator/mellanox.com_nicclusterpolicies.yaml", "v1alpha1"),
    ("NodeFeatureRule", "node-feature-discovery/nfd.k8s-sigs.io_nodefeaturerules.yaml", "v1alpha1"),
    ("NodePool", "karpenter/karpenter.sh_nodepools.yaml", "v1"),
    ("ObjectBucketClaim", "rook/objectbucket.io_objectbucketclaims.yaml", "v1alpha1"),
    ("PeerAuthentication", "istio/security.istio.io_peerauthentications.yaml", "v1"),
    ("PodMonitor", "prometheus-operator/monitoring.coreos.com_podmonitors.yaml", "v1"),
    ("PrometheusRule", "prometheus-operator/monitoring.coreos.com_prometheusrules.yaml", "v1"),
    ("PyTorchJob", "kubeflow-training-operator/kubeflow.org_pytorchjobs.yaml", "v1"),
    ("RayJob", "kuberay/ray.io_rayjobs.yaml", "v1"),
    ("RequestAuthentication", "istio/security.istio.io_requestauthentications.yaml", "v1"),
    ("ResourceFlavor", "kueue/kueue.x-k8s.io_resourceflavors.yaml", "v1beta2"),
    ("ScaledObject", "keda/keda.sh_scaledobjects.yaml", "v1alpha1"),
    ("ServiceMonitor", "prometheus-operator/monitoring.coreos.com_servicemonitors.yaml", "v1"),
    ("SriovIBNetwork", "sriov-network-operator/sriovnetwork.openshift.io_sriovibnetworks.yaml", "v1"),
    ("SriovNetwork", "sriov-network-operator/sriovnetwork.openshift.io_sriovnetworks.yaml", "v1"),
    (
        "SriovNetworkNodePolicy",
        "sriov-network-operator/sriovnetwork.openshift.io_sriovnetworknodepolicies.yaml",
        "v1",
    ),
    ("TFJob", "kubeflow-training-operator/kubeflow.org_tfjobs.yaml", "v1"),
    ("TrainJob", "kubeflow-trainer/trainer.kubeflow.org_trainjobs.yaml", "v1alpha1"),
    ("TrainingRuntime", "kubeflow-trainer/trainer.kubeflow.org_trainingruntimes.yaml", "v1alpha1"),
    ("VirtualService", "istio/networking.istio.io_virtualservices.yaml", "v1"),
];

#[test]
fn every_family_is_what_its_operator_knows() {
    if data().is_none() {
        return;
    }
    let mut manifests = emitted(&everything()).manifests;
    manifests.extend(emitted(&autoscaled(0, 0.1, 28)).manifests);
    manifests.extend(emitted(&two_parts()).manifests);
    manifests.extend(emitted(&by_kserve()).manifests);
    let mut inside = operated();
    manifests.extend(emitted(&inside).manifests);
    let deploy = inside.inputs.spec.deploy.as_mut().expect("it deploys");
    (deploy.gateway, deploy.certificates) = (None, None);
    manifests.extend(emitted(&inside).manifests);
    manifests.extend(JobKind::ALL.into_iter().flat_map(|job| emitted(&trained(job)).manifests));
    manifests.extend(emitted(&all()).manifests);
    let mut hall = own_hall();
    manifests.extend(emitted(&hall).manifests);
    hall.inputs.catalog.fabrics[0].link = Some(Link::Ethernet);
    manifests.extend(emitted(&hall).manifests);
    for (kind, file, version) in DEFINITIONS {
        let schema = schema(file, version).expect("the data are there");
        let own: Vec<_> = manifests.iter().filter(|manifest| manifest.kind == kind).collect();
        assert!(!own.is_empty(), "no {kind} is emitted");
        for manifest in own {
            let found = faults(&tree(manifest), &schema, "object");
            assert_eq!(found, Vec::<String>::new(), "{}", manifest.path);
        }
    }
}

/// A TrainingRuntime of Trainer embeds the specification of a JobSet.
#[test]
fn a_job_set_is_what_its_server_knows() {
    let runtimes = schema("kubeflow-trainer/trainer.kubeflow.org_trainingruntimes.yaml", "v1alpha1");
    let Some(runtimes) = runtimes else { return };
    let schema = &runtimes["properties"]["spec"]["properties"]["template"]["properties"]["spec"];
    let set = object(&emitted(&trained(JobKind::JobSet)).manifests, "JobSet", "pretrain");
    assert_eq!(faults(&set["spec"], schema, "spec"), Vec::<String>::new());
}

/// The templates of a Deployment are those of a LeaderWorkerSet, whose definition embeds the schema of pods.
#[test]
fn the_template_of_a_deployment_is_a_pod() {
    let Some(schema) = schema("lws/leaderworkerset.x-k8s.io_leaderworkersets.yaml", "v1") else { return };
    let pod =
        &schema["properties"]["spec"]["properties"]["leaderWorkerTemplate"]["properties"]["workerTemplate"];
    let deployment = object(&emitted(&chat_blueprint()).manifests, "Deployment", "chat");
    assert_eq!(faults(&deployment["spec"]["template"], pod, "template"), Vec::<String>::new());
}

#[test]
fn the_checker_finds_unknown_missing_and_wrong_fields() {
    let Some(schema) = schema("lws/leaderworkerset.x-k8s.io_leaderworkersets.yaml", "v1") else { return };
    let good = object(&emitted(&two_nodes()).manifests, "LeaderWorkerSet", "chat-nodes");
    let mut unknown = good.clone();
    unknown["spec"]["leaderWorkerTemplate"]["workerTemplate"]["spec"]["containers"][0]["comand"] = "a".into();
    let mut wrong = good.clone();
    wrong["spec"]["leaderWorkerTemplate"]["size"] = "2".into();
    let mut missing = good;
    missing["spec"]["leaderWorkerTemplate"]["workerTemplate"] = Value::Null;
    for (value, what) in [
        (unknown, "comand: unknown field"),
        (wrong, "size: not of type integer"),
        (missing, "workerTemplate: not of type object"),
    ] {
        let found = faults(&value, &schema, "object");
        assert!(found.len() == 1 && found[0].contains(what), "{found:?}");
    }
}
