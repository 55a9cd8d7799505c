//! How are the replicas of a workload reached? Under one name, over all placements.

use super::object::{Labels, Object, Port};
use super::server::Group;
use super::{EmitError, Files, Frame, Wave};
use serde::Serialize;

/// `v1.ServiceSpec`.
#[derive(Debug, Clone, Serialize)]
struct ServiceSpec {
    #[serde(rename = "type")]
    kind: &'static str,
    selector: Labels,
    ports: Vec<ServicePort>,
}

/// `v1.ServicePort`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct ServicePort {
    name: &'static str,
    protocol: &'static str,
    port: u16,
    target_port: Port,
}

/// Adds the service of a workload.
pub(super) fn add(
    frame: &Frame<'_>,
    group: &Group<'_>,
    folder: &str,
    files: &mut Files,
) -> Result<(), EmitError> {
    let port = ServicePort { name: "http", protocol: "TCP", port: 80, target_port: Port::Name("http") };
    let object = Object {
        api_version: "v1",
        kind: "Service",
        metadata: frame.meta(&group.name, Wave::Service, &group.labels()),
        spec: ServiceSpec { kind: "ClusterIP", selector: group.answering(), ports: vec![port] },
    };
    let note = format!("answers at http://{}.{}/v1.", group.name, frame.deploy.namespace);
    files.add(Wave::Service, folder, ("Service", &group.name), &note, &object)
}
