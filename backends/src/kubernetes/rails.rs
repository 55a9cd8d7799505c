//! How do pods that span own machines reach the network between them? Each port of a machine is a rail: a resource that the
//! device plugin counts, and a network that pods name.
//!
//! Objects of the Network operator and of the SR-IOV operator, for the networks that were planned. One function of each port
//! is enough: what spans machines takes whole ones. What the ports are called the plan says; addresses it does not know.

use super::affinity::{Machine, node_selector};
use super::object::{Labels, Object, labels, slug};
use super::operators::MELLANOX;
use super::server::{Group, found, shortened};
use super::training::Job;
use super::{EmitError, Files, Frame, Wave};
use capstan_types::blueprint::Network;
use capstan_types::hardware::Link;
use capstan_types::spec::RailsWish;
use serde_json::{Value, json};

const FOLDER: &str = "05-nodes";

/// Namespace of both operators, as the chart of the Network operator has it.
const OPERATORS: &str = "nvidia-network-operator";

/// Prefix of resources that the SR-IOV operator counts, as the chart of the Network operator sets it.
const PREFIX: &str = "nvidia.com";

/// Annotation by which pods name their networks (Network Plumbing Working Group, specification 1.3).
pub(super) const NETWORKS: &str = "k8s.v1.cni.cncf.io/networks";

/// Images of the Network operator 26.7 and the driver that it brings.
const IMAGES: &str = "nvcr.io/nvidia/mellanox";
const RELEASE: &str = "network-operator-v26.7.0";
const DRIVER: &str = "doca3.5.0-26.07-0.7.1.0-0";

/// Largest packet over Ethernet in bytes, with room for those of 4096 bytes that RDMA makes. Over InfiniBand the subnet
/// manager says it.
const ETHERNET_MTU: u32 = 9000;

/// Says of what spans machines of a provider that its network is not asked for: without it the exchange goes over TCP, slower
/// than planned.
pub(super) fn warn_of_providers(groups: &[Group<'_>], jobs: &[Job<'_>], files: &mut Files) {
    let servers = groups.iter().flat_map(|group| &group.servers);
    let serving = servers
        .filter(|server| server.pods_per_replica() > 1)
        .map(|server| (server.serve.name.clone(), server.machine()));
    let training = jobs.iter().filter(|job| job.run.candidate.nodes > 1);
    let training = training.map(|job| (job.train.name.clone(), job.machine));
    for (workload, machine) in serving.chain(training).filter(|(_, machine)| !machine.site.is_own()) {
        let of = match machine.site.provider.as_str() {
            "aws" => " (EFA: `vpc.amazonaws.com/efa`, huge pages and an image with libfabric)",
            _ => "",
        };
        let message = format!(
            "spans machines of {}, whose fast network{of} is not asked for here: add it to the pods, or their exchange goes over TCP and is slower than planned",
            machine.site.provider
        );
        files.warn(&workload, message);
    }
}

/// Returns how many rails a pod takes of a machine, where what it is part of spans so many.
pub(super) fn taken(frame: &Frame<'_>, machine: Machine<'_>, nodes: u32) -> usize {
    match &frame.deploy.network_operator {
        Some(wish) if nodes > 1 && is_wired(frame, &machine.site.name, &machine.shape.id) => wish.rails.len(),
        _ => 0,
    }
}

/// Returns whether any pod takes rails, and so locks memory.
pub(super) fn are_taken(frame: &Frame<'_>) -> bool {
    let mut placed = frame.blueprint.services.iter().flat_map(|service| &service.placements);
    let mut trained = frame.blueprint.trainings.iter().filter(|_| frame.deploy.training.is_some());
    let wired = |site: &str, shape: &str| is_wired(frame, site, shape);
    frame.deploy.network_operator.is_some()
        && (placed.any(|one| one.candidate.nodes_per_replica > 1 && wired(&one.site, &one.candidate.shape))
            || trained.any(|run| run.candidate.nodes > 1 && wired(&run.site, &run.candidate.shape)))
}

fn is_wired(frame: &Frame<'_>, site: &str, shape: &str) -> bool {
    frame.blueprint.networks.iter().any(|network| network.site == site && network.shape == shape)
}

/// Returns the resource that a rail is.
pub(super) fn resource(rail: usize) -> String {
    format!("{PREFIX}/{}", counted(rail))
}

/// Returns that name as the operator has it, which allows no `-`.
fn counted(rail: usize) -> String {
    format!("rail_{rail}")
}

fn network(rail: usize) -> String {
    format!("rail-{rail}")
}

/// Returns the annotations of pods that take so many rails.
pub(super) fn annotations(rails: usize) -> Labels {
    if rails == 0 {
        return Labels::new();
    }
    let names: Vec<String> = (0..rails).map(network).collect();
    labels([(NETWORKS, &names.join(","))])
}

/// Adds the policies and the networks of what is wired.
pub(super) fn add(frame: &Frame<'_>, files: &mut Files) -> Result<(), EmitError> {
    let Some(wish) = &frame.deploy.network_operator else { return Ok(()) };
    if frame.blueprint.networks.is_empty() {
        let message = "`network_operator` writes nothing: no network is planned, since nothing spans own machines and no `fabric` asks for one";
        files.warn(&frame.plan, message.to_owned());
        return Ok(());
    }
    add_policy(frame, files)?;
    let mut kind = None;
    for planned in &frame.blueprint.networks {
        check_count(wish, planned)?;
        let link = link(frame, planned)?;
        if kind.is_some_and(|other| other != link) {
            return Err(EmitError::SeveralLinks);
        }
        kind = Some(link);
        for (rail, port) in wish.rails.iter().enumerate() {
            add_rail(frame, planned, link, (rail, port), files)?;
        }
    }
    for rail in 0..wish.rails.len() {
        add_network(frame, kind.unwrap_or(Link::Ethernet), rail, files)?;
    }
    warn(frame, files);
    Ok(())
}

/// Says what is left to people.
fn warn(frame: &Frame<'_>, files: &mut Files) {
    let message = format!(
        "make an IPPool of nv-ipam in `{OPERATORS}` for each rail (`rail-0` and so on): its addresses are those of your network, which no plan holds"
    );
    files.warn(&frame.plan, message);
    if are_taken(frame) {
        let message = format!(
            "namespace `{}` enforces Pod Security `privileged`: pods on rails lock memory (IPC_LOCK), which `baseline` refuses",
            frame.deploy.namespace
        );
        files.warn(&frame.plan, message);
    }
}

/// Fails where the plan does not name every port that was planned.
fn check_count(wish: &RailsWish, planned: &Network) -> Result<(), EmitError> {
    let ports = planned.ports_per_node * planned.planes;
    if wish.rails.len() == ports as usize {
        return Ok(());
    }
    let (site, shape) = (planned.site.clone(), planned.shape.clone());
    Err(EmitError::Rails { site, shape, ports, named: wish.rails.len() })
}

/// Returns what the links of a network speak, by the row of its switches.
fn link(frame: &Frame<'_>, planned: &Network) -> Result<Link, EmitError> {
    let rows = &frame.blueprint.inputs.catalog.fabrics;
    let row = found("fabric", &planned.switch, rows.iter().find(|row| row.id == planned.switch))?;
    row.link.ok_or_else(|| EmitError::UnknownLink { switch: row.id.clone() })
}

/// Adds the policy of the Network operator: driver, addresses, and what gives pods several networks.
fn add_policy(frame: &Frame<'_>, files: &mut Files) -> Result<(), EmitError> {
    const NAME: &str = "nic-cluster-policy";
    let part = |image: &str| json!({ "image": image, "repository": IMAGES, "version": RELEASE });
    let mut driver = part("doca-driver");
    driver["version"] = json!(DRIVER);
    // A new driver stops the network of a machine: one machine at a time, and drained first.
    driver["upgradePolicy"] =
        json!({ "autoUpgrade": true, "maxParallelUpgrades": 1, "drain": { "enable": true } });
    let mut addresses = part("nvidia-k8s-ipam");
    addresses["enableWebhook"] = json!(false);
    let spec = json!({
        "ofedDriver": driver,
        "nvIpam": addresses,
        "secondaryNetwork": { "cniPlugins": part("plugins"), "multus": part("multus-cni") },
        "tolerations": [{ "key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule" }],
    });
    let object = Object {
        api_version: "mellanox.com/v1alpha1",
        kind: "NicClusterPolicy",
        metadata: frame.cluster_meta(NAME, Wave::Operators, &Labels::new()),
        spec,
    };
    let note = "driver of network cards, and several networks for a pod; a cluster has one.";
    files.add(Wave::Operators, FOLDER, ("NicClusterPolicy", NAME), note, &object)
}

fn meta(frame: &Frame<'_>, name: &str, own: &Labels) -> super::object::Meta {
    super::object::Meta {
        namespace: Some(OPERATORS.to_owned()),
        ..frame.cluster_meta(name, Wave::Operators, own)
    }
}

/// Adds the policy that makes one port of the machines of a network a resource.
fn add_rail(
    frame: &Frame<'_>,
    planned: &Network,
    link: Link,
    (rail, port): (usize, &str),
    files: &mut Files,
) -> Result<(), EmitError> {
    let machine = Machine::standing(frame.blueprint, &planned.site, &planned.shape)?;
    let name = format!(
        "{}-{}",
        shortened(&format!("{}-{}", slug(&planned.site), slug(&planned.shape))),
        network(rail)
    );
    let mut spec = json!({
        "nodeSelector": node_selector(frame.blueprint, machine, &mut files.warnings),
        "resourceName": counted(rail),
        "nicSelector": { "vendor": MELLANOX, "pfNames": [port] },
        "numVfs": 1,
        "deviceType": "netdevice",
        "isRdma": true,
        "linkType": if link == Link::InfiniBand { "IB" } else { "ETH" },
        "priority": 90,
    });
    if link == Link::Ethernet {
        spec["mtu"] = json!(ETHERNET_MTU);
    }
    let own = labels([("capstan.dev/site", &slug(&planned.site))]);
    let object = Object {
        api_version: "sriovnetwork.openshift.io/v1",
        kind: "SriovNetworkNodePolicy",
        metadata: meta(frame, &name, &own),
        spec,
    };
    let note = format!(
        "port {port} of {} at {} is rail {rail}, by {}.\nMachines are drained one by one when it changes, and may start again.",
        planned.shape, planned.site, planned.switch
    );
    files.add(Wave::Operators, FOLDER, ("SriovNetworkNodePolicy", &name), &note, &object)
}

/// Adds the network of a rail, which the operator makes known in the namespace of the plan.
fn add_network(frame: &Frame<'_>, link: Link, rail: usize, files: &mut Files) -> Result<(), EmitError> {
    let name = network(rail);
    let mut spec: Value = json!({
        "resourceName": counted(rail),
        "networkNamespace": frame.deploy.namespace,
        "ipam": json!({ "type": "nv-ipam", "poolName": name }).to_string(),
    });
    let kind = match link {
        Link::InfiniBand => {
            spec["linkState"] = json!("enable");
            "SriovIBNetwork"
        }
        Link::Ethernet => "SriovNetwork",
    };
    let object = Object {
        api_version: "sriovnetwork.openshift.io/v1",
        kind,
        metadata: meta(frame, &name, &Labels::new()),
        spec,
    };
    let note =
        format!("rail {rail}, for pods that span machines; its addresses are those of the pool `{name}`.");
    files.add(Wave::Operators, FOLDER, (kind, &name), &note, &object)
}
