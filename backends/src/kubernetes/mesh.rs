//! What does a mesh do between those who ask and those who answer? Istio with sidecars: who is spoken to is proved by
//! certificates, what is too much is turned away, and a replica that fails is left alone for a while.
//!
//! A sidecar stands beside pods that answer or ask at declared ports; nodes of a training and of one replica talk past it.
//! Every number is one of the plan. How many requests a second are let in is said by `rates`.

use super::apps::Runner;
use super::engine::HTTP_PORT;
use super::metrics::Answers;
use super::object::{Labels, Object, count, labels};
use super::server::{Group, Server};
use super::{EmitError, Files, Frame, Wave, gateway, network, rates, scaling};
use capstan_types::spec::SloMetric;
use serde_json::{Value, json};

const FOLDER: &str = "00-namespace";

/// The label of pods beside which Istio puts its sidecar.
pub(super) const INJECT: &str = "sidecar.istio.io/inject";

/// Port and path at which a sidecar shows its own metrics and those of its pod, in the clear.
pub(super) const MERGED: (u16, &str) = (15020, "/stats/prometheus");

/// How sidecars count answers by their status.
pub(super) const ANSWERS: Answers = Answers {
    counter: "istio_requests_total",
    all: ",reporter=\"destination\"",
    failed: "response_code=~\"5..\"",
};

/// How often a request is tried at another replica. Origin: Istio's default.
const ATTEMPTS: u32 = 2;

/// What is tried again: only what no replica has begun, since a prompt that was read once is paid.
const UNBEGUN: &str = "connect-failure,refused-stream,reset-before-request";

/// Failures one after the other until a replica is left alone. Origin: Istio's default.
const FAILURES: u32 = 5;

/// The largest number that its limits take; none is 0, which means no limit.
const MOST: u32 = i32::MAX.unsigned_abs();

/// Returns the label of pods that are in the mesh; none without one.
pub(super) fn member(frame: &Frame<'_>) -> Labels {
    if frame.deploy.mesh { labels([(INJECT, "true")]) } else { Labels::new() }
}

/// Returns what the sidecar of a pod that answers is told: only what comes in at one port goes through it. Weights are
/// fetched, and nodes of a replica reached, past it.
pub(super) fn of_engine(frame: &Frame<'_>, server: &Server<'_>) -> Labels {
    if !frame.deploy.mesh {
        return Labels::new();
    }
    let mut all = merged(server.family.metrics_port().1, server.family.metrics_path());
    all.extend(labels([
        ("traffic.sidecar.istio.io/includeInboundPorts", HTTP_PORT.to_string().as_str()),
        ("traffic.sidecar.istio.io/includeOutboundIPRanges", ""),
    ]));
    all
}

/// Returns what the sidecar of a pod that answers with models is told: where its metrics are.
pub(super) fn of_app(frame: &Frame<'_>, runner: &Runner<'_>) -> Labels {
    match runner.metrics().filter(|_| frame.deploy.mesh) {
        Some(shown) => merged(shown.port, shown.path),
        None => Labels::new(),
    }
}

/// Returns where a sidecar finds the metrics that it shows beside its own.
fn merged(port: u16, path: &str) -> Labels {
    labels([
        ("prometheus.io/path", path),
        ("prometheus.io/port", port.to_string().as_str()),
        ("prometheus.io/scrape", "true"),
    ])
}

/// Adds what holds for the namespace and for each service, where the plan asks for a mesh.
pub(super) fn add(
    frame: &Frame<'_>,
    groups: &[Group<'_>],
    runners: &[Runner<'_>],
    files: &mut Files,
) -> Result<(), EmitError> {
    if !frame.deploy.mesh {
        return Ok(());
    }
    warn(frame, groups, runners, files);
    // Without a pod of its own to stand beside, a mesh has nothing to say.
    if !groups.iter().any(|group| group.part.is_none()) && !runners.iter().any(Runner::is_of_pods) {
        return add_tokens(frame, groups, files);
    }
    network::add_mesh(frame, &member(frame), files)?;
    let object = Object {
        api_version: "security.istio.io/v1",
        kind: "PeerAuthentication",
        metadata: frame.meta("default", Wave::Config, &Labels::new()),
        spec: json!({ "mtls": { "mode": "STRICT" } }),
    };
    let note = "pods with a sidecar answer only those who prove who they are.";
    files.add(Wave::Config, FOLDER, ("PeerAuthentication", "default"), note, &object)?;
    for group in groups.iter().filter(|group| group.part.is_none()) {
        let folder = group.folder();
        add_limits(frame, group, &folder, files)?;
        rates::add(frame, group, &folder, files)?;
        if frame.deploy.gateway.is_none() {
            add_route(frame, group, &folder, files)?;
        }
    }
    add_tokens(frame, groups, files)
}

/// Says what the mesh needs and what it does not reach.
fn warn(frame: &Frame<'_>, groups: &[Group<'_>], runners: &[Runner<'_>], files: &mut Files) {
    let namespace = &frame.deploy.namespace;
    files.warn(
        &frame.plan,
        format!(
            "sidecars change the network of their pods, which Pod Security of `{namespace}` refuses them: install Istio with its CNI plugin"
        ),
    );
    files.warn(
        &frame.plan,
        "who asks a model must be in the mesh too, and whoever is not is refused: label its pods sidecar.istio.io/inject=true"
            .to_owned(),
    );
    if let Some(wish) = frame.deploy.gateway.as_ref().filter(|wish| !wish.class.contains("istio")) {
        let message = format!(
            "gateways of the class `{}` are perhaps not in the mesh, which refuses them then: use Istio's",
            wish.class
        );
        files.warn(&frame.plan, message);
    }
    if frame.deploy.load_test {
        let message = "the load test ends only where sidecars are native (Kubernetes 1.29, ENABLE_NATIVE_SIDECARS of Istio)";
        files.warn(&frame.plan, message.to_owned());
    }
    for group in groups.iter().filter(|group| group.part.is_some()) {
        let message =
            "the mesh does not reach a workload in two parts: KServe brings certificates of its own"
                .to_owned();
        files.warn(&group.serve.name, message);
        if frame.deploy.rate_limit.is_some() {
            let message =
                "its rate is not limited, since it has no sidecar: limit it at the gateway".to_owned();
            files.warn(&group.serve.name, message);
        }
    }
    for runner in runners.iter().filter(|runner| runner.is_written() && !runner.is_of_pods()) {
        let message = format!(
            "pods of a chart get no sidecar, so they reach no model: let the values give them the label {INJECT}=true"
        );
        files.warn(&runner.run.workload, message);
    }
}

/// Adds how much may be under way to a service, and when a replica is left alone.
fn add_limits(
    frame: &Frame<'_>,
    group: &Group<'_>,
    folder: &str,
    files: &mut Files,
) -> Result<(), EmitError> {
    let all = |of: fn(&Server<'_>) -> u32| {
        let each = group.servers.iter().map(|server| of(server).saturating_mul(server.most()));
        each.fold(0, u32::saturating_add).clamp(1, MOST)
    };
    let (running, waiting) = (all(|server| server.placement.candidate.sequences_at_once()), all(waiting));
    let under_way = running.saturating_add(waiting).min(MOST);
    let mut tcp = json!({ "maxConnections": under_way });
    let levels = group.serve.slos.iter().filter(|slo| slo.metric == SloMetric::Ttft);
    if let Some(tightest) = levels.map(|slo| slo.target.get()).min_by(f64::total_cmp) {
        tcp["connectTimeout"] = json!(format!("{}ms", count(tightest * 1000.0).max(1)));
    }
    let mut policy = json!({
        "connectionPool": {
            "tcp": tcp,
            "http": { "http1MaxPendingRequests": waiting, "http2MaxRequests": under_way },
        },
    });
    let fewest: u32 = group.servers.iter().map(Server::fewest).sum();
    // The only replica is asked even where it fails.
    if fewest > 1 {
        let start = group.servers.iter().map(|server| count(server.placement.start.get())).max();
        policy["outlierDetection"] = json!({
            "consecutive5xxErrors": FAILURES,
            "interval": "10s",
            "baseEjectionTime": format!("{}s", start.unwrap_or(0).max(30)),
            "maxEjectionPercent": 100 / fewest,
        });
    }
    let object = Object {
        api_version: "networking.istio.io/v1",
        kind: "DestinationRule",
        metadata: frame.meta(&group.name, Wave::Service, &group.labels()),
        spec: json!({ "host": host(frame, group), "trafficPolicy": policy }),
    };
    let note = format!(
        "of each who asks at most {running} requests run and {waiting} wait; the rest is turned away (503)."
    );
    files.add(Wave::Service, folder, ("DestinationRule", &group.name), &note, &object)
}

/// Returns how many requests may wait at a replica: what the plan limits the queue to, else what its time to first token allows.
pub(super) fn waiting(server: &Server<'_>) -> u32 {
    server.serve.queue.as_ref().map_or_else(|| scaling::waiting(server), |limit| limit.value)
}

/// Says where the plan limits how many requests wait and nothing does: engines are not told, and no sidecar stands before them.
pub(super) fn warn_of_queues(frame: &Frame<'_>, groups: &[Group<'_>], files: &mut Files) {
    for group in groups {
        let Some(limit) = &group.serve.queue else { continue };
        let how = match &group.part {
            None if frame.deploy.mesh => continue,
            None => "`mesh = istio` turns the rest away, or do so before the service",
            Some(_) => "turn the rest away before the service",
        };
        let message = format!(
            "planned with at most {} requests that wait at a replica, a limit which its engine is not told: {how}",
            limit.value
        );
        files.warn(&group.serve.name, message);
    }
}

/// Adds how long a request may take and what is tried again, between pods; a gateway has a route of its own.
fn add_route(frame: &Frame<'_>, group: &Group<'_>, folder: &str, files: &mut Files) -> Result<(), EmitError> {
    let host = host(frame, group);
    let spec = json!({
        "hosts": [host],
        "gateways": ["mesh"],
        "http": [{
            "timeout": format!("{}s", gateway::timeout(group)),
            "retries": { "attempts": ATTEMPTS, "retryOn": UNBEGUN },
            "route": [{ "destination": { "host": host, "port": { "number": 80 } } }],
        }],
    });
    let object = Object {
        api_version: "networking.istio.io/v1",
        kind: "VirtualService",
        metadata: frame.meta(&group.name, Wave::Scaling, &group.labels()),
        spec,
    };
    let note = "requests that no replica has begun are tried at another; given up after three times the longest that is planned.";
    files.add(Wave::Scaling, folder, ("VirtualService", &group.name), note, &object)
}

fn host(frame: &Frame<'_>, group: &Group<'_>) -> String {
    format!("{}.{}.svc.cluster.local", group.name, frame.deploy.namespace)
}

/// Adds who may ask: whoever has a token of the issuer that the plan names. At the gateway where there is one, else at each
/// workload, where pods of the plan need none.
fn add_tokens(frame: &Frame<'_>, groups: &[Group<'_>], files: &mut Files) -> Result<(), EmitError> {
    let Some(wish) = &frame.deploy.jwt else { return Ok(()) };
    let at_gateway = frame.deploy.gateway.is_some();
    for group in groups.iter().filter(|group| group.part.is_some() && !at_gateway) {
        let message =
            "no token is asked for of a workload in two parts: give the plan a `gateway`, which asks";
        files.warn(&group.serve.name, message.to_owned());
    }
    let tokens = json!([{ "issuer": wish.issuer, "jwksUri": wish.jwks }]);
    let holder = json!({ "source": { "requestPrincipals": [format!("{}/*", wish.issuer)] } });
    let mut add = |name: &str, own: &Labels, folder: &str, (place, target): (&str, Value), rules: Value| {
        let mut object = Object {
            api_version: "security.istio.io/v1",
            kind: "RequestAuthentication",
            metadata: frame.meta(name, Wave::Service, own),
            spec: json!({ place: target, "jwtRules": tokens }),
        };
        let note = format!("which tokens are believed: those of {}.", wish.issuer);
        files.add(Wave::Service, folder, (object.kind, name), &note, &object)?;
        object.kind = "AuthorizationPolicy";
        object.spec = json!({ place: target, "action": "ALLOW", "rules": rules });
        files.add(Wave::Service, folder, (object.kind, name), "who has no token is refused.", &object)
    };
    if at_gateway {
        let target = json!([{ "group": "gateway.networking.k8s.io", "kind": "Gateway", "name": frame.plan }]);
        let mut rules = vec![json!({ "from": [holder] })];
        if gateway::only_redirects(frame) {
            // Proofs that a certificate is asked for, and the way to the listener with TLS.
            rules.push(json!({ "to": [{ "operation": { "ports": ["80"] } }] }));
        }
        return add(&frame.plan, &Labels::new(), gateway::FOLDER, ("targetRefs", target), json!(rules));
    }
    let inside = json!({ "source": { "namespaces": [frame.deploy.namespace] } });
    for group in groups.iter().filter(|group| group.part.is_none()) {
        let target = json!({ "matchLabels": group.answering() });
        let rules = json!([{ "from": [holder, inside] }]);
        add(&group.name, &group.labels(), &group.folder(), ("selector", target), rules)?;
    }
    Ok(())
}
