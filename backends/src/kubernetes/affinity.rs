//! On which nodes may a replica run, and where among them should it?
//!
//! Nodes are told apart by labels that cloud and device plugin set; where neither does, by labels of Capstan's own
//! that the operator sets (and a warning that says which). It does not know the nodes that exist.

use super::object::{Labels, Selector, slug};
use super::pod::{Affinity, Preference, Spread, Term, Toleration, WeightedTerm};
use super::products::{nvidia_label, resource};
use super::server::{Server, found};
use super::{EmitError, Warning, hosts};
use capstan_types::blueprint::Blueprint;
use capstan_types::hardware::{Accelerator, NodeShape};
use capstan_types::spec::Site;

/// Label of a node's name, one per node.
const HOSTNAME: &str = "kubernetes.io/hostname";

/// Providers whose controllers label nodes with instance type and region as their price lists spell them
/// (kubernetes.io, well-known labels).
const LABELLED: [&str; 3] = ["aws", "gcp", "azure"];

/// The machines that something runs on.
#[derive(Clone, Copy)]
pub(super) struct Machine<'a> {
    pub(super) shape: &'a NodeShape,
    /// Its accelerators, where it has any.
    pub(super) accelerator: Option<&'a Accelerator>,
    pub(super) site: &'a Site,
}

impl<'a> Machine<'a> {
    /// Returns the machine of a shape at a site.
    pub(super) fn standing(blueprint: &'a Blueprint, site: &str, shape: &str) -> Result<Self, EmitError> {
        let (spec, catalog) = (&blueprint.inputs.spec, &blueprint.inputs.catalog);
        let site = found("site", site, spec.sites.iter().find(|own| own.name == site))?;
        let shape = found("shape", shape, catalog.shape(shape))?;
        let accelerator = match &shape.accelerator {
            Some(id) => Some(found("accelerator", id, catalog.accelerator(id))?),
            None => None,
        };
        Ok(Self { shape, accelerator, site })
    }

    /// Returns who makes its accelerators, where it has any.
    pub(super) fn vendor(self) -> Option<&'a str> {
        self.accelerator.map(|accelerator| accelerator.vendor.as_str())
    }
}

/// Returns the labels that a node must carry.
pub(super) fn node_selector(
    blueprint: &Blueprint,
    machine: Machine<'_>,
    warnings: &mut Vec<Warning>,
) -> Labels {
    let mut required = Labels::new();
    if LABELLED.contains(&machine.shape.provider.as_str()) {
        let instance = machine.shape.names.first().unwrap_or(&machine.shape.id);
        required.insert("node.kubernetes.io/instance-type".to_owned(), instance.clone());
    } else if let Some(product) = machine.accelerator.and_then(|chip| nvidia_label(&chip.id)) {
        required.insert("nvidia.com/gpu.product".to_owned(), product.to_owned());
    } else {
        let (key, value) = match machine.accelerator {
            Some(chip) => ("capstan.dev/accelerator", slug(&chip.id)),
            None => ("capstan.dev/shape", slug(&machine.shape.id)),
        };
        ask_unless_made(blueprint, machine, (key, &value), warnings);
        required.insert(key.to_owned(), value);
    }
    match &machine.site.region {
        Some(region) if LABELLED.contains(&machine.site.provider.as_str()) => {
            required.insert("topology.kubernetes.io/region".to_owned(), region.clone());
        }
        _ if several_sites(blueprint) => {
            let value = slug(&machine.site.name);
            ask_unless_made(blueprint, machine, ("capstan.dev/site", &value), warnings);
            required.insert("capstan.dev/site".to_owned(), value);
        }
        _ => {}
    }
    required
}

/// Asks people for a label, unless what makes nodes of the machines sets it.
fn ask_unless_made(
    blueprint: &Blueprint,
    machine: Machine<'_>,
    (key, value): (&str, &str),
    warnings: &mut Vec<Warning>,
) {
    if !hosts::labels_nodes(blueprint, machine) {
        ask(machine, key, value, warnings);
    }
}

/// Asks people for a label that nothing else sets.
pub(super) fn ask(machine: Machine<'_>, key: &str, value: &str, warnings: &mut Vec<Warning>) {
    let message = format!("label its {} nodes with `{key}={value}`; nothing else does", machine.shape.id);
    warnings.push(Warning { subject: machine.site.name.clone(), message });
}

fn several_sites(blueprint: &Blueprint) -> bool {
    super::sites(blueprint).len() > 1
}

/// Returns the taints of accelerator nodes that what runs there tolerates.
pub(super) fn tolerations(machine: Machine<'_>) -> Vec<Toleration> {
    let taint = |vendor| Toleration { key: resource(vendor), operator: "Exists", effect: "NoSchedule" };
    machine.vendor().map(taint).into_iter().collect()
}

/// Returns how replicas relate to each other on nodes.
///
/// The plan counts nodes with as many replicas as fit. Where replicas of another size share the machines, spreading
/// small ones would leave no whole node for large ones, so they are packed; elsewhere they are spread, which loses
/// fewer replicas with a node. Either is a preference: it never keeps a pod from running.
pub(super) fn affinity(blueprint: &Blueprint, server: &Server<'_>) -> Option<Affinity> {
    if server.placement.candidate.replicas_per_node < 2 {
        return None;
    }
    Some(preferred(shares_machines(blueprint, server), &server.instance()))
}

/// Returns the preference that pods with the same labels run on one node, or else on as many as there are.
pub(super) fn preferred(packed: bool, own: &Labels) -> Affinity {
    let term = Term { topology_key: HOSTNAME, label_selector: Selector::of(own) };
    let preference = Preference {
        preferred_during_scheduling_ignored_during_execution: vec![WeightedTerm {
            weight: 100,
            pod_affinity_term: term,
        }],
    };
    if packed {
        Affinity { pod_affinity: Some(preference), pod_anti_affinity: None }
    } else {
        Affinity { pod_affinity: None, pod_anti_affinity: Some(preference) }
    }
}

/// Returns whether replicas of another size run on the same machines.
fn shares_machines(blueprint: &Blueprint, server: &Server<'_>) -> bool {
    let own = &server.placement.candidate;
    blueprint.services.iter().flat_map(|service| &service.placements).any(|other| {
        other.site == server.placement.site
            && other.candidate.shape == own.shape
            && other.candidate.accelerators != own.accelerators
    })
}

/// Returns the spread of a placement over the zones that its site asks for.
pub(super) fn zones(server: &Server<'_>, warnings: &mut Vec<Warning>) -> Vec<Spread> {
    let zones = server.serve.zones_at(server.site);
    if zones > 1 && server.pods_per_replica() > 1 {
        let message =
            format!("{zones} zones are asked for, but replicas over several nodes are not spread over zones");
        warnings.push(Warning { subject: server.serve.name.clone(), message });
        return Vec::new();
    }
    over_zones((server.machine(), zones), &server.answering(), "pod-template-hash", warnings)
}

/// Returns the spread of pods over so many zones; `generation` is the label by which their controller
/// tells new ones from old ones.
///
/// `minDomains` makes the limit hold even where fewer zones have nodes; the scheduler then refuses instead of
/// packing one zone. Uneven zones leave pods pending, which is said.
pub(super) fn over_zones(
    (machine, zones): (Machine<'_>, u32),
    pods: &Labels,
    generation: &'static str,
    warnings: &mut Vec<Warning>,
) -> Vec<Spread> {
    if zones < 2 {
        return Vec::new();
    }
    let message = format!(
        "its {} nodes must be spread evenly over {zones} zones, or replicas stay pending",
        machine.shape.id
    );
    warnings.push(Warning { subject: machine.site.name.clone(), message });
    vec![Spread {
        max_skew: 1,
        min_domains: zones,
        topology_key: "topology.kubernetes.io/zone",
        when_unsatisfiable: "DoNotSchedule",
        label_selector: Selector::of(pods),
        match_label_keys: vec![generation],
    }]
}
