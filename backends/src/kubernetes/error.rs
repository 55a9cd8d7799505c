//! Why no manifests can be written: what the plan or the blueprint lacks, and what would be a bug of ours.

use super::Lint;
use capstan_types::degrees::Degrees;
use thiserror::Error;

/// Why no manifests can be written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EmitError {
    /// The plan does not ask for Kubernetes.
    #[error("the plan has no `deploy kubernetes` block")]
    NoDeploy,
    /// There is nothing to deploy.
    #[error("the blueprint is infeasible, so there is nothing to deploy")]
    Infeasible,
    /// The blueprint does not say which plan it answers.
    #[error("the blueprint holds no digest of its plan file")]
    NoPlanDigest,
    /// Two objects that Kubernetes could not tell apart.
    #[error(
        "two objects would be called {kind}/{name} in one namespace: rename the block of the plan that is called so"
    )]
    Twice {
        /// Their kind.
        kind: String,
        /// Their name.
        name: String,
    },
    /// A name that Kubernetes refuses.
    #[error("{what} `{name}` cannot be a DNS label: 1 to 63 of a-z, 0-9 and `-`, none at an end")]
    NotALabel {
        /// What has the name.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// An engine with which a workload in two parts is not emitted.
    #[error(
        "`{workload}` runs in two parts, which is emitted with vLLM and not with engine `{engine}`: plan `engine = vllm` or `disaggregated = never`"
    )]
    ApartEngine {
        /// The workload.
        workload: String,
        /// The engine.
        engine: String,
    },
    /// A replica of a part over several nodes.
    #[error(
        "`{workload}` runs in two parts, and a replica of its {part} part spans {nodes} nodes, which is not emitted: allow fewer ranks in `parallelism`, or plan `disaggregated = never`"
    )]
    ApartNodes {
        /// The workload.
        workload: String,
        /// Which part.
        part: &'static str,
        /// Nodes of one replica.
        nodes: u32,
    },
    /// A part on several kinds of machines, for which one template is not enough.
    #[error(
        "`{workload}` runs in two parts, and its {part} part on {placements} kinds of machines, of which only one is emitted: allow one `accelerator`, or plan `disaggregated = never`"
    )]
    ApartMixed {
        /// The workload.
        workload: String,
        /// Which part.
        part: &'static str,
        /// Kinds of machines that it runs on.
        placements: usize,
    },
    /// Two objects would have one name.
    #[error("two workloads need the name `{name}`; rename one")]
    SameName {
        /// The name.
        name: String,
    },
    /// A name that leaves no room for what KServe adds.
    #[error(
        "`{name}` has {} letters, and KServe takes {most} and makes a label of it with its own: give the workload a shorter name, or leave `serving` out", .name.len()
    )]
    LongForKserve {
        /// The name.
        name: String,
        /// The most letters.
        most: usize,
    },
    /// A row that the blueprint must embed is absent.
    #[error("the blueprint embeds no {kind} `{name}`")]
    Missing {
        /// What it is.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// A service without replicas.
    #[error("`{workload}` has no replica at any hour")]
    NoReplicas {
        /// The workload.
        workload: String,
    },
    /// An engine whose command line is not known.
    #[error(
        "`{workload}` runs on engine `{engine}`, whose command line is unknown: its row needs `family`, one of vllm, sglang, tensorrt_llm"
    )]
    UnknownEngine {
        /// The workload.
        workload: String,
        /// The engine.
        engine: String,
    },
    /// An engine row without a fixed version.
    #[error("engine `{engine}` has the image tag `{tag}`, which names no version")]
    FloatingTag {
        /// The engine.
        engine: String,
        /// The tag.
        tag: String,
    },
    /// A service whose image has no fixed version.
    #[error(
        "the image `{image}` of `{workload}` names no version: add a tag other than `latest`, or a digest"
    )]
    FloatingImage {
        /// The workload.
        workload: String,
        /// The image.
        image: String,
    },
    /// A cache format that the engine does not have.
    #[error("`{workload}` keeps its cache in {precision}, which engine `{engine}` cannot")]
    UnsupportedCache {
        /// The workload.
        workload: String,
        /// The engine.
        engine: String,
        /// The format.
        precision: &'static str,
    },
    /// An engine that is not emitted over several nodes.
    #[error("a replica of `{workload}` spans {nodes} nodes, which is not emitted for engine `{engine}`")]
    SpansNodes {
        /// The workload.
        workload: String,
        /// The engine.
        engine: String,
        /// Nodes of one replica.
        nodes: u32,
    },
    /// Parallelism that does not match the machines.
    #[error(
        "`{workload}`: the ranks of {} do not fill {accelerators} accelerators on {nodes} nodes of {per_node}",
        degrees.words()
    )]
    Uneven {
        /// The workload.
        workload: String,
        /// How a replica is spread.
        degrees: Degrees,
        /// Accelerators of one replica.
        accelerators: u32,
        /// Nodes of one replica.
        nodes: u32,
        /// Accelerators of one node.
        per_node: u32,
    },
    /// A field that the cluster does not serve yet.
    #[error("{object}: Kubernetes serves {what} since 1.{since}, and the plan is for 1.{minor}")]
    NotServed {
        /// The object.
        object: String,
        /// The kind or field.
        what: String,
        /// The minor version since which it is served.
        since: u32,
        /// The minor version that the plan is for.
        minor: u32,
    },
    /// Ports that the plan names, and others that were planned.
    #[error(
        "`network_operator` names {named} ports, and a machine of {shape} at `{site}` has {ports} in its planned network: name those in `rails`, all planes of them"
    )]
    Rails {
        /// The site.
        site: String,
        /// The machine.
        shape: String,
        /// Ports of one of them.
        ports: u32,
        /// Ports that are named.
        named: usize,
    },
    /// Switches of which nobody knows what they speak.
    #[error(
        "nobody knows whether links of {switch} are InfiniBand or Ethernet: give its row `link = \"infiniband\"` or `\"ethernet\"` in a catalog of your own, or leave `network_operator` out"
    )]
    UnknownLink {
        /// The row of the catalog.
        switch: String,
    },
    /// Networks of both kinds, of which a pod that may run on either would need both.
    #[error(
        "networks of InfiniBand and of Ethernet are planned, and rails are of one kind: name one `switch` for both in `fabric`, or leave `network_operator` out"
    )]
    SeveralLinks,
    /// A queue over accelerators that no one resource counts.
    #[error("the queue `{queue}` would hold accelerators of several vendors; plan trainings on one")]
    SeveralVendors {
        /// The queue.
        queue: String,
    },
    /// An object could not be written as YAML; a bug of ours.
    #[error("an object has no YAML form: {0}")]
    Yaml(String),
    /// The result breaks a rule that it must keep; a bug of ours.
    #[error("the manifests break their own rules: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Lints(Vec<Lint>),
}
