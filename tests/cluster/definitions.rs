//! Definitions of the kinds that operators bring, as real servers hold them.

use crate::bench::{Door, until};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Definitions that emitted objects need: whole folders, or files of large ones.
const FAMILIES: [&str; 34] = [
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
    "kubeflow-training-operator/kubeflow.org_mpijobs.yaml",
    "kubeflow-training-operator/kubeflow.org_pytorchjobs.yaml",
    "kubeflow-training-operator/kubeflow.org_tfjobs.yaml",
    "kuberay/ray.io_rayjobs.yaml",
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

/// Says whether definitions are at hand.
pub fn at_hand() -> bool {
    capstan_types::testing::data().is_some()
}

/// A kind, with the group and the version that it is of.
type Kind = (String, String, String);

/// Returns the kinds of the manifests in a folder.
fn emitted(folder: &Path) -> BTreeSet<Kind> {
    let mut kinds = BTreeSet::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            kinds.extend(emitted(&path));
        } else if path.extension().is_some_and(|ending| ending == "yaml") {
            let text = fs::read_to_string(&path).expect("a readable file");
            let word = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
            let of = word("apiVersion: ").zip(word("kind: "));
            kinds.extend(of.and_then(|(of, kind)| {
                let (group, version) = of.split_once('/')?;
                Some((group.to_owned(), version.to_owned(), kind))
            }));
        }
    }
    kinds
}

/// Returns the definitions of kinds in a family. What does not speak of any is not read: these files are large.
fn read(data: &Path, family: &str, kinds: &BTreeSet<Kind>) -> Vec<Value> {
    let is_one = |group: &Value, kind: &Value| kinds.iter().any(|(of, _, is)| group == of && kind == is);
    let mut found = Vec::new();
    for file in files(&data.join("crds").join(family)) {
        let text = fs::read_to_string(file).expect("a readable file");
        let speaks = |(group, _, kind): &Kind| text.contains(group) && text.contains(kind);
        if kinds.iter().any(speaks) {
            // Many are JSON, whose reader is much faster.
            let documents = serde_json::from_str(&text).map(|document| vec![document]);
            let documents: Vec<Value> =
                documents.unwrap_or_else(|_| serde_saphyr::from_multiple(&text).expect("YAML"));
            found.extend(documents.into_iter().filter(|document| {
                let spec = &document["spec"];
                document["kind"] == "CustomResourceDefinition"
                    && is_one(&spec["group"], &spec["names"]["kind"])
            }));
        }
    }
    found
}

/// Has the server know the kinds of the manifests in a folder that operators bring, as far as they are at hand.
pub fn install(door: &Door<'_>, folder: &Path) {
    let Some(data) = capstan_types::testing::data() else { return };
    let mut kinds = emitted(&folder.join("kubernetes"));
    kinds.retain(|(group, version, kind)| {
        let served = door.object(&format!("/apis/{group}/{version}")).unwrap_or_default();
        let rows = served["resources"].as_array().into_iter().flatten();
        rows.into_iter().all(|row| row["kind"] != kind.as_str())
    });
    let own = |kind: &str| kinds.iter().any(|(_, _, is)| is == kind);
    let (sets, machines) = (own("JobSet"), own("Metal3MachineTemplate"));
    let mut definitions: Vec<Value> =
        FAMILIES.iter().flat_map(|family| read(&data, family, &kinds)).collect();
    if sets {
        let runtime = ["trainer.kubeflow.org", "v1alpha1", "TrainingRuntime"].map(str::to_owned);
        let runtime = BTreeSet::from([runtime.into()]);
        definitions.extend(read(&data, "kubeflow-trainer", &runtime).iter().map(job_set));
    }
    definitions.extend(machines.then(machine_template));
    make(door, definitions.into_iter());
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
