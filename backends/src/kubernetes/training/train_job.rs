//! What does Kubeflow Trainer read? A TrainJob, and a runtime of its own that says what every node runs.

use super::pods::Shares;
use super::{EmitError, Files, Scene};
use crate::kubernetes::Wave;
use crate::kubernetes::object::{Object, labels};
use serde_json::{Value, json};

/// Adds the runtime and the job.
pub(super) fn add(scene: &Scene<'_>, files: &mut Files) -> Result<(), EmitError> {
    let job = scene.job;
    let shares = Shares::alone(scene, files);
    add_runtime(scene, &shares, files)?;
    let spec = json!({
        "runtimeRef": { "apiGroup": "trainer.kubeflow.org", "kind": "TrainingRuntime", "name": job.name },
        "trainer": {
            "image": scene.wish.image,
            "numNodes": job.run.candidate.nodes,
            "numProcPerNode": job.per_node(),
            // They stand in place of those of the runtime, so all of them are named.
            "resourcesPerNode": shares.of_node(job),
        },
    });
    scene.add_job(spec, files)
}

/// Adds what every node of the training runs.
fn add_runtime(scene: &Scene<'_>, shares: &Shares, files: &mut Files) -> Result<(), EmitError> {
    let job = scene.job;
    let node = shares.node(scene, "node", files);
    let ancestor = labels([("trainer.kubeflow.org/trainjob-ancestor-step", "trainer")]);
    let spec = json!({
        "mlPolicy": { "numNodes": job.run.candidate.nodes, "torch": {} },
        "template": { "spec": { "replicatedJobs": [{
            "name": "node",
            "template": { "metadata": { "labels": ancestor }, "spec": {
                // A failure is a restart from the last checkpoint.
                "backoffLimit": job.restarts(),
                "template": node,
            } },
        }] } },
    });
    let object = Object::<Value> {
        api_version: scene.form.api_version,
        kind: "TrainingRuntime",
        metadata: scene.frame.meta(&job.name, Wave::Queues, &job.labels()),
        spec,
    };
    let note = "what every node of the training runs.";
    files.add(Wave::Queues, &scene.folder, ("TrainingRuntime", &job.name), note, &object)
}
