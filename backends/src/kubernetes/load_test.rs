//! Does the service hold what was planned? A test with k6 that drives the planned load; it waits until somebody starts it.
//!
//! Base, ramp and peak are those of the demand; lengths are the planned means. It does not judge the simulator: thresholds
//! are the plan's service levels.

use super::object::{ConfigMap, Object, count, decimal, labels};
use super::server::Group;
use super::{EmitError, Files, Frame, Labels, Wave, mesh};
use capstan_types::spec::{Serve, SloMetric};
use serde_json::{Value, json};

/// Image of k6 (github.com/grafana/k6, release of 2026-06).
const IMAGE: &str = "docker.io/grafana/k6:1.4.0";

/// How long base and peak are held. Origin: Assumed; long enough for several scrapes and one autoscaling.
const HELD: &str = "10m";

/// A word that is one token with its blank in the vocabularies of all models at hand.
const WORD: &str = "the ";

/// Tokens that the random beginning of a prompt, and what an engine puts before it, take at most. Origin: Assumed; eighteen
/// digits, of which some vocabularies make a token each, and a mark of the beginning.
const BEGINNING: f64 = 20.0;

/// Secret that holds a token for the gateway, where one is asked for; written by people, never by Capstan.
const TOKEN_SECRET: &str = "load-test-token";

/// What is asked, and how much of it.
pub(super) struct Test<'a> {
    /// The service as a DNS label.
    pub(super) name: &'a str,
    pub(super) folder: &'a str,
    /// Where it answers, up to and without `/v1`.
    pub(super) address: String,
    /// Whether it stands behind a gateway, which may ask for a token.
    pub(super) outside: bool,
    /// What is asked of it: lengths, levels and the demand under its name.
    pub(super) serve: &'a Serve,
    /// Seconds of the longest mean request, as planned.
    pub(super) seconds: f64,
}

/// Returns the labels of the pods that test a service.
pub(super) fn pods(name: &str) -> Labels {
    labels([("app.kubernetes.io/name", &format!("{name}-load-test"))])
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
    let output = group.serve.load.output.mean;
    let seconds = group.servers.iter().map(|server| {
        let estimate = &server.placement.estimate;
        estimate.ttft.get() + output * estimate.tpot.get()
    });
    let test = Test {
        name: &group.name,
        folder,
        address: format!("http://{}.{}", group.name, frame.deploy.namespace),
        outside: false,
        serve: group.serve,
        seconds: seconds.max_by(f64::total_cmp).unwrap_or(1.0),
    };
    test.add(frame, files)
}

impl Test<'_> {
    /// Adds the test and what it does.
    pub(super) fn add(&self, frame: &Frame<'_>, files: &mut Files) -> Result<(), EmitError> {
        let (name, folder) = (format!("{}-load-test", self.name), self.folder);
        let pods = pods(self.name);
        let config = ConfigMap {
            api_version: "v1",
            kind: "ConfigMap",
            metadata: frame.meta(&name, Wave::Config, &pods),
            data: labels([("test.js", &self.script(frame))]),
        };
        let note = "what the load test does, and where.";
        files.add(Wave::Config, folder, ("ConfigMap", &name), note, &config)?;
        let spec = json!({ "suspend": true, "backoffLimit": 0, "template": self.template(frame, &name) });
        let object = Object {
            api_version: "batch/v1",
            kind: "Job",
            metadata: frame.meta(&name, Wave::Policy, &pods),
            spec,
        };
        let note = format!(
            "starts with: kubectl patch job {name} -n {} -p '{{\"spec\":{{\"suspend\":false}}}}'",
            frame.deploy.namespace
        );
        if self.asks_with_token(frame) {
            let message = format!(
                "the load test asks the gateway with the token under `token` in the secret `{TOKEN_SECRET}`; make it: kubectl -n {} create secret generic {TOKEN_SECRET} --from-file=token=PATH",
                frame.deploy.namespace
            );
            files.warn(&frame.plan, message);
        }
        files.add(Wave::Policy, folder, ("Job", &name), &note, &object)
    }

    /// Returns whether what it asks wants a token: a gateway does where the plan says whose.
    fn asks_with_token(&self, frame: &Frame<'_>) -> bool {
        self.outside && frame.deploy.jwt.is_some()
    }

    /// Returns the template of its pod. One that asks a gateway comes from outside of the mesh.
    fn template(&self, frame: &Frame<'_>, name: &str) -> Value {
        let mut own = pods(self.name);
        if !self.outside {
            own.extend(mesh::member(frame));
        }
        let limits = labels([("cpu", "2"), ("memory", "4Gi")]);
        let mut container = json!({
            "name": "k6",
            "image": IMAGE,
            "imagePullPolicy": "IfNotPresent",
            "args": ["run", "/test/test.js"],
            "resources": { "requests": limits, "limits": limits },
            "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
            "volumeMounts": [{ "name": "test", "mountPath": "/test", "readOnly": true }],
        });
        if self.asks_with_token(frame) {
            let secret = json!({ "name": TOKEN_SECRET, "key": "token" });
            container["env"] = json!([{ "name": "TOKEN", "valueFrom": { "secretKeyRef": secret } }]);
        }
        json!({
            "metadata": { "labels": own },
            "spec": {
                "restartPolicy": "Never",
                "automountServiceAccountToken": false,
                "securityContext": { "runAsNonRoot": true, "runAsUser": 12345, "seccompProfile": { "type": "RuntimeDefault" } },
                "containers": [container],
                "volumes": [{ "name": "test", "configMap": { "name": name } }],
            },
        })
    }

    /// Returns the script: the quietest planned rate, a ramp, and the busiest. What is asked for by name is asked first.
    fn script(&self, frame: &Frame<'_>) -> String {
        let (serve, load) = (self.serve, &self.serve.load);
        let curve = frame.blueprint.demand.iter().find(|curve| curve.workload == serve.name);
        let rates = || curve.into_iter().flat_map(|curve| curve.rates.iter().flatten().copied());
        let peak = frame.peak(&serve.name).unwrap_or_else(|| load.peak.get());
        let base = rates().min_by(f64::total_cmp).unwrap_or(peak);
        // k6 takes whole requests, so they are counted per minute.
        let (base, peak) = (count(base * 60.0), count(peak * 60.0));
        // Little's law: as many requests are under way as come in during one, twice over.
        let users = count(2.0 * self.seconds.max(1.0) * f64::from(peak) / 60.0).max(10);
        let thresholds = serve
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
        let priority = serve.background.as_ref().map_or_else(String::new, |some| yields(some.share));
        let authorization =
            if self.asks_with_token(frame) { ", Authorization: `Bearer ${__ENV.TOKEN}`" } else { "" };
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

const url = "{address}/v1";
const headers = {{ "Content-Type": "application/json"{authorization} }};
const prompt = "{WORD}".repeat({prompt});

export function setup() {{
  return __ENV.MODEL || http.get(`${{url}}/models`, {{ headers }}).json("data.0.id");
}}

export default function (served) {{
  // A random beginning, so that no prefix is found in a cache.
  const body = {{ model: served, prompt: `${{Math.random()}} ${{prompt}}`, max_tokens: {output}, ignore_eos: true{priority} }};
  const answer = http.post(`${{url}}/completions`, JSON.stringify(body), {{
    headers, timeout: "600s",
  }});
  check(answer, {{ answered: (it) => it.status === 200 }});
}}
"#,
            plan = frame.plan,
            name = self.name,
            address = self.address,
            prompt = count(load.prompt.mean - BEGINNING).max(1),
            output = count(load.output.mean),
        )
    }
}
