//! How many replicas are there at each moment, between the fewest and the most that were planned?

use super::object::{Object, count, decimal};
use super::server::Server;
use super::{EmitError, Files, Frame, Wave, pods, predictor};
use capstan_types::spec::SloMetric;
use capstan_types::units::Seconds;
use serde::Serialize;
use serde_json::json;

/// Requests that may wait per replica where no time to first token is asked for. Origin: Assumed.
const WAITING_WITHOUT_TARGET: u32 = 8;

/// Share of the time to first token that may pass in the queue. Origin: Assumed.
const QUEUE_SHARE: f64 = 0.5;

/// Deviation from the target at which servers change nothing (`--horizontal-pod-autoscaler-tolerance`).
const TOLERANCE: f64 = 0.1;

/// Longest stabilization window and longest policy period of autoscaling/v2, in seconds.
const LONGEST_WINDOW: u32 = 3600;
const LONGEST_PERIOD: u32 = 1800;

/// `autoscaling/v2.HorizontalPodAutoscalerSpec`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct ScalerSpec {
    scale_target_ref: Target,
    min_replicas: u32,
    max_replicas: u32,
    metrics: Vec<Metric>,
    behavior: Behavior,
}

/// `autoscaling/v2.CrossVersionObjectReference`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Target {
    api_version: &'static str,
    kind: &'static str,
    name: String,
}

/// `autoscaling/v2.MetricSpec` of type `Pods`.
#[derive(Debug, Clone, Serialize)]
struct Metric {
    #[serde(rename = "type")]
    kind: &'static str,
    pods: PodsMetric,
}

/// `autoscaling/v2.PodsMetricSource`.
#[derive(Debug, Clone, Serialize)]
struct PodsMetric {
    metric: MetricName,
    target: MetricTarget,
}

/// `autoscaling/v2.MetricIdentifier`.
#[derive(Debug, Clone, Serialize)]
struct MetricName {
    name: String,
}

/// `autoscaling/v2.MetricTarget`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct MetricTarget {
    #[serde(rename = "type")]
    kind: &'static str,
    average_value: String,
}

/// `autoscaling/v2.HorizontalPodAutoscalerBehavior`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Behavior {
    scale_up: Pace,
    scale_down: Pace,
}

/// `autoscaling/v2.HPAScalingRules`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Pace {
    stabilization_window_seconds: u32,
    /// Absent where it is what servers do anyway.
    #[serde(skip_serializing_if = "Option::is_none")]
    tolerance: Option<String>,
    policies: Vec<Step>,
}

/// `autoscaling/v2.HPAScalingPolicy`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Step {
    #[serde(rename = "type")]
    kind: &'static str,
    value: u32,
    period_seconds: u32,
}

/// Returns whether a placement has an autoscaler: its replicas change and its engine reports its queue.
pub(super) fn has_autoscaler(server: &Server<'_>) -> bool {
    server.scales() && server.family.queue_metric().is_some()
}

/// Returns the name under which the metrics adapter serves a Prometheus metric (no colon in a path).
fn adapted(metric: &str) -> String {
    metric.replace(':', "_")
}

/// The name under which requests in flight of a pod are recorded and served.
pub(super) const IN_FLIGHT: &str = "capstan_requests_in_flight";

/// What pods are counted by, and how much of it a replica should have.
struct Signal {
    metric: String,
    target: String,
    /// What must serve it.
    source: String,
}

/// Returns what a placement is scaled by: requests in flight where the plan says so, else those that wait.
fn signal(server: &Server<'_>, queue: &str) -> Signal {
    match server.placement.in_flight_target {
        Some(target) => Signal {
            metric: IN_FLIGHT.to_owned(),
            target: decimal(target),
            source: format!("the recorded {IN_FLIGHT} of pods"),
        },
        None => Signal {
            metric: adapted(queue),
            target: waiting(server).to_string(),
            source: format!("{queue} of pods as {}", adapted(queue)),
        },
    }
}

/// Adds the autoscaler of a placement.
pub(super) fn add(
    frame: &Frame<'_>,
    server: &Server<'_>,
    folder: &str,
    files: &mut Files,
) -> Result<(), EmitError> {
    let to_zero = server.serve.autoscale.is_some() && server.least() == 0;
    let mut warn = |message| files.warn(&server.serve.name, message);
    if !to_zero && server.placement.replicas.iter().flatten().any(|&replicas| replicas == 0) {
        warn(format!("`{}` is planned with no replica at some hours; one is kept", server.name));
    }
    if !server.scales() {
        return Ok(());
    }
    let Some(queue) = server.family.queue_metric() else {
        warn(format!(
            "engine {} reports no queue, so `{}` keeps its most replicas, {}, at all hours",
            server.engine.id,
            server.name,
            server.most()
        ));
        return Ok(());
    };
    let signal = signal(server, queue);
    if !frame.deploy.monitoring {
        warn(format!(
            "autoscaling reads `{}`, which nothing here collects: set monitoring = prometheus",
            signal.metric
        ));
    }
    if to_zero {
        add_keda(frame, server, &signal, folder, files)
    } else {
        add_scaler(frame, server, &signal, folder, files)
    }
}

fn target(frame: &Frame<'_>, server: &Server<'_>) -> Target {
    let (api_version, kind) = server.controller();
    // KServe makes a Deployment, which is scaled.
    let name = match predictor::runs(frame, server) {
        true => predictor::deployment(&server.name),
        false => server.name.clone(),
    };
    Target { api_version, kind, name }
}

fn add_scaler(
    frame: &Frame<'_>,
    server: &Server<'_>,
    signal: &Signal,
    folder: &str,
    files: &mut Files,
) -> Result<(), EmitError> {
    let spec = ScalerSpec {
        scale_target_ref: target(frame, server),
        min_replicas: server.least().max(1),
        max_replicas: server.most(),
        metrics: vec![Metric {
            kind: "Pods",
            pods: PodsMetric {
                metric: MetricName { name: signal.metric.clone() },
                target: MetricTarget { kind: "AverageValue", average_value: signal.target.clone() },
            },
        }],
        behavior: behavior(server),
    };
    let object = Object {
        api_version: "autoscaling/v2",
        kind: "HorizontalPodAutoscaler",
        metadata: frame.meta(&server.name, Wave::Scaling, &server.labels()),
        spec,
    };
    let note = format!("needs a metrics adapter that serves {}.", signal.source);
    files.add(Wave::Scaling, folder, ("HorizontalPodAutoscaler", &server.name), &note, &object)
}

/// Where Prometheus answers: the governing service that its operator makes, in the namespace of kube-prometheus.
const PROMETHEUS: &str = "http://prometheus-operated.monitoring:9090";

/// Adds the autoscaler of KEDA, where the last replica may go: the one of Kubernetes keeps one (HPAScaleToZero is alpha).
fn add_keda(
    frame: &Frame<'_>,
    server: &Server<'_>,
    signal: &Signal,
    folder: &str,
    files: &mut Files,
) -> Result<(), EmitError> {
    files.warn(&server.serve.name, format!(
        "`{}` may have no replica, and what asks then is counted by none: add a trigger that reads your gateway",
        server.name
    ));
    let cooldown = server.serve.autoscale.as_ref().map_or(300.0, |autoscale| autoscale.cooldown.get());
    let query = format!(
        "sum({}{{namespace=\"{}\",pod=~\"{}\"}}) or vector(0)",
        signal.metric,
        frame.deploy.namespace,
        pods::of(frame, server)
    );
    let spec = json!({
        "scaleTargetRef": target(frame, server),
        "minReplicaCount": 0,
        "maxReplicaCount": server.most(),
        "cooldownPeriod": count(cooldown),
        "pollingInterval": 15,
        "advanced": { "horizontalPodAutoscalerConfig": { "behavior": behavior(server) } },
        "triggers": [{
            "type": "prometheus", "metricType": "AverageValue",
            "metadata": { "serverAddress": PROMETHEUS, "query": query, "threshold": signal.target },
        }],
    });
    let object = Object {
        api_version: "keda.sh/v1alpha1",
        kind: "ScaledObject",
        metadata: frame.meta(&server.name, Wave::Scaling, &server.labels()),
        spec,
    };
    let note = format!("lets the last replica go after {cooldown:.0} s; asks {PROMETHEUS}.");
    files.add(Wave::Scaling, folder, ("ScaledObject", &server.name), &note, &object)
}

/// Returns how many requests may wait per replica.
///
/// Little's law: waiting = rate × time in the queue, at the planned rate of a replica and a stated share of the
/// tightest time to first token.
pub(super) fn waiting(server: &Server<'_>) -> u32 {
    let targets =
        server.serve.slos.iter().filter(|slo| slo.metric == SloMetric::Ttft).map(|slo| slo.target.get());
    let Some(tightest) = targets.min_by(f64::total_cmp) else { return WAITING_WITHOUT_TARGET };
    let rate = server.placement.estimate.rate.get() * server.placement.derating;
    count((rate * tightest * QUEUE_SHARE).floor()).max(1)
}

/// Returns how fast replicas come and go: up by the steepest planned hour in one start time, down one by one.
fn behavior(server: &Server<'_>) -> Behavior {
    let start = count(server.placement.start.get());
    let steepest = server
        .placement
        .replicas
        .iter()
        .flat_map(|hours| hours.windows(2))
        .map(|pair| pair[1].saturating_sub(pair[0]))
        .max()
        .unwrap_or(0);
    let up = Step { kind: "Pods", value: steepest.max(1), period_seconds: start.clamp(60, LONGEST_PERIOD) };
    let down = Step { kind: "Pods", value: 1, period_seconds: 300 };
    let windows = server.serve.autoscale.as_ref().map(|autoscale| {
        let seconds = |window: Seconds| count(window.get()).min(LONGEST_WINDOW);
        (seconds(autoscale.up_window), seconds(autoscale.down_window))
    });
    // A replica that was hard to start is kept through a short lull.
    let (up_window, down_window) = windows.unwrap_or((0, start.saturating_mul(2).clamp(600, LONGEST_WINDOW)));
    let tolerance = server.serve.autoscale.as_ref().map(|autoscale| autoscale.tolerance);
    let tolerance = tolerance.filter(|share| (share - TOLERANCE).abs() > 1e-9).map(decimal);
    Behavior {
        scale_up: Pace {
            stabilization_window_seconds: up_window,
            tolerance: tolerance.clone(),
            policies: vec![up],
        },
        scale_down: Pace { stabilization_window_seconds: down_window, tolerance, policies: vec![down] },
    }
}
