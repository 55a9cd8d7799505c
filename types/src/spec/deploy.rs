//! Where manifests go, and what beside the workloads is written there.

use crate::units::RequestsPerSecond;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The oldest minor version of Kubernetes 1 that manifests are written for.
pub const OLDEST_KUBERNETES: u32 = 28;
/// The newest one that they were tried on.
pub const NEWEST_KUBERNETES: u32 = 36;

/// Where Kubernetes manifests go. What is absent is not written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Kubernetes {
    /// Namespace of everything that is emitted.
    pub namespace: String,
    /// Whether rules for the Prometheus operator are emitted.
    pub monitoring: bool,
    /// Minor version of Kubernetes 1 that the cluster serves.
    #[serde(default = "oldest", skip_serializing_if = "is_oldest")]
    pub minor: u32,
    /// Whether a dashboard for Grafana is emitted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dashboard: bool,
    /// Secret that says to which address alerts are told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alerts: Option<String>,
    /// Whether KServe runs replicas of one node, in place of Deployments.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub kserve: bool,
    /// Image of Triton that runs TensorRT-LLM, in place of its own server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub triton: Option<String>,
    /// How requests come in from outside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<GatewayWish>,
    /// Issuer of the certificate of the gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificates: Option<String>,
    /// Whether a mesh of Istio stands between those who ask and those who answer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub mesh: bool,
    /// The most requests of each workload that are let in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RequestsPerSecond>,
    /// Whose tokens may ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwt: Option<TokenWish>,
    /// Whether the policies of the GPU operator are emitted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gpu_operator: bool,
    /// How pods get the network between own machines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_operator: Option<RailsWish>,
    /// How training gets its machines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training: Option<TrainingWish>,
    /// Claim of the volume on which the requests of offline inference lie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<String>,
    /// Class of nodes that Karpenter makes machines of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub karpenter: Option<String>,
    /// How own machines are made nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metal3: Option<MetalWish>,
    /// Whether the namespace is held to what is planned.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub quota: bool,
    /// Whether serving goes before training where machines are short.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub priorities: bool,
    /// Whether a test that drives the planned load is emitted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub load_test: bool,
    /// Class of the volumes that weights and checkpoints lie on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_class: Option<String>,
    /// Whether the storage that is planned is emitted for Rook.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rook: bool,
    /// Store of secrets that the token of the model hub comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_store: Option<String>,
    /// Claim of the volume on which snapshots of etcd lie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etcd_backup: Option<String>,
    /// Servers that review changes of the plan.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ci: Vec<Pipeline>,
}

/// How requests come in from outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GatewayWish {
    /// Class of the gateway.
    pub class: String,
    /// The name under which it is asked; `None` is any.
    pub host: Option<String>,
    /// Whether an endpoint picker chooses the replica.
    pub picker: bool,
}

/// How pods get the network between own machines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RailsWish {
    /// Names of a machine's network ports, as its system has them, in the order of the rails.
    pub rails: Vec<String>,
}

/// How own machines are made nodes: what Cluster API and Metal3 must be told beside the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MetalWish {
    /// The cluster that they join.
    pub cluster: String,
    /// Where that cluster and the hosts are described.
    pub namespace: String,
    /// Address of the image that is written to their disks.
    pub image: String,
    /// Address of a file with its SHA-256 digest, or that digest.
    pub checksum: String,
    /// Version of Kubernetes that the image holds.
    pub version: String,
}

/// A server that reviews changes of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pipeline {
    /// GitHub Actions.
    Github,
    /// GitLab CI.
    Gitlab,
}

impl Pipeline {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Github, Self::Gitlab];

    /// Returns the word of the language.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Github => "github",
            Self::Gitlab => "gitlab",
        }
    }
}

/// Whose tokens may ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TokenWish {
    /// Who issues them, as they say it.
    pub issuer: String,
    /// Where its keys are, by which they are checked.
    pub jwks: String,
}

/// How training gets its machines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TrainingWish {
    /// Image of the training program.
    pub image: String,
    /// Whether jobs wait in a queue with the quotas that are planned.
    pub queued: bool,
    /// What runs them.
    #[serde(default, skip_serializing_if = "JobKind::is_train_job")]
    pub job: JobKind,
    /// Command line that starts the program; `None` is what the image starts by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
}

impl TrainingWish {
    /// Returns the least: a job of Kubeflow Trainer that runs what its image starts, and waits in no queue.
    pub fn plain(image: &str) -> Self {
        Self { image: image.to_owned(), queued: false, job: JobKind::TrainJob, program: None }
    }
}

/// What runs a training: the kind of object, and with it the operator that reads it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobKind {
    /// Kubeflow Trainer.
    #[default]
    TrainJob,
    /// The training operator of Kubeflow, for PyTorch.
    PyTorchJob,
    /// The training operator of Kubeflow, for MPI and Horovod.
    MpiJob,
    /// The training operator of Kubeflow, for TensorFlow.
    TfJob,
    /// KubeRay.
    RayJob,
    /// JobSet of Kubernetes.
    JobSet,
}

impl JobKind {
    /// All of them, the default first.
    pub const ALL: [Self; 6] =
        [Self::TrainJob, Self::PyTorchJob, Self::MpiJob, Self::TfJob, Self::RayJob, Self::JobSet];

    /// Returns the word of the language.
    pub const fn word(self) -> &'static str {
        match self {
            Self::TrainJob => "train_job",
            Self::PyTorchJob => "py_torch_job",
            Self::MpiJob => "mpi_job",
            Self::TfJob => "tf_job",
            Self::RayJob => "ray_job",
            Self::JobSet => "job_set",
        }
    }

    fn is_train_job(&self) -> bool {
        *self == Self::TrainJob
    }
}

fn oldest() -> u32 {
    OLDEST_KUBERNETES
}

fn is_oldest(minor: &u32) -> bool {
    *minor == OLDEST_KUBERNETES
}

impl Kubernetes {
    /// Returns the least: workloads alone, on every version that is known.
    pub fn plain(namespace: &str, monitoring: bool) -> Self {
        Self {
            namespace: namespace.to_owned(),
            monitoring,
            minor: OLDEST_KUBERNETES,
            dashboard: false,
            alerts: None,
            kserve: false,
            triton: None,
            gateway: None,
            certificates: None,
            mesh: false,
            rate_limit: None,
            jwt: None,
            gpu_operator: false,
            network_operator: None,
            training: None,
            requests: None,
            karpenter: None,
            metal3: None,
            quota: false,
            priorities: false,
            load_test: false,
            storage_class: None,
            rook: false,
            secret_store: None,
            etcd_backup: None,
            ci: Vec::new(),
        }
    }
}
