//! What runs a training? The object that its operator reads, and a volume for its checkpoints.
//!
//! Which operator that is, the plan says: each family of them has a file below. All share the pods (`pods`), the name, the
//! labels, the queue and the volume. The program is the plan's: its image is named, and what was planned is handed to it in
//! its environment. It does not know what the program does with it.

mod job_set;
mod kubeflow;
mod pods;
mod ray;
mod train_job;

use super::affinity::Machine;
use super::object::{LONGEST_LABEL, Labels, Object, count, labels, slug};
use super::server::{LONGEST_NAME, found, shortened_to};
use super::volumes::Claim;
use super::{EmitError, Files, Frame, Wave, queues, volumes};
use capstan_types::blueprint::{Blueprint, TrainingRun};
use capstan_types::spec::{JobKind, Train, TrainingWish};
use serde_json::{Value, json};

/// Room for checkpoints over those that are kept, as one is written before another goes. Origin: Assumed.
const CHECKPOINT_ROOM: f64 = 1.1;

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

    /// Returns how often it may start again: as many failures as are expected, and as many again.
    fn restarts(&self) -> u32 {
        count(2.0 * self.run.failures).max(3)
    }
}

/// How an operator is spoken to.
#[derive(Clone, Copy)]
struct Form {
    api_version: &'static str,
    kind: &'static str,
    /// Where below `spec` it is said whether the job waits.
    suspend: &'static [&'static str],
    /// The longest name that leaves room for what its controller adds.
    longest: usize,
}

impl Form {
    /// Returns the form of a kind.
    const fn of(job: JobKind) -> Self {
        /// A RayJob has at most 47 letters (KubeRay, `MaxRayJobNameLength`); pods of a JobSet have `-node-0-NNN-XXXXX` after
        /// its name, and at most 63.
        const SHORT: usize = 46;
        let (suspend, longest): (&[&str], usize) = match job {
            JobKind::TrainJob => (&["suspend"], LONGEST_NAME),
            JobKind::RayJob | JobKind::JobSet => (&["suspend"], SHORT),
            JobKind::PyTorchJob | JobKind::MpiJob | JobKind::TfJob => {
                (&["runPolicy", "suspend"], LONGEST_NAME)
            }
        };
        let (api_version, kind) = match job {
            JobKind::TrainJob => ("trainer.kubeflow.org/v1alpha1", "TrainJob"),
            JobKind::PyTorchJob => (kubeflow::VERSION, "PyTorchJob"),
            JobKind::MpiJob => (kubeflow::VERSION, "MPIJob"),
            JobKind::TfJob => (kubeflow::VERSION, "TFJob"),
            JobKind::RayJob => ("ray.io/v1", "RayJob"),
            JobKind::JobSet => ("jobset.x-k8s.io/v1alpha2", "JobSet"),
        };
        Self { api_version, kind, suspend, longest }
    }
}

/// Returns every training with its rows, in the order of the blueprint.
pub(super) fn resolve(blueprint: &Blueprint) -> Result<Vec<Job<'_>>, EmitError> {
    blueprint.trainings.iter().map(|run| job(blueprint, run)).collect()
}

fn job<'a>(blueprint: &'a Blueprint, run: &'a TrainingRun) -> Result<Job<'a>, EmitError> {
    let (spec, catalog) = (&blueprint.inputs.spec, &blueprint.inputs.catalog);
    let wish = spec.deploy.as_ref().and_then(|deploy| deploy.training.as_ref());
    let longest = Form::of(wish.map(|wish| wish.job).unwrap_or_default()).longest;
    let name = shortened_to(&run.workload.to_ascii_lowercase().replace('_', "-"), longest);
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

/// Returns whose pods ask those of a training, by their label, and at which port.
pub(super) fn asked_by(wish: &TrainingWish) -> Option<((&'static str, &'static str), u16)> {
    (wish.job == JobKind::RayJob).then_some((ray::OPERATOR, ray::DASHBOARD))
}

/// Returns whether pods of a training ask the API server.
pub(super) fn asks_the_server(wish: &TrainingWish) -> bool {
    wish.job == JobKind::MpiJob
}

/// One training as it is written.
struct Scene<'a> {
    frame: &'a Frame<'a>,
    wish: &'a TrainingWish,
    job: &'a Job<'a>,
    form: Form,
    folder: String,
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
        let folder = format!("30-{}", job.name);
        let scene = Scene { frame, wish, job, form: Form::of(wish.job), folder };
        scene.warn(files);
        scene.add_checkpoints(files)?;
        match wish.job {
            JobKind::TrainJob => train_job::add(&scene, files)?,
            JobKind::PyTorchJob => kubeflow::add_py_torch(&scene, files)?,
            JobKind::MpiJob => kubeflow::add_mpi(&scene, files)?,
            JobKind::TfJob => kubeflow::add_tensor_flow(&scene, files)?,
            JobKind::RayJob => ray::add(&scene, files)?,
            JobKind::JobSet => job_set::add(&scene, files)?,
        }
    }
    Ok(())
}

impl Scene<'_> {
    /// Says what the objects of a training leave to people.
    fn warn(&self, files: &mut Files) {
        let (run, kind, suspend) = (self.job.run, self.form.kind, self.form.suspend.join("."));
        if !run.at_hours.is_empty() {
            let message = format!(
                "planned{}: suspend and resume its {kind} at these hours (`spec.{suspend}`); nothing here does",
                run.pauses()
            );
            files.warn(&run.workload, message);
        }
        if self.wish.job == JobKind::MpiJob && self.wish.queued {
            let message = format!(
                "Kueue lets go MPIJobs of the MPI operator (kubeflow.org/v2beta1), and this one is of the training operator: take another `job`, leave `queue` out, or resume it by hand (`spec.{suspend}`)"
            );
            files.warn(&run.workload, message);
        }
    }

    /// Returns the name of the claim for checkpoints.
    fn claim(&self) -> String {
        shortened_to(&format!("{}-checkpoints", self.job.name), LONGEST_LABEL)
    }

    fn add_checkpoints(&self, files: &mut Files) -> Result<(), EmitError> {
        let (job, keep) = (self.job, f64::from(self.job.train.checkpoint.keep.max(1) + 1));
        let claim = Claim {
            name: &self.claim(),
            labels: job.labels(),
            site: &job.run.site,
            bytes: job.run.checkpoint.get() * keep * CHECKPOINT_ROOM,
            note: "checkpoints of the training; never deleted unless that is asked for.",
        };
        volumes::add(self.frame, &claim, &self.folder, files)
    }

    /// Adds the object that the operator reads; with a queue it waits until that lets it go.
    fn add_job(&self, mut spec: Value, files: &mut Files) -> Result<(), EmitError> {
        let (job, candidate, Form { api_version, kind, .. }) = (self.job, &self.job.run.candidate, self.form);
        let mut own = job.labels();
        if self.wish.queued {
            own.insert("kueue.x-k8s.io/queue-name".to_owned(), queues::local(self.frame));
            let place = self.form.suspend.iter().fold(&mut spec, |below, field| &mut below[*field]);
            *place = json!(true);
        }
        let metadata = self.frame.meta(&job.name, Wave::Workload, &own);
        let object = Object { api_version, kind, metadata, spec };
        let note = format!(
            "{} on {} × {} ({} × {}) at {}, {} to {};\nstep {:.2} s, goodput {:.0} %; {} spare nodes are kept beside it.",
            job.run.model,
            candidate.tensor * candidate.pipeline * candidate.data,
            candidate.accelerator,
            candidate.nodes,
            candidate.shape,
            job.run.site,
            job.run.start,
            job.run.end,
            job.run.step.get(),
            job.run.goodput * 100.0,
            job.run.spare_nodes,
        );
        files.add(Wave::Workload, &self.folder, (kind, &job.name), &note, &object)
    }
}
