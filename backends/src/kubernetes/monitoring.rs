//! How is the service watched? With the service levels that were planned and simulated, on the engine's own metrics.
//!
//! Objects of the Prometheus operator. It does not know which labels an installation selects rules by.

use super::alerts::ABOUT;
use super::apps::Runner;
use super::engine::Family;
use super::metrics::{Answers, Level};
use super::object::{Labels, Object, Selector, decimal, labels};
use super::server::Group;
use super::{EmitError, Files, Frame, Warning, Wave, apart, mesh};
use capstan_types::blueprint::Blueprint;
use capstan_types::spec::{Slo, SloMetric, level_word};
use serde::Serialize;

/// `monitoring.coreos.com/v1.PodMonitorSpec`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct MonitorSpec {
    selector: Selector,
    pod_metrics_endpoints: Vec<Endpoint>,
}

/// `monitoring.coreos.com/v1.PodMetricsEndpoint`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Endpoint {
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port_number: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scheme: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_config: Option<Tls>,
    path: &'static str,
    interval: &'static str,
}

/// How often metrics are read. Origin: Assumed.
const INTERVAL: &str = "15s";

/// `monitoring.coreos.com/v1.SafeTLSConfig`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Tls {
    insecure_skip_verify: bool,
}

impl Endpoint {
    /// Returns where pods show their metrics, at a port that has a name.
    fn plain(frame: &Frame<'_>, port: &'static str, path: &'static str) -> Self {
        let named = Self {
            port: Some(port),
            port_number: None,
            scheme: None,
            tls_config: None,
            path,
            interval: INTERVAL,
        };
        if !frame.deploy.mesh {
            return named;
        }
        // The mesh refuses who asks pods in the clear; the sidecar shows the metrics of both.
        let (number, path) = mesh::MERGED;
        Self { port: None, port_number: Some(number), path, ..named }
    }

    /// Returns where the pods of a workload show their metrics.
    fn of(frame: &Frame<'_>, group: &Group<'_>, family: Family) -> Self {
        let path = family.metrics_path();
        match &group.part {
            None => Self::plain(frame, family.metrics_port().0, path),
            // KServe's engines speak TLS, with certificates that it signs itself.
            Some(of) => Self {
                port: None,
                port_number: Some(apart::engine_port(of.part)),
                scheme: Some("https"),
                tls_config: Some(Tls { insecure_skip_verify: true }),
                path,
                interval: INTERVAL,
            },
        }
    }
}

/// `monitoring.coreos.com/v1.PrometheusRuleSpec`.
#[derive(Debug, Clone, Serialize)]
struct RuleSpec {
    groups: Vec<RuleGroup>,
}

/// `monitoring.coreos.com/v1.RuleGroup`.
#[derive(Debug, Clone, Serialize)]
struct RuleGroup {
    name: String,
    rules: Vec<Line>,
}

/// `monitoring.coreos.com/v1.Rule`.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
enum Line {
    Alert(Alert),
    Record { record: &'static str, expr: String },
}

/// `monitoring.coreos.com/v1.Rule` that alerts.
#[derive(Debug, Clone, Serialize)]
struct Alert {
    alert: String,
    expr: String,
    #[serde(rename = "for")]
    hold: &'static str,
    labels: Labels,
    annotations: Labels,
}

/// Four scrapes: a rate over less is that of one of them, or of none.
const SHORTEST_WATCH_S: f64 = 60.0;

/// A pair of windows over which the error budget burns too fast.
///
/// Google, Site Reliability Workbook, chapter 5: 2 % of a 30-day budget in one hour is a rate of 14.4, 5 % in six
/// hours one of 6; the short window ends the alert soon after the cause.
struct Burn {
    suffix: &'static str,
    rate: f64,
    long: &'static str,
    short: &'static str,
    severity: &'static str,
}

const BURNS: [Burn; 2] = [
    Burn { suffix: "FastBurn", rate: 14.4, long: "1h", short: "5m", severity: "page" },
    Burn { suffix: "SlowBurn", rate: 6.0, long: "6h", short: "30m", severity: "ticket" },
];

/// Share of requests that may fail where the plan says no `availability`. Origin: Assumed; that of the load test.
const FAILED: f64 = 0.001;

/// Everything that the rules of one service share.
pub(super) struct Watch<'a> {
    pub(super) family: Family,
    /// Version of the engine: metrics came and were renamed.
    version: &'a str,
    /// The matcher of its series.
    pub(super) matcher: String,
    /// Beginning of the names of its alerts.
    prefix: String,
    workload: &'a str,
    namespace: String,
}

/// Adds the scrape and the rules of a service.
pub(super) fn add(
    frame: &Frame<'_>,
    group: &Group<'_>,
    folder: &str,
    files: &mut Files,
) -> Result<(), EmitError> {
    let Some(watch) = Watch::of(frame, group) else { return Ok(()) };
    let endpoint = Endpoint::of(frame, group, watch.family);
    add_monitor(frame, (&group.name, &group.labels(), &group.answering()), endpoint, (folder, files))?;
    let mut rules: Vec<Alert> = Vec::new();
    for slo in &group.serve.slos {
        rules.extend(watch.missed(slo, frame.blueprint));
        rules.extend(watch.burns(slo, &mut files.warnings));
    }
    rules.extend(watch.errors(frame, group));
    rules.push(watch.replicas(group));
    rules.extend(watch.demand(frame));
    let rules = rules.into_iter().map(Line::Alert).collect();
    let mut groups = vec![RuleGroup { name: format!("{}-service-levels", group.name), rules }];
    let follows = group.servers.iter().any(|server| server.placement.in_flight_target.is_some());
    if let Some(record) = watch.in_flight().filter(|_| follows) {
        groups.push(RuleGroup { name: format!("{}-in-flight", group.name), rules: vec![record] });
    }
    let object = Object {
        api_version: "monitoring.coreos.com/v1",
        kind: "PrometheusRule",
        metadata: frame.meta(&group.name, Wave::Monitoring, &group.labels()),
        spec: RuleSpec { groups },
    };
    let mut note =
        "alerts on the service levels that were planned, and on what the plan rests on.".to_owned();
    for gap in watch.gaps(frame, group) {
        note += "\n";
        note += &gap;
    }
    files.add(Wave::Monitoring, folder, ("PrometheusRule", &group.name), &note, &object)
}

/// Adds that the metrics of pods are read.
fn add_monitor(
    frame: &Frame<'_>,
    (name, own, pods): (&str, &Labels, &Labels),
    endpoint: Endpoint,
    (folder, files): (&str, &mut Files),
) -> Result<(), EmitError> {
    let monitor = Object {
        api_version: "monitoring.coreos.com/v1",
        kind: "PodMonitor",
        metadata: frame.meta(name, Wave::Monitoring, own),
        spec: MonitorSpec { selector: Selector::of(pods), pod_metrics_endpoints: vec![endpoint] },
    };
    let note = "metrics of every pod that answers.";
    files.add(Wave::Monitoring, folder, ("PodMonitor", name), note, &monitor)
}

/// Adds the alert of a service, by what the cluster says of its instances; the metrics of those that answer with models are read
/// beside.
pub(super) fn add_app(frame: &Frame<'_>, runner: &Runner<'_>, files: &mut Files) -> Result<(), EmitError> {
    let name = &runner.name;
    if let Some(shown) = runner.metrics() {
        let endpoint = Endpoint::plain(frame, shown.name, shown.path);
        let pods = (name.as_str(), &runner.labels(), &runner.instance());
        add_monitor(frame, pods, endpoint, (&runner.folder(), files))?;
    }
    let (kind, count) = match runner.controller().1 {
        "StatefulSet" => ("statefulset", "kube_statefulset_status_replicas_ready"),
        _ => ("deployment", "kube_deployment_status_replicas_available"),
    };
    // The spares are there so that as many as are asked for stay up.
    let fewest = runner.instances() - runner.run.spares;
    let namespace = &frame.deploy.namespace;
    let expr =
        format!("(sum({count}{{namespace=\"{namespace}\",{kind}=\"{name}\"}}) or vector(0)) < {fewest}");
    let summary = format!("fewer than {fewest} instances of {} are up", runner.run.workload);
    let alert = Alert {
        alert: format!("{}InstancesBelowPlan", camel(name)),
        expr,
        hold: "5m",
        labels: alert_labels("page", (namespace, &runner.run.workload), "replicas"),
        annotations: labels([("summary", &summary)]),
    };
    let group = RuleGroup { name: format!("{name}-instances"), rules: vec![Line::Alert(alert)] };
    let object = Object {
        api_version: "monitoring.coreos.com/v1",
        kind: "PrometheusRule",
        metadata: frame.meta(name, Wave::Monitoring, &runner.labels()),
        spec: RuleSpec { groups: vec![group] },
    };
    let note = "an alert on fewer instances than are asked for, as kube-state-metrics counts them.";
    files.add(Wave::Monitoring, &runner.folder(), ("PrometheusRule", name), note, &object)
}

impl<'a> Watch<'a> {
    /// Returns what a service is watched by; nothing where it has no replicas.
    pub(super) fn of(frame: &Frame<'_>, group: &'a Group<'_>) -> Option<Self> {
        let first = group.servers.first()?;
        Some(Watch {
            family: first.family,
            version: &first.engine.version,
            // The operator names the job of a PodMonitor `namespace/name`.
            matcher: format!("job=\"{}/{}\"", frame.deploy.namespace, group.name),
            prefix: camel(&group.name),
            workload: &group.serve.name,
            namespace: frame.deploy.namespace.clone(),
        })
    }

    /// Returns the record of the requests that each pod has, running and waiting, which autoscaling follows.
    fn in_flight(&self) -> Option<Line> {
        let (running, waiting) = (self.family.running_metric()?, self.family.queue_metric()?);
        let matcher = &self.matcher;
        let expr = format!("sum by (namespace, pod) ({running}{{{matcher}}} + {waiting}{{{matcher}}})");
        Some(Line::Record { record: super::scaling::IN_FLIGHT, expr })
    }

    /// Returns an alert; `about` is what it shares with others on the same thing.
    fn alert(
        &self,
        (name, about): (&str, &str),
        expr: String,
        severity: &str,
        summary: String,
        seen: String,
    ) -> Alert {
        let mut annotations = labels([("summary", &summary)]);
        if !seen.is_empty() {
            annotations.insert("planned".to_owned(), seen);
        }
        Alert {
            alert: format!("{}{name}", self.prefix),
            expr,
            hold: "5m",
            labels: alert_labels(severity, (&self.namespace, self.workload), about),
            annotations,
        }
    }

    /// Returns how the engine reports a service level, where it does.
    pub(super) fn level(&self, metric: SloMetric) -> Option<Level> {
        self.family.level(metric, self.version)
    }

    /// Returns the counter of requests that were answered, where the engine has one.
    pub(super) fn finished(&self) -> Option<&'static str> {
        self.family.finished_metric(self.version)
    }

    /// Returns how answers are counted by their status: by the sidecar of a mesh, else by an engine that does.
    fn answers(&self, frame: &Frame<'_>, group: &Group<'_>) -> Option<Answers> {
        let by_mesh = frame.deploy.mesh && group.part.is_none();
        if by_mesh { Some(mesh::ANSWERS) } else { self.family.answers(self.version) }
    }

    /// Returns what the rules do not say, or say otherwise than the plan, because of what the engine reports.
    fn gaps(&self, frame: &Frame<'_>, group: &Group<'_>) -> Vec<String> {
        let engine = match self.family {
            // The version is that of what it runs.
            Family::Triton => "Triton".to_owned(),
            family => format!("{} {}", family.container(), self.version),
        };
        let mut gaps = Vec::new();
        let mut metrics: Vec<SloMetric> = group.serve.slos.iter().map(|slo| slo.metric).collect();
        metrics.dedup();
        for metric in metrics {
            let word = metric.word();
            match self.level(metric) {
                None => gaps.push(format!("No alert on {word}: {engine} does not report it.")),
                Some(level) if level.bounds.is_empty() => gaps.push(format!(
                    "No burn alert on {word}: the bounds that {engine} counts by are not known."
                )),
                Some(level) if !level.per_request => gaps.push(format!(
                    "Alerts on {word} count gaps between two tokens: {engine} reports no mean of a request."
                )),
                Some(_) => {}
            }
        }
        if self.family == Family::TensorRtLlm && self.level(SloMetric::Ttft).is_some() {
            gaps.push(format!(
                "Names and bounds of {engine} are recalled: see that {} has them.",
                self.family.metrics_path()
            ));
        }
        if self.answers(frame, group).is_none() {
            gaps.push(format!("No alert on requests that fail: {engine} does not count answers by status."));
        }
        gaps
    }

    /// Returns the alert on a percentile above its target, where the engine reports it.
    fn missed(&self, slo: &Slo, blueprint: &Blueprint) -> Option<Alert> {
        let histogram = self.level(slo.metric)?.histogram;
        let (quantile, target) = (decimal(f64::from(slo.per_mille) / 1000.0), decimal(slo.target.get()));
        let expr = format!(
            "histogram_quantile({quantile}, sum by (le) (rate({histogram}_bucket{{{}}}[{}]))) > {target}",
            self.matcher,
            window(slo)
        );
        let (level, about) = (level_word(slo.metric, slo.per_mille, slo.over), about(slo));
        let seen = blueprint
            .verdicts
            .iter()
            .filter(|verdict| {
                verdict.workload == self.workload
                    && verdict.metric == slo.metric
                    && verdict.per_mille == slo.per_mille
                    && verdict.over == slo.over
            })
            .map(|verdict| format!("simulated {} s at {}", decimal(verdict.seen.get()), verdict.site))
            .collect::<Vec<_>>()
            .join(", ");
        let summary = format!("{level} of {} is above {target} s", self.workload);
        Some(self.alert((&format!("{}Missed", camel(&about)), &about), expr, "ticket", summary, seen))
    }

    /// Returns the alerts on a budget that burns too fast, where the engine counts requests below a bound near the
    /// target and where the burn can be told from every request failing.
    fn burns(&self, slo: &Slo, warnings: &mut Vec<Warning>) -> Vec<Alert> {
        let target = slo.target.get();
        let Some(level) = self.level(slo.metric) else { return Vec::new() };
        // A bound below the target would burn the budget of a plan that holds.
        let Some(bound) = level.bounds.iter().copied().find(|&bound| bound >= target) else {
            if let Some(last) = level.bounds.last() {
                let message = format!(
                    "the engine counts {} up to {last} s, so no alert tells how fast the budget for {} s burns",
                    slo.metric.word(),
                    decimal(target)
                );
                warnings.push(Warning { subject: self.workload.to_owned(), message });
            }
            return Vec::new();
        };
        if bound > target {
            let message = format!(
                "the engine counts {} up to {bound} s and not to {} s, so burn alerts take the looser bound",
                slo.metric.word(),
                decimal(target)
            );
            warnings.push(Warning { subject: self.workload.to_owned(), message });
        }
        let budget = f64::from(1000 - slo.per_mille.min(1000)) / 1000.0;
        let what = format!("{} {}", slo.metric.word(), slo.percentile_word());
        self.fast_and_slow((&about(slo), &what), budget, |window| self.over(level.histogram, bound, window))
    }

    /// Returns the alerts on requests that fail, where answers are counted by their status.
    fn errors(&self, frame: &Frame<'_>, group: &Group<'_>) -> Vec<Alert> {
        let Some(Answers { counter, all, failed }) = self.answers(frame, group) else { return Vec::new() };
        let budget = group.serve.availability.as_ref().map_or(FAILED, |limit| 1.0 - limit.value);
        let all = format!("{}{all}", self.matcher);
        self.fast_and_slow(("errors", "requests that fail (5xx)"), budget, |window| {
            format!(
                "(sum(rate({counter}{{{all},{failed}}}[{window}])) / sum(rate({counter}{{{all}}}[{window}])))"
            )
        })
    }

    /// Returns the alerts on a budget that burns too fast; `share` is what burns it, over a window.
    fn fast_and_slow(
        &self,
        (about, what): (&str, &str),
        budget: f64,
        share: impl Fn(&str) -> String,
    ) -> Vec<Alert> {
        let burns = BURNS.iter().filter(|burn| burn.rate * budget < 1.0);
        burns
            .map(|burn| {
                let limit = decimal(burn.rate * budget);
                let expr = format!("{} > {limit} and {} > {limit}", share(burn.long), share(burn.short));
                let summary = format!(
                    "{} burns its budget for {what} at {} times the rate that lasts 30 days",
                    self.workload,
                    decimal(burn.rate)
                );
                let name = format!("{}{}", camel(about), burn.suffix);
                self.alert((&name, about), expr, burn.severity, summary, String::new())
            })
            .collect()
    }

    /// Returns the share of requests above a bound. Bounds are written as the engine's client library does (`1.0`).
    fn over(&self, histogram: &str, bound: f64, window: &str) -> String {
        let matcher = &self.matcher;
        format!(
            "(1 - sum(rate({histogram}_bucket{{{matcher},le=\"{bound:?}\"}}[{window}])) / sum(rate({histogram}_count{{{matcher}}}[{window}])))"
        )
    }

    /// Returns the alert on fewer replicas than are planned for the quietest hour.
    fn replicas(&self, group: &Group<'_>) -> Alert {
        let fewest: u32 = group.servers.iter().map(|server| server.fewest()).sum();
        let expr = format!("(sum(up{{{}}}) or vector(0)) < {fewest}", self.matcher);
        let summary = format!("fewer than {fewest} replicas of {} answer", self.workload);
        self.alert(
            ("ReplicasBelowPlan", "replicas"),
            expr,
            "page",
            summary,
            format!("{fewest} at the quietest hour"),
        )
    }

    /// Returns the alert on more requests than were planned for.
    fn demand(&self, frame: &Frame<'_>) -> Option<Alert> {
        let peak = frame.peak(self.workload).filter(|&peak| peak > 0.0)?;
        // A twentieth is four standard deviations of ten minutes from 11 requests a second on: chance is no news.
        let above = decimal(peak * 1.05);
        let expr = format!("sum(rate({}{{{}}}[10m])) > {above}", self.finished()?, self.matcher);
        let summary = format!("{} gets more requests than it is planned for", self.workload);
        Some(self.alert(
            ("DemandAbovePlan", "demand"),
            expr,
            "ticket",
            summary,
            format!("{} requests/s at most", decimal(peak)),
        ))
    }
}

/// Returns the word for a service level, such as `ttft-p99`.
fn about(slo: &Slo) -> String {
    level_word(slo.metric, slo.per_mille, slo.over).replace(' ', "-")
}

/// Returns over what a percentile is watched: its own windows, if they hold a few scrapes; five minutes where it has none.
fn window(slo: &Slo) -> String {
    slo.over.map_or_else(|| "5m".to_owned(), |over| format!("{:.0}s", over.get().max(SHORTEST_WATCH_S)))
}

/// Returns the labels of an alert. Its namespace stands there since sums lose it, and the operator tells by it whose it is.
fn alert_labels(severity: &str, (namespace, workload): (&str, &str), about: &str) -> Labels {
    labels([("severity", severity), ("namespace", namespace), ("workload", workload), (ABOUT, about)])
}

/// Returns a name with `-` in camel case.
fn camel(name: &str) -> String {
    name.split('-')
        .map(|part| {
            let mut letters = part.chars();
            letters
                .next()
                .map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + letters.as_str())
        })
        .collect()
}
