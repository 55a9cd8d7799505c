//! What runs a workload whose prompts are read on some machines and whose answers are written on others? One
//! LLMInferenceService of KServe, with a template for each part.
//!
//! KServe completes it. It adds: the command of the container `main` (`vllm serve` on the weights in /mnt/models, over TLS,
//! with what VLLM_ADDITIONAL_ARGS says), its probes, what fetches the weights, a sidecar before the part that answers, which
//! has prompts read by the other, the scheduler that picks replicas, its InferencePool, a route at the gateway, and the
//! Deployments `NAME-kserve` and `NAME-kserve-prefill`. Given here is what it cannot know: images, shares of machines, nodes,
//! arguments, labels. Ranks stand in `parallelism` alone.
//!
//! It does not know what a running KServe makes of that. Fields are those of its definition, 0.20, which is tested; names of
//! what it adds (variables, volume, ports, Deployments, paths) are recalled from its documentation and samples, not read.

use super::affinity::{affinity, node_selector, tolerations, zones};
use super::container::{PROBE_PERIOD, Share, TOKEN_SECRET, Times, cache_bytes};
use super::engine::{Family, one_part};
use super::load_test::Test;
use super::object::{Labels, Object, labels, slug};
use super::server::{Group, PartOf, Server, found};
use super::volumes::Claim;
use super::workload::warn_of_image;
use super::{EmitError, Files, Frame, Wave, fetch, gateway, limits, network, ranks, volumes};
use capstan_types::spec::Part;
use serde_json::{Value, json};

/// Port at which an engine tells where the caches lie that are to be fetched (VLLM_NIXL_SIDE_CHANNEL_PORT, its default).
const SIDE_CHANNEL: u16 = 5600;

/// Ports at which a workload is asked from outside: its pods, the engine behind the sidecar, and of its scheduler the
/// picker and the metrics (templates of KServe, recalled).
pub(super) const ASKED: [u16; 4] = [8000, 8001, 9002, 9090];

/// Both parts of a workload.
pub(super) struct Pair<'a> {
    /// The workload's name in the plan file.
    workload: &'a str,
    of: &'a PartOf,
    folder: String,
    prefill: &'a Server<'a>,
    decode: &'a Server<'a>,
}

/// Returns the port of the engine of a part: before the one that answers stands a sidecar, which takes the first.
pub(super) fn engine_port(part: Part) -> u16 {
    match part {
        Part::Prefill => 8000,
        Part::Decode => 8001,
    }
}

/// Returns the name of the Deployment that KServe makes of a part.
pub(super) fn deployment(of: &PartOf) -> String {
    match of.part {
        Part::Prefill => format!("{}-kserve-prefill", of.whole),
        Part::Decode => format!("{}-kserve", of.whole),
    }
}

/// Returns every workload in two parts, in the order of the blueprint.
pub(super) fn pairs<'a>(groups: &'a [Group<'a>]) -> Result<Vec<Pair<'a>>, EmitError> {
    let parts =
        groups.iter().filter_map(|group| Some((group, group.part.as_ref()?, group.serve.stage.as_ref()?)));
    let mut pairs = Vec::new();
    for (group, of, stage) in parts {
        let other = groups.iter().find(|other| other.serve.name == stage.with && other.part.is_some());
        let other = found("other part", &stage.with, other)?;
        if of.part == Part::Decode {
            let (prefill, decode) = (only(other, &stage.of)?, only(group, &stage.of)?);
            pairs.push(Pair { workload: &stage.of, of, folder: group.folder(), prefill, decode });
        }
    }
    Ok(pairs)
}

/// Returns the one placement of a part, where it is one that can be written.
fn only<'a>(group: &'a Group<'a>, workload: &str) -> Result<&'a Server<'a>, EmitError> {
    let workload = workload.to_owned();
    let part = group.part.as_ref().map_or("", |of| of.part.word());
    let [server] = group.servers.as_slice() else {
        return Err(EmitError::ApartMixed { workload, part, placements: group.servers.len() });
    };
    if server.family != Family::Vllm {
        return Err(EmitError::ApartEngine { workload, engine: server.engine.id.clone() });
    }
    if server.pods_per_replica() > 1 {
        return Err(EmitError::ApartNodes { workload, part, nodes: server.pods_per_replica() });
    }
    Ok(server)
}

/// Adds what runs a workload in two parts.
pub(super) fn add(frame: &Frame<'_>, pair: &Pair<'_>, files: &mut Files) -> Result<(), EmitError> {
    let (name, folder) = (pair.of.whole.as_str(), pair.folder.as_str());
    let all = labels([("capstan.dev/workload", name)]);
    network::add_apart(frame, (name, &all), &ASKED, folder, files)?;
    let (prefill, _) = part(frame, pair.prefill, files)?;
    let (mut spec, model) = part(frame, pair.decode, files)?;
    let uri = add_weights(frame, pair, &model, files)?;
    spec["model"] = json!({ "uri": uri, "name": model });
    spec["prefill"] = prefill;
    spec["router"] = router(frame, name);
    warn(frame, pair, files);
    let mut own = labels([("app.kubernetes.io/name", name)]);
    own.insert("capstan.dev/site".to_owned(), slug(&pair.decode.site.name));
    let object = Object {
        api_version: "serving.kserve.io/v1alpha2",
        kind: "LLMInferenceService",
        metadata: frame.meta(name, Wave::Workload, &own),
        spec,
    };
    let note = format!(
        "{}, prompts read on {}, answers written on {};\nKServe adds the engine's command, probes, certificates, a sidecar, the scheduler, its pool, and a route below /{}/{name} of the gateway.",
        pair.decode.model.id,
        runs_on(pair.prefill),
        runs_on(pair.decode),
        frame.deploy.namespace,
    );
    files.add(Wave::Workload, folder, ("LLMInferenceService", name), &note, &object)?;
    add_test(frame, pair, files)
}

fn runs_on(server: &Server<'_>) -> String {
    let candidate = &server.placement.candidate;
    format!(
        "{} × {} × {} ({}) at {}",
        server.most(),
        candidate.accelerators,
        candidate.accelerator,
        candidate.shape,
        server.site.name
    )
}

/// Returns replicas, ranks, labels and template of a part, and the name of its model.
fn part(frame: &Frame<'_>, server: &Server<'_>, files: &mut Files) -> Result<(Value, String), EmitError> {
    let (model, arguments) = one_part(server, &mut files.warnings)?;
    warn_of_image(server, files);
    let part = json!({
        "replicas": server.most(),
        "parallelism": ranks::kserve(&server.placement.candidate),
        "labels": server.labels(),
        "template": template(frame, server, &arguments, files),
    });
    Ok((part, model))
}

/// Returns the pod of a part, which KServe lays over its own by names of containers, variables, mounts and volumes.
///
/// The token of service accounts stays mounted: the sidecar asks the API server which pods it may send prompts to.
fn template(frame: &Frame<'_>, server: &Server<'_>, arguments: &str, files: &mut Files) -> Value {
    let ranks = server.accelerators_per_pod();
    let share = Share::of(server.machine(), ranks, &server.serve.name, &mut files.warnings);
    let times = Times::of(server);
    let mut container = json!({
        "name": "main",
        "image": server.image,
        "imagePullPolicy": "IfNotPresent",
        "env": environment(arguments),
        "resources": share.resources(server.machine(), ranks),
        "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
    });
    if let Some(of) = &server.part {
        // KServe's own probes count from the start of the container, and weights may take longer.
        container["startupProbe"] = json!({
            "httpGet": { "path": "/health", "port": engine_port(of.part), "scheme": "HTTPS" },
            "periodSeconds": PROBE_PERIOD, "timeoutSeconds": 5, "failureThreshold": times.startup_failures,
        });
    }
    let mut pod = json!({
        "enableServiceLinks": false,
        "terminationGracePeriodSeconds": times.grace,
        "nodeSelector": node_selector(frame.blueprint, server.machine(), &mut files.warnings),
        "tolerations": tolerations(server.machine()),
        "securityContext": { "seccompProfile": { "type": "RuntimeDefault" } },
    });
    if let Some(shared) = share.shared_gib {
        // The name of KServe's own volume there, whose 1 GiB is too little for several ranks.
        container["volumeMounts"] = json!([{ "name": "dshm", "mountPath": "/dev/shm" }]);
        pod["volumes"] = json!([{ "name": "dshm", "emptyDir": { "medium": "Memory", "sizeLimit": format!("{shared}Gi") } }]);
    }
    pod["containers"] = json!([container]);
    if let Some(class) = limits::class(frame, limits::Rank::Serving) {
        pod["priorityClassName"] = json!(class);
    }
    if let Some(affinity) = affinity(frame.blueprint, server) {
        pod["affinity"] = json!(affinity);
    }
    let spreads = zones(server, &mut files.warnings);
    if !spreads.is_empty() {
        pod["topologySpreadConstraints"] = json!(spreads);
    }
    pod
}

/// Returns the variables of an engine: its arguments, and where the other part finds its caches.
fn environment(arguments: &str) -> Value {
    let token = json!({ "name": TOKEN_SECRET, "key": "token", "optional": true });
    json!([
        { "name": "VLLM_ADDITIONAL_ARGS", "value": arguments },
        { "name": "VLLM_NIXL_SIDE_CHANNEL_HOST", "valueFrom": { "fieldRef": { "fieldPath": "status.podIP" } } },
        { "name": "VLLM_NIXL_SIDE_CHANNEL_PORT", "value": SIDE_CHANNEL.to_string() },
        { "name": "HF_TOKEN", "valueFrom": { "secretKeyRef": token } },
    ])
}

/// Adds the volume that the weights lie on, where the plan has volumes; returns where KServe finds them.
fn add_weights(
    frame: &Frame<'_>,
    pair: &Pair<'_>,
    model: &str,
    files: &mut Files,
) -> Result<String, EmitError> {
    let (server, site) = (pair.decode, &pair.decode.site.name);
    if volumes::class(frame, site).is_none() {
        return Ok(format!("hf://{model}"));
    }
    let name = format!("{}-weights", pair.of.whole);
    let own = labels([("app.kubernetes.io/name", &pair.of.whole)]);
    let note = fetch::note(server, "weights of both parts");
    let claim = Claim { name: &name, labels: own, site, bytes: cache_bytes(server), note: &note };
    volumes::add(frame, &claim, &pair.folder, files)?;
    // KServe mounts weights from a volume and fetches none.
    if !fetch::add(frame, server, (&name, fetch::Layout::Folder), &pair.folder, files)? {
        let message =
            format!("nothing fetches the weights: put them into the folder `{model}` of the claim `{name}`");
        files.warn(pair.workload, message);
    }
    Ok(format!("pvc://{name}/{model}"))
}

/// Returns how requests come in: by the plan's gateway or else KServe's own, by KServe's route and scheduler.
fn router(frame: &Frame<'_>, name: &str) -> Value {
    let gateway = match frame.deploy.gateway {
        Some(_) => json!({ "refs": [{ "name": frame.plan, "namespace": frame.deploy.namespace }] }),
        None => json!({}),
    };
    let own: Labels = labels([("capstan.dev/workload", name), ("capstan.dev/part", "scheduler")]);
    json!({ "gateway": gateway, "route": {}, "scheduler": { "labels": own } })
}

/// Says what of the plan is not ensured.
fn warn(frame: &Frame<'_>, pair: &Pair<'_>, files: &mut Files) {
    let namespace = &frame.deploy.namespace;
    let mut warn = |message| files.warn(pair.workload, message);
    for server in [pair.prefill, pair.decode] {
        let most = server.most();
        if server.placement.replicas.iter().flatten().any(|&replicas| replicas < most) {
            warn(format!(
                "`{}` is planned with fewer replicas at some hours; KServe keeps those of the busiest, {most}",
                server.name
            ));
        }
    }
    let [one, other] = [pair.prefill, pair.decode].map(|server| server.placement.candidate.degrees());
    if one != other || one.pipeline > 1 || one.data > 1 {
        warn(format!(
            "one part is spread over {} and the other over {}: see that NIXL of this engine's version sends caches between them, or state `parallelism`",
            one.words(),
            other.words()
        ));
    }
    warn("caches go from part to part by NIXL over the network of pods; the plan counts on that of the machines: give both templates its RDMA device where they have one".to_owned());
    if frame.deploy.gateway.is_none() {
        warn(format!(
            "requests come in through KServe's own gateway: label the namespace of its pods with `capstan.dev/clients-of={namespace}`, or name a `gateway` in the plan"
        ));
    }
    match &frame.deploy.gateway {
        None if frame.deploy.load_test => {
            warn(
                "no load test is written: name a `gateway` in the plan, by which it reaches both parts"
                    .to_owned(),
            );
        }
        Some(wish) if frame.deploy.load_test && wish.host.is_none() => warn(format!(
            "the load test asks the gateway as `{}`, the name that the Gateway API proposes: where a controller gives another, write it into the ConfigMap of the test",
            gateway::service(frame, wish)
        )),
        _ => {}
    }
}

/// Adds the test of a workload in two parts, where the plan asks for one and has the gateway by whose scheduler both are reached.
fn add_test(frame: &Frame<'_>, pair: &Pair<'_>, files: &mut Files) -> Result<(), EmitError> {
    let (Some(wish), true) = (&frame.deploy.gateway, frame.deploy.load_test) else { return Ok(()) };
    let (name, folder, serve) = (pair.of.whole.as_str(), pair.folder.as_str(), pair.decode.serve);
    let before = match &wish.host {
        Some(host) => format!("https://{host}"),
        None => format!("http://{}", gateway::service(frame, wish)),
    };
    let (first, next) = (pair.prefill.placement.estimate.ttft, pair.decode.placement.estimate.tpot);
    network::add_test(frame, name, (&gateway::pods(frame), None), folder, files)?;
    let test = Test {
        name,
        folder,
        address: format!("{before}/{}/{name}", frame.deploy.namespace),
        outside: true,
        serve,
        seconds: first.get() + serve.load.output.mean * next.get(),
    };
    test.add(frame, files)
}
