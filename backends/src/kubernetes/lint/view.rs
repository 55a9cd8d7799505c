//! A manifest as a tree, with the paths that rules need.

use crate::kubernetes::{Manifest, predictor};
use serde_json::Value;

/// Pods of one kind that an object makes.
pub(super) struct Pods<'a> {
    pub(super) labels: &'a Value,
    pub(super) annotations: &'a Value,
    /// Their `v1.PodSpec`.
    pub(super) spec: &'a Value,
    /// Replicas that the object states.
    pub(super) replicas: &'a Value,
    /// How many of them one replica has.
    pub(super) each: u64,
}

impl<'a> Pods<'a> {
    fn of(template: &'a Value, replicas: &'a Value, each: u64) -> Self {
        let metadata = &template["metadata"];
        let (labels, annotations) = (&metadata["labels"], &metadata["annotations"]);
        Self { labels, annotations, spec: &template["spec"], replicas, each }
    }
}

/// One object as it was written.
pub(super) struct View<'a> {
    pub(super) path: &'a str,
    text: &'a str,
    pub(super) tree: Value,
}

impl<'a> View<'a> {
    /// Reads a manifest; the message says why it cannot be read.
    pub(super) fn of(manifest: &'a Manifest) -> Result<Self, String> {
        let tree: Value =
            serde_saphyr::from_str(&manifest.yaml).map_err(|error| format!("not YAML: {error}"))?;
        if tree.is_object() {
            Ok(Self { path: &manifest.path, text: &manifest.yaml, tree })
        } else {
            Err("not an object".to_owned())
        }
    }

    /// Returns the first line that begins a collection in flow style, from 1; empty collections are allowed as values.
    pub(super) fn flow_line(&self) -> Option<usize> {
        let begins = |line: &str| {
            let value = line.trim_start().trim_start_matches("- ");
            value.starts_with('{') || value.starts_with('[')
        };
        // What a ConfigMap holds is text of others.
        let own = self.text.lines().take_while(|line| *line != "data:");
        own.into_iter().position(begins).map(|line| line + 1)
    }

    pub(super) fn kind(&self) -> &str {
        self.tree["kind"].as_str().unwrap_or_default()
    }

    pub(super) fn name(&self) -> &str {
        self.tree["metadata"]["name"].as_str().unwrap_or_default()
    }

    pub(super) fn namespace(&self) -> &str {
        self.tree["metadata"]["namespace"].as_str().unwrap_or_default()
    }

    pub(super) fn spec(&self) -> &Value {
        &self.tree["spec"]
    }

    /// Returns the pods of a workload, a job or a runtime; empty for other kinds.
    pub(super) fn pods(&self) -> Vec<Pods<'_>> {
        let spec = self.spec();
        match self.kind() {
            "Deployment" | "StatefulSet" => vec![Pods::of(&spec["template"], &spec["replicas"], 1)],
            "Job" => vec![Pods::of(&spec["template"], &spec["parallelism"], 1)],
            "CronJob" => {
                let job = &spec["jobTemplate"]["spec"];
                vec![Pods::of(&job["template"], &job["parallelism"], 1)]
            }
            "TrainingRuntime" => {
                let jobs = spec["template"]["spec"]["replicatedJobs"].as_array();
                let templates = jobs.into_iter().flatten().map(|job| &job["template"]["spec"]["template"]);
                templates.map(|template| Pods::of(template, &spec["mlPolicy"]["numNodes"], 1)).collect()
            }
            "JobSet" => {
                let jobs = spec["replicatedJobs"].as_array();
                let of = |job: &'_ Value| number(&job["replicas"]).unwrap_or(1);
                let pods = jobs.into_iter().flatten().map(|job| (&job["template"]["spec"], of(job)));
                pods.map(|(job, each)| Pods::of(&job["template"], &job["parallelism"], each)).collect()
            }
            "PyTorchJob" | "MPIJob" | "TFJob" => {
                let parts = ["pytorchReplicaSpecs", "mpiReplicaSpecs", "tfReplicaSpecs"];
                let parts = parts.iter().filter_map(|name| spec[*name].as_object()).flatten();
                parts.map(|(_, part)| Pods::of(&part["template"], &part["replicas"], 1)).collect()
            }
            "RayJob" => {
                let cluster = &spec["rayClusterSpec"];
                let head = &cluster["headGroupSpec"];
                let groups = cluster["workerGroupSpecs"].as_array().into_iter().flatten();
                let groups =
                    std::iter::once(head).chain(groups).filter(|group| group["template"].is_object());
                groups.map(|group| Pods::of(&group["template"], &group["replicas"], 1)).collect()
            }
            "LeaderWorkerSet" => {
                let group = &spec["leaderWorkerTemplate"];
                let workers = number(&group["size"]).unwrap_or(1).saturating_sub(1);
                [("leaderTemplate", 1), ("workerTemplate", workers)]
                    .into_iter()
                    .filter(|(name, _)| group[name].is_object())
                    .map(|(name, each)| Pods::of(&group[name], &spec["replicas"], each))
                    .collect()
            }
            "InferenceService" => {
                let pod = &spec["predictor"];
                let (labels, annotations) = (&pod["labels"], &pod["annotations"]);
                vec![Pods { labels, annotations, spec: pod, replicas: &pod["minReplicas"], each: 1 }]
            }
            "LLMInferenceService" => self
                .parts()
                .into_iter()
                .map(|part| Pods {
                    labels: &part["labels"],
                    annotations: &part["annotations"],
                    spec: &part["template"],
                    replicas: &part["replicas"],
                    each: 1,
                })
                .collect(),
            _ => Vec::new(),
        }
    }

    /// Returns the parts of a workload of KServe: the one that answers, and the one that reads prompts where there is one.
    pub(super) fn parts(&self) -> Vec<&Value> {
        let spec = self.spec();
        let parts =
            if self.kind() == "LLMInferenceService" { vec![spec, &spec["prefill"]] } else { Vec::new() };
        parts.into_iter().filter(|part| part.is_object()).collect()
    }

    /// Returns the containers of all its pods.
    pub(super) fn containers(&self) -> Vec<&Value> {
        let lists = self.pods().into_iter().filter_map(|pods| pods.spec["containers"].as_array());
        lists.flatten().collect()
    }

    /// Returns whether it makes pods that answer.
    pub(super) fn is_workload(&self) -> bool {
        ["Deployment", "StatefulSet", "LeaderWorkerSet", "InferenceService", "LLMInferenceService"]
            .contains(&self.kind())
    }

    /// Returns the autoscaler of a workload.
    pub(super) fn autoscaler<'b>(&self, all: &'b [View<'_>]) -> Option<&'b View<'b>> {
        all.iter().find(|view| {
            ["HorizontalPodAutoscaler", "ScaledObject"].contains(&view.kind())
                && view.namespace() == self.namespace()
                && self.is_meant(&view.spec()["scaleTargetRef"])
        })
    }

    /// Returns whether the target of an autoscaler is this: of what KServe runs, the Deployment that it makes.
    pub(super) fn is_meant(&self, target: &Value) -> bool {
        let is = |version: &str, kind: &str, name: &str| {
            target["apiVersion"] == version && target["kind"] == kind && target["name"] == name
        };
        match self.kind() {
            "InferenceService" => is("apps/v1", "Deployment", &predictor::deployment(self.name())),
            kind => is(self.tree["apiVersion"].as_str().unwrap_or_default(), kind, self.name()),
        }
    }
}

/// Returns whether a selector by equality (`matchLabels`, absent or empty for all) selects labels.
pub(super) fn selects(selector: &Value, labels: &Value) -> bool {
    selector["matchLabels"]
        .as_object()
        .is_none_or(|wanted| wanted.iter().all(|(key, value)| labels.get(key) == Some(value)))
}

/// Returns the number that a field holds, as a number or as text.
pub(super) fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str().and_then(|text| text.parse().ok()))
}

/// Returns an amount of memory in bytes, for the suffixes that are emitted.
pub(super) fn bytes(value: &Value) -> Option<u64> {
    let text = value.as_str()?;
    for (suffix, unit) in [("Ti", 1_u64 << 40), ("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)] {
        if let Some(digits) = text.strip_suffix(suffix) {
            return digits.parse::<u64>().ok()?.checked_mul(unit);
        }
    }
    text.parse().ok()
}
