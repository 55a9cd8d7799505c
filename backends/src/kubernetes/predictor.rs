//! What runs a placement where the plan leaves that to KServe? One InferenceService, with the pod that a Deployment would have.
//!
//! KServe makes the Deployment `NAME-predictor` of it and says in its status whether that is ready. It adds no route, and scales
//! nothing: how replicas are reached, and how many there are, stays with the other objects of the plan, which select them by
//! the labels given here.
//!
//! It does not know what a running KServe makes of that. Fields are those of its definition, 0.20, which is tested; names of
//! annotations, modes and of the Deployment are recalled from its documentation and sources, not read.

use super::container::Times;
use super::object::{Labels, Object, labels};
use super::pod::{PodSpec, Template};
use super::server::Server;
use super::workload::Rollout;
use super::{EmitError, Files, Frame, Wave};
use serde::Serialize;
use std::collections::BTreeMap;

/// The name that KServe gives the container of a predictor that is all of the plan's making.
const CONTAINER: &str = "kserve-container";

/// The most letters of a name: KServe labels pods `isvc.NAME-predictor`, and a label has 63.
const LONGEST: usize = 63 - "isvc.-predictor".len();

/// After how many seconds without one more ready replica KServe's Deployment calls a rollout failed (Kubernetes' default).
const DEADLINE: u32 = 600;

/// `serving.kserve.io/v1beta1.InferenceServiceSpec`.
#[derive(Debug, Clone, Serialize)]
struct ServiceSpec {
    predictor: Predictor,
}

/// `serving.kserve.io/v1beta1.PredictorSpec`: a pod, with what KServe must know of it beside.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Predictor {
    /// Absent where an autoscaler owns the number.
    #[serde(skip_serializing_if = "Option::is_none")]
    min_replicas: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_replicas: Option<u32>,
    labels: Labels,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: Labels,
    deployment_strategy: Rollout<&'static str>,
    #[serde(flatten)]
    pod: PodSpec,
}

/// Returns whether KServe runs a placement: where the plan says so, and a replica is one pod.
pub(super) fn runs(frame: &Frame<'_>, server: &Server<'_>) -> bool {
    frame.deploy.kserve && server.part.is_none() && server.pods_per_replica() == 1
}

/// Returns the name of the Deployment that KServe makes of an InferenceService.
pub fn deployment(name: &str) -> String {
    format!("{name}-predictor")
}

/// Adds what runs a placement: `template` is that of its pods, `replicas` their number unless an autoscaler owns it.
pub(super) fn add(
    frame: &Frame<'_>,
    server: &Server<'_>,
    (template, replicas, times): (Template, Option<u32>, &Times),
    (folder, note): (&str, &str),
    files: &mut Files,
) -> Result<(), EmitError> {
    let name = server.name.as_str();
    if name.len() > LONGEST {
        return Err(EmitError::LongForKserve { name: name.to_owned(), most: LONGEST });
    }
    if times.deadline > DEADLINE {
        let message = format!(
            "a start of `{name}` may take {} s, and KServe's Deployment calls it failed after {DEADLINE} s: that passes when its replicas are ready",
            times.deadline
        );
        files.warn(&server.serve.name, message);
    }
    let Template { metadata: own, spec: mut pod } = template;
    for container in &mut pod.containers {
        container.name = CONTAINER.into();
    }
    let mut metadata = frame.meta(name, Wave::Workload, &server.labels());
    metadata.labels.extend(labels([("networking.kserve.io/visibility", "cluster-local")]));
    metadata.annotations.extend(labels([
        ("serving.kserve.io/deploymentMode", "Standard"),
        ("serving.kserve.io/autoscalerClass", if replicas.is_some() { "none" } else { "external" }),
    ]));
    let predictor = Predictor {
        min_replicas: replicas,
        max_replicas: replicas,
        labels: own.labels,
        annotations: own.annotations,
        deployment_strategy: Rollout::ONE_BY_ONE,
        pod,
    };
    let object = Object {
        api_version: "serving.kserve.io/v1beta1",
        kind: "InferenceService",
        metadata,
        spec: ServiceSpec { predictor },
    };
    files.add(Wave::Workload, folder, ("InferenceService", name), note, &object)
}
