//! How do machines come to show their accelerators? The policy of the GPU operator, and labels of what its parts find.
//!
//! One policy per cluster: it is written for machines of every site of the plan.

use super::accelerators::COUNTERS;
use super::affinity::Machine;
use super::apps::Runner;
use super::object::{Labels, Object, labels};
use super::server::Group;
use super::training::Job;
use super::{EmitError, Files, Frame, Wave, partitions};
use serde_json::json;

const FOLDER: &str = "05-nodes";

/// The driver that GPU operator 26.7.0 brings (its release of 2026-08-20).
const DRIVER: &str = "595.91.07";

/// Vendor number of Mellanox and NVIDIA network cards (pci-ids.ucw.cz).
pub(super) const MELLANOX: &str = "15b3";

/// Adds the policy and the rule, where the plan asks for them and has accelerators that they are about.
pub(super) fn add(
    frame: &Frame<'_>,
    groups: &[Group<'_>],
    jobs: &[Job<'_>],
    runners: &[Runner<'_>],
    files: &mut Files,
) -> Result<(), EmitError> {
    if !frame.deploy.gpu_operator {
        return Ok(());
    }
    let serving = groups.iter().flat_map(|group| &group.servers).map(|server| server.machine());
    let others = runners.iter().map(|runner| runner.machine);
    let mut machines = serving.chain(jobs.iter().map(|job| job.machine)).chain(others);
    if !machines.any(|machine: Machine<'_>| machine.vendor() == Some("NVIDIA")) {
        let message = "the GPU operator is about accelerators of NVIDIA, and the plan has none".to_owned();
        files.warn(&frame.plan, message);
        return Ok(());
    }
    let spans = groups.iter().any(Group::spans_nodes) || jobs.iter().any(|job| job.run.candidate.nodes > 1);
    add_policy(frame, spans, partitions::asked(runners), files)?;
    if frame.deploy.monitoring {
        let rows = COUNTERS.map(|(counter, kind, help)| format!("{counter}, {kind}, {help}.\n"));
        let data = labels([("dcgm-metrics.csv", &rows.concat())]);
        let note = "what the exporter counts of each accelerator: all that alerts and dashboard ask for.";
        partitions::add_map(frame, &counters(frame), data, note, files)?;
    }
    if spans { add_rule(frame, files) } else { Ok(()) }
}

/// Returns the name of the ConfigMap that says what the exporter counts.
fn counters(frame: &Frame<'_>) -> String {
    super::server::shortened(&format!("{}-counters", frame.plan))
}

fn add_policy(
    frame: &Frame<'_>,
    spans: bool,
    (partitioned, shared): (bool, bool),
    files: &mut Files,
) -> Result<(), EmitError> {
    let tolerations = json!([{ "key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule" }]);
    let mut spec = json!({
        "operator": { "defaultRuntime": "containerd", "runtimeClass": "nvidia" },
        "daemonsets": { "updateStrategy": "RollingUpdate", "tolerations": tolerations },
        "driver": {
            "enabled": true, "version": DRIVER, "kernelModuleType": "open",
            // A new driver stops what runs on a machine: one machine at a time, and drained by hand.
            "upgradePolicy": { "autoUpgrade": true, "maxParallelUpgrades": 1, "maxUnavailable": "25%", "drain": { "enable": false } },
        },
        "toolkit": { "enabled": true },
        "devicePlugin": { "enabled": true },
        "dcgm": { "enabled": false },
        "dcgmExporter": { "enabled": true, "serviceMonitor": { "enabled": false } },
        "gfd": { "enabled": true },
        "mig": { "strategy": "single" },
        "nodeStatusExporter": { "enabled": false },
        "cdi": { "enabled": true, "default": true },
    });
    if frame.deploy.monitoring {
        spec["dcgmExporter"]["config"] = json!({ "name": counters(frame) });
    }
    let (partitions, shares) = partitions::names(frame);
    if partitioned {
        // Partitions under their own names, beside accelerators that are whole.
        spec["mig"]["strategy"] = json!("mixed");
        let config = json!({ "name": partitions, "default": partitions::UNCUT });
        spec["migManager"] = json!({ "enabled": true, "config": config });
    }
    if shared {
        spec["devicePlugin"]["config"] = json!({ "name": shares, "default": partitions::UNSHARED });
    }
    if spans {
        spec["driver"]["rdma"] = json!({ "enabled": true, "useHostMofed": false });
    }
    let object = Object {
        api_version: "nvidia.com/v1",
        kind: "ClusterPolicy",
        metadata: frame.cluster_meta("cluster-policy", Wave::Operators, &Labels::new()),
        spec,
    };
    let note = "drivers and device plugin of every machine with accelerators; a cluster has one.";
    files.add(Wave::Operators, FOLDER, ("ClusterPolicy", "cluster-policy"), note, &object)
}

/// Adds the label of machines that have a network card for RDMA.
fn add_rule(frame: &Frame<'_>, files: &mut Files) -> Result<(), EmitError> {
    let name = super::server::shortened(&format!("{}-rdma", frame.plan));
    let spec = json!({ "rules": [{
        "name": "network card for RDMA",
        "labels": { "capstan.dev/rdma": "true" },
        "matchFeatures": [{ "feature": "pci.device", "matchExpressions": {
            "vendor": { "op": "In", "value": [MELLANOX] },
        } }],
    }] });
    let object = Object {
        api_version: "nfd.k8s-sigs.io/v1alpha1",
        kind: "NodeFeatureRule",
        metadata: frame.cluster_meta(&name, Wave::Operators, &Labels::new()),
        spec,
    };
    let note = "labels machines that have a network card for what spans them.";
    files.add(Wave::Operators, FOLDER, ("NodeFeatureRule", &name), note, &object)
}
