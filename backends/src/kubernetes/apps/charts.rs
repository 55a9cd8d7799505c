//! Which images do not run by themselves, and by which charts are they run?
//!
//! A table of data: image, chart, and under which names its values hold what was planned. Names of charts and values are
//! those of their documentation, recalled and not tried.

use super::super::affinity::tolerations;
use super::super::object::{count, labels};
use super::super::{EmitError, Files, Frame, network, volumes};
use super::{Runner, add_values, put, workload};
use serde_json::{Value, json};
use std::ops::RangeInclusive;

const GIB: f64 = 1_073_741_824.0;

/// A chart, for an image that needs more around it than a pod has.
pub(super) struct Chart {
    /// The image without registry and tag; with `/` at its end all below it.
    image: &'static str,
    /// With how many instances it is run by the chart.
    instances: RangeInclusive<u32>,
    /// Why it does not run by itself.
    why: &'static str,
    /// Name of the chart, and where it lies.
    chart: (&'static str, &'static str),
    /// Names of the values for the number of instances (nothing where there is one only), for what one asks for, and below
    /// which its nodes are chosen (empty: at the top).
    replicas: &'static str,
    resources: &'static str,
    nodes: &'static str,
    /// Names of the values for size and class of its volumes, where the chart makes some.
    storage: Option<(&'static str, &'static str)>,
    /// Name of the value for the tag of the image.
    tag: Option<&'static str>,
    /// A switch that must be set.
    switch: Option<(&'static str, bool)>,
    /// The label that all its pods carry, with its value; empty for the name of the release.
    pods: (&'static str, &'static str),
}

const RELEASE: (&str, &str) = ("app.kubernetes.io/instance", "");

const EVER: RangeInclusive<u32> = 1..=u32::MAX;
const SEVERAL: RangeInclusive<u32> = 2..=u32::MAX;

static CHARTS: [Chart; 8] = [
    Chart {
        image: "milvusdb/milvus",
        instances: 1..=1,
        why: "it needs etcd and an object store",
        chart: ("milvus", "https://zilliztech.github.io/milvus-helm/"),
        replicas: "",
        resources: "standalone.resources",
        nodes: "",
        storage: Some((
            "standalone.persistence.persistentVolumeClaim.size",
            "standalone.persistence.persistentVolumeClaim.storageClass",
        )),
        tag: Some("image.all.tag"),
        switch: Some(("cluster.enabled", false)),
        pods: RELEASE,
    },
    Chart {
        image: "milvusdb/milvus",
        instances: SEVERAL,
        why: "it needs etcd, an object store, and several kinds of nodes: what was planned is given to those that answer queries",
        chart: ("milvus", "https://zilliztech.github.io/milvus-helm/"),
        replicas: "queryNode.replicas",
        resources: "queryNode.resources",
        nodes: "",
        storage: Some(("minio.persistence.size", "minio.persistence.storageClass")),
        tag: Some("image.all.tag"),
        switch: Some(("cluster.enabled", true)),
        pods: RELEASE,
    },
    Chart {
        image: "qdrant/qdrant",
        instances: SEVERAL,
        why: "several instances are one database only where each is told of the others",
        chart: ("qdrant", "https://qdrant.github.io/qdrant-helm"),
        replicas: "replicaCount",
        resources: "resources",
        nodes: "",
        storage: Some(("persistence.size", "persistence.storageClassName")),
        tag: Some("image.tag"),
        switch: Some(("config.cluster.enabled", true)),
        pods: RELEASE,
    },
    Chart {
        image: "semitechnologies/weaviate",
        instances: EVER,
        why: "it is told in its environment where it keeps data and who the others are",
        chart: ("weaviate", "https://weaviate.github.io/weaviate-helm"),
        replicas: "replicas",
        resources: "resources",
        nodes: "",
        storage: Some(("storage.size", "storage.storageClassName")),
        tag: Some("image.tag"),
        switch: None,
        pods: ("app", "weaviate"),
    },
    Chart {
        image: "mlflow/mlflow",
        instances: EVER,
        why: "its image starts no server by itself",
        chart: ("mlflow", "https://community-charts.github.io/helm-charts"),
        replicas: "replicaCount",
        resources: "resources",
        nodes: "",
        storage: None,
        tag: Some("image.tag"),
        switch: None,
        pods: RELEASE,
    },
    Chart {
        image: "goharbor/",
        instances: EVER,
        why: "it is several programs: what was planned is given to its registry",
        chart: ("harbor", "https://helm.goharbor.io"),
        replicas: "registry.replicas",
        resources: "registry.registry.resources",
        nodes: "registry",
        storage: Some((
            "persistence.persistentVolumeClaim.registry.size",
            "persistence.persistentVolumeClaim.registry.storageClass",
        )),
        tag: None,
        switch: None,
        pods: ("release", ""),
    },
    Chart {
        image: "heartexlabs/label-studio",
        instances: SEVERAL,
        why: "several instances share one database",
        chart: ("label-studio", "https://charts.heartex.com/"),
        replicas: "app.replicas",
        resources: "app.resources",
        nodes: "app",
        storage: Some(("persistence.config.volume.size", "persistence.config.volume.storageClass")),
        tag: Some("global.image.tag"),
        switch: None,
        pods: RELEASE,
    },
    Chart {
        image: "apache/airflow",
        instances: EVER,
        why: "it is several programs and a database: what was planned is given to its workers",
        chart: ("airflow", "https://airflow.apache.org"),
        replicas: "workers.replicas",
        resources: "workers.resources",
        nodes: "workers",
        storage: Some(("workers.persistence.size", "workers.persistence.storageClassName")),
        tag: Some("defaultAirflowTag"),
        switch: None,
        pods: ("release", ""),
    },
];

/// Where images that run by themselves keep their data (their documentation).
const KEEPS: [(&str, &str); 2] =
    [("qdrant/qdrant", "/qdrant/storage"), ("heartexlabs/label-studio", "/label-studio/data")];

/// Returns whether an image is the one that a row is about, whichever registry it lies in.
fn is(image: &str, row: &str) -> bool {
    let repository = repository(image);
    let below = |name: &str| if row.ends_with('/') { name.starts_with(row) } else { name == row };
    let registry = repository.split_once('/').filter(|(first, _)| first.contains(['.', ':']));
    below(registry.map_or(repository, |(_, rest)| rest))
}

/// Returns the name of an image without its tag and its digest.
fn repository(image: &str) -> &str {
    let plain = image.split('@').next().unwrap_or(image);
    match plain.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => plain,
    }
}

/// Returns the tag of an image, where it has one.
fn tag(image: &str) -> Option<&str> {
    let plain = image.split('@').next().unwrap_or(image);
    plain.strip_prefix(repository(image))?.strip_prefix(':')
}

/// Returns the chart that so many instances of an image are run by; `None` where they run by themselves.
pub(super) fn of(image: &str, instances: u32) -> Option<&'static Chart> {
    CHARTS.iter().find(|chart| is(image, chart.image) && chart.instances.contains(&instances))
}

/// Returns where an image keeps its data, where that is known.
pub(super) fn keeps(image: &str) -> Option<&'static str> {
    KEEPS.iter().find(|(row, _)| is(image, row)).map(|(_, folder)| *folder)
}

/// Adds the values of a chart, and who may reach its pods.
pub(super) fn add(
    frame: &Frame<'_>,
    runner: &Runner<'_>,
    (image, chart): (&str, &Chart),
    files: &mut Files,
) -> Result<(), EmitError> {
    let (key, value) = chart.pods;
    let pods = labels([(key, if value.is_empty() { &runner.name } else { value })]);
    network::add_app(frame, runner, &pods, files)?;
    let values = values(frame, runner, (image, chart), files)?;
    files.warn(&runner.run.workload, format!("`{image}` does not run by itself: {}", chart.why));
    add_values(frame, runner, chart.chart, &values, files)
}

fn values(
    frame: &Frame<'_>,
    runner: &Runner<'_>,
    (image, chart): (&str, &Chart),
    files: &mut Files,
) -> Result<Value, EmitError> {
    let mut values = json!({});
    if let Some((path, on)) = chart.switch {
        put(&mut values, path, json!(on));
    }
    if let Some((path, tag)) = chart.tag.zip(tag(image)) {
        put(&mut values, path, json!(tag));
    }
    if !chart.replicas.is_empty() {
        put(&mut values, chart.replicas, json!(runner.instances()));
    }
    let resources = serde_json::to_value(workload::resources(runner));
    put(&mut values, chart.resources, resources.map_err(|error| EmitError::Yaml(error.to_string()))?);
    let below =
        |name: &str| if chart.nodes.is_empty() { name.to_owned() } else { format!("{}.{name}", chart.nodes) };
    put(&mut values, &below("nodeSelector"), json!(workload::selector(frame, runner, files)));
    put(&mut values, &below("tolerations"), json!(tolerations(runner.machine)));
    match chart.storage.filter(|_| runner.keeps_data()) {
        Some((size, class)) => {
            let bytes = runner.app.storage.get();
            put(&mut values, size, json!(format!("{}Gi", count(bytes / GIB).max(1))));
            if let Some(name) = volumes::class(frame, &runner.machine.site.name) {
                put(&mut values, class, json!(name));
            }
        }
        None if runner.keeps_data() => {
            let message = format!("the chart `{}` makes no volume for its data; give it one", chart.chart.0);
            files.warn(&runner.run.workload, message);
        }
        None => {}
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_known_in_any_registry_and_at_any_tag() {
        assert_eq!(tag("qdrant/qdrant:v1.13.4"), Some("v1.13.4"));
        assert_eq!(tag("localhost:5000/qdrant/qdrant@sha256:ab"), None);
        for image in
            ["qdrant/qdrant:v1", "docker.io/qdrant/qdrant:v1", "localhost:5000/qdrant/qdrant:v1@sha256:ab"]
        {
            assert!(of(image, 3).is_some() && of(image, 1).is_none(), "{image}");
            assert_eq!(keeps(image), Some("/qdrant/storage"), "{image}");
        }
        assert!(of("goharbor/harbor-core:v2.12", 1).is_some());
        assert!(of("other/goharbor/x:1", 1).is_none() && of("qdrant/qdrant-web:1", 3).is_none());
    }

    #[test]
    fn a_number_of_instances_of_an_image_has_one_chart_at_most() {
        for (at, one) in CHARTS.iter().enumerate() {
            for other in &CHARTS[at + 1..] {
                let apart = one.instances.end() < other.instances.start();
                assert!(one.image != other.image || apart, "{}", one.image);
            }
        }
    }
}
