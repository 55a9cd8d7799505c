//! Does the service hold what was planned? A test with k6 that drives the planned load; it waits until somebody starts it.
//!
//! Base, ramp and peak are those of the demand; lengths are the planned means. It does not judge the simulator: thresholds
//! are the plan's service levels.

use super::object::{ConfigMap, Object, count, decimal, labels};
use super::server::Group;
use super::{EmitError, Files, Frame, Labels, Wave, mesh};
use capstan_types::spec::SloMetric;
use serde_json::json;

/// Image of k6 (github.com/grafana/k6, release of 2026-06).
const IMAGE: &str = "docker.io/grafana/k6:1.4.0";

/// How long base and peak are held. Origin: Assumed; long enough for several scrapes and one autoscaling.
const HELD: &str = "10m";

/// A token is about four characters of English, so this word and its blank are about one.
const WORD: &str = "lorem ";

/// Returns the labels of the pods that test a service.
pub(super) fn pods(group: &Group<'_>) -> Labels {
    labels([("app.kubernetes.io/name", &format!("{}-load-test", group.name))])
}

/// Adds the test of a service, where the plan asks for one.
pub(super) fn add(
    frame: &Frame<'_>,
    group: &Group<'_>,
    folder: &str,
    files: &mut Files,
) -> Result<(), EmitError> {
    if !frame.deploy.load_test {
        return Ok(());
    }
    let name = format!("{}-load-test", group.name);
    let config = ConfigMap {
        api_version: "v1",
        kind: "ConfigMap",
        metadata: frame.meta(&name, Wave::Config, &pods(group)),
        data: labels([("test.js", &script(frame, group))]),
    };
    let note = "what the load test does.";
    files.add(Wave::Config, folder, ("ConfigMap", &name), note, &config)?;
    let mut template = pods(group);
    template.extend(mesh::member(frame));
    let limits = labels([("cpu", "2"), ("memory", "4Gi")]);
    let spec = json!({
        "suspend": true,
        "backoffLimit": 0,
        "template": {
            "metadata": { "labels": template },
            "spec": {
                "restartPolicy": "Never",
                "automountServiceAccountToken": false,
                "securityContext": { "runAsNonRoot": true, "runAsUser": 12345, "seccompProfile": { "type": "RuntimeDefault" } },
                "containers": [{
                    "name": "k6",
                    "image": IMAGE,
                    "imagePullPolicy": "IfNotPresent",
                    "args": ["run", "/test/test.js"],
                    "resources": { "requests": limits, "limits": limits },
                    "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
                    "volumeMounts": [{ "name": "test", "mountPath": "/test", "readOnly": true }],
                }],
                "volumes": [{ "name": "test", "configMap": { "name": name } }],
            },
        },
    });
    let object = Object {
        api_version: "batch/v1",
        kind: "Job",
        metadata: frame.meta(&name, Wave::Policy, &pods(group)),
        spec,
    };
    let note = format!(
        "starts with: kubectl patch job {name} -n {} -p '{{\"spec\":{{\"suspend\":false}}}}'",
        frame.deploy.namespace
    );
    files.add(Wave::Policy, folder, ("Job", &name), &note, &object)
}

/// Returns the script: the quietest planned rate, a ramp, and the busiest.
fn script(frame: &Frame<'_>, group: &Group<'_>) -> String {
    let curve = frame.blueprint.demand.iter().find(|curve| curve.workload == group.serve.name);
    let rates = || curve.into_iter().flat_map(|curve| curve.rates.iter().flatten().copied());
    let peak = rates().max_by(f64::total_cmp).unwrap_or_else(|| group.serve.load.peak.get());
    let base = rates().min_by(f64::total_cmp).unwrap_or(peak);
    // k6 takes whole requests, so they are counted per minute.
    let (base, peak) = (count(base * 60.0), count(peak * 60.0));
    let (prompt, output) = (group.serve.load.prompt.mean, group.serve.load.output.mean);
    let seconds = group.servers.iter().map(|server| {
        let estimate = &server.placement.estimate;
        estimate.ttft.get() + output * estimate.tpot.get()
    });
    let longest = seconds.max_by(f64::total_cmp).unwrap_or(1.0).max(1.0);
    // Little's law: as many requests are under way as come in during one, twice over.
    let users = count(2.0 * longest * f64::from(peak) / 60.0).max(10);
    let thresholds = group
        .serve
        .slos
        .iter()
        .filter(|slo| slo.metric == SloMetric::E2e)
        .map(|slo| {
            let percentile = decimal(f64::from(slo.per_mille) / 10.0);
            format!("\"p({percentile})<{}\"", decimal(slo.target.get() * 1000.0))
        })
        .collect::<Vec<_>>()
        .join(", ");
    let thresholds =
        if thresholds.is_empty() { thresholds } else { format!(", http_req_duration: [{thresholds}]") };
    let yields = |share: f64| format!(", priority: Math.random() < {} ? 1 : 0", decimal(share));
    let priority = group.serve.background.as_ref().map_or_else(String::new, |some| yields(some.share));
    let model = group.servers.first().map_or("", |server| server.model.id.as_str());
    format!(
        r#"// Plan `{plan}`, service `{name}`: {base} requests a minute, then {peak}.
import http from "k6/http";
import {{ check }} from "k6";

export const options = {{
  scenarios: {{
    planned: {{
      executor: "ramping-arrival-rate", timeUnit: "1m", startRate: {base}, preAllocatedVUs: {users},
      stages: [
        {{ target: {base}, duration: "{HELD}" }}, {{ target: {peak}, duration: "5m" }}, {{ target: {peak}, duration: "{HELD}" }},
      ],
    }},
  }},
  thresholds: {{ http_req_failed: ["rate<0.001"]{thresholds} }},
}};

const url = "http://{name}.{namespace}/v1";
const served = __ENV.MODEL || http.get(`${{url}}/models`).json("data.0.id");
const prompt = "{WORD}".repeat({prompt});

export default function () {{
  // A random beginning, so that no prefix is found in a cache ({model}).
  const body = {{ model: served, prompt: `${{Math.random()}} ${{prompt}}`, max_tokens: {output}, ignore_eos: true{priority} }};
  const answer = http.post(`${{url}}/completions`, JSON.stringify(body), {{
    headers: {{ "Content-Type": "application/json" }}, timeout: "600s",
  }});
  check(answer, {{ answered: (it) => it.status === 200 }});
}}
"#,
        plan = frame.plan,
        name = group.name,
        namespace = frame.deploy.namespace,
        prompt = count(prompt),
        output = count(output),
    )
}
