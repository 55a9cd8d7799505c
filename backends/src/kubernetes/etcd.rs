//! Is there a copy of what the cluster knows? A CronJob that has etcd write a snapshot, on a machine of the control plane.
//!
//! It reads certificates of the machine and uses its network, which Pod Security `baseline` forbids: so it has a namespace of its
//! own that allows it. Names of files are those of kubeadm. It does not know whether the cluster shows its control plane.

use super::object::{Bare, Meta, Object, labels};
use super::server::shortened;
use super::{EmitError, Files, Frame, Wave};
use serde_json::{Value, json};

const FOLDER: &str = "06-etcd";

/// Name of the CronJob.
const NAME: &str = "etcd-backup";

/// Image that brings `etcdctl` (kubeadm 1.34 runs this one); it holds no shell.
const ETCD: &str = "registry.k8s.io/etcd:3.6.4-0";

/// Image that brings `find`, to delete what is old.
const TOOLS: &str = "docker.io/library/busybox:1.37.0";

/// When a snapshot is taken. Origin: Assumed; four times a day.
const SCHEDULE: &str = "17 */6 * * *";

/// Days for which snapshots are kept. Origin: Assumed.
const KEPT_DAYS: u32 = 7;

/// Where kubeadm keeps the certificates of etcd.
const CERTIFICATES: &str = "/etc/kubernetes/pki/etcd";

/// Adds the snapshots, where the plan names the claim that they lie on.
pub(super) fn add(frame: &Frame<'_>, files: &mut Files) -> Result<(), EmitError> {
    let Some(claim) = &frame.deploy.etcd_backup else { return Ok(()) };
    let namespace = shortened(&format!("{}-{NAME}", frame.deploy.namespace));
    let open = labels([("pod-security.kubernetes.io/enforce", "privileged")]);
    let metadata = frame.cluster_meta(&namespace, Wave::Namespace, &open);
    let object = Bare { api_version: "v1", kind: "Namespace", metadata };
    let note = "snapshots of etcd are taken here, by pods that use files and network of their machine: let nobody else in.";
    files.add(Wave::Namespace, FOLDER, ("Namespace", &namespace), note, &object)?;
    let own = labels([("app.kubernetes.io/name", NAME)]);
    let spec = json!({
        "schedule": SCHEDULE,
        "concurrencyPolicy": "Forbid",
        "startingDeadlineSeconds": 3600,
        "successfulJobsHistoryLimit": 3,
        "failedJobsHistoryLimit": 3,
        "jobTemplate": { "spec": {
            "backoffLimit": 2,
            "activeDeadlineSeconds": 3600,
            "template": { "metadata": { "labels": own }, "spec": pod(claim) },
        } },
    });
    let metadata =
        Meta { namespace: Some(namespace.clone()), ..frame.cluster_meta(NAME, Wave::Policy, &own) };
    let object = Object { api_version: "batch/v1", kind: "CronJob", metadata, spec };
    let note = format!(
        "a snapshot of etcd four times a day, kept for {KEPT_DAYS} days; now: kubectl create job now --from=cronjob/{NAME} -n {namespace}"
    );
    files.add(Wave::Policy, FOLDER, ("CronJob", NAME), &note, &object)?;
    let message = format!(
        "snapshots of etcd are files of the claim `{claim}` in the namespace `{namespace}`, which you make; they hold every secret of the cluster"
    );
    files.warn(&frame.plan, message);
    let message = format!(
        "snapshots are taken where the control plane runs as kubeadm sets it up ({CERTIFICATES}); a cloud that runs it shows no such machine, and the pod waits"
    );
    files.warn(&frame.plan, message);
    Ok(())
}

/// Returns the pod: one container takes the snapshot, and only then another deletes what is old.
fn pod(claim: &str) -> Value {
    let security = json!({
        "allowPrivilegeEscalation": false,
        "readOnlyRootFilesystem": true,
        "capabilities": { "drop": ["ALL"] },
    });
    let resources = json!({
        "requests": { "cpu": "100m", "memory": "128Mi" },
        "limits": { "cpu": "1", "memory": "512Mi" },
    });
    let backup = json!({ "name": "backup", "mountPath": "/backup" });
    let file = |name: &str| format!("{CERTIFICATES}/{name}");
    json!({
        "restartPolicy": "Never",
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        "hostNetwork": true,
        "nodeSelector": { "node-role.kubernetes.io/control-plane": "" },
        "tolerations": [{ "key": "node-role.kubernetes.io/control-plane", "operator": "Exists", "effect": "NoSchedule" }],
        // The key of etcd belongs to the user 0 of the machine.
        "securityContext": { "runAsUser": 0, "seccompProfile": { "type": "RuntimeDefault" } },
        "initContainers": [{
            "name": "snapshot",
            "image": ETCD,
            "imagePullPolicy": "IfNotPresent",
            "command": ["etcdctl"],
            "args": [
                "--endpoints=https://127.0.0.1:2379",
                format!("--cacert={}", file("ca.crt")),
                format!("--cert={}", file("healthcheck-client.crt")),
                format!("--key={}", file("healthcheck-client.key")),
                "snapshot", "save", "/backup/$(POD_NAME).db",
            ],
            "env": [{ "name": "POD_NAME", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } }],
            "resources": resources,
            "securityContext": security,
            "volumeMounts": [backup, { "name": "certificates", "mountPath": CERTIFICATES, "readOnly": true }],
        }],
        "containers": [{
            "name": "prune",
            "image": TOOLS,
            "imagePullPolicy": "IfNotPresent",
            "command": ["find"],
            "args": ["/backup", "-name", format!("{NAME}-*.db"), "-mtime", format!("+{KEPT_DAYS}"), "-delete"],
            "resources": resources,
            "securityContext": security,
            "volumeMounts": [backup],
        }],
        "volumes": [
            { "name": "backup", "persistentVolumeClaim": { "claimName": claim } },
            { "name": "certificates", "hostPath": { "path": CERTIFICATES, "type": "Directory" } },
        ],
    })
}
