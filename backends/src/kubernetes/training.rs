//! What runs a training? A TrainJob of Kubeflow Trainer, with a runtime of its own and a volume for its checkpoints.
//!
//! The program is the plan's: its image is named, and what was planned is handed to it in its environment. It does not know
//! what the program does with it.

use super::affinity::{Machine, node_selector, tolerations};
use super::container::Share;
use super::object::{Labels, Object, count, labels, slug};
use super::server::{found, shortened};
use super::volumes::Claim;
use super::{EmitError, Files, Frame, Wave, limits, queues, volumes};
use capstan_types::blueprint::{Blueprint, TrainingRun};
use capstan_types::spec::{Train, TrainingWish};
use serde_json::{Value, json};

/// Where checkpoints lie in a pod.
const CHECKPOINTS: &str = "/checkpoints";

/// Room for checkpoints over those that are kept, as one is written before another goes. Origin: Assumed.
const CHECKPOINT_ROOM: f64 = 1.1;

/// Seconds for which a training that is to stop may write a last checkpoint. Origin: Assumed.
const LAST_CHECKPOINT: u32 = 300;

/// A training with the rows that it stands on.
pub(super) struct Job<'a> {
    pub(super) name: String,
    pub(super) run: &'a TrainingRun,
    pub(super) train: &'a Train,
    pub(super) machine: Machine<'a>,
}

impl Job<'_> {
    /// Returns the labels that every object of it carries.
    pub(super) fn labels(&self) -> Labels {
        labels([
            ("app.kubernetes.io/name", self.name.as_str()),
            ("app.kubernetes.io/component", "training"),
            ("capstan.dev/site", &slug(&self.machine.site.name)),
        ])
    }

    /// Returns the accelerators of one node, all of which it takes.
    pub(super) fn per_node(&self) -> u32 {
        self.machine.shape.accelerators
    }
}

/// Returns every training with its rows, in the order of the blueprint.
pub(super) fn resolve(blueprint: &Blueprint) -> Result<Vec<Job<'_>>, EmitError> {
    blueprint.trainings.iter().map(|run| job(blueprint, run)).collect()
}

fn job<'a>(blueprint: &'a Blueprint, run: &'a TrainingRun) -> Result<Job<'a>, EmitError> {
    let (spec, catalog) = (&blueprint.inputs.spec, &blueprint.inputs.catalog);
    let name = shortened(&run.workload.to_ascii_lowercase().replace('_', "-"));
    if !super::object::is_dns_label(&name) {
        return Err(EmitError::NotALabel { what: "workload", name: run.workload.clone() });
    }
    let train = spec.trains.iter().find(|train| train.name == run.workload);
    let (shape, accelerator) = (&run.candidate.shape, &run.candidate.accelerator);
    let machine = Machine {
        shape: found("shape", shape, catalog.shape(shape))?,
        accelerator: Some(found("accelerator", accelerator, catalog.accelerator(accelerator))?),
        site: found("site", &run.site, spec.sites.iter().find(|site| site.name == run.site))?,
    };
    Ok(Job { name, run, train: found("workload", &run.workload, train)?, machine })
}

/// Adds what runs the trainings, where the plan says with which program.
pub(super) fn add(frame: &Frame<'_>, jobs: &[Job<'_>], files: &mut Files) -> Result<(), EmitError> {
    let Some(wish) = &frame.deploy.training else {
        for job in jobs {
            let message = "training is planned and priced, but no manifest is written for it: name its program in `deploy kubernetes { training = { image = … } }`, or start it by hand";
            files.warn(&job.run.workload, message.to_owned());
        }
        return Ok(());
    };
    for job in jobs {
        if !job.run.at_hours.is_empty() {
            let message = format!(
                "planned{}: suspend and resume its TrainJob at these hours (`spec.suspend`); nothing here does",
                job.run.pauses()
            );
            files.warn(&job.run.workload, message);
        }
        let folder = format!("30-{}", job.name);
        add_checkpoints(frame, job, &folder, files)?;
        add_runtime(frame, wish, job, &folder, files)?;
        add_job(frame, wish, job, &folder, files)?;
    }
    Ok(())
}

fn claim(job: &Job<'_>) -> String {
    format!("{}-checkpoints", job.name)
}

fn add_checkpoints(
    frame: &Frame<'_>,
    job: &Job<'_>,
    folder: &str,
    files: &mut Files,
) -> Result<(), EmitError> {
    let keep = f64::from(job.train.checkpoint.keep.max(1) + 1);
    let claim = Claim {
        name: &claim(job),
        labels: job.labels(),
        site: &job.run.site,
        bytes: job.run.checkpoint.get() * keep * CHECKPOINT_ROOM,
        note: "checkpoints of the training; never deleted unless that is asked for.",
    };
    volumes::add(frame, &claim, folder, files)
}

/// Adds what every node of the training runs.
fn add_runtime(
    frame: &Frame<'_>,
    wish: &TrainingWish,
    job: &Job<'_>,
    folder: &str,
    files: &mut Files,
) -> Result<(), EmitError> {
    let ranks = job.per_node();
    let share = Share::of(job.machine, ranks, &job.run.workload, &mut files.warnings);
    let selector = node_selector(frame.blueprint, job.machine, &mut files.warnings);
    let mut pod = json!({
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        "terminationGracePeriodSeconds": LAST_CHECKPOINT,
        "nodeSelector": selector,
        "tolerations": tolerations(job.machine),
        "securityContext": { "seccompProfile": { "type": "RuntimeDefault" } },
        "containers": [{
            "name": "node",
            "image": wish.image,
            "imagePullPolicy": "IfNotPresent",
            "env": environment(job),
            "resources": share.resources(job.machine, ranks),
            "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
            "volumeMounts": [
                { "name": "checkpoints", "mountPath": CHECKPOINTS },
                { "name": "shm", "mountPath": "/dev/shm" },
            ],
        }],
        "volumes": [
            { "name": "checkpoints", "persistentVolumeClaim": { "claimName": claim(job) } },
            { "name": "shm", "emptyDir": { "medium": "Memory", "sizeLimit": format!("{}Gi", share.shared_gib.unwrap_or(1)) } },
        ],
    });
    if let Some(class) = limits::class(frame, limits::Rank::Training) {
        pod["priorityClassName"] = json!(class);
    }
    let ancestor = labels([("trainer.kubeflow.org/trainjob-ancestor-step", "trainer")]);
    let spec = json!({
        "mlPolicy": { "numNodes": job.run.candidate.nodes, "torch": {} },
        "template": { "spec": { "replicatedJobs": [{
            "name": "node",
            "template": { "metadata": { "labels": ancestor }, "spec": {
                // A failure is a restart from the last checkpoint; as many as are expected, and as many again.
                "backoffLimit": count(2.0 * job.run.failures).max(3),
                "template": { "metadata": { "labels": job.labels() }, "spec": pod },
            } },
        }] } },
    });
    let object = Object::<Value> {
        api_version: "trainer.kubeflow.org/v1alpha1",
        kind: "TrainingRuntime",
        metadata: frame.meta(&job.name, Wave::Queues, &job.labels()),
        spec,
    };
    let note = "what every node of the training runs.";
    files.add(Wave::Queues, folder, ("TrainingRuntime", &job.name), note, &object)
}

/// Returns what was planned, for the program of the training.
fn environment(job: &Job<'_>) -> Vec<Value> {
    let (run, candidate) = (job.run, &job.run.candidate);
    let pairs = [
        ("TENSOR_PARALLEL", candidate.tensor.to_string()),
        ("PIPELINE_PARALLEL", candidate.pipeline.to_string()),
        ("DATA_PARALLEL", candidate.data.to_string()),
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
    pairs.into_iter().map(|(name, value)| json!({ "name": name, "value": value })).collect()
}

fn add_job(
    frame: &Frame<'_>,
    wish: &TrainingWish,
    job: &Job<'_>,
    folder: &str,
    files: &mut Files,
) -> Result<(), EmitError> {
    let candidate = &job.run.candidate;
    let share = Share::of(job.machine, job.per_node(), &job.run.workload, &mut files.warnings);
    let mut spec = json!({
        "runtimeRef": { "apiGroup": "trainer.kubeflow.org", "kind": "TrainingRuntime", "name": job.name },
        "trainer": {
            "image": wish.image,
            "numNodes": candidate.nodes,
            "numProcPerNode": job.per_node(),
            // They stand in place of those of the runtime, so all of them are named.
            "resourcesPerNode": share.resources(job.machine, job.per_node()),
        },
    });
    let mut own = job.labels();
    if wish.queued {
        own.insert("kueue.x-k8s.io/queue-name".to_owned(), queues::local(frame));
        spec["suspend"] = json!(true);
    }
    let object = Object {
        api_version: "trainer.kubeflow.org/v1alpha1",
        kind: "TrainJob",
        metadata: frame.meta(&job.name, Wave::Workload, &own),
        spec,
    };
    let note = format!(
        "{} on {} × {} ({}) at {}, {} to {};\nstep {:.2} s, goodput {:.0} %; {} spare nodes are kept beside it.",
        job.run.model,
        candidate.nodes,
        candidate.accelerator,
        candidate.shape,
        job.run.site,
        job.run.start,
        job.run.end,
        job.run.step.get(),
        job.run.goodput * 100.0,
        job.run.spare_nodes,
    );
    files.add(Wave::Workload, folder, ("TrainJob", &job.name), &note, &object)
}
