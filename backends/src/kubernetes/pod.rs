//! Pod templates: the fields of `v1.PodSpec` that Capstan fills.

use super::object::{Labels, Port, Selector, TemplateMeta};
use serde::Serialize;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// `v1.PodTemplateSpec`.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Template {
    pub(super) metadata: TemplateMeta,
    pub(super) spec: PodSpec,
}

/// `v1.PodSpec`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PodSpec {
    pub(super) automount_service_account_token: bool,
    pub(super) enable_service_links: bool,
    pub(super) termination_grace_period_seconds: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) priority_class_name: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) node_selector: Labels,
    pub(super) tolerations: Vec<Toleration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) affinity: Option<Affinity>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) topology_spread_constraints: Vec<Spread>,
    pub(super) security_context: PodSecurity,
    pub(super) containers: Vec<Container>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) volumes: Vec<Volume>,
}

/// `v1.Toleration` of a taint with any value.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Toleration {
    pub(super) key: &'static str,
    pub(super) operator: &'static str,
    pub(super) effect: &'static str,
}

/// `v1.Affinity`, between pods only; nodes are chosen by `nodeSelector`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Affinity {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pod_affinity: Option<Preference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pod_anti_affinity: Option<Preference>,
}

/// What the scheduler prefers among nodes that fit.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Preference {
    pub(super) preferred_during_scheduling_ignored_during_execution: Vec<WeightedTerm>,
}

/// `v1.WeightedPodAffinityTerm`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WeightedTerm {
    pub(super) weight: u32,
    pub(super) pod_affinity_term: Term,
}

/// `v1.PodAffinityTerm`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Term {
    pub(super) topology_key: &'static str,
    pub(super) label_selector: Selector,
}

/// `v1.TopologySpreadConstraint`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Spread {
    pub(super) max_skew: u32,
    pub(super) min_domains: u32,
    pub(super) topology_key: &'static str,
    pub(super) when_unsatisfiable: &'static str,
    pub(super) label_selector: Selector,
    pub(super) match_label_keys: Vec<&'static str>,
}

/// `v1.PodSecurityContext`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PodSecurity {
    /// Group that owns volumes, and that every process is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fs_group: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fs_group_change_policy: Option<&'static str>,
    pub(super) seccomp_profile: Seccomp,
}

impl PodSecurity {
    /// Returns what every pod has.
    pub(super) fn plain() -> Self {
        Self {
            fs_group: None,
            fs_group_change_policy: None,
            seccomp_profile: Seccomp { kind: "RuntimeDefault" },
        }
    }
}

/// `v1.SeccompProfile`.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Seccomp {
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
}

/// `v1.Container`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Container {
    pub(super) name: Cow<'static, str>,
    pub(super) image: String,
    pub(super) image_pull_policy: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) command: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) args: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) env: Vec<EnvVar>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) ports: Vec<ContainerPort>,
    pub(super) resources: Resources,
    #[serde(flatten)]
    pub(super) probes: Option<Probes>,
    pub(super) security_context: ContainerSecurity,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) volume_mounts: Vec<Mount>,
}

/// `v1.EnvVar`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EnvVar {
    pub(super) name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) value: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) value_from: Option<EnvSource>,
}

/// `v1.EnvVarSource`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EnvSource {
    pub(super) secret_key_ref: SecretKey,
}

/// `v1.SecretKeySelector`: the name of a secret, never its value.
#[derive(Debug, Clone, Serialize)]
pub(super) struct SecretKey {
    pub(super) name: &'static str,
    pub(super) key: &'static str,
    pub(super) optional: bool,
}

/// `v1.ContainerPort`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ContainerPort {
    pub(super) name: &'static str,
    pub(super) container_port: u16,
}

/// `v1.ResourceRequirements`.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Resources {
    pub(super) requests: Labels,
    pub(super) limits: Labels,
}

/// Probes and the stop hook of a container that answers.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Probes {
    pub(super) startup_probe: Probe,
    pub(super) readiness_probe: Probe,
    pub(super) liveness_probe: Probe,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) lifecycle: Option<Lifecycle>,
}

/// `v1.Probe`, over HTTP or TCP.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Probe {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) http_get: Option<HttpGet>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tcp_socket: Option<TcpSocket>,
    pub(super) period_seconds: u32,
    pub(super) timeout_seconds: u32,
    pub(super) failure_threshold: u32,
}

/// `v1.HTTPGetAction`.
#[derive(Debug, Clone, Serialize)]
pub(super) struct HttpGet {
    pub(super) path: Cow<'static, str>,
    pub(super) port: Port,
}

/// `v1.TCPSocketAction`.
#[derive(Debug, Clone, Serialize)]
pub(super) struct TcpSocket {
    pub(super) port: Port,
}

/// `v1.Lifecycle`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Lifecycle {
    pub(super) pre_stop: Hook,
}

/// `v1.LifecycleHandler`.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Hook {
    pub(super) exec: Exec,
}

/// `v1.ExecAction`.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Exec {
    pub(super) command: Vec<String>,
}

/// `v1.SecurityContext`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ContainerSecurity {
    pub(super) allow_privilege_escalation: bool,
    pub(super) capabilities: Capabilities,
}

/// `v1.Capabilities`.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Capabilities {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) add: Vec<&'static str>,
    pub(super) drop: Vec<&'static str>,
}

/// `v1.VolumeMount`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Mount {
    pub(super) name: &'static str,
    pub(super) mount_path: Cow<'static, str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) read_only: bool,
}

/// `v1.Volume`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Volume {
    pub(super) name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) empty_dir: Option<EmptyDir>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) config_map: Option<ConfigMapRef>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) persistent_volume_claim: Option<ClaimRef>,
}

impl Volume {
    /// Returns a volume that is of nothing yet.
    pub(super) fn named(name: &'static str) -> Self {
        Self { name, empty_dir: None, config_map: None, persistent_volume_claim: None }
    }
}

/// `v1.PersistentVolumeClaimVolumeSource`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ClaimRef {
    pub(super) claim_name: String,
}

/// `v1.EmptyDirVolumeSource`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EmptyDir {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) medium: Option<&'static str>,
    pub(super) size_limit: String,
}

/// `v1.ConfigMapVolumeSource`.
#[derive(Debug, Clone, Serialize)]
pub(super) struct ConfigMapRef {
    pub(super) name: String,
}
