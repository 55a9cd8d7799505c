//! What may the namespace take, and who goes first where machines are short?

use super::apps::Runner;
use super::object::{Labels, Meta, Object, labels};
use super::products::resource;
use super::server::{Group, shortened};
use super::training::Job;
use super::{EmitError, Files, Frame, Wave, offline};
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;

const FOLDER: &str = "00-namespace";

/// Who goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rank {
    Serving,
    Training,
}

/// `scheduling.k8s.io/v1.PriorityClass`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct PriorityClass {
    api_version: &'static str,
    kind: &'static str,
    metadata: Meta,
    value: u32,
    preemption_policy: &'static str,
    description: &'static str,
}

/// Returns the name of a priority class, where the plan asks for them.
pub(super) fn class(frame: &Frame<'_>, rank: Rank) -> Option<String> {
    let word = match rank {
        Rank::Serving => "serving",
        Rank::Training => "training",
    };
    frame.deploy.priorities.then(|| shortened(&format!("{}-{word}", frame.plan)))
}

/// Adds quota and priorities, where the plan asks for them.
pub(super) fn add(
    frame: &Frame<'_>,
    groups: &[Group<'_>],
    jobs: &[Job<'_>],
    runners: &[Runner<'_>],
    files: &mut Files,
) -> Result<(), EmitError> {
    for (rank, value, preemption_policy, description) in [
        (Rank::Serving, 100_000, "PreemptLowerPriority", "Replicas that answer people."),
        (Rank::Training, 1_000, "Never", "Training, which goes on from its last checkpoint."),
    ] {
        let Some(name) = class(frame, rank) else { continue };
        let metadata = frame.cluster_meta(&name, Wave::Namespace, &Labels::new());
        let object = PriorityClass {
            api_version: "scheduling.k8s.io/v1",
            kind: "PriorityClass",
            metadata,
            value,
            preemption_policy,
            description,
        };
        files.add(Wave::Namespace, FOLDER, ("PriorityClass", &name), description, &object)?;
    }
    if frame.deploy.quota { add_quota(frame, groups, jobs, runners, files) } else { Ok(()) }
}

/// Adds the quota: the accelerators of all replicas at their most, of all trainings, and of all services and notebooks.
fn add_quota(
    frame: &Frame<'_>,
    groups: &[Group<'_>],
    jobs: &[Job<'_>],
    runners: &[Runner<'_>],
    files: &mut Files,
) -> Result<(), EmitError> {
    let mut hard: BTreeMap<String, u64> = BTreeMap::new();
    let mut count =
        |resource: &str, number: u64| *hard.entry(format!("requests.{resource}")).or_default() += number;
    for runner in runners.iter().filter(|runner| runner.is_written()) {
        if let Some(takes) = &runner.takes {
            count(&takes.resource, u64::from(runner.instances()));
        }
    }
    let mut add = |vendor: &str, number: u64| count(resource(vendor), number);
    for server in groups.iter().flat_map(|group| &group.servers) {
        let all = u64::from(server.most()) * u64::from(server.placement.candidate.accelerators);
        add(&server.accelerator.vendor, all);
    }
    if frame.deploy.training.is_some() {
        for job in jobs {
            let all = u64::from(job.run.candidate.nodes) * u64::from(job.per_node());
            add(job.machine.vendor().unwrap_or_default(), all);
        }
    }
    for (run, vendor) in offline::written(frame) {
        add(vendor, u64::from(run.peak_replicas()) * u64::from(run.candidate.accelerators));
    }
    let name = shortened(&format!("{}-planned", frame.plan));
    let hard: Labels = hard.into_iter().map(|(name, number)| (name, number.to_string())).collect();
    let object = Object {
        api_version: "v1",
        kind: "ResourceQuota",
        metadata: frame.meta(&name, Wave::Config, &labels([])),
        spec: json!({ "hard": hard }),
    };
    let note = "the namespace takes no more accelerators than are planned.";
    files.add(Wave::Config, FOLDER, ("ResourceQuota", &name), note, &object)
}
