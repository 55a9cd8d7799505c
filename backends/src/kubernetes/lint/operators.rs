//! Rules of objects that operators read: what their webhooks would say, or say nothing of and do wrong.
//!
//! They hold for files that are emitted and for files that people add to them. L12 and L19 are about what a cluster reports
//! (readiness, in the crate that applies); L18 and L21 are about files of machines.

use super::view::{View, number};
use serde_json::Value;

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

/// L1: one owner of the accelerators, under the name that its operator reads; of two, the older one wins silently.
pub(super) fn operators_have_one_policy(view: &View<'_>, all: &[View<'_>]) -> Vec<String> {
    let mut messages = Vec::new();
    let name = match view.kind() {
        "GPUCluster" => "gpu-cluster",
        "NicClusterPolicy" => "nic-cluster-policy",
        "ClusterPolicy" => view.name(),
        _ => return messages,
    };
    if view.name() != name {
        messages.push(format!("a {} must be named `{name}`: its operator reads no other", view.kind()));
    }
    let rivals = all.iter().filter(|other| match view.kind() {
        "NicClusterPolicy" => other.kind() == "NicClusterPolicy",
        _ => ["ClusterPolicy", "GPUCluster"].contains(&other.kind()),
    });
    if rivals.count() > 1 {
        messages
            .push("a cluster has one ClusterPolicy or one GPUCluster, and one NicClusterPolicy".to_owned());
    }
    messages
}

/// L2: accelerators of one cluster are given out by the device plugin or by claims; the scheduler counts them apart, so
/// both together book them twice.
pub(super) fn accelerators_have_one_ledger(view: &View<'_>, all: &[View<'_>]) -> Vec<String> {
    let plugin = |view: &View<'_>| {
        view.containers().iter().any(|container| {
            let limits = container["resources"]["limits"].as_object();
            limits.is_some_and(|limits| limits.keys().any(|name| name == "nvidia.com/gpu"))
        })
    };
    let claims =
        |view: &View<'_>| view.pods().iter().any(|pods| !list(pods.spec, "resourceClaims").is_empty());
    let both = claims(view) && (plugin(view) || all.iter().any(plugin));
    both.then(|| {
        "claims and nvidia.com/gpu limits count the same accelerators twice; use one of them".to_owned()
    })
    .into_iter()
    .collect()
}

/// L5: a spread over zones that must hold says over how many, or one full zone leaves pods pending without a word.
pub(super) fn spreads_say_over_how_many_zones(view: &View<'_>, _: &[View<'_>]) -> Vec<String> {
    let spreads = view.pods().into_iter().flat_map(|pods| list(pods.spec, "topologySpreadConstraints"));
    let silent = |spread: &&Value| {
        spread["whenUnsatisfiable"] == "DoNotSchedule"
            && number(&spread["minDomains"]).is_none_or(|least| least < 2)
    };
    spreads
        .filter(silent)
        .map(|spread| {
            format!("a spread over {} that must hold needs minDomains", text(spread, "topologyKey"))
        })
        .collect()
}

/// L7: memory that is locked for RDMA needs a namespace that allows it; for a workload the server only warns.
pub(super) fn locked_memory_is_allowed(view: &View<'_>, all: &[View<'_>]) -> Vec<String> {
    let locks = view.containers().iter().any(|container| {
        list(&container["securityContext"]["capabilities"], "add").iter().any(|one| one == "IPC_LOCK")
    });
    let level = all
        .iter()
        .find(|other| other.kind() == "Namespace" && other.name() == view.namespace())
        .map(|namespace| namespace.tree["metadata"]["labels"]["pod-security.kubernetes.io/enforce"].clone());
    let refused = locks && level.is_some_and(|level| level == "baseline" || level == "restricted");
    refused
        .then(|| {
            format!(
                "IPC_LOCK is refused in namespace `{}`, which enforces a stricter level",
                view.namespace()
            )
        })
        .into_iter()
        .collect()
}

/// L8: every flavor of a queue lists exactly the resources that its group covers, and flavors with a topology have one.
pub(super) fn quotas_cover_what_they_say(view: &View<'_>, all: &[View<'_>]) -> Vec<String> {
    let mut messages = Vec::new();
    if view.kind() == "ResourceFlavor" {
        let topology = text(view.spec(), "topologyName");
        if !topology.is_empty()
            && !all.iter().any(|other| other.kind() == "Topology" && other.name() == topology)
        {
            messages.push(format!("its Topology `{topology}` is not among the manifests"));
        }
    }
    if view.kind() != "ClusterQueue" {
        return messages;
    }
    for group in list(view.spec(), "resourceGroups") {
        let mut covered: Vec<&str> =
            list(group, "coveredResources").iter().filter_map(Value::as_str).collect();
        covered.sort_unstable();
        for flavor in list(group, "flavors") {
            let mut names: Vec<&str> =
                list(flavor, "resources").iter().map(|row| text(row, "name")).collect();
            names.sort_unstable();
            if names != covered {
                let name = text(flavor, "name");
                messages.push(format!("flavor `{name}` must list exactly {}", covered.join(", ")));
            }
        }
    }
    messages
}

/// L9: what a queue admits is created suspended, or it starts before it is admitted; a RayJob that is suspended does not
/// keep its cluster, or its operator refuses it.
pub(super) fn queued_work_waits(view: &View<'_>, _: &[View<'_>]) -> Vec<String> {
    let queued = view.tree["metadata"]["labels"]["kueue.x-k8s.io/queue-name"].is_string();
    let suspended = match view.kind() {
        "Job" | "JobSet" | "TrainJob" | "RayJob" => &view.spec()["suspend"],
        "PyTorchJob" | "TFJob" | "MPIJob" => &view.spec()["runPolicy"]["suspend"],
        _ => return Vec::new(),
    };
    let mut messages = Vec::new();
    if queued && *suspended != true {
        messages.push("work of a queue must be created with `suspend: true`".to_owned());
    }
    if view.kind() == "RayJob" && *suspended == true && view.spec()["shutdownAfterJobFinishes"] != true {
        messages.push("a RayJob that is suspended needs `shutdownAfterJobFinishes: true`".to_owned());
    }
    messages
}

/// A training has as many processes on a node as it has accelerators there, and indexed pods all run at once.
pub(super) fn trainings_have_a_rank_per_accelerator(view: &View<'_>, _: &[View<'_>]) -> Vec<String> {
    let spec = view.spec();
    let (field, stated) = match view.kind() {
        "PyTorchJob" => ("nprocPerNode", &spec["nprocPerNode"]),
        "MPIJob" => ("slotsPerWorker", &spec["slotsPerWorker"]),
        "JobSet" => {
            let jobs = list(spec, "replicatedJobs").iter().map(|job| &job["template"]["spec"]);
            let apart = jobs.filter(|job| job["completions"] != job["parallelism"]);
            return apart
                .map(|_| "completions must equal parallelism: ranks wait for each other".to_owned())
                .collect();
        }
        _ => return Vec::new(),
    };
    let limits =
        view.containers().into_iter().filter_map(|one| one["resources"]["limits"].as_object()).flatten();
    let held = limits.filter(|(name, _)| name.contains('/')).find_map(|(_, limit)| number(limit));
    let same = held.is_none() || number(stated) == held;
    let message = || format!("{field} must be {}, the accelerators of a pod", held.unwrap_or(0));
    (!same).then(message).into_iter().collect()
}

/// L13: an InferencePool lists its ports, and says at which port its picker answers.
pub(super) fn pools_name_their_ports(view: &View<'_>, _: &[View<'_>]) -> Vec<String> {
    if view.kind() != "InferencePool" {
        return Vec::new();
    }
    let mut messages = Vec::new();
    let ports = list(view.spec(), "targetPorts");
    if ports.is_empty() || ports.iter().any(|port| number(&port["number"]).is_none()) {
        messages.push("targetPorts must be a list of numbers".to_owned());
    }
    let picker = &view.spec()["endpointPickerRef"];
    let service = picker["kind"].as_str().unwrap_or("Service") == "Service";
    if text(picker, "name").is_empty() || (service && number(&picker["port"]["number"]).is_none()) {
        messages.push("endpointPickerRef must name a picker and, for a Service, its port".to_owned());
    }
    messages
}

/// L14: the fields of a TrainJob as Trainer 2.2 has them.
pub(super) fn training_speaks_of_today(view: &View<'_>, _: &[View<'_>]) -> Vec<String> {
    if view.kind() != "TrainJob" {
        return Vec::new();
    }
    let mut messages = Vec::new();
    if !view.spec()["podTemplateOverrides"].is_null() {
        messages.push("podTemplateOverrides ended with Trainer 2.1; use runtimePatches".to_owned());
    }
    let processes = &view.spec()["trainer"]["numProcPerNode"];
    if !processes.is_null() && !processes.is_u64() {
        messages.push("numProcPerNode must be a whole number since Trainer 2.2".to_owned());
    }
    messages
}

/// L15: references of Cluster API v1beta2 name a group, and arguments of the kubelet are a list. Its providers count the
/// versions of their machines by themselves.
pub(super) fn machines_speak_of_today(view: &View<'_>, _: &[View<'_>]) -> Vec<String> {
    let version = text(&view.tree, "apiVersion");
    if !version.contains("cluster.x-k8s.io/") {
        return Vec::new();
    }
    let mut messages = Vec::new();
    if version.ends_with("/v1beta1") && !version.starts_with("infrastructure.") {
        messages.push("v1beta1 of Cluster API is deprecated; use v1beta2".to_owned());
    }
    walk(&view.tree, &mut |key, value| {
        if key.ends_with("Ref") && !value["apiVersion"].is_null() {
            messages.push(format!("{key} must have apiGroup and no apiVersion"));
        }
        if key == "kubeletExtraArgs" && !value.is_array() {
            messages.push("kubeletExtraArgs must be a list of name and value".to_owned());
        }
    });
    messages
}

/// Visits every named value of a tree.
fn walk(value: &Value, visit: &mut dyn FnMut(&str, &Value)) {
    if let Some(map) = value.as_object() {
        for (key, below) in map {
            visit(key, below);
            walk(below, visit);
        }
    }
    for below in value.as_array().into_iter().flatten() {
        walk(below, visit);
    }
}

/// L16: a requirement `In` lists values, and spot capacity is taken from several kinds of machines.
pub(super) fn node_pools_have_a_choice(view: &View<'_>, _: &[View<'_>]) -> Vec<String> {
    if view.kind() != "NodePool" {
        return Vec::new();
    }
    let mut messages = Vec::new();
    let requirements = list(&view.spec()["template"]["spec"], "requirements");
    for row in requirements {
        if row["operator"] == "In" && list(row, "values").is_empty() {
            messages.push(format!("{} needs values", text(row, "key")));
        }
    }
    let spot = requirements.iter().any(|row| list(row, "values").iter().any(|value| value == "spot"));
    if spot && !requirements.iter().any(|row| number(&row["minValues"]).is_some()) {
        messages.push("spot capacity needs minValues on zones or types, or one reclaim takes all".to_owned());
    }
    messages
}

/// L17: Ceph takes the disks that are named, has a majority of monitors, and code words that fit its failure domains.
pub(super) fn storage_survives_what_it_says(view: &View<'_>, all: &[View<'_>]) -> Vec<String> {
    let mut messages = Vec::new();
    let storage = &view.spec()["storage"];
    if view.kind() == "CephCluster" {
        if storage["useAllDevices"] == true && !list(storage, "nodes").is_empty() {
            messages.push("useAllDevices with named nodes takes every disk of them".to_owned());
        }
        if number(&view.spec()["mon"]["count"]).is_some_and(|count| count % 2 == 0) {
            messages.push("the number of monitors must be odd".to_owned());
        }
        let zones = list(&view.spec()["mon"]["stretchCluster"], "zones");
        if !zones.is_empty() && !zones.iter().any(|zone| zone["arbiter"] == true) {
            messages.push("a stretched cluster needs an arbiter zone".to_owned());
        }
        let named = list(storage, "nodes").iter().flat_map(|node| list(node, "devices"));
        for device in
            named.map(|device| text(device, "name")).filter(|name| !name.starts_with("/dev/disk/by-"))
        {
            messages.push(format!("disk `{device}` must be named by id: other names change with a start"));
        }
    }
    if !view.spec()["metadataPool"]["erasureCoded"].is_null() {
        messages
            .push("metadataPool must be replicated: what describes data cannot be cut into parts".to_owned());
    }
    let nodes = all.iter().filter(|other| other.kind() == "CephCluster");
    let nodes: usize = nodes.map(|cluster| list(&cluster.spec()["storage"], "nodes").len()).sum();
    let pools = [view.spec(), &view.spec()["dataPool"]].into_iter().chain(list(view.spec(), "dataPools"));
    for pool in pools {
        let code = &pool["erasureCoded"];
        if let (Some(data), Some(coding)) = (number(&code["dataChunks"]), number(&code["codingChunks"]))
            && pool["failureDomain"] == "host"
            && nodes > 0
            && data + coding > nodes as u64
        {
            messages.push(format!("{data} + {coding} chunks need as many machines; there are {nodes}"));
        }
    }
    messages
}

/// L20: classes that pods name are prerequisites; a missing one is told by the server only when pods are made.
pub(super) fn classes_are_there(view: &View<'_>, all: &[View<'_>]) -> Vec<String> {
    /// Classes that every cluster has, and the one that the GPU operator brings.
    const GIVEN: [&str; 3] = ["system-node-critical", "system-cluster-critical", "nvidia"];
    let mut messages = Vec::new();
    for pods in view.pods() {
        for (field, kind) in [("priorityClassName", "PriorityClass"), ("runtimeClassName", "RuntimeClass")] {
            let name = text(pods.spec, field);
            let known = |other: &View<'_>| other.kind() == kind && other.name() == name;
            if !name.is_empty() && !GIVEN.contains(&name) && !all.iter().any(known) {
                messages.push(format!("its {kind} `{name}` is not among the manifests"));
            }
        }
    }
    messages
}
