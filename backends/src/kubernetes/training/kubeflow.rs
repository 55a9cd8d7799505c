//! What does the training operator of Kubeflow read? A PyTorchJob, an MPIJob or a TFJob: pods by the part that they play.
//!
//! It gives each pod its rank and the address of the first (`MASTER_ADDR` and `PET_*`, a hostfile, `TF_CONFIG`), and knows
//! the container that it speaks to by its name. Read in the sources of its release 1.9.2.

use super::pods::{Shares, add_environment, variable};
use super::{EmitError, Files, Scene};
use serde_json::{Map, Value, json};

/// The version of its kinds.
pub(super) const VERSION: &str = "kubeflow.org/v1";

/// Processors and GiB of the pod that calls `mpirun`: it starts the ranks and hands on what they print. Origin: Assumed.
const LAUNCHER: (u64, u64) = (2, 4);

/// Adds a PyTorchJob: the first node is its master.
pub(super) fn add_py_torch(scene: &Scene<'_>, files: &mut Files) -> Result<(), EmitError> {
    let node = Shares::alone(scene, files).node(scene, "pytorch", files);
    let spec = json!({
        "nprocPerNode": scene.job.per_node().to_string(),
        "runPolicy": run_policy(scene),
        "pytorchReplicaSpecs": first_and_others(scene, "Master", &node),
    });
    scene.add_job(spec, files)
}

/// Adds a TFJob: the first node is its chief.
pub(super) fn add_tensor_flow(scene: &Scene<'_>, files: &mut Files) -> Result<(), EmitError> {
    let node = Shares::alone(scene, files).node(scene, "tensorflow", files);
    let spec = json!({
        "runPolicy": run_policy(scene),
        "tfReplicaSpecs": first_and_others(scene, "Chief", &node),
    });
    scene.add_job(spec, files)
}

/// Adds an MPIJob: workers that wait, and a launcher that starts a rank per accelerator in them by `mpirun`.
pub(super) fn add_mpi(scene: &Scene<'_>, files: &mut Files) -> Result<(), EmitError> {
    let (nodes, per_node) = (scene.job.run.candidate.nodes, scene.job.per_node());
    let shares = Shares::led(scene, LAUNCHER, files);
    let mut launcher = shares.lead(scene, "mpi", files);
    // It reaches the workers through the API server (`kubectl exec`), with the rights of an account that the operator makes.
    launcher["spec"]["automountServiceAccountToken"] = json!(true);
    // Open MPI refuses to run as root, which most images are, unless both are set.
    let root = ["OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"];
    add_environment(&mut launcher, root.map(|name| variable(name, "1")));
    if let Some(program) = &scene.wish.program {
        let ranks = (nodes * per_node).to_string();
        launcher["spec"]["containers"][0]["command"] =
            json!(["mpirun", "-np", ranks, "--map-by", "slot", "--bind-to", "none", "sh", "-c", program]);
    }
    let worker = shares.led_node(scene, "mpi", files);
    let spec = json!({
        "slotsPerWorker": per_node,
        "runPolicy": run_policy(scene),
        "mpiReplicaSpecs": { "Launcher": replicas(1, &launcher), "Worker": replicas(nodes, &worker) },
    });
    scene.add_job(spec, files)
}

/// Returns how the whole of it runs: pods that are still there when it ends, workers that wait among them, free their
/// accelerators.
fn run_policy(scene: &Scene<'_>) -> Value {
    json!({ "backoffLimit": scene.job.restarts(), "cleanPodPolicy": "Running" })
}

/// Returns pods of one part; one that fails starts again and goes on from the last checkpoint.
fn replicas(number: u32, template: &Value) -> Value {
    json!({ "replicas": number, "restartPolicy": "OnFailure", "template": template })
}

/// Returns the first node and the others, which all run the same; a part without pods is refused, so it is left out.
fn first_and_others(scene: &Scene<'_>, first: &str, node: &Value) -> Value {
    let others = scene.job.run.candidate.nodes.saturating_sub(1);
    let mut parts = Map::from_iter([(first.to_owned(), replicas(1, node))]);
    if others > 0 {
        parts.insert("Worker".to_owned(), replicas(others, node));
    }
    Value::Object(parts)
}
