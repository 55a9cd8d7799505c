//! What is looked at? One dashboard per service: its service levels beside their targets, its replicas, its queue.

use super::monitoring::Watch;
use super::object::{ConfigMap, decimal, labels};
use super::server::Group;
use super::{EmitError, Files, Frame, Wave, pods};
use capstan_types::spec::SloMetric;
use serde_json::{Value, json};

/// The label by which the sidecar of Grafana finds dashboards (chart `kube-prometheus-stack`).
const LABEL: &str = "grafana_dashboard";

/// A curve: its legend and its query.
type Curve = (String, String);

/// Adds the dashboard of a service, where the plan asks for one.
pub(super) fn add(
    frame: &Frame<'_>,
    group: &Group<'_>,
    folder: &str,
    files: &mut Files,
) -> Result<(), EmitError> {
    let Some(watch) = Watch::of(frame, group).filter(|_| frame.deploy.dashboard) else { return Ok(()) };
    let mut panels = Vec::new();
    for metric in [SloMetric::Ttft, SloMetric::Tpot, SloMetric::E2e] {
        panels.extend(levels(&watch, group, metric));
    }
    let matcher = &watch.matcher;
    if let Some(finished) = watch.finished() {
        let curves = vec![("answered".to_owned(), format!("sum(rate({finished}{{{matcher}}}[5m]))"))];
        panels.push(("Requests", "reqps", curves, frame.peak(&group.serve.name)));
    }
    panels.push((
        "Replicas that answer",
        "short",
        vec![("replicas".to_owned(), format!("sum(up{{{matcher}}})"))],
        None,
    ));
    if let Some(queue) = watch.family.queue_metric() {
        let curves = vec![("waiting".to_owned(), format!("sum({queue}{{{matcher}}})"))];
        panels.push(("Requests that wait", "short", curves, None));
    }
    let own = pods::of_service(frame, group);
    let own = format!("namespace=\"{}\",pod=~\"{own}\"", frame.deploy.namespace);
    panels.push((
        "Accelerators busy",
        "percent",
        vec![("{{pod}} {{gpu}}".to_owned(), format!("DCGM_FI_DEV_GPU_UTIL{{{own}}}"))],
        None,
    ));
    let panels: Vec<Value> =
        panels.into_iter().enumerate().map(|(index, panel)| draw(index, panel)).collect();
    let name = format!("{}-dashboard", group.name);
    let dashboard = json!({
        "uid": format!("{}-{}", frame.plan, group.name),
        "title": format!("{} of plan {}", group.serve.name, frame.plan),
        "tags": ["capstan"], "schemaVersion": 39, "editable": false, "refresh": "30s",
        "time": { "from": "now-6h", "to": "now" },
        "templating": { "list": [{ "name": "source", "type": "datasource", "query": "prometheus" }] },
        "panels": panels,
    });
    let mut own = group.labels();
    own.insert(LABEL.to_owned(), "1".to_owned());
    let text =
        serde_json::to_string_pretty(&dashboard).map_err(|error| EmitError::Yaml(error.to_string()))?;
    let object = ConfigMap {
        api_version: "v1",
        kind: "ConfigMap",
        metadata: frame.meta(&name, Wave::Monitoring, &own),
        data: labels([(&format!("{}.json", group.name), &text)]),
    };
    let note = "a dashboard for Grafana: what was planned beside what is.";
    files.add(Wave::Monitoring, folder, ("ConfigMap", &name), note, &object)
}

/// A panel: title, unit, curves, and where the plan draws its line.
type Panel = (&'static str, &'static str, Vec<Curve>, Option<f64>);

/// Returns the panel of a service level, where the engine reports it: the median, the percentiles that were planned, and the tightest target.
fn levels(watch: &Watch<'_>, group: &Group<'_>, metric: SloMetric) -> Option<Panel> {
    let histogram = watch.level(metric)?.histogram;
    let planned = group.serve.slos.iter().filter(|slo| slo.metric == metric);
    let mut shares: Vec<u32> = planned.clone().map(|slo| slo.per_mille).chain([500]).collect();
    shares.sort_unstable();
    shares.dedup();
    let curves = shares.into_iter().map(|share| {
        let expr = format!(
            "histogram_quantile({}, sum by (le) (rate({histogram}_bucket{{{}}}[5m])))",
            decimal(f64::from(share) / 1000.0),
            watch.matcher
        );
        (capstan_types::spec::percentile_word(share), expr)
    });
    let title = match metric {
        SloMetric::Ttft => "Time to first token",
        SloMetric::Tpot => "Time per output token",
        SloMetric::E2e => "Time to last token",
    };
    let target = planned.map(|slo| slo.target.get()).min_by(f64::total_cmp);
    Some((title, "s", curves.collect(), target))
}

fn draw(index: usize, (title, unit, curves, line): Panel) -> Value {
    let targets: Vec<Value> = curves
        .into_iter()
        .enumerate()
        .map(|(index, (legend, expr))| json!({ "refId": format!("q{index}"), "expr": expr, "legendFormat": legend }))
        .collect();
    let mut defaults = json!({ "unit": unit, "min": 0 });
    if let Some(line) = line {
        defaults["custom"] = json!({ "thresholdsStyle": { "mode": "line" } });
        defaults["thresholds"] = json!({ "mode": "absolute", "steps": [
            { "color": "green", "value": null }, { "color": "red", "value": line },
        ] });
    }
    json!({
        "id": index + 1, "type": "timeseries", "title": title, "targets": targets,
        "datasource": { "type": "prometheus", "uid": "${source}" },
        "gridPos": { "x": index % 2 * 12, "y": index / 2 * 8, "w": 12, "h": 8 },
        "fieldConfig": { "defaults": defaults, "overrides": [] },
    })
}
