//! Who brings weights onto the volume that servers read them from? A Job that ends before they start.
//!
//! It asks the model hub with the library that the engine's image holds, for what the engine reads and not for the same weights in
//! other formats. What is there already is not fetched again, so that a pod that had to go goes on where it stopped, and one
//! that runs again ends at once. Servers wait for its end, and their probes do not count it: whoever applies the plan waits
//! where the annotation says so.
//!
//! Its name holds a digest of its pod, since a Job cannot change: other weights are another Job. It does not know whether the
//! volume has room.

use super::affinity::{node_selector, tolerations};
use super::container::TOKEN_SECRET;
use super::engine::hub_name;
use super::object::{Object, fnv, labels};
use super::server::{Server, shortened};
use super::{EmitError, Files, Frame, Wave, network};
use serde_json::{Value, json};

/// The annotation of a Job that is at work only when it has ended.
pub const UNTIL: (&str, &str) = ("capstan.dev/until", "complete");

/// What the pod runs. Its arguments are the model, and a folder where the layout is not that of the hub's cache.
const PROGRAM: &str = r#"import sys
from huggingface_hub import list_repo_files, snapshot_download
model, folder = sys.argv[1], (sys.argv[2:] or [None])[0]
others = ["original/*", "metal/*", "*.pth", "*.gguf", "*.onnx", "*.msgpack", "*.h5"]
if any(name.endswith(".safetensors") for name in list_repo_files(model)):
    others += ["*.bin", "*.pt"]
snapshot_download(model, ignore_patterns=others, local_dir=folder)
"#;

/// How often a pod that fails is started again; each goes on where the last stopped. Origin: Assumed.
const TRIES: u32 = 20;

/// Where the volume is mounted.
const CACHE: &str = "/cache";

/// How weights lie on the volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// As the hub's library keeps them, for engines that ask it.
    Cache,
    /// In a folder that has the name of the model, for those that are given a path.
    Folder,
}

/// Returns the note of the claim of a server's weights: who fills it.
pub(super) fn note(server: &Server<'_>, what: &str) -> String {
    match hub_name(server) {
        Some(model) => format!("{what}: {model}, fetched by a Job before servers start."),
        None => format!(
            "{what}; the plan names no source of `{}` (owner/model of a model hub), so whoever applies it puts them here before servers start.",
            server.model.id
        ),
    }
}

/// Adds what fetches the weights of a server onto a claim, where the plan names their source; returns whether it does.
pub(super) fn add(
    frame: &Frame<'_>,
    server: &Server<'_>,
    (claim, layout): (&str, Layout),
    folder: &str,
    files: &mut Files,
) -> Result<bool, EmitError> {
    let Some(model) = hub_name(server) else { return Ok(false) };
    let pods = labels([("app.kubernetes.io/name", claim)]);
    network::add_offline(frame, (claim, &pods), folder, files)?;
    let spec = json!({
        "backoffLimit": TRIES,
        "template": { "metadata": { "labels": pods }, "spec": pod(frame, server, (claim, layout, model), files) },
    });
    let name = shortened(&format!("{claim}-{:08x}", fnv(&spec.to_string())));
    let mut metadata = frame.meta(&name, Wave::Storage, &pods);
    metadata.annotations.extend(labels([UNTIL]));
    let object = Object { api_version: "batch/v1", kind: "Job", metadata, spec };
    let note = format!("fetches {model} onto the volume `{claim}`; servers start when it has ended.");
    files.add(Wave::Storage, folder, ("Job", &name), &note, &object)?;
    Ok(true)
}

/// Returns the pod, on a machine of the servers without an accelerator of it: there is the image, and the volume.
fn pod(
    frame: &Frame<'_>,
    server: &Server<'_>,
    (claim, layout, model): (&str, Layout, &str),
    files: &mut Files,
) -> Value {
    let token = json!({ "name": TOKEN_SECRET, "key": "token", "optional": true });
    let mut args = vec![model.to_owned()];
    if layout == Layout::Folder {
        args.push(format!("{CACHE}/{model}"));
    }
    json!({
        "restartPolicy": "OnFailure",
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        "nodeSelector": node_selector(frame.blueprint, server.machine(), &mut files.warnings),
        "tolerations": tolerations(server.machine()),
        "securityContext": { "seccompProfile": { "type": "RuntimeDefault" } },
        "containers": [{
            "name": "fetch",
            "image": server.image,
            "imagePullPolicy": "IfNotPresent",
            "command": ["python3", "-c", PROGRAM],
            "args": args,
            "env": [
                { "name": "HF_HOME", "value": CACHE },
                { "name": "HF_TOKEN", "valueFrom": { "secretKeyRef": token } },
            ],
            "resources": { "requests": { "cpu": "1", "memory": "8Gi" }, "limits": { "memory": "8Gi" } },
            "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
            "volumeMounts": [{ "name": "cache", "mountPath": CACHE }],
        }],
        "volumes": [{ "name": "cache", "persistentVolumeClaim": { "claimName": claim } }],
    })
}
