//! What is applied: one object of a manifest, and what it is known by.

use crate::served::items;
use crate::trouble::Trouble;
use capstan_backends::kubernetes::{Manifest, Wave, deployment_of_predictor};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fmt;

/// Who we are to the server; never changed, or fields of older versions would belong to nobody.
pub const MANAGER: &str = "capstan";

/// The label that says whose an object is.
pub const PLAN_LABEL: &str = "capstan.dev/plan";

/// What an object is known by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Id {
    /// Group and version, such as `apps/v1`.
    pub api_version: String,
    /// Kind.
    pub kind: String,
    /// Namespace; none for objects of the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} {namespace}/{}", self.kind, self.name),
            None => write!(f, "{} {}", self.kind, self.name),
        }
    }
}

impl Id {
    /// Returns what an object is known by; `None` where it says too little of itself.
    pub(crate) fn of(object: &Value) -> Option<Self> {
        let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        Some(Self {
            api_version: text(&object["apiVersion"])?,
            kind: text(&object["kind"])?,
            namespace: text(&object["metadata"]["namespace"]),
            name: text(&object["metadata"]["name"])?,
        })
    }

    /// Returns the group alone.
    pub(crate) fn group(&self) -> &str {
        self.api_version.split_once('/').map_or("", |(group, _)| group)
    }

    /// Returns whether two name the same object, whatever version they speak of.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.group() == other.group()
            && (&self.kind, &self.namespace, &self.name) == (&other.kind, &other.namespace, &other.name)
    }
}

/// Pods of one kind that an object has made.
pub(crate) struct Pods<'a> {
    pub(crate) labels: &'a Value,
    /// Their `v1.PodSpec`.
    pub(crate) spec: &'a Value,
    /// Replicas of theirs, where they have a number of their own beside that of the object.
    pub(crate) replicas: Option<u64>,
}

/// One object to apply.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Object {
    /// What it is known by.
    pub id: Id,
    /// All of it.
    pub value: Value,
}

/// Kinds whose deletion loses data or takes others with it; they go only when that is asked for.
pub(crate) const PROTECTED: [&str; 8] = [
    "Namespace",
    "PersistentVolumeClaim",
    "CustomResourceDefinition",
    "CephCluster",
    "CephObjectStore",
    "ObjectBucketClaim",
    "BareMetalHost",
    // The disks of its machines are wiped when they are given back.
    "MachineDeployment",
];

impl Object {
    /// Returns an object of a tree.
    pub(crate) fn of(value: Value, path: &str) -> Result<Self, Trouble> {
        let wrong = || Trouble::NotAnObject {
            path: path.to_owned(),
            why: "it lacks apiVersion, kind or name".to_owned(),
        };
        Ok(Self { id: Id::of(&value).ok_or_else(wrong)?, value })
    }

    /// Returns the rank of its wave as the manifest has it.
    pub(crate) fn wave(&self) -> u32 {
        let word = self.value["metadata"]["annotations"]["capstan.dev/wave"].as_str();
        word.and_then(|word| word.parse().ok()).unwrap_or(0)
    }

    /// Returns kind and name of what an autoscaler of it scales: of what KServe runs, the Deployment that it makes.
    pub(crate) fn scaled(&self) -> (&str, String) {
        match self.id.kind.as_str() {
            "InferenceService" => ("Deployment", deployment_of_predictor(&self.id.name)),
            kind => (kind, self.id.name.clone()),
        }
    }

    /// Returns the specification of one of its pods as its controller makes it: with a volume for each claim that a
    /// StatefulSet makes for every pod.
    pub(crate) fn with_claims(&self, spec: &Value) -> Value {
        let mut spec = spec.clone();
        let claims = items(&self.value["spec"], "volumeClaimTemplates");
        let names = claims.iter().map(|claim| &claim["metadata"]["name"]);
        let volumes =
            names.map(|name| json!({ "name": name, "persistentVolumeClaim": { "claimName": name } }));
        let mut all = items(&spec, "volumes").to_vec();
        all.extend(volumes);
        if !claims.is_empty() {
            spec["volumes"] = Value::Array(all);
        }
        spec
    }

    /// Returns the pods that its templates describe.
    pub(crate) fn pods(&self) -> Vec<Pods<'_>> {
        let spec = &self.value["spec"];
        // KServe's templates are specifications of pods, whose labels stand beside them: of those that answer, and of those
        // that read prompts.
        if self.id.kind == "LLMInferenceService" {
            let parts = [spec, &spec["prefill"]].into_iter().filter(|part| part["template"].is_object());
            let pods = parts.map(|part| Pods {
                labels: &part["labels"],
                spec: &part["template"],
                replicas: part["replicas"].as_u64(),
            });
            return pods.collect();
        }
        if self.id.kind == "InferenceService" {
            let pod = &spec["predictor"];
            return vec![Pods { labels: &pod["labels"], spec: pod, replicas: pod["minReplicas"].as_u64() }];
        }
        let trained = trained(spec);
        if !trained.is_empty() {
            return trained;
        }
        let group = &spec["leaderWorkerTemplate"];
        let jobs = spec["template"]["spec"]["replicatedJobs"].as_array();
        let timed = &spec["jobTemplate"]["spec"]["template"];
        [&spec["template"], timed, &group["leaderTemplate"], &group["workerTemplate"]]
            .into_iter()
            .chain(jobs.into_iter().flatten().map(|job| &job["template"]["spec"]["template"]))
            .filter(|template| template["spec"]["containers"].is_array())
            .map(|template| Pods {
                labels: &template["metadata"]["labels"],
                spec: &template["spec"],
                replicas: None,
            })
            .collect()
    }
}

/// Returns the pods of a training whose object says how many of each there are: parts of a job of the training operator, head
/// and groups of a RayJob, Jobs of a JobSet.
fn trained(spec: &Value) -> Vec<Pods<'_>> {
    let parts = ["pytorchReplicaSpecs", "mpiReplicaSpecs", "tfReplicaSpecs"];
    let parts = parts.iter().filter_map(|name| spec[*name].as_object()).flatten().map(|(_, part)| part);
    let cluster = &spec["rayClusterSpec"];
    let groups = cluster["workerGroupSpecs"].as_array().into_iter().flatten();
    let counted = parts.chain([&cluster["headGroupSpec"]]).chain(groups);
    let counted = counted.map(|part| (&part["template"], part["replicas"].as_u64().unwrap_or(1)));
    let jobs = spec["replicatedJobs"].as_array().into_iter().flatten().map(|job| {
        let (each, of) = (job["replicas"].as_u64().unwrap_or(1), &job["template"]["spec"]);
        (&of["template"], each * of["parallelism"].as_u64().unwrap_or(1))
    });
    let all = counted.chain(jobs).filter(|(template, _)| template["spec"]["containers"].is_array());
    let pods = all.map(|(template, replicas)| Pods {
        labels: &template["metadata"]["labels"],
        spec: &template["spec"],
        replicas: Some(replicas),
    });
    pods.collect()
}

/// Returns the objects of manifests; neither the list of files nor the role is one.
pub fn objects(manifests: &[Manifest]) -> Result<Vec<Object>, Trouble> {
    let manifests = manifests.iter().filter(|manifest| manifest.wave < Wave::Index);
    manifests
        .map(|manifest| {
            let wrong = |error: &dyn fmt::Display| Trouble::NotAnObject {
                path: manifest.path.clone(),
                why: error.to_string(),
            };
            let value = serde_saphyr::from_str(&manifest.yaml).map_err(|error| wrong(&error))?;
            Object::of(value, &manifest.path)
        })
        .collect()
}

/// Returns the digest of objects, by which a revision is known.
pub(crate) fn digest(objects: &[Object]) -> String {
    let mut hash = Sha256::new();
    for object in objects {
        hash.update(object.value.to_string());
        hash.update([0]);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_of_a_set_has_a_volume_for_each_claim() {
        let spec = json!({"containers": [], "volumes": [{"name": "a"}]});
        let of = |claims: Value| {
            let value = json!({
                "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "s"},
                "spec": {"volumeClaimTemplates": claims},
            });
            Object::of(value, "test").expect("an object").with_claims(&spec)["volumes"].clone()
        };
        let claimed = json!({"name": "data", "persistentVolumeClaim": {"claimName": "data"}});
        assert_eq!(of(json!([{"metadata": {"name": "data"}}])), json!([{"name": "a"}, claimed]));
        assert_eq!(of(Value::Null), json!([{"name": "a"}]));
    }

    #[test]
    fn an_object_is_known_by_group_kind_and_name() {
        let value = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a", "namespace": "b"}});
        let id = Id::of(&value).expect("an id");
        assert_eq!((id.group(), id.to_string().as_str()), ("apps", "Deployment b/a"));
        let older = Id { api_version: "apps/v1beta1".to_owned(), ..id.clone() };
        assert!(id.is_same(&older) && id != older);
        assert!(Id::of(&json!({"kind": "Deployment"})).is_none());
    }
}
