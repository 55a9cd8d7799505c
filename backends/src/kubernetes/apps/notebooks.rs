//! What runs the notebooks of people? JupyterHub, by its chart (Zero to JupyterHub): values with the planned sizes.
//!
//! Names of values are those of its documentation, chart 4 (z2jh.jupyter.org, "Configuration Reference"), recalled.

use super::super::affinity::tolerations;
use super::super::object::count;
use super::super::{EmitError, Files, Frame, limits, volumes};
use super::{Runner, add_values, workload};
use serde_json::{Value, json};

/// The chart and where it lies.
const CHART: (&str, &str) = ("jupyterhub", "https://hub.jupyter.org/helm-chart/");

/// Seconds without use after which a notebook is stopped: the chart's default.
const IDLE_S: u32 = 3600;

/// Servers that may start at once: the chart's default, which keeps the hub and the registry from being overrun.
const STARTING: u32 = 64;

const MIB: f64 = 1_048_576.0;
const GIB: f64 = 1_073_741_824.0;

/// Adds the values of a workspace.
pub(super) fn add(frame: &Frame<'_>, runner: &Runner<'_>, files: &mut Files) -> Result<(), EmitError> {
    let selector = workload::selector(frame, runner, files);
    let mut single = json!({
        "cpu": { "guarantee": runner.app.threads, "limit": runner.app.threads },
        // JupyterHub's M is 1,048,576 bytes.
        "memory": { "guarantee": memory(runner), "limit": memory(runner) },
        "nodeSelector": selector,
        "extraTolerations": tolerations(runner.machine),
        "storage": storage(frame, runner),
        // It takes a privileged container, which Pod Security of the namespace refuses; its policies deny that address.
        "cloudMetadata": { "blockWithIptables": false },
    });
    if let Some(takes) = &runner.takes {
        let one = json!({ takes.resource.clone(): "1" });
        single["extraResource"] = json!({ "guarantees": one, "limits": one });
    }
    if let Some(class) = limits::class(frame, limits::Rank::Serving) {
        single["extraPodConfig"] = json!({ "priorityClassName": class });
    }
    let mut cull = json!({ "enabled": true, "timeout": IDLE_S, "every": 600 });
    if let Some(hours) = runner.app.hours {
        // One that is still busy after a working day goes with it, since its machine does.
        cull["maxAge"] = json!(hours.until.saturating_sub(hours.from) * 3600);
    }
    let values = json!({
        "hub": {
            "activeServerLimit": runner.instances(),
            "concurrentSpawnLimit": runner.instances().min(STARTING),
        },
        "singleuser": single,
        "cull": cull,
        // Both ask the API server from pods that no policy of the chart lets out of this namespace.
        "scheduling": { "userScheduler": { "enabled": false } },
        "prePuller": { "hook": { "enabled": false }, "continuous": { "enabled": false } },
    });
    add_values(frame, runner, CHART, &values, files)
}

fn memory(runner: &Runner<'_>) -> String {
    format!("{}M", count(runner.app.memory.get() / MIB).max(1))
}

/// Returns what each person keeps.
fn storage(frame: &Frame<'_>, runner: &Runner<'_>) -> Value {
    if !runner.keeps_data() {
        return json!({ "type": "none" });
    }
    let size = format!("{}Gi", count(runner.app.storage.get() / GIB).max(1));
    let mut storage = json!({ "type": "dynamic", "capacity": size });
    if let Some(class) = volumes::class(frame, &runner.machine.site.name) {
        storage["dynamic"] = json!({ "storageClass": class });
    }
    storage
}
