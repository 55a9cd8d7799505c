//! Which volumes are asked for? What must outlive a pod, or be shared by several.

use super::object::{Labels, Object, count};
use super::{EmitError, Files, Frame, Wave, storage};
use serde_json::json;

const GIB: f64 = 1_073_741_824.0;

/// A volume that many nodes mount.
pub(super) struct Claim<'a> {
    pub(super) name: &'a str,
    pub(super) labels: Labels,
    /// Where those that mount it run.
    pub(super) site: &'a str,
    pub(super) bytes: f64,
    /// What it is for.
    pub(super) note: &'a str,
}

/// Returns the class that volumes of a site are asked of: the plan's, else that of the storage which is written for it.
pub(super) fn class(frame: &Frame<'_>, site: &str) -> Option<String> {
    let own = || frame.deploy.rook.then(|| storage::files_class(frame, site)).flatten();
    frame.deploy.storage_class.clone().or_else(own)
}

/// Adds the claim of a volume.
pub(super) fn add(
    frame: &Frame<'_>,
    claim: &Claim<'_>,
    folder: &str,
    files: &mut Files,
) -> Result<(), EmitError> {
    let mut spec = json!({
        "accessModes": ["ReadWriteMany"],
        "resources": { "requests": { "storage": format!("{}Gi", count(claim.bytes / GIB).max(1)) } },
    });
    match class(frame, claim.site) {
        Some(class) => spec["storageClassName"] = json!(class),
        None => files.warn(
            &frame.plan,
            "volumes are asked of the cluster's default class, which must let many nodes mount one: name another with `storage_class`".to_owned(),
        ),
    }
    let object = Object {
        api_version: "v1",
        kind: "PersistentVolumeClaim",
        metadata: frame.meta(claim.name, Wave::Storage, &claim.labels),
        spec,
    };
    files.add(Wave::Storage, folder, ("PersistentVolumeClaim", claim.name), claim.note, &object)
}
