//! Where do rented machines come from? Node pools of Karpenter, one per way in which they were bought.
//!
//! The class of nodes (image, network, disks) is the cloud's own object and is only named. Machines of own sites stand there.

use super::affinity::{Machine, tolerations};
use super::object::{Labels, Object, labels, slug};
use super::products::resource;
use super::queues::{Lot, capacity_label, lots};
use super::server::shortened;
use super::{EmitError, Files, Frame, Wave};
use capstan_types::blueprint::Pool;
use serde_json::{Value, json};

const FOLDER: &str = "05-nodes";

/// Group and kind of the class of nodes at each provider that Karpenter makes machines at (karpenter.sh, providers).
const CLASSES: [(&str, &str, &str); 3] = [
    ("aws", "karpenter.k8s.aws", "EC2NodeClass"),
    ("azure", "karpenter.azure.com", "AKSNodeClass"),
    ("gcp", "karpenter.k8s.gcp", "GCENodeClass"),
];

/// Which pool is tried first: what is paid for anyway, then what is cheapest, then what is always there.
fn weight(way: &str) -> u32 {
    match way {
        "reserved" => 100,
        "spot" => 50,
        _ => 10,
    }
}

/// Adds the node pools of rented machines.
pub(super) fn add(frame: &Frame<'_>, files: &mut Files) -> Result<(), EmitError> {
    let Some(class) = &frame.deploy.karpenter else { return Ok(()) };
    for pool in &frame.blueprint.pools {
        let machine = Machine::standing(frame.blueprint, &pool.site, &pool.shape)?;
        let site = machine.site;
        if site.is_own() {
            continue;
        }
        let Some((_, group, kind)) = CLASSES.iter().find(|(provider, ..)| *provider == site.provider) else {
            let message = format!(
                "Karpenter makes no machines at {}; make those of {} by hand",
                site.provider, pool.shape
            );
            files.warn(&pool.site, message);
            continue;
        };
        let class_ref = json!({ "group": group, "kind": kind, "name": class });
        let lots: Vec<Lot<'_>> = lots(pool).into_iter().filter(|lot| lot.way != "owned").collect();
        if let Some(spot) = lots.iter().find(|lot| lot.way == "spot").filter(|_| lots.len() > 1) {
            let message = format!(
                "up to {} spot machines of {} are taken before those on demand, whatever the share of hours that was planned: Karpenter keeps no share",
                spot.nodes, pool.shape
            );
            files.warn(&pool.site, message);
        }
        for lot in lots {
            add_pool(frame, &lot, machine, &class_ref, files)?;
        }
    }
    Ok(())
}

fn add_pool(
    frame: &Frame<'_>,
    lot: &Lot<'_>,
    machine: Machine<'_>,
    class: &Value,
    files: &mut Files,
) -> Result<(), EmitError> {
    let Pool { site, shape, .. } = lot.pool;
    let name = shortened(&format!("{}-{}-{}-{}", frame.plan, slug(site), slug(shape), lot.way));
    let instance = machine.shape.names.first().unwrap_or(&machine.shape.id);
    let zones = machine.site.zones.as_ref().map_or(1, |limit| limit.value);
    let mut zone = json!({ "key": "topology.kubernetes.io/zone", "operator": "Exists" });
    // One zone's reclaim must not take every spot machine.
    let least = if lot.way == "spot" { zones.max(2) } else { zones };
    if least > 1 {
        zone["minValues"] = json!(least);
    }
    let nodes = u64::from(lot.nodes);
    let limits = match machine.vendor() {
        Some(vendor) => labels([(resource(vendor), &(nodes * u64::from(lot.pool.accelerators)).to_string())]),
        None => machine
            .shape
            .vcpus
            .map(|vcpus| labels([("cpu", &(nodes * u64::from(vcpus)).to_string())]))
            .unwrap_or_default(),
    };
    let spec = json!({
        "weight": weight(lot.way),
        "limits": limits,
        // A machine with accelerators takes minutes to come, so only an empty one goes.
        "disruption": { "consolidationPolicy": "WhenEmpty", "consolidateAfter": "10m", "budgets": [{ "nodes": "10%" }] },
        "template": {
            "metadata": { "labels": labels([("capstan.dev/site", &slug(site))]) },
            "spec": {
                "expireAfter": "Never",
                "nodeClassRef": class,
                "taints": tolerations(machine).iter().map(|one| json!({ "key": one.key, "value": "present", "effect": one.effect })).collect::<Vec<_>>(),
                "requirements": [
                    { "key": capacity_label(frame), "operator": "In", "values": [lot.way] },
                    { "key": "node.kubernetes.io/instance-type", "operator": "In", "values": [instance] },
                    zone,
                ],
            },
        },
    });
    let object = Object {
        api_version: "karpenter.sh/v1",
        kind: "NodePool",
        metadata: frame.cluster_meta(&name, Wave::Operators, &Labels::new()),
        spec,
    };
    let note = format!("at most {} {} machines of {shape} at {site}.", lot.nodes, lot.way);
    files.add(Wave::Operators, FOLDER, ("NodePool", &name), &note, &object)
}
