//! What does a pod of a training look like? The same under every operator.
//!
//! A node of the training takes a whole machine. Some operators have one pod more, which computes nothing and tells the
//! nodes what to do (a launcher, a head): it runs beside one of them, so each node leaves room for it.

use super::Scene;
use crate::kubernetes::affinity::{node_selector, tolerations};
use crate::kubernetes::container::Share;
use crate::kubernetes::object::TemplateMeta;
use crate::kubernetes::pod::Resources;
use crate::kubernetes::{Files, buckets, limits, rails, storage, training::Job};
use capstan_types::spec::TrainMethod;
use serde_json::{Value, json};

/// Where checkpoints lie in a pod.
const CHECKPOINTS: &str = "/checkpoints";

/// Seconds for which a training that is to stop may write a last checkpoint. Origin: Assumed.
const LAST_CHECKPOINT: u32 = 300;

/// Of what pods may ask for of a machine, the most that one which only leads may take. Origin: Assumed.
const LEAD_PART: u64 = 4;

/// What the pods of a training ask for of a machine.
pub(super) struct Shares {
    node: Share,
    lead: Option<Share>,
}

impl Shares {
    /// Returns the shares of a training whose nodes need nobody to lead them.
    pub(super) fn alone(scene: &Scene<'_>, files: &mut Files) -> Self {
        let job = scene.job;
        let nodes = job.run.candidate.nodes;
        let node = Share::of(job.machine, job.per_node(), &job.run.workload, &mut files.warnings).on_rails(
            scene.frame,
            job.machine,
            nodes,
        );
        Self { node, lead: None }
    }

    /// Returns the shares of a training that a pod with so many processors and GiB leads, on the machine of any node.
    pub(super) fn led(scene: &Scene<'_>, (cpu, memory_gib): (u64, u64), files: &mut Files) -> Self {
        let Self { node, .. } = Self::alone(scene, files);
        let part = |all: Option<u64>, wanted: u64| all.map(|all| wanted.min(all / LEAD_PART));
        let cpu = part(node.cpu, cpu);
        // At least what its shared memory takes and as much again.
        let memory_gib = part(node.memory_gib, memory_gib).map(|memory| memory.max(2));
        let rest = |all: Option<u64>, taken: Option<u64>| Some(all?.saturating_sub(taken?).max(1));
        let lead = Share {
            cpu,
            memory_gib,
            shared_gib: memory_gib.map(|memory| (memory / LEAD_PART).max(1)),
            rails: 0,
        };
        let node = Share { cpu: rest(node.cpu, cpu), memory_gib: rest(node.memory_gib, memory_gib), ..node };
        Self { node, lead: Some(lead) }
    }

    /// Returns the shared memory of a node, and of the pod that leads.
    pub(super) fn shared_gib(&self) -> [u64; 2] {
        [shared(&self.node), shared(self.lead.as_ref().unwrap_or(&self.node))]
    }

    /// Returns what a node asks for.
    pub(super) fn of_node(&self, job: &Job<'_>) -> Resources {
        self.node.resources(job.machine, job.per_node())
    }

    /// Returns the template of a node, which runs the program in the container of this name.
    pub(super) fn node(&self, scene: &Scene<'_>, container: &str, files: &mut Files) -> Value {
        let mut template = template(scene, container, &self.node, scene.job.per_node(), files);
        if let Some(program) = &scene.wish.program {
            template["spec"]["containers"][0]["command"] = json!(["sh", "-c", program]);
        }
        template
    }

    /// Returns the template of a node whose container is told by another pod what to run.
    pub(super) fn led_node(&self, scene: &Scene<'_>, container: &str, files: &mut Files) -> Value {
        template(scene, container, &self.node, scene.job.per_node(), files)
    }

    /// Returns the template of the pod that leads, without accelerators.
    pub(super) fn lead(&self, scene: &Scene<'_>, container: &str, files: &mut Files) -> Value {
        let lead = self.lead.as_ref().unwrap_or(&self.node);
        template(scene, container, lead, 0, files)
    }
}

/// Returns the shared memory of a pod in GiB.
fn shared(share: &Share) -> u64 {
    share.shared_gib.unwrap_or(1)
}

/// Adds variables to the container of a template.
pub(super) fn add_environment(template: &mut Value, more: impl IntoIterator<Item = Value>) {
    if let Some(list) = template["spec"]["containers"][0]["env"].as_array_mut() {
        list.extend(more);
    }
}

/// Returns a variable with its value.
pub(super) fn variable(name: &str, value: &str) -> Value {
    json!({ "name": name, "value": value })
}

/// Returns the template of a pod with so many accelerators.
fn template(scene: &Scene<'_>, container: &str, share: &Share, ranks: u32, files: &mut Files) -> Value {
    let (frame, job) = (scene.frame, scene.job);
    let selector = node_selector(frame.blueprint, job.machine, &mut files.warnings);
    let mut pod = json!({
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        "terminationGracePeriodSeconds": LAST_CHECKPOINT,
        "nodeSelector": selector,
        "tolerations": tolerations(job.machine),
        "securityContext": { "seccompProfile": { "type": "RuntimeDefault" } },
        "containers": [{
            "name": container,
            "image": scene.wish.image,
            "imagePullPolicy": "IfNotPresent",
            "env": environment(job),
            "resources": share.resources(job.machine, ranks),
            "securityContext": { "allowPrivilegeEscalation": false, "capabilities": share.capabilities() },
            "volumeMounts": [
                { "name": "checkpoints", "mountPath": CHECKPOINTS },
                { "name": "shm", "mountPath": "/dev/shm" },
            ],
        }],
        "volumes": [
            { "name": "checkpoints", "persistentVolumeClaim": { "claimName": scene.claim() } },
            { "name": "shm", "emptyDir": { "medium": "Memory", "sizeLimit": format!("{}Gi", shared(share)) } },
        ],
    });
    if let Some(class) = limits::class(frame, limits::Rank::Training) {
        pod["priorityClassName"] = json!(class);
    }
    let objects = storage::objects(frame);
    if let Some(bucket) = buckets::of_training(frame, objects, &job.run.workload, &job.run.site) {
        pod["containers"][0]["envFrom"] =
            json!([{ "configMapRef": { "name": bucket } }, { "secretRef": { "name": bucket } }]);
    }
    let metadata = TemplateMeta { labels: job.labels(), annotations: rails::annotations(share.rails) };
    json!({ "metadata": metadata, "spec": pod })
}

/// Returns what was planned, for the program of the training.
fn environment(job: &Job<'_>) -> Vec<Value> {
    let (run, candidate) = (job.run, &job.run.candidate);
    let pairs = [
        ("TENSOR_PARALLEL", candidate.tensor.to_string()),
        ("PIPELINE_PARALLEL", candidate.pipeline.to_string()),
        ("DATA_PARALLEL", candidate.data.to_string()),
        ("EXPERT_PARALLEL", candidate.expert.to_string()),
        ("PIPELINE_CHUNKS", candidate.interleave.to_string()),
        // The memory of every plan is counted so.
        ("DISTRIBUTED_OPTIMIZER", "true".to_owned()),
        ("SEQUENCE_PARALLEL", (candidate.tensor > 1).to_string()),
        ("MICRO_BATCH", candidate.micro_batch.to_string()),
        ("BATCH_TOKENS", format!("{:.0}", run.batch.get())),
        ("SEQUENCE_TOKENS", job.train.sequence.to_string()),
        ("TRAIN_TOKENS", format!("{:.0}", job.train.tokens.get())),
        ("PRECISION", candidate.precision.word().to_owned()),
        ("RECOMPUTE", candidate.recompute.to_string()),
        ("CHECKPOINT_DIR", CHECKPOINTS.to_owned()),
        ("CHECKPOINT_SECONDS", format!("{:.0}", run.checkpoint_interval.get())),
        ("CHECKPOINT_KEEP", job.train.checkpoint.keep.to_string()),
    ];
    let adapters = match job.train.method {
        TrainMethod::Full => Vec::new(),
        TrainMethod::Lora { rank, quantised } => {
            vec![("LORA_RANK", rank.to_string()), ("LOAD_IN_4BIT", quantised.to_string())]
        }
    };
    pairs.into_iter().chain(adapters).map(|(name, value)| variable(name, &value)).collect()
}
