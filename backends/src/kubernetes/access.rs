//! What must whoever applies the plan be allowed to do? The least that it takes, as a role for an administrator to give.
//!
//! It is no part of what is applied: nobody gives rights to themselves.

use super::object::{LONGEST_LABEL, Meta, to_yaml};
use super::server::shortened_to;
use super::{EmitError, Frame, Labels, Manifest, Wave};
use serde::Serialize;
use std::collections::BTreeSet;

/// `rbac.authorization.k8s.io/v1.ClusterRole`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct ClusterRole {
    api_version: &'static str,
    kind: &'static str,
    metadata: Meta,
    rules: Vec<Rule>,
}

/// `rbac.authorization.k8s.io/v1.PolicyRule`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    api_groups: Vec<&'static str>,
    resources: Vec<&'static str>,
    verbs: Vec<&'static str>,
}

/// What is done with every object of the plan; a patch that creates needs `create` too.
const OBJECTS: [&str; 4] = ["get", "create", "patch", "delete"];

/// Group and resource of every kind that is emitted.
const RESOURCES: [(&str, &str, &str); 57] = [
    ("AlertmanagerConfig", "monitoring.coreos.com", "alertmanagerconfigs"),
    ("AuthorizationPolicy", "security.istio.io", "authorizationpolicies"),
    ("CephCluster", "ceph.rook.io", "cephclusters"),
    ("CephFilesystem", "ceph.rook.io", "cephfilesystems"),
    ("CephObjectStore", "ceph.rook.io", "cephobjectstores"),
    ("Certificate", "cert-manager.io", "certificates"),
    ("ClusterPolicy", "nvidia.com", "clusterpolicies"),
    ("ClusterQueue", "kueue.x-k8s.io", "clusterqueues"),
    ("ConfigMap", "", "configmaps"),
    ("CronJob", "batch", "cronjobs"),
    ("Deployment", "apps", "deployments"),
    ("DestinationRule", "networking.istio.io", "destinationrules"),
    ("EnvoyFilter", "networking.istio.io", "envoyfilters"),
    ("ExternalSecret", "external-secrets.io", "externalsecrets"),
    ("Gateway", "gateway.networking.k8s.io", "gateways"),
    ("HTTPRoute", "gateway.networking.k8s.io", "httproutes"),
    ("HorizontalPodAutoscaler", "autoscaling", "horizontalpodautoscalers"),
    ("InferencePool", "inference.networking.k8s.io", "inferencepools"),
    ("InferenceService", "serving.kserve.io", "inferenceservices"),
    ("Job", "batch", "jobs"),
    ("JobSet", "jobset.x-k8s.io", "jobsets"),
    ("KubeadmConfigTemplate", "bootstrap.cluster.x-k8s.io", "kubeadmconfigtemplates"),
    ("LLMInferenceService", "serving.kserve.io", "llminferenceservices"),
    ("LeaderWorkerSet", "leaderworkerset.x-k8s.io", "leaderworkersets"),
    ("LocalQueue", "kueue.x-k8s.io", "localqueues"),
    ("MPIJob", "kubeflow.org", "mpijobs"),
    ("MachineDeployment", "cluster.x-k8s.io", "machinedeployments"),
    ("Metal3MachineTemplate", "infrastructure.cluster.x-k8s.io", "metal3machinetemplates"),
    ("Namespace", "", "namespaces"),
    ("NetworkPolicy", "networking.k8s.io", "networkpolicies"),
    ("NicClusterPolicy", "mellanox.com", "nicclusterpolicies"),
    ("NodeFeatureRule", "nfd.k8s-sigs.io", "nodefeaturerules"),
    ("NodePool", "karpenter.sh", "nodepools"),
    ("ObjectBucketClaim", "objectbucket.io", "objectbucketclaims"),
    ("PeerAuthentication", "security.istio.io", "peerauthentications"),
    ("PersistentVolumeClaim", "", "persistentvolumeclaims"),
    ("PodDisruptionBudget", "policy", "poddisruptionbudgets"),
    ("PodMonitor", "monitoring.coreos.com", "podmonitors"),
    ("PriorityClass", "scheduling.k8s.io", "priorityclasses"),
    ("PrometheusRule", "monitoring.coreos.com", "prometheusrules"),
    ("PyTorchJob", "kubeflow.org", "pytorchjobs"),
    ("RayJob", "ray.io", "rayjobs"),
    ("RequestAuthentication", "security.istio.io", "requestauthentications"),
    ("ResourceFlavor", "kueue.x-k8s.io", "resourceflavors"),
    ("ResourceQuota", "", "resourcequotas"),
    ("ScaledObject", "keda.sh", "scaledobjects"),
    ("Service", "", "services"),
    ("ServiceMonitor", "monitoring.coreos.com", "servicemonitors"),
    ("SriovIBNetwork", "sriovnetwork.openshift.io", "sriovibnetworks"),
    ("SriovNetwork", "sriovnetwork.openshift.io", "sriovnetworks"),
    ("SriovNetworkNodePolicy", "sriovnetwork.openshift.io", "sriovnetworknodepolicies"),
    ("StatefulSet", "apps", "statefulsets"),
    ("StorageClass", "storage.k8s.io", "storageclasses"),
    ("TFJob", "kubeflow.org", "tfjobs"),
    ("TrainJob", "trainer.kubeflow.org", "trainjobs"),
    ("TrainingRuntime", "trainer.kubeflow.org", "trainingruntimes"),
    ("VirtualService", "networking.istio.io", "virtualservices"),
];

/// What is done besides: remembering (ConfigMaps), holding a lease, looking at pods, events and machines, trying pods.
const BESIDES: [(&str, &str, &[&str]); 7] = [
    ("", "configmaps", &["get", "list", "create", "update", "delete"]),
    ("", "events", &["list"]),
    ("", "namespaces", &["get", "create", "patch"]),
    ("", "nodes", &["list"]),
    ("", "pods", &["list", "create"]),
    ("authorization.k8s.io", "selfsubjectaccessreviews", &["create"]),
    ("coordination.k8s.io", "leases", &["get", "create", "update", "delete"]),
];

/// Returns the role that applying these manifests takes.
pub(super) fn role(frame: &Frame<'_>, manifests: &[Manifest]) -> Result<Manifest, EmitError> {
    let mut rules = BTreeSet::new();
    for kind in manifests.iter().map(|manifest| manifest.kind.as_str()) {
        if let Some((_, group, resource)) = RESOURCES.iter().find(|(known, _, _)| *known == kind) {
            let (api_groups, resources) = (vec![*group], vec![*resource]);
            rules.insert(Rule { api_groups, resources, verbs: OBJECTS.to_vec() });
        }
    }
    for (group, resource, verbs) in BESIDES {
        rules.insert(Rule { api_groups: vec![group], resources: vec![resource], verbs: verbs.to_vec() });
    }
    let name = shortened_to(&format!("capstan-{}", frame.plan), LONGEST_LABEL);
    let role = ClusterRole {
        api_version: "rbac.authorization.k8s.io/v1",
        kind: "ClusterRole",
        metadata: frame.cluster_meta(&name, Wave::Access, &Labels::new()),
        rules: rules.into_iter().collect(),
    };
    let header = [
        format!("ClusterRole `{name}`: what `capstan apply` of plan `{}` must be allowed to do.", frame.plan),
        "An administrator gives it: kubectl apply --server-side -f clusterrole.yaml, then kubectl create clusterrolebinding."
            .to_owned(),
    ];
    Ok(Manifest {
        path: "access/clusterrole.yaml".to_owned(),
        kind: "ClusterRole".to_owned(),
        name,
        wave: Wave::Access,
        yaml: to_yaml(&header, &role)?,
    })
}
