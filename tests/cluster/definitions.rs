//! Definitions of the kinds that operators bring, as real servers hold them.

use crate::bench::{Door, until};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// Definitions that emitted objects need: whole folders, or files of large ones.
const FAMILIES: [&str; 30] = [
    "cluster-api/bootstrap.cluster.x-k8s.io_kubeadmconfigtemplates.yaml",
    "cluster-api/cluster.x-k8s.io_machinedeployments.yaml",
    "cert-manager/cert-manager.io_certificates.yaml",
    "gateway-api",
    "gateway-api-inference-extension",
    "istio/networking.istio.io_destinationrules.yaml",
    "istio/networking.istio.io_envoyfilters.yaml",
    "istio/networking.istio.io_virtualservices.yaml",
    "istio/security.istio.io_authorizationpolicies.yaml",
    "istio/security.istio.io_peerauthentications.yaml",
    "istio/security.istio.io_requestauthentications.yaml",
    "karpenter/karpenter.sh_nodepools.yaml",
    "keda",
    "kserve/serving.kserve.io_inferenceservices.yaml",
    "kserve/serving.kserve.io_llminferenceservices.yaml",
    "kubeflow-trainer",
    "kueue",
    "lws",
    "node-feature-discovery/nfd.k8s-sigs.io_nodefeaturerules.yaml",
    "nvidia-gpu-operator/nvidia.com_clusterpolicies.yaml",
    "nvidia-network-operator/mellanox.com_nicclusterpolicies.yaml",
    "prometheus-operator",
    "rook/ceph.rook.io_cephclusters.yaml",
    "rook/ceph.rook.io_cephfilesystems.yaml",
    "rook/ceph.rook.io_cephblockpools.yaml",
    "rook/ceph.rook.io_cephobjectstores.yaml",
    "rook/objectbucket.io_objectbucketclaims.yaml",
    "sriov-network-operator/sriovnetwork.openshift.io_sriovibnetworks.yaml",
    "sriov-network-operator/sriovnetwork.openshift.io_sriovnetworknodepolicies.yaml",
    "sriov-network-operator/sriovnetwork.openshift.io_sriovnetworks.yaml",
];

/// Returns the files of a family.
fn files(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let entries =
        fs::read_dir(path).expect("the data holds this family").map(|entry| entry.expect("an entry").path());
    entries
        .filter(|file| file.extension().is_some_and(|ending| ending == "yaml" || ending == "yml"))
        .collect()
}

/// Those of operators beside Kubeflow Trainer that run trainings; JobSet's is made of what Trainer embeds.
const TRAININGS: [&str; 4] = [
    "kubeflow-training-operator/kubeflow.org_mpijobs.yaml",
    "kubeflow-training-operator/kubeflow.org_pytorchjobs.yaml",
    "kubeflow-training-operator/kubeflow.org_tfjobs.yaml",
    "kuberay/ray.io_rayjobs.yaml",
];

/// Returns the definitions in a family.
fn read(data: &Path, family: &str) -> Vec<Value> {
    let texts = files(&data.join("crds").join(family)).into_iter().map(fs::read_to_string);
    let documents = texts.flat_map(|text| -> Vec<Value> {
        serde_saphyr::from_multiple(&text.expect("a readable file")).expect("YAML")
    });
    documents.filter(|document| document["kind"] == "CustomResourceDefinition").collect()
}

/// Installs the definitions that emitted objects need; false where the data is absent.
pub fn install(door: &Door<'_>) -> bool {
    let Some(data) = capstan_types::testing::data() else { return false };
    make(door, FAMILIES.iter().flat_map(|family| read(&data, family)).chain([machine_template()]));
    true
}

/// Installs those of all operators that run trainings; false where the data is absent.
pub fn install_trainings(door: &Door<'_>) -> bool {
    let Some(data) = capstan_types::testing::data() else { return false };
    let runtimes = read(&data, "kubeflow-trainer/trainer.kubeflow.org_trainingruntimes.yaml");
    let set = job_set(runtimes.first().expect("a definition"));
    make(door, TRAININGS.iter().flat_map(|family| read(&data, family)).chain([set]));
    true
}

/// Returns the definition of a JobSet, of which a TrainingRuntime embeds the specification.
fn job_set(runtimes: &Value) -> Value {
    let embedding = &runtimes["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    let spec = &embedding["properties"]["template"]["properties"]["spec"];
    assert!(spec["properties"]["replicatedJobs"].is_object(), "a runtime embeds a JobSet");
    let status = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    let schema = json!({ "type": "object", "properties": { "spec": spec, "status": status } });
    let mut definition = definition(("jobset.x-k8s.io", "JobSet", "jobset"), "v1alpha2", &schema);
    definition["spec"]["versions"][0]["subresources"] = json!({ "status": {} });
    definition
}

/// Returns the definition of a Metal3MachineTemplate: no file of it is at hand, so these are the fields of its machines that are
/// known of its provider (`Metal3MachineSpec` of v1beta1), and no other is taken.
fn machine_template() -> Value {
    let text = || json!({ "type": "string" });
    let map = json!({ "type": "object", "additionalProperties": text() });
    let object = |fields: Value| json!({ "type": "object", "properties": fields });
    let image = object(json!({
        "url": text(), "checksum": text(), "format": text(),
        "checksumType": { "type": "string", "enum": ["md5", "sha256", "sha512"] },
    }));
    let selector = object(json!({ "matchLabels": map }));
    let machine =
        object(json!({ "image": image, "hostSelector": selector, "automatedCleaningMode": text() }));
    let spec =
        object(json!({ "template": object(json!({ "spec": machine })), "nodeReuse": { "type": "boolean" } }));
    let names = ("infrastructure.cluster.x-k8s.io", "Metal3MachineTemplate", "metal3machinetemplate");
    definition(names, "v1beta1", &object(json!({ "spec": spec })))
}

/// Returns a definition of objects in namespaces: its group, kind and singular, the one version, and what that takes.
fn definition((group, kind, singular): (&str, &str, &str), version: &str, schema: &Value) -> Value {
    let plural = format!("{singular}s");
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("{plural}.{group}") },
        "spec": {
            "group": group, "scope": "Namespaced",
            "names": { "kind": kind, "listKind": format!("{kind}List"), "plural": plural, "singular": singular },
            "versions": [{
                "name": version, "served": true, "storage": true,
                "schema": { "openAPIV3Schema": schema },
            }],
        },
    })
}

/// Has the server know definitions, and waits until it does.
fn make(door: &Door<'_>, definitions: impl Iterator<Item = Value>) {
    let mut names = Vec::new();
    for definition in definitions {
        let name = definition["metadata"]["name"].as_str().expect("a name");
        let at = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}");
        let made = door.change(&at, "tests", &definition);
        assert!(made.status < 300, "{name}: {}", made.body);
        names.push(at);
    }
    for at in names {
        until(&at, 60, || {
            let definition = door.object(&at).unwrap_or_default();
            let rows = definition["status"]["conditions"].as_array().cloned().unwrap_or_default();
            rows.iter().any(|row| row["type"] == "Established" && row["status"] == "True")
        });
    }
}
