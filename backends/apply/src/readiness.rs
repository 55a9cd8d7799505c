//! Is an object at work? Judged by its status alone, kind by kind.
//!
//! The rules are those of kstatus (sigs.k8s.io/cli-utils) for the kinds of Kubernetes, and the status fields of each
//! operator for its own. What no rule knows is ready when the server has taken it.

use crate::served::items;
use capstan_backends::kubernetes::UNTIL;
use serde_json::Value;

/// Where an object stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    /// At work.
    Ready,
    /// On its way, with what it lacks.
    Waiting(String),
    /// It will not come to work by itself.
    Failed(String),
}

/// Returns for how many seconds a kind must be ready without a break to count as ready: the state of a ClusterPolicy
/// flaps while drivers roll out (NVIDIA/gpu-operator#1567).
pub(crate) fn stable_seconds(kind: &str) -> u64 {
    if kind == "ClusterPolicy" { 60 } else { 0 }
}

/// Returns where a living object stands.
pub(crate) fn state(object: &Value) -> State {
    if object["metadata"]["deletionTimestamp"].is_string() {
        return State::Failed("it is being deleted".to_owned());
    }
    let generation = object["metadata"]["generation"].as_i64();
    let observed = object["status"]["observedGeneration"].as_i64();
    if let (Some(generation), Some(observed)) = (generation, observed)
        && observed < generation
    {
        return State::Waiting("its controller has not seen the change".to_owned());
    }
    let status = &object["status"];
    match object["kind"].as_str().unwrap_or_default() {
        "Deployment" => deployment(object),
        "StatefulSet" => stateful_set(object),
        "DaemonSet" => counted(status, "numberReady", status["desiredNumberScheduled"].as_i64()),
        "LeaderWorkerSet" => counted(status, "readyReplicas", wanted(object)),
        // One that waits until somebody starts it, or in a queue, is where it should be.
        "Job" | "TrainJob" | "JobSet" | "RayJob" if object["spec"]["suspend"] == true => State::Ready,
        "PyTorchJob" | "TFJob" | "MPIJob" if object["spec"]["runPolicy"]["suspend"] == true => State::Ready,
        "Job" if object["metadata"]["annotations"][UNTIL.0] == UNTIL.1 => ended(status),
        "Job" | "TrainJob" => finished(status, "Complete", "Failed"),
        "JobSet" => finished(status, "Completed", "Failed"),
        "PyTorchJob" | "TFJob" | "MPIJob" => finished(status, "Succeeded", "Failed"),
        "RayJob" => ray_job(status),
        "Pod" => condition(status, "Ready"),
        "Namespace" => phase(status, "Active"),
        // One that waits for its first consumer is no failure while nothing consumes it.
        "PersistentVolumeClaim" => match status["phase"].as_str() {
            Some("Lost") => State::Failed("its volume is lost".to_owned()),
            _ => State::Ready,
        },
        // A quota limits nothing until its controller has counted.
        "ResourceQuota" if !status["hard"].is_object() => State::Waiting("it is not in force yet".to_owned()),
        "CustomResourceDefinition" => condition(status, "Established"),
        "ClusterPolicy" | "GPUCluster" => word(status, "ready", &[]),
        "NicClusterPolicy" => word(status, "ready", &["error"]),
        "CephCluster" | "CephBlockPool" | "CephFilesystem" | "CephObjectStore" => phase(status, "Ready"),
        "ObjectBucketClaim" => phase(status, "Bound"),
        "RayCluster" => word(status, "ready", &["failed"]),
        "ClusterQueue" | "LocalQueue" => condition(status, "Active"),
        "InferenceService"
        | "LLMInferenceService"
        | "RayService"
        | "Certificate"
        | "NodePool"
        | "ScaledObject"
        | "ExternalSecret" => condition(status, "Ready"),
        "Prometheus" | "Alertmanager" | "MachineDeployment" => condition(status, "Available"),
        "Gateway" => condition(status, "Programmed"),
        "HTTPRoute" | "InferencePool" => parents(status),
        "BareMetalHost" => bare_metal(status),
        _ => State::Ready,
    }
}

/// Returns how many replicas an object wants: what its owner or autoscaler has set.
fn wanted(object: &Value) -> Option<i64> {
    Some(object["spec"]["replicas"].as_i64().unwrap_or(1))
}

fn deployment(object: &Value) -> State {
    let (status, wanted) = (&object["status"], wanted(object).unwrap_or(1));
    for row in items(status, "conditions") {
        let message = row["message"].as_str().unwrap_or_default();
        match (row["type"].as_str(), row["status"].as_str(), row["reason"].as_str()) {
            (Some("Progressing"), Some("False"), Some("ProgressDeadlineExceeded"))
            | (Some("ReplicaFailure"), Some("True"), _) => return State::Failed(message.to_owned()),
            _ => {}
        }
    }
    if status["observedGeneration"].is_null() {
        return State::Waiting("its controller has not seen it".to_owned());
    }
    let number = |name: &str| status[name].as_i64().unwrap_or(0);
    let (updated, available, total) =
        (number("updatedReplicas"), number("availableReplicas"), number("replicas"));
    if updated < wanted {
        State::Waiting(format!("{updated} of {wanted} replicas are of the new kind"))
    } else if total > updated {
        State::Waiting(format!("{} old replicas have not ended", total - updated))
    } else if available < wanted {
        State::Waiting(format!("{available} of {wanted} replicas are available"))
    } else {
        State::Ready
    }
}

fn stateful_set(object: &Value) -> State {
    let (status, wanted) = (&object["status"], wanted(object));
    if status["currentRevision"] != status["updateRevision"] {
        return State::Waiting("replicas of the old kind are left".to_owned());
    }
    counted(status, "readyReplicas", wanted)
}

fn counted(status: &Value, name: &str, wanted: Option<i64>) -> State {
    let (ready, wanted) = (status[name].as_i64().unwrap_or(0), wanted.unwrap_or(i64::MAX));
    if !status.is_object() || wanted == i64::MAX {
        State::Waiting("its controller has not seen it".to_owned())
    } else if ready < wanted {
        State::Waiting(format!("{ready} of {wanted} are ready"))
    } else {
        State::Ready
    }
}

fn find<'a>(status: &'a Value, kind: &str) -> Option<&'a Value> {
    items(status, "conditions").iter().find(|row| row["type"] == kind)
}

fn told(row: &Value) -> String {
    let text = |name: &str| row[name].as_str().unwrap_or_default();
    match (text("reason"), text("message")) {
        ("", "") => format!("{} is {}", text("type"), text("status")),
        (reason, "") => reason.to_owned(),
        ("", message) => message.to_owned(),
        (reason, message) => format!("{reason}: {message}"),
    }
}

/// A condition that must be true. False or unknown is not yet, since controllers say False while they work.
fn condition(status: &Value, kind: &str) -> State {
    match find(status, kind) {
        Some(row) if row["status"] == "True" => State::Ready,
        Some(row) => State::Waiting(told(row)),
        None => State::Waiting(format!("it has no condition {kind} yet")),
    }
}

/// Work that ends: running counts as at work, failing does not.
fn finished(status: &Value, done: &str, failed: &str) -> State {
    if let Some(row) = find(status, failed).filter(|row| row["status"] == "True") {
        return State::Failed(told(row));
    }
    let is_done = find(status, done).is_some_and(|row| row["status"] == "True");
    let suspended = find(status, "Suspended").is_some_and(|row| row["status"] == "True");
    let active = |counted: &Value| counted["active"].as_i64().unwrap_or(0) > 0;
    let running = find(status, "Running").is_some_and(|row| row["status"] == "True")
        || active(status)
        || items(status, "replicatedJobsStatus").iter().any(active);
    if is_done || suspended || running { State::Ready } else { State::Waiting("it has not begun".to_owned()) }
}

/// Work that others stand on: at work only when it has ended well.
fn ended(status: &Value) -> State {
    match find(status, "Complete").filter(|row| row["status"] == "True") {
        Some(_) => State::Ready,
        None => match finished(status, "Complete", "Failed") {
            State::Ready => State::Waiting("it has not ended yet".to_owned()),
            other => other,
        },
    }
}

/// A RayJob is at work while its program runs: before that its cluster is made.
fn ray_job(status: &Value) -> State {
    match status["jobDeploymentStatus"].as_str() {
        Some("Running" | "Complete" | "Suspended") => State::Ready,
        Some("Failed" | "ValidationFailed") => {
            let why = ["message", "reason"].iter().find_map(|name| status[*name].as_str());
            State::Failed(why.filter(|why| !why.is_empty()).unwrap_or("its program has failed").to_owned())
        }
        Some(other) if !other.is_empty() => State::Waiting(format!("it is {other}")),
        _ => State::Waiting("its operator has not seen it".to_owned()),
    }
}

fn phase(status: &Value, wanted: &str) -> State {
    match status["phase"].as_str() {
        Some(phase) if phase == wanted => State::Ready,
        Some(phase @ ("Failure" | "Failed" | "Terminating")) => {
            State::Failed(format!("its phase is {phase}"))
        }
        Some(phase) => State::Waiting(format!("its phase is {phase}")),
        None => State::Waiting("it has no phase yet".to_owned()),
    }
}

fn word(status: &Value, wanted: &str, failed: &[&str]) -> State {
    match status["state"].as_str() {
        Some(state) if state == wanted => State::Ready,
        Some(state) if failed.contains(&state) => State::Failed(format!("its state is {state}")),
        Some(state) => State::Waiting(format!("its state is {state}")),
        None => State::Waiting("it has no state yet".to_owned()),
    }
}

/// A route is at work where every parent has taken it and found what it refers to.
fn parents(status: &Value) -> State {
    let parents = items(status, "parents");
    if parents.is_empty() {
        return State::Waiting("no gateway has taken it yet".to_owned());
    }
    for parent in parents {
        for kind in ["Accepted", "ResolvedRefs"] {
            if let State::Waiting(why) = condition(parent, kind) {
                return State::Waiting(why);
            }
        }
    }
    State::Ready
}

fn bare_metal(status: &Value) -> State {
    match status["errorMessage"].as_str() {
        Some(message) if !message.is_empty() => State::Failed(message.to_owned()),
        _ => match status["provisioning"]["state"].as_str() {
            Some("provisioned") => State::Ready,
            Some(other) => State::Waiting(format!("it is {other}")),
            None => State::Waiting("it is not registered yet".to_owned()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(kind: &str, status: Value) -> State {
        state(
            &json!({"kind": kind, "metadata": {"generation": 1}, "spec": {"replicas": 2}, "status": status}),
        )
    }

    fn waits(kind: &str, status: Value) {
        assert!(matches!(of(kind, status.clone()), State::Waiting(_)), "{kind} {status}");
    }

    fn fails(kind: &str, status: Value) {
        assert!(matches!(of(kind, status.clone()), State::Failed(_)), "{kind} {status}");
    }

    fn ready(kind: &str, status: Value) {
        assert_eq!(of(kind, status.clone()), State::Ready, "{kind} {status}");
    }

    #[test]
    fn a_deployment_is_ready_when_all_new_replicas_are_available() {
        let status = |updated, available, total| json!({"observedGeneration": 1, "updatedReplicas": updated, "availableReplicas": available, "replicas": total});
        ready("Deployment", status(2, 2, 2));
        waits("Deployment", status(1, 1, 2));
        waits("Deployment", status(2, 1, 2));
        waits("Deployment", status(2, 2, 3));
        waits("Deployment", json!({}));
        waits(
            "Deployment",
            json!({"observedGeneration": 0, "updatedReplicas": 2, "availableReplicas": 2, "replicas": 2}),
        );
        let condition = |kind, status, reason| json!({"conditions": [{"type": kind, "status": status, "reason": reason, "message": "m"}]});
        fails("Deployment", condition("Progressing", "False", "ProgressDeadlineExceeded"));
        fails("Deployment", condition("ReplicaFailure", "True", "FailedCreate"));
    }

    #[test]
    fn groups_and_sets_count_their_replicas() {
        waits("LeaderWorkerSet", Value::Null);
        waits("LeaderWorkerSet", json!({"readyReplicas": 1}));
        ready("LeaderWorkerSet", json!({"readyReplicas": 2}));
        waits("StatefulSet", json!({"currentRevision": "a", "updateRevision": "b", "readyReplicas": 2}));
        ready("StatefulSet", json!({"currentRevision": "a", "updateRevision": "a", "readyReplicas": 2}));
        waits("DaemonSet", json!({"desiredNumberScheduled": 3, "numberReady": 2}));
        ready("DaemonSet", json!({"desiredNumberScheduled": 3, "numberReady": 3}));
    }

    #[test]
    fn jobs_are_at_work_while_they_run_and_fail_for_good() {
        let with = |kind, status| json!({"conditions": [{"type": kind, "status": status}]});
        ready("Job", json!({"active": 1}));
        ready("Job", with("Complete", "True"));
        fails("Job", with("Failed", "True"));
        ready("TrainJob", with("Suspended", "True"));
        waits("TrainJob", Value::Null);
        for kind in ["PyTorchJob", "MPIJob", "TFJob"] {
            waits(kind, with("Created", "True"));
            ready(kind, with("Running", "True"));
            ready(kind, with("Succeeded", "True"));
            fails(kind, with("Failed", "True"));
        }
        waits("JobSet", json!({"replicatedJobsStatus": [{"name": "node", "active": 0}]}));
        ready("JobSet", json!({"replicatedJobsStatus": [{"name": "node", "active": 1}]}));
        ready("JobSet", with("Completed", "True"));
        fails("JobSet", with("Failed", "True"));
        waits("RayJob", Value::Null);
        waits("RayJob", json!({"jobDeploymentStatus": "Initializing"}));
        ready("RayJob", json!({"jobDeploymentStatus": "Running"}));
        let failed = json!({"jobDeploymentStatus": "Failed", "message": "exit 1", "reason": "AppFailed"});
        assert_eq!(of("RayJob", failed), State::Failed("exit 1".to_owned()));
    }

    #[test]
    fn a_job_that_others_stand_on_is_waited_for_until_it_has_ended() {
        let of = |status: Value| {
            let metadata = json!({"annotations": {"capstan.dev/until": "complete"}});
            state(&json!({"kind": "Job", "metadata": metadata, "status": status}))
        };
        let with = |kind| json!({"active": 1, "conditions": [{"type": kind, "status": "True"}]});
        assert_eq!(of(json!({"active": 1})), State::Waiting("it has not ended yet".to_owned()));
        assert!(matches!(of(Value::Null), State::Waiting(_)));
        assert_eq!(of(with("Complete")), State::Ready);
        assert!(matches!(of(with("Failed")), State::Failed(_)));
    }

    #[test]
    fn work_that_waits_in_a_queue_is_where_it_should_be() {
        let waiting = |kind: &str, spec: Value| json!({"kind": kind, "spec": spec});
        for kind in ["TrainJob", "JobSet", "RayJob"] {
            assert_eq!(state(&waiting(kind, json!({"suspend": true}))), State::Ready, "{kind}");
            assert!(matches!(state(&waiting(kind, json!({}))), State::Waiting(_)), "{kind}");
        }
        for kind in ["PyTorchJob", "MPIJob", "TFJob"] {
            assert_eq!(
                state(&waiting(kind, json!({"runPolicy": {"suspend": true}}))),
                State::Ready,
                "{kind}"
            );
            assert!(matches!(state(&waiting(kind, json!({"runPolicy": {}}))), State::Waiting(_)), "{kind}");
        }
    }

    #[test]
    fn operators_say_it_in_their_own_words() {
        ready("ClusterPolicy", json!({"state": "ready"}));
        waits("ClusterPolicy", json!({"state": "notReady"}));
        fails("NicClusterPolicy", json!({"state": "error"}));
        waits("NicClusterPolicy", Value::Null);
        ready("CephCluster", json!({"phase": "Ready"}));
        ready("CephObjectStore", json!({"phase": "Ready"}));
        ready("ObjectBucketClaim", json!({"phase": "Bound"}));
        waits("ObjectBucketClaim", json!({"phase": "Pending"}));
        waits("ObjectBucketClaim", Value::Null);
        fails("ObjectBucketClaim", json!({"phase": "Failed"}));
        waits("CephCluster", json!({"phase": "Progressing"}));
        fails("CephCluster", json!({"phase": "Failure"}));
        let with = |kind, status| json!({"conditions": [{"type": kind, "status": status}]});
        for (kind, word) in [
            ("Gateway", "Programmed"),
            ("ClusterQueue", "Active"),
            ("Certificate", "Ready"),
            ("Prometheus", "Available"),
            ("MachineDeployment", "Available"),
            ("CustomResourceDefinition", "Established"),
        ] {
            ready(kind, with(word, "True"));
            waits(kind, with(word, "Unknown"));
            waits(kind, Value::Null);
        }
        fails("BareMetalHost", json!({"errorMessage": "no power", "provisioning": {"state": "provisioned"}}));
        ready("BareMetalHost", json!({"errorMessage": "", "provisioning": {"state": "provisioned"}}));
    }

    #[test]
    fn a_route_needs_every_parent() {
        let parent = |accepted| json!({"conditions": [{"type": "Accepted", "status": accepted}, {"type": "ResolvedRefs", "status": "True"}]});
        ready("HTTPRoute", json!({"parents": [parent("True")]}));
        waits("HTTPRoute", json!({"parents": [parent("True"), parent("False")]}));
        waits("HTTPRoute", json!({"parents": []}));
    }

    #[test]
    fn what_is_deleted_does_not_come_to_work_and_claims_may_wait() {
        let going = json!({"kind": "ConfigMap", "metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}});
        assert!(matches!(state(&going), State::Failed(_)));
        ready("PersistentVolumeClaim", json!({"phase": "Pending"}));
        fails("PersistentVolumeClaim", json!({"phase": "Lost"}));
        ready("ConfigMap", Value::Null);
        waits("ResourceQuota", Value::Null);
        ready("ResourceQuota", json!({"hard": {}}));
    }
}
