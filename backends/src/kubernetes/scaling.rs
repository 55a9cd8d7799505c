//! How many replicas are there at each moment, between the fewest and the most that were planned?

use super::object::{Object, count};
use super::server::Server;
use super::{EmitError, Files, Frame, Wave};
use capstan_types::spec::SloMetric;
use serde::Serialize;

/// Requests that may wait per replica where no time to first token is asked for. Origin: Assumed.
const WAITING_WITHOUT_TARGET: u32 = 8;

/// Share of the time to first token that may pass in the queue. Origin: Assumed.
const QUEUE_SHARE: f64 = 0.5;

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

/// Adds the autoscaler of a placement.
pub(super) fn add(
    frame: &Frame<'_>,
    server: &Server<'_>,
    folder: &str,
    files: &mut Files,
) -> Result<(), EmitError> {
    let mut warn = |message| files.warn(&server.serve.name, message);
    if server.placement.replicas.iter().flatten().any(|&replicas| replicas == 0) {
        warn(format!("`{}` is planned with no replica at some hours; one is kept", server.name));
    }
    if !server.scales() {
        return Ok(());
    }
    let Some(metric) = server.family.queue_metric() else {
        warn(format!(
            "engine {} reports no queue, so `{}` keeps its most replicas, {}, at all hours",
            server.engine.id,
            server.name,
            server.most()
        ));
        return Ok(());
    };
    if !frame.deploy.monitoring {
        warn(format!(
            "autoscaling reads `{}`, which nothing here collects: set monitoring = prometheus",
            adapted(metric)
        ));
    }
    let (api_version, kind) = server.controller();
    let spec = ScalerSpec {
        scale_target_ref: Target { api_version, kind, name: server.name.clone() },
        min_replicas: server.fewest(),
        max_replicas: server.most(),
        metrics: vec![Metric {
            kind: "Pods",
            pods: PodsMetric {
                metric: MetricName { name: adapted(metric) },
                target: MetricTarget { kind: "AverageValue", average_value: waiting(server).to_string() },
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
    let note = format!("needs a metrics adapter that serves {metric} of pods as {}.", adapted(metric));
    files.add(Wave::Scaling, folder, ("HorizontalPodAutoscaler", &server.name), &note, &object)
}

/// Returns how many requests may wait per replica.
///
/// Little's law: waiting = rate × time in the queue, at the planned rate of a replica and a stated share of the
/// tightest time to first token.
fn waiting(server: &Server<'_>) -> u32 {
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
    Behavior {
        scale_up: Pace { stabilization_window_seconds: 0, policies: vec![up] },
        scale_down: Pace {
            // A replica that was hard to start is kept through a short lull.
            stabilization_window_seconds: start.saturating_mul(2).clamp(600, LONGEST_WINDOW),
            policies: vec![down],
        },
    }
}
