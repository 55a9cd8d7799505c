//! Definitions of the kinds that operators bring, as real servers hold them.

use crate::bench::{Door, until};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// Definitions that emitted objects need: whole folders, or files of large ones.
const FAMILIES: [&str; 14] = [
    "gateway-api",
    "gateway-api-inference-extension",
    "karpenter/karpenter.sh_nodepools.yaml",
    "keda",
    "kserve/serving.kserve.io_llminferenceservices.yaml",
    "kubeflow-trainer",
    "kueue",
    "lws",
    "node-feature-discovery/nfd.k8s-sigs.io_nodefeaturerules.yaml",
    "nvidia-gpu-operator/nvidia.com_clusterpolicies.yaml",
    "prometheus-operator",
    "rook/ceph.rook.io_cephclusters.yaml",
    "rook/ceph.rook.io_cephfilesystems.yaml",
    "rook/ceph.rook.io_cephblockpools.yaml",
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

/// Installs the definitions that emitted objects need; false where the data is absent.
pub fn install(door: &Door<'_>) -> bool {
    let Some(data) = capstan_types::testing::data() else { return false };
    let mut names = Vec::new();
    for file in FAMILIES.iter().flat_map(|family| files(&data.join("crds").join(family))) {
        let text = fs::read_to_string(&file).expect("a readable file");
        let documents: Vec<Value> = serde_saphyr::from_multiple(&text).expect("YAML");
        for document in documents.iter().filter(|document| document["kind"] == "CustomResourceDefinition") {
            let name = document["metadata"]["name"].as_str().expect("a name").to_owned();
            let at = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}");
            let made = door.change(&at, "tests", document);
            assert!(made.status < 300, "{name}: {}", made.body);
            names.push(at);
        }
    }
    for at in names {
        until(&at, 60, || {
            let definition = door.object(&at).unwrap_or_default();
            let rows = definition["status"]["conditions"].as_array().cloned().unwrap_or_default();
            rows.iter().any(|row| row["type"] == "Established" && row["status"] == "True")
        });
    }
    true
}
