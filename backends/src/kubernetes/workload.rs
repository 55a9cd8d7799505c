//! What runs a placement: a Deployment, a LeaderWorkerSet where a replica spans nodes, or what `predictor` writes.

use super::affinity::{affinity, node_selector, tolerations, zones};
use super::container::{Share, Times, cache_bytes, container, volumes as pod_volumes};
use super::engine::{Family, Launch, OPTIONS_FILE};
use super::object::{ConfigMap, Labels, Object, Selector, TemplateMeta, labels};
use super::pod::{PodSecurity, PodSpec, Template};
use super::server::{Role, Server};
use super::volumes::Claim;
use super::{EmitError, Files, Frame, Warning, Wave, fetch, limits, mesh, predictor, rails, volumes};
use capstan_types::blueprint::Blueprint;
use serde::Serialize;

/// `apps/v1.DeploymentSpec`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeploymentSpec {
    /// Absent where an autoscaler owns it.
    #[serde(skip_serializing_if = "Option::is_none")]
    replicas: Option<u32>,
    progress_deadline_seconds: u32,
    selector: Selector,
    strategy: Rollout<&'static str>,
    template: Template,
}

impl DeploymentSpec {
    /// Returns the specification of pods that are replaced one by one; `deadline` is the longest in seconds without one more.
    pub(super) fn of(replicas: Option<u32>, deadline: u32, own: &Labels, template: Template) -> Self {
        Self {
            replicas,
            progress_deadline_seconds: deadline,
            selector: Selector::of(own),
            strategy: Rollout::ONE_BY_ONE,
            template,
        }
    }
}

/// `apps/v1.DeploymentStrategy`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Rollout<T> {
    #[serde(rename = "type")]
    kind: T,
    rolling_update: Surge,
}

impl Rollout<&'static str> {
    /// Accelerators are fully planned, so a rollout takes one away before it adds one.
    pub(super) const ONE_BY_ONE: Self = Self { kind: "RollingUpdate", rolling_update: NO_SURGE };
}

/// How many replicas may be more or fewer during a rollout.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Surge {
    max_surge: u32,
    max_unavailable: u32,
}

const NO_SURGE: Surge = Surge { max_surge: 0, max_unavailable: 1 };

/// `leaderworkerset.x-k8s.io/v1.LeaderWorkerSetSpec`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct GroupSpec {
    #[serde(skip_serializing_if = "Option::is_none")]
    replicas: Option<u32>,
    startup_policy: &'static str,
    rollout_strategy: GroupRollout,
    leader_worker_template: GroupTemplate,
}

/// `leaderworkerset.x-k8s.io/v1.RolloutStrategy`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct GroupRollout {
    #[serde(rename = "type")]
    kind: &'static str,
    rolling_update_configuration: Surge,
}

/// `leaderworkerset.x-k8s.io/v1.LeaderWorkerTemplate`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct GroupTemplate {
    size: u32,
    restart_policy: &'static str,
    leader_template: Template,
    worker_template: Template,
}

/// Everything that the pods of one placement share.
struct Plan<'a> {
    blueprint: &'a Blueprint,
    server: &'a Server<'a>,
    launch: Launch,
    share: Share,
    times: Times,
    options: Option<String>,
    /// The claim of the volume that its weights lie on.
    weights: Option<String>,
}

/// Adds what runs a placement, and the configuration that it mounts.
pub(super) fn add(
    frame: &Frame<'_>,
    server: &Server<'_>,
    folder: &str,
    files: &mut Files,
) -> Result<(), EmitError> {
    let launch = server.family.launch(server, &mut files.warnings)?;
    let options = launch.options.as_ref().map(|_| format!("{}-options", server.name));
    if let (Some(name), Some(text)) = (&options, &launch.options) {
        let config = ConfigMap {
            api_version: "v1",
            kind: "ConfigMap",
            metadata: frame.meta(name, Wave::Config, &server.labels()),
            data: labels([(OPTIONS_FILE, text)]),
        };
        files.add(
            Wave::Config,
            folder,
            ("ConfigMap", name),
            "options of the engine that have no flag.",
            &config,
        )?;
    }
    warn_of_image(server, files);
    if server.family == Family::Triton {
        let message = format!(
            "planned with TensorRT-LLM {}: see that {} holds it; requests go to {}/generate, and OpenAI's API is not answered",
            server.engine.version,
            server.image,
            server.family.asked_at()
        );
        files.warn(&server.serve.name, message);
    }
    let ranks = server.accelerators_per_pod();
    let share = Share::of(server.machine(), ranks, &server.serve.name, &mut files.warnings).on_rails(
        frame,
        server.machine(),
        server.pods_per_replica(),
    );
    let times = Times::of(server);
    let weights = add_weights(frame, server, folder, files)?;
    let plan = Plan { blueprint: frame.blueprint, server, launch, share, times, options, weights };
    if server.pods_per_replica() > 1 {
        plan.add_group(frame, folder, files)
    } else if predictor::runs(frame, server) {
        let template = plan.template(frame, Role::Server, &mut files.warnings);
        predictor::add(
            frame,
            server,
            (template, replicas(server), &plan.times),
            (folder, &note(server)),
            files,
        )
    } else {
        plan.add_deployment(frame, folder, files)
    }
}

/// Says where the image of the engine is not one for the accelerators.
pub(super) fn warn_of_image(server: &Server<'_>, files: &mut Files) {
    if server.accelerator.vendor != "NVIDIA" {
        let message = format!(
            "image {} is built for NVIDIA; set one for {} (kustomize `images`)",
            server.image, server.accelerator.vendor
        );
        files.warn(&server.serve.name, message);
    }
}

/// Adds the volume that the weights of a placement lie on, where the plan has volumes; returns its name.
fn add_weights(
    frame: &Frame<'_>,
    server: &Server<'_>,
    folder: &str,
    files: &mut Files,
) -> Result<Option<String>, EmitError> {
    let site = &server.site.name;
    if volumes::class(frame, site).is_none() {
        return Ok(None);
    }
    let name = format!("{}-weights", server.name);
    let note = fetch::note(server, "weights of all replicas");
    let claim = Claim { name: &name, labels: server.labels(), site, bytes: cache_bytes(server), note: &note };
    volumes::add(frame, &claim, folder, files)?;
    fetch::add(frame, server, (&name, fetch::Layout::Cache), folder, files)?;
    Ok(Some(name))
}

impl Plan<'_> {
    fn add_deployment(&self, frame: &Frame<'_>, folder: &str, files: &mut Files) -> Result<(), EmitError> {
        let server = self.server;
        let (api_version, kind) = server.controller();
        let template = self.template(frame, Role::Server, &mut files.warnings);
        let spec = DeploymentSpec::of(replicas(server), self.times.deadline, &server.instance(), template);
        let metadata = frame.meta(&server.name, Wave::Workload, &server.labels());
        let object = Object { api_version, kind, metadata, spec };
        files.add(Wave::Workload, folder, (kind, &server.name), &note(server), &object)
    }

    fn add_group(&self, frame: &Frame<'_>, folder: &str, files: &mut Files) -> Result<(), EmitError> {
        let server = self.server;
        if frame.deploy.kserve {
            let message = format!(
                "`{}` has replicas over {} machines, so a LeaderWorkerSet runs it and not KServe",
                server.name,
                server.pods_per_replica()
            );
            files.warn(&server.serve.name, message);
        }
        let (api_version, kind) = server.controller();
        let spec = GroupSpec {
            replicas: replicas(server),
            startup_policy: "LeaderCreated",
            rollout_strategy: GroupRollout { kind: "RollingUpdate", rolling_update_configuration: NO_SURGE },
            leader_worker_template: GroupTemplate {
                size: server.pods_per_replica(),
                restart_policy: "RecreateGroupOnPodRestart",
                leader_template: self.template(frame, Role::Server, &mut files.warnings),
                worker_template: self.template(frame, Role::Worker, &mut files.warnings),
            },
        };
        let metadata = frame.meta(&server.name, Wave::Workload, &server.labels());
        let object = Object { api_version, kind, metadata, spec };
        files.add(Wave::Workload, folder, (kind, &server.name), &note(server), &object)
    }

    fn template(&self, frame: &Frame<'_>, role: Role, warnings: &mut Vec<Warning>) -> Template {
        let server = self.server;
        let annotations = rails::annotations(self.share.rails);
        let mut metadata = TemplateMeta { labels: server.pod_labels(role), annotations };
        if role == Role::Server {
            metadata.labels.extend(mesh::member(frame));
            metadata.annotations.extend(mesh::of_engine(frame, server));
        }
        Template {
            metadata,
            spec: PodSpec {
                automount_service_account_token: false,
                enable_service_links: false,
                termination_grace_period_seconds: self.times.grace,
                priority_class_name: limits::class(frame, limits::Rank::Serving),
                node_selector: node_selector(self.blueprint, server.machine(), warnings),
                tolerations: tolerations(server.machine()),
                affinity: affinity(self.blueprint, server),
                topology_spread_constraints: zones(server, warnings),
                security_context: PodSecurity::plain(),
                containers: vec![container(server, &self.launch, role, &self.share, &self.times)],
                volumes: pod_volumes(server, &self.share, self.options.clone(), self.weights.clone()),
            },
        }
    }
}

/// Returns the replicas to ask for; an autoscaler owns them where there is one.
fn replicas(server: &Server<'_>) -> Option<u32> {
    (!super::scaling::has_autoscaler(server)).then(|| server.most())
}

/// Returns what the header says of a placement.
fn note(server: &Server<'_>) -> String {
    let candidate = &server.placement.candidate;
    format!(
        "{} on {} × {} ({}) at {}, {} to {} replicas;\nplanned start {:.0} s ({}), {:.2} requests/s each.",
        server.model.id,
        candidate.accelerators,
        candidate.accelerator,
        candidate.shape,
        server.site.name,
        server.fewest(),
        server.most(),
        server.placement.start.get(),
        server.placement.start_origin.word(),
        server.placement.estimate.rate.get() * server.placement.derating,
    )
}
