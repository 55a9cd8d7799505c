//! Where everything lives, what holds for all of it, and the list of all files.

use super::object::{Bare, labels, to_yaml};
use super::{EmitError, Files, Frame, Manifest, Wave, rails};
use serde::Serialize;

/// Folder of what belongs to no service.
const FOLDER: &str = "00-namespace";

/// Adds the namespace and the policies for all of its pods.
///
/// Pod Security `baseline` is enforced: images of engines run as root, which `restricted` refuses; what `restricted`
/// would refuse goes to the audit log. Pods on rails lock memory, which `baseline` refuses too: with them nothing is enforced.
pub(super) fn add(frame: &Frame<'_>, files: &mut Files) -> Result<(), EmitError> {
    let level = if rails::are_taken(frame) { "privileged" } else { "baseline" };
    let security = labels([
        ("pod-security.kubernetes.io/enforce", level),
        ("pod-security.kubernetes.io/audit", "restricted"),
    ]);
    let name = &frame.deploy.namespace;
    let metadata = frame.cluster_meta(name, Wave::Namespace, &security);
    let namespace = Bare { api_version: "v1", kind: "Namespace", metadata };
    files.add(
        Wave::Namespace,
        FOLDER,
        ("Namespace", name),
        "everything of the plan lives here.",
        &namespace,
    )?;
    super::network::add_defaults(frame, FOLDER, files)
}

/// `kustomize.config.k8s.io/v1beta1.Kustomization`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Kustomization {
    api_version: &'static str,
    kind: &'static str,
    sort_options: SortOptions,
    resources: Vec<String>,
}

/// How kustomize orders its output.
#[derive(Debug, Clone, Serialize)]
struct SortOptions {
    order: &'static str,
}

/// Returns the list of all files, in the order in which they are applied.
pub(super) fn index(manifests: &[Manifest]) -> Result<Manifest, EmitError> {
    let resources = manifests
        .iter()
        .map(|manifest| manifest.path.strip_prefix("kubernetes/").unwrap_or(&manifest.path).to_owned())
        .collect();
    let list = Kustomization {
        api_version: "kustomize.config.k8s.io/v1beta1",
        kind: "Kustomization",
        sort_options: SortOptions { order: "fifo" },
        resources,
    };
    let header = [
        "All objects of the plan, in the order in which they are applied.".to_owned(),
        "Look first: kubectl diff --server-side -k .    Then: kubectl apply --server-side -k .".to_owned(),
    ];
    Ok(Manifest {
        path: "kubernetes/kustomization.yaml".to_owned(),
        kind: "Kustomization".to_owned(),
        name: "kustomization".to_owned(),
        wave: Wave::Index,
        yaml: to_yaml(&header, &list)?,
    })
}
