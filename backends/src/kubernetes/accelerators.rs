//! How are the accelerators watched? By what DCGM measures of them.

use super::affinity::Machine;
use super::alerts::ABOUT;
use super::apps::Runner;
use super::object::{Labels, Object, labels};
use super::server::{Group, shortened};
use super::training::Job;
use super::{EmitError, Files, Frame, Wave};
use serde_json::{Value, json};

const FOLDER: &str = "40-accelerators";

/// Namespace of the GPU operator, as its chart has it.
const OPERATOR: &str = "gpu-operator";

/// Busy so long that replicas are short, in per cent. Origin: the usual alert of dashboards for DCGM.
const BUSY: u32 = 90;

/// Adds the scrape of DCGM and the alerts on it, where the plan is watched and has accelerators of NVIDIA.
pub(super) fn add(
    frame: &Frame<'_>,
    groups: &[Group<'_>],
    jobs: &[Job<'_>],
    runners: &[Runner<'_>],
    files: &mut Files,
) -> Result<(), EmitError> {
    let mut vendors = groups
        .iter()
        .flat_map(|group| &group.servers)
        .map(|server| server.machine())
        .chain(jobs.iter().map(|job| job.machine))
        .chain(runners.iter().map(|runner| runner.machine))
        .filter_map(Machine::vendor);
    if !frame.deploy.monitoring || !vendors.any(|vendor| vendor == "NVIDIA") {
        return Ok(());
    }
    if !frame.deploy.gpu_operator {
        let message = "alerts ask for DCGM_FI_DEV_ECC_DBE_VOL_TOTAL and DCGM_FI_DEV_THERMAL_VIOLATION, which the exporter counts only where it is told to: `gpu_operator = true` does".to_owned();
        files.warn(&frame.plan, message);
    }
    let name = shortened(&format!("{}-accelerators", frame.plan));
    let monitor = Object {
        api_version: "monitoring.coreos.com/v1",
        kind: "ServiceMonitor",
        metadata: frame.meta(&name, Wave::Monitoring, &Labels::new()),
        spec: json!({
            "selector": { "matchLabels": { "app": "nvidia-dcgm-exporter" } },
            "namespaceSelector": { "matchNames": [OPERATOR] },
            // Labels of DCGM name the pod that uses an accelerator, those of the scrape the exporter.
            "endpoints": [{ "port": "gpu-metrics", "interval": "15s", "honorLabels": true }],
        }),
    };
    let note = "metrics of every accelerator, from the exporter of the GPU operator.";
    files.add(Wave::Monitoring, FOLDER, ("ServiceMonitor", &name), note, &monitor)?;
    let rules = Object {
        api_version: "monitoring.coreos.com/v1",
        kind: "PrometheusRule",
        metadata: frame.meta(&name, Wave::Monitoring, &Labels::new()),
        spec: json!({ "groups": [{ "name": name, "rules": rules(&frame.deploy.namespace) }] }),
    };
    let note = "alerts on accelerators that are broken, busy or throttled.\nThe same XID twice in a row is told once: its gauge holds the last code only.";
    files.add(Wave::Monitoring, FOLDER, ("PrometheusRule", &name), note, &rules)
}

/// An error since five minutes ago: another code in the same series, or a series with a code that was not there.
///
/// The gauge holds the code of the last error and 0 before any; newer exporters write the code in a label too, and so begin a
/// series for each. What it cannot show: the same code again, since nothing changes; and an old code of an exporter that was
/// gone for five minutes counts as new. Left out are the codes that NVIDIA's catalog calls errors of a program as a rule: 13
/// (exception of a kernel), 31 (page fault), 43 (stopped by an error of its own) and 45 (cleanup after another).
const NEW_ERROR: &str = "(DCGM_FI_DEV_XID_ERRORS > 0 != 13 != 31 != 43 != 45 and changes(DCGM_FI_DEV_XID_ERRORS[5m]) > 0) or (DCGM_FI_DEV_XID_ERRORS > 0 != 13 != 31 != 43 != 45 unless DCGM_FI_DEV_XID_ERRORS offset 5m)";

/// What the exporter must count for the alerts and the dashboard: two of these are not among its defaults.
pub(super) const COUNTERS: [(&str, &str, &str); 7] = [
    ("DCGM_FI_DEV_GPU_UTIL", "gauge", "share of time in which something ran, in per cent"),
    ("DCGM_FI_DEV_FB_USED", "gauge", "memory that is used, in MiB"),
    ("DCGM_FI_DEV_FB_FREE", "gauge", "memory that is free, in MiB"),
    ("DCGM_FI_DEV_POWER_USAGE", "gauge", "power, in W"),
    ("DCGM_FI_DEV_XID_ERRORS", "gauge", "code of the last error"),
    ("DCGM_FI_DEV_ECC_DBE_VOL_TOTAL", "counter", "bits of memory that could not be mended"),
    ("DCGM_FI_DEV_THERMAL_VIOLATION", "counter", "time in which heat slowed it down"),
];

fn rules(namespace: &str) -> Vec<Value> {
    let own = format!("namespace=\"{namespace}\"");
    [
        (
            "AcceleratorError",
            NEW_ERROR.to_owned(),
            "0m",
            "page",
            "XID {{ $value }} on {{ $labels.Hostname }} accelerator {{ $labels.gpu }}: drain the machine",
        ),
        (
            "AcceleratorMemoryError",
            "increase(DCGM_FI_DEV_ECC_DBE_VOL_TOTAL[15m]) > 0".to_owned(),
            "1m",
            "page",
            "memory of {{ $labels.Hostname }} accelerator {{ $labels.gpu }} lost a bit that could not be mended",
        ),
        (
            "AcceleratorsBusy",
            format!("avg by (namespace) (DCGM_FI_DEV_GPU_UTIL{{{own}}}) > {BUSY}"),
            "5m",
            "ticket",
            "accelerators of {{ $labels.namespace }} are busy all the time",
        ),
        (
            "AcceleratorThrottled",
            format!("increase(DCGM_FI_DEV_THERMAL_VIOLATION{{{own}}}[10m]) > 0"),
            "10m",
            "ticket",
            "{{ $labels.Hostname }} accelerator {{ $labels.gpu }} is slowed down by heat",
        ),
    ]
    .into_iter()
    .map(|(alert, expr, hold, severity, summary)| {
        json!({
            "alert": alert, "expr": expr, "for": hold,
            "labels": labels([("severity", severity), ("namespace", namespace), (ABOUT, "accelerator")]),
            "annotations": { "summary": summary },
        })
    })
    .collect()
}
