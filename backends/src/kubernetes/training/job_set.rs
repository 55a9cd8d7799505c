//! What does JobSet read? One indexed Job with a pod per node, each with a name of its own, that starts again as a whole.
//!
//! It gives pods a rank and names, and knows no framework: what `torchrun` reads of its environment (`PET_*`) is written here.

use super::pods::{Shares, add_environment, variable};
use super::{EmitError, Files, Scene};
use serde_json::json;

/// The one Job of the set.
const NODE: &str = "node";

/// Where the first node is met by the others. Origin: what `torchrun` takes by itself.
const MEETING_PORT: u16 = 29500;

/// Adds the JobSet.
pub(super) fn add(scene: &Scene<'_>, files: &mut Files) -> Result<(), EmitError> {
    let (job, nodes) = (scene.job, scene.job.run.candidate.nodes);
    let mut node = Shares::alone(scene, files).node(scene, NODE, files);
    // A pod that fails ends its Job, and with it the set starts again.
    node["spec"]["restartPolicy"] = json!("Never");
    let first = format!("{0}-{NODE}-0-0.{0}", job.name);
    let rank = "metadata.annotations['batch.kubernetes.io/job-completion-index']";
    add_environment(
        &mut node,
        [
            variable("PET_NNODES", &nodes.to_string()),
            variable("PET_NPROC_PER_NODE", &job.per_node().to_string()),
            json!({ "name": "PET_NODE_RANK", "valueFrom": { "fieldRef": { "fieldPath": rank } } }),
            variable("PET_MASTER_ADDR", &first),
            variable("PET_MASTER_PORT", &MEETING_PORT.to_string()),
        ],
    );
    let spec = json!({
        "network": { "enableDNSHostnames": true, "subdomain": job.name, "publishNotReadyAddresses": true },
        "failurePolicy": { "maxRestarts": job.restarts() },
        "replicatedJobs": [{
            "name": NODE,
            "replicas": 1,
            "template": { "spec": {
                "completionMode": "Indexed",
                "completions": nodes,
                "parallelism": nodes,
                "backoffLimit": 0,
                "template": node,
            } },
        }],
    });
    scene.add_job(spec, files)
}
