//! What does KubeRay read? A RayJob: a cluster for this training alone, and the command line that is started in it.
//!
//! The head computes nothing; the program runs there and spreads its work over the nodes. The operator hands the command
//! line to the head itself (`HTTPMode`), so that no other pod is made. Read in the sources of KubeRay 1.4.2, and held against
//! the definition of 1.7.0.

use super::pods::Shares;
use super::{EmitError, Files, Scene};
use serde_json::json;

/// The version of Ray that the image holds; KubeRay writes the command lines of this version. Origin: the newest on PyPI in
/// August 2026.
const RAY: &str = "2.60.0";

/// Processors and GiB of the head. Origin: the sizes of heads in the documentation of Ray on Kubernetes.
const HEAD: (u64, u64) = (8, 32);

/// Of the shared memory of a pod, the part that Ray keeps its objects in: one of so many. By itself it takes a share of all
/// memory, which is more than is shared, and goes to disk. Origin: Assumed, half, as collectives take segments too.
const STORE_PART: u64 = 2;

const GIB: u64 = 1 << 30;

/// Where the operator hands a program to the head (`DefaultDashboardPort` of KubeRay).
pub(super) const DASHBOARD: u16 = 8265;

/// Label of the operator's own pods, in whichever namespace they are (KubeRay's manifests and chart).
pub(super) const OPERATOR: (&str, &str) = ("app.kubernetes.io/component", "kuberay-operator");

/// Adds the RayJob.
pub(super) fn add(scene: &Scene<'_>, files: &mut Files) -> Result<(), EmitError> {
    let nodes = scene.job.run.candidate.nodes;
    let shares = Shares::led(scene, HEAD, files);
    let [of_node, of_head] = shares.shared_gib().map(|gib| (gib * GIB / STORE_PART).to_string());
    let spec = json!({
        "entrypoint": scene.wish.program,
        "submissionMode": "HTTPMode",
        // A cluster that stayed would hold its machines; one that stays cannot be suspended either.
        "shutdownAfterJobFinishes": true,
        "backoffLimit": scene.job.restarts(),
        "rayClusterSpec": {
            "rayVersion": RAY,
            "headGroupSpec": {
                // No work but the program itself goes to the head.
                "rayStartParams": { "num-cpus": "0", "object-store-memory": of_head },
                "template": shares.lead(scene, "ray-head", files),
            },
            "workerGroupSpecs": [{
                "groupName": "node",
                "replicas": nodes,
                "minReplicas": nodes,
                "maxReplicas": nodes,
                "numOfHosts": 1,
                "rayStartParams": { "object-store-memory": of_node },
                "template": shares.led_node(scene, "ray-worker", files),
            }],
        },
    });
    scene.add_job(spec, files)
}
