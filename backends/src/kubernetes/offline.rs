//! What answers requests that nobody waits for? An indexed Job: each pod answers one file, as many at once as planned.
//!
//! The requests lie on a volume of the plan's, in files of the OpenAI batch format. The Job waits until somebody starts it,
//! since only people know when the requests are there; in which hours how many replicas were planned is said in its header.
//! Where services and it share machines, classes of priority let services go first, and a pod that had to go begins its
//! file again.

use super::affinity::{node_selector, tolerations};
use super::container::{Share, Times, container, volumes};
use super::engine::{Family, Launch};
use super::object::{Labels, Object, labels};
use super::pod::{ClaimRef, Mount, PodSecurity, PodSpec, Volume};
use super::server::{Role, Server, label_of, server};
use super::{EmitError, Files, Frame, Wave, limits, network};
use capstan_types::blueprint::{BatchRun, Placement, Service, ServiceEstimate};
use capstan_types::origin::Origin;
use capstan_types::spec::Serve;
use capstan_types::units::Seconds;
use serde_json::{Value, json};

/// Where the requests lie in a pod.
const REQUESTS: &str = "/requests";

/// Hours of a replica that one file takes: what is lost at most where a pod has to go, while each pod loads its weights
/// anew, which takes about a minute. Origin: Assumed.
const FILE_H: f64 = 4.0;

/// Most files of one Job. Kubernetes takes 100,000 completions of an indexed Job with any parallelism.
const MOST_FILES: u32 = 100_000;

/// Seconds that a pod has to stop; the file that it reads is begun again. Origin: Assumed.
const GRACE: u32 = 30;

/// Returns the runs that a Job is written for, with the vendor of their accelerators.
pub(super) fn written<'a>(frame: &Frame<'a>) -> Vec<(&'a BatchRun, &'a str)> {
    let catalog = &frame.blueprint.inputs.catalog;
    let runs = frame.blueprint.batches.iter().filter(|run| refused(frame, run).is_none());
    let vendor =
        |run: &'a BatchRun| Some((run, catalog.accelerator(&run.candidate.accelerator)?.vendor.as_str()));
    runs.filter_map(vendor).collect()
}

/// Returns why no Job is written for a run.
fn refused(frame: &Frame<'_>, run: &BatchRun) -> Option<&'static str> {
    let engine = frame.blueprint.inputs.catalog.engine(&run.candidate.engine);
    if frame.deploy.requests.is_none() {
        return Some(
            "name the volume of its requests in `deploy kubernetes { requests = … }`, or start it by hand",
        );
    }
    if engine.and_then(|engine| Family::of(engine, false)) != Some(Family::Vllm) {
        return Some("its engine has no command that answers a file; start it by hand");
    }
    (run.candidate.nodes_per_replica > 1).then_some("a replica spans nodes; start it by hand")
}

/// Adds a Job for each workload of offline inference; says so where none is written.
pub(super) fn add(frame: &Frame<'_>, files: &mut Files) -> Result<(), EmitError> {
    for run in &frame.blueprint.batches {
        match (refused(frame, run), &frame.deploy.requests) {
            (None, Some(claim)) => add_job(frame, claim, run, files)?,
            (why, _) => {
                let why = why.unwrap_or("start it by hand");
                let message = format!(
                    "offline inference is planned and priced, but no manifest is written for it: {why}"
                );
                files.warn(&run.workload, message);
            }
        }
    }
    Ok(())
}

/// A run as a service with one placement, which the pods of services are made from.
struct Rows {
    serve: Serve,
    service: Service,
}

fn rows(frame: &Frame<'_>, run: &BatchRun) -> Result<Rows, EmitError> {
    let batch = frame.blueprint.inputs.spec.batches.iter().find(|batch| batch.name == run.workload);
    let batch = super::server::found("workload", &run.workload, batch)?;
    let estimate = ServiceEstimate {
        rate: run.estimate.rate,
        ttft: Seconds(0.0),
        tpot: run.estimate.tpot,
        kv_tokens: run.estimate.kv_tokens,
        weights: run.estimate.weights,
        memory: run.estimate.memory,
        batch: run.estimate.batch,
        bound_by: run.estimate.bound_by.clone(),
        origin: run.estimate.origin,
    };
    let placement = Placement {
        site: run.site.clone(),
        candidate: run.candidate.clone(),
        estimate,
        derating: run.derating,
        fewest_that_hold: None,
        replicas: vec![run.replicas.clone()],
        start: run.loading,
        start_origin: Origin::Assumed,
        in_flight_target: None,
        interval: None,
    };
    let service =
        Service { workload: run.workload.clone(), model: run.model.clone(), placements: vec![placement] };
    Ok(Rows { serve: batch.served(), service })
}

fn add_job(frame: &Frame<'_>, claim: &str, run: &BatchRun, files: &mut Files) -> Result<(), EmitError> {
    let name = label_of(&run.workload)?;
    let Rows { serve, service } = rows(frame, run)?;
    let names = (name.as_str(), name.clone());
    let server = server(frame.blueprint, &service, &serve, &service.placements[0], names)?;
    let folder = format!("30-{name}");
    let file = |kind: &str| format!("{REQUESTS}/{name}/{kind}-$(JOB_COMPLETION_INDEX).jsonl");
    let launch = server.family.offline(&server, (&file("part"), &file("answers")), &mut files.warnings)?;
    let Some(launch) = launch else { return Ok(()) };
    let mut pods = server.labels();
    pods.extend(labels([("app.kubernetes.io/component", "offline")]));
    network::add_offline(frame, (&name, &pods), &folder, files)?;
    let parts = (run.replica_hours / FILE_H).ceil().clamp(1.0, f64::from(MOST_FILES)) as u32;
    let parts = parts.max(run.peak_replicas());
    let template = template(frame, &server, &launch, (claim, &pods), files)?;
    let spec = json!({
        "suspend": true,
        "completionMode": "Indexed",
        "completions": parts,
        "parallelism": run.peak_replicas(),
        "backoffLimit": parts,
        // A pod that has to go for another is no failure.
        "podFailurePolicy": { "rules": [{ "action": "Ignore", "onPodConditions": [{ "type": "DisruptionTarget" }] }] },
        "template": template,
    });
    let object = Object {
        api_version: "batch/v1",
        kind: "Job",
        metadata: frame.meta(&name, Wave::Workload, &pods),
        spec,
    };
    let note = format!(
        "{} on {} × {} ({}) at {}, {} to {}, {};\nreads {name}/part-0.jsonl to part-{}.jsonl; starts with: kubectl patch job {name} -n {} -p '{{\"spec\":{{\"suspend\":false}}}}'",
        run.model,
        run.candidate.accelerators,
        run.candidate.accelerator,
        run.candidate.shape,
        run.site,
        run.start,
        run.end,
        run.words(),
        parts - 1,
        frame.deploy.namespace
    );
    if run.replicas.iter().any(|&count| count != run.peak_replicas()) && !frame.deploy.priorities {
        let message = format!(
            "planned with {}, and its Job has the most at every hour: set `priorities = true`, so that services go first",
            run.words()
        );
        files.warn(&run.workload, message);
    }
    files.add(Wave::Workload, &folder, ("Job", &name), &note, &object)
}

/// Returns the template of its pods: those of a service, which mount the requests and are asked by nobody.
fn template(
    frame: &Frame<'_>,
    server: &Server<'_>,
    launch: &Launch,
    (claim, pods): (&str, &Labels),
    files: &mut Files,
) -> Result<Value, EmitError> {
    let ranks = server.accelerators_per_pod();
    let share = Share::of(server.machine(), ranks, &server.serve.name, &mut files.warnings);
    let times = Times { startup_failures: 0, grace: GRACE, deadline: 0 };
    let mut container = container(server, launch, Role::Worker, &share, &times);
    container.volume_mounts.push(Mount { name: "requests", mount_path: REQUESTS.into(), read_only: false });
    let mut volumes = volumes(server, &share, None, None);
    volumes.push(Volume {
        name: "requests",
        empty_dir: None,
        config_map: None,
        persistent_volume_claim: Some(ClaimRef { claim_name: claim.to_owned() }),
    });
    let spec = PodSpec {
        automount_service_account_token: false,
        enable_service_links: false,
        termination_grace_period_seconds: GRACE,
        priority_class_name: limits::class(frame, limits::Rank::Training),
        node_selector: node_selector(frame.blueprint, server.machine(), &mut files.warnings),
        tolerations: tolerations(server.machine()),
        affinity: None,
        topology_spread_constraints: Vec::new(),
        security_context: PodSecurity::plain(),
        containers: vec![container],
        volumes,
    };
    let mut spec = serde_json::to_value(spec).map_err(|error| EmitError::Yaml(error.to_string()))?;
    spec["restartPolicy"] = json!("Never");
    Ok(json!({ "metadata": { "labels": pods }, "spec": spec }))
}
