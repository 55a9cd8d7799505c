//! How are the replicas of a workload reached? Under one name, over all placements.

use super::apps::Runner;
use super::object::{Labels, Object, Port};
use super::server::Group;
use super::{EmitError, Files, Frame, Wave};
use serde::Serialize;

/// `v1.ServiceSpec`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct ServiceSpec {
    #[serde(rename = "type")]
    kind: &'static str,
    /// `None` where the name stands for each pod, and not for one address of all.
    #[serde(rename = "clusterIP", skip_serializing_if = "Option::is_none")]
    address: Option<&'static str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    publish_not_ready_addresses: bool,
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

impl ServiceSpec {
    /// Returns one address for all pods that a selector selects.
    fn of(selector: Labels, ports: Vec<ServicePort>) -> Self {
        Self { kind: "ClusterIP", address: None, publish_not_ready_addresses: false, selector, ports }
    }
}

/// Adds the service of a container at its ports, of which `number` is the one that people ask; with volumes also the one by which its pods know each other, which stands
/// before they start: some are ready only when they have found the others.
pub(super) fn add_app(
    frame: &Frame<'_>,
    runner: &Runner<'_>,
    number: u16,
    files: &mut Files,
) -> Result<(), EmitError> {
    let (folder, own) = (runner.folder(), runner.labels());
    let port = |(name, port)| ServicePort { name, protocol: "TCP", port, target_port: Port::Name(name) };
    let plain = ServiceSpec::of(runner.instance(), runner.asked().into_iter().map(port).collect());
    let mut add = |wave, name: &str, spec, note: &str| {
        let metadata = frame.meta(name, wave, &own);
        let object = Object { api_version: "v1", kind: "Service", metadata, spec };
        files.add(wave, &folder, ("Service", name), note, &object)
    };
    let namespace = &frame.deploy.namespace;
    if let Some(each) = runner.each_by_name() {
        let spec = ServiceSpec { address: Some("None"), publish_not_ready_addresses: true, ..plain.clone() };
        let note =
            format!("each instance answers at {}-0.{each}.{namespace}:{number} and so on.", runner.name);
        add(Wave::Config, &each, spec, &note)?;
    }
    let note = format!("answers at {}.{namespace}:{number}.", runner.name);
    add(Wave::Service, &runner.name, plain, &note)
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
        spec: ServiceSpec::of(group.answering(), vec![port]),
    };
    let below = group.servers.first().map_or("", |server| server.family.asked_at());
    let note = format!("answers at http://{}.{}{below}.", group.name, frame.deploy.namespace);
    files.add(Wave::Service, folder, ("Service", &group.name), &note, &object)
}
