//! What makes the pods of a service: a Deployment, or a StatefulSet where each instance keeps data.

use super::super::affinity::{node_selector, over_zones, preferred, tolerations};
use super::super::object::{Labels, Object, Port, Selector, TemplateMeta, count, labels};
use super::super::pod::{
    Affinity, Capabilities, Container, ContainerPort, ContainerSecurity, Mount, PodSecurity, PodSpec, Probe,
    Probes, Resources, TcpSocket, Template,
};
use super::super::workload::DeploymentSpec;
use super::super::{EmitError, Files, Frame, Wave, limits, mesh, volumes};
use super::models::{self, Program};
use super::{APP_PORT, Runner, charts};
use capstan_types::blueprint::Blueprint;
use serde::Serialize;
use serde_json::{Value, json};

/// Name of the volume that an instance keeps its data on.
const DATA: &str = "data";

/// Folder of the data where neither the plan nor the image says one. Origin: Assumed.
const FOLDER: &str = "/data";

/// Group that owns the volume of every instance, so that programs which do not run as root may write it. Origin: Assumed;
/// any number does, since all processes of the pod are in it.
const GROUP: u32 = 1000;

/// Seconds between two startup probes, and how many may fail: five minutes. Origin: Assumed.
const STARTUP: (u32, u32) = (10, 30);

/// Seconds without a new instance after which a rollout is called failed: twice what a start may take. Origin: Assumed.
const DEADLINE: u32 = 600;

/// Seconds from the wish to stop to the kill (Kubernetes' default).
const GRACE: u32 = 30;

const MIB: f64 = 1_048_576.0;
const GIB: f64 = 1_073_741_824.0;

/// `apps/v1.StatefulSetSpec`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct SetSpec {
    replicas: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_name: Option<String>,
    /// All at once: those that find each other must not wait for each other.
    pod_management_policy: &'static str,
    persistent_volume_claim_retention_policy: Retention,
    selector: Selector,
    template: Template,
    volume_claim_templates: Vec<Value>,
}

/// `apps/v1.StatefulSetPersistentVolumeClaimRetentionPolicy`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Retention {
    when_deleted: &'static str,
    when_scaled: &'static str,
}

/// Adds what makes the pods of a service.
pub(super) fn add(
    frame: &Frame<'_>,
    runner: &Runner<'_>,
    image: &str,
    files: &mut Files,
) -> Result<(), EmitError> {
    let (api_version, kind) = runner.controller();
    let metadata = frame.meta(&runner.name, Wave::Workload, &runner.labels());
    let note = format!("{image}: {}.", runner.size());
    let models = runner.app.models.as_ref();
    let program = models.map(|models| models::add(frame, runner, models, files)).transpose()?;
    let template = template(frame, runner, (image, program), files);
    let file = (kind, runner.name.as_str());
    if runner.keeps_data() {
        let spec = SetSpec {
            replicas: runner.instances(),
            service_name: runner.each_by_name(),
            pod_management_policy: "Parallel",
            // What was kept outlives the object that asked for it.
            persistent_volume_claim_retention_policy: Retention {
                when_deleted: "Retain",
                when_scaled: "Retain",
            },
            selector: Selector::of(&runner.instance()),
            template,
            volume_claim_templates: vec![claim(frame, runner)],
        };
        let object = Object { api_version, kind, metadata, spec };
        return files.add(Wave::Workload, &runner.folder(), file, &note, &object);
    }
    let spec = DeploymentSpec::of(Some(runner.instances()), DEADLINE, &runner.instance(), template);
    let object = Object { api_version, kind, metadata, spec };
    files.add(Wave::Workload, &runner.folder(), file, &note, &object)
}

/// Returns the claim that each instance makes; without a class it is the cluster's own.
fn claim(frame: &Frame<'_>, runner: &Runner<'_>) -> Value {
    let size = format!("{}Gi", count(runner.app.storage.get() / GIB).max(1));
    let mut spec = json!({
        "accessModes": ["ReadWriteOnce"],
        "resources": { "requests": { "storage": size } },
    });
    if let Some(class) = volumes::class(frame, &runner.machine.site.name) {
        spec["storageClassName"] = json!(class);
    }
    json!({ "metadata": { "name": DATA, "labels": runner.instance() }, "spec": spec })
}

fn template(
    frame: &Frame<'_>,
    runner: &Runner<'_>,
    (image, program): (&str, Option<Program>),
    files: &mut Files,
) -> Template {
    let generation = if runner.keeps_data() { "controller-revision-hash" } else { "pod-template-hash" };
    let security = match runner.keeps_data() {
        true => PodSecurity {
            fs_group: Some(GROUP),
            fs_group_change_policy: Some("OnRootMismatch"),
            ..PodSecurity::plain()
        },
        false => PodSecurity::plain(),
    };
    let mut labels = runner.labels();
    labels.extend(mesh::member(frame));
    let mut container = container(runner, image, files);
    let mut volumes = Vec::new();
    if let Some(program) = program {
        (container.command, container.args) = (program.command, program.args);
        container.volume_mounts.extend(program.mounts);
        volumes = program.volumes;
    }
    Template {
        metadata: TemplateMeta { labels, annotations: mesh::of_app(frame, runner) },
        spec: PodSpec {
            automount_service_account_token: false,
            enable_service_links: false,
            termination_grace_period_seconds: GRACE,
            priority_class_name: limits::class(frame, limits::Rank::Serving),
            node_selector: selector(frame, runner, files),
            tolerations: tolerations(runner.machine),
            affinity: affinity(frame.blueprint, runner),
            topology_spread_constraints: over_zones(
                (runner.machine, runner.machine.site.zones.as_ref().map_or(1, |limit| limit.value)),
                &runner.instance(),
                generation,
                &mut files.warnings,
            ),
            security_context: security,
            containers: vec![container],
            volumes,
        },
    }
}

/// Returns the labels of the machines that it runs on: those that were planned, configured as it needs them.
pub(super) fn selector(frame: &Frame<'_>, runner: &Runner<'_>, files: &mut Files) -> Labels {
    let mut selector = node_selector(frame.blueprint, runner.machine, &mut files.warnings);
    if let Some(plugin) = runner.takes.as_ref().and_then(|takes| takes.plugin.as_ref()) {
        selector.insert(super::super::partitions::PLUGIN_LABEL.to_owned(), plugin.clone());
    }
    selector
}

fn container(runner: &Runner<'_>, image: &str, files: &mut Files) -> Container {
    let shown = runner.metrics().map(|shown| (shown.name, shown.port));
    let shown = shown.filter(|(name, _)| *name != APP_PORT);
    let ports = runner.asked().into_iter().chain(shown);
    let ports = ports.map(|(name, container_port)| ContainerPort { name, container_port });
    let mut volume_mounts = Vec::new();
    if runner.keeps_data() {
        let known = runner.app.mount.clone().or_else(|| charts::keeps(image).map(str::to_owned));
        let mount_path = known.unwrap_or_else(|| {
            let message = format!(
                "its volume is mounted at {FOLDER}; if its image keeps data elsewhere, say where with `mount`"
            );
            files.warn(&runner.run.workload, message);
            FOLDER.to_owned()
        });
        volume_mounts.push(Mount { name: DATA, mount_path: mount_path.into(), read_only: false });
    }
    Container {
        name: runner.name.clone().into(),
        image: image.to_owned(),
        image_pull_policy: "IfNotPresent",
        command: Vec::new(),
        args: Vec::new(),
        env: Vec::new(),
        ports: ports.collect(),
        resources: resources(runner),
        probes: runner.app.port.map(|_| probes(runner)),
        security_context: ContainerSecurity {
            allow_privilege_escalation: false,
            capabilities: Capabilities { add: Vec::new(), drop: vec!["ALL"] },
        },
        volume_mounts,
    }
}

/// Returns what tells how an instance is: the program that it is known to be, else whether it answers at its port.
fn probes(runner: &Runner<'_>) -> Probes {
    let open = || (None, Some(TcpSocket { port: Port::Name(APP_PORT) }));
    let health = runner.app.models.as_ref().map(models::health);
    let (ready, live) = match health {
        Some(health) => ((Some(health.ready), None), health.live),
        None => (open(), open()),
    };
    let probe = |(http_get, tcp_socket), (period_seconds, failure_threshold)| Probe {
        http_get,
        tcp_socket,
        period_seconds,
        timeout_seconds: 5,
        failure_threshold,
    };
    Probes {
        startup_probe: probe(ready.clone(), STARTUP),
        readiness_probe: probe(ready, (5, 3)),
        liveness_probe: probe(live, (10, 6)),
        lifecycle: None,
    }
}

/// Returns what one instance asks for: what was planned for it, of memory no more.
pub(super) fn resources(runner: &Runner<'_>) -> Resources {
    let memory = count(runner.app.memory.get() / MIB).max(1);
    let memory =
        if memory.is_multiple_of(1024) { format!("{}Gi", memory / 1024) } else { format!("{memory}Mi") };
    let thousandths = count(runner.app.threads * 1000.0 - 1e-6).max(1);
    let cpu = if thousandths.is_multiple_of(1000) {
        (thousandths / 1000).to_string()
    } else {
        format!("{thousandths}m")
    };
    let mut limits = labels([("memory", memory.as_str())]);
    if let Some(takes) = &runner.takes {
        limits.insert(takes.resource.clone(), "1".to_owned());
    }
    let mut requests = limits.clone();
    requests.insert("cpu".to_owned(), cpu);
    Resources { requests, limits }
}

/// Returns how instances relate to each other on nodes.
///
/// The plan fills machines with the parts of all that run there. Where something larger shares them, instances are packed, so
/// that a whole place is left for it, unless an availability is asked for: that counts on them being apart.
fn affinity(blueprint: &Blueprint, runner: &Runner<'_>) -> Option<Affinity> {
    let own = runner.run;
    if own.per_node < 2 || runner.instances() < 2 {
        return None;
    }
    let apps = blueprint.apps.iter().filter(|other| (&other.site, &other.shape) == (&own.site, &own.shape));
    let models = blueprint.services.iter().flat_map(|service| &service.placements);
    let models = models.filter(|other| (&other.site, &other.candidate.shape) == (&own.site, &own.shape));
    let shares =
        apps.map(|other| other.per_node).chain(models.map(|other| other.candidate.replicas_per_node));
    let packed =
        runner.app.availability.is_none() && shares.into_iter().any(|per_node| per_node < own.per_node);
    Some(preferred(packed, &runner.instance()))
}
