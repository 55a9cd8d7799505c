//! How does training get its machines? A queue that holds the accelerators which were bought for it, way by way.
//!
//! Objects of Kueue. Quotas are those of the plan: as many nodes as trainings and their spares take, from the ways in which
//! the machines were bought, the firmest first.

use super::affinity::{ask, node_selector, tolerations};
use super::container::Share;
use super::object::{Labels, Object, labels, slug};
use super::products::resource;
use super::server::shortened;
use super::training::Job;
use super::{EmitError, Files, Frame, Wave, rails};
use capstan_types::blueprint::Pool;
use capstan_types::offering::PurchaseOption;
use serde_json::{Value, json};

const FOLDER: &str = "20-queues";

/// Nodes of one shape at one site that were bought in one way.
pub(super) struct Lot<'a> {
    pub(super) pool: &'a Pool,
    /// How, as labels of nodes say it.
    pub(super) way: &'static str,
    pub(super) nodes: u32,
}

/// Returns the word of a purchase option in labels.
pub(super) fn way(option: PurchaseOption) -> &'static str {
    match option {
        PurchaseOption::Owned => "owned",
        PurchaseOption::Reserved { .. }
        | PurchaseOption::SavingsPlan { .. }
        | PurchaseOption::Block { .. } => "reserved",
        PurchaseOption::OnDemand => "on-demand",
        PurchaseOption::Spot => "spot",
    }
}

/// Returns the lots of a pool, those that stand there already as owned, the firmest first.
pub(super) fn lots(pool: &Pool) -> Vec<Lot<'_>> {
    let count = |name: &str| -> u32 {
        let bought = pool.purchases.iter().filter(|one| way(one.option) == name).map(|one| one.nodes);
        bought.sum()
    };
    let stood = pool.fleet.iter().copied().max().unwrap_or(0);
    let all = [
        ("owned", stood + count("owned")),
        ("reserved", count("reserved")),
        ("on-demand", count("on-demand")),
        ("spot", count("spot")),
    ];
    all.into_iter().filter(|(_, nodes)| *nodes > 0).map(|(way, nodes)| Lot { pool, way, nodes }).collect()
}

/// Returns the name of the queue that trainings of a plan wait in.
pub(super) fn local(frame: &Frame<'_>) -> String {
    shortened(&format!("{}-training", frame.plan))
}

/// A flavor with its quota.
struct Flavor<'a> {
    name: String,
    job: &'a Job<'a>,
    lot: Lot<'a>,
    /// Of its nodes, those that trainings take.
    nodes: u32,
}

/// Adds the queue, where trainings wait in one.
pub(super) fn add(frame: &Frame<'_>, jobs: &[Job<'_>], files: &mut Files) -> Result<(), EmitError> {
    let queued = frame.deploy.training.as_ref().is_some_and(|wish| wish.queued);
    if !queued || jobs.is_empty() {
        return Ok(());
    }
    let flavors = flavors(frame, jobs);
    for flavor in &flavors {
        add_flavor(frame, flavor, files)?;
    }
    let name = local(frame);
    add_queue(frame, &name, &flavors, files)?;
    let object = Object {
        api_version: "kueue.x-k8s.io/v1beta2",
        kind: "LocalQueue",
        metadata: frame.meta(&name, Wave::Queues, &Labels::new()),
        spec: json!({ "clusterQueue": name }),
    };
    files.add(Wave::Queues, FOLDER, ("LocalQueue", &name), "where trainings of the plan wait.", &object)
}

/// Returns the flavors of all trainings, each pool once.
fn flavors<'a>(frame: &Frame<'a>, jobs: &'a [Job<'a>]) -> Vec<Flavor<'a>> {
    let mut flavors: Vec<Flavor<'a>> = Vec::new();
    for pool in &frame.blueprint.pools {
        let own = |job: &&Job<'_>| job.run.site == pool.site && job.run.candidate.shape == pool.shape;
        let Some(first) = jobs.iter().find(own) else { continue };
        let mut left: u32 =
            jobs.iter().filter(own).map(|job| job.run.candidate.nodes + job.run.spare_nodes).sum();
        for lot in lots(pool) {
            let nodes = lot.nodes.min(left);
            left -= nodes;
            if nodes > 0 {
                let name = format!("{}-{}-{}-{}", frame.plan, slug(&pool.site), slug(&pool.shape), lot.way);
                flavors.push(Flavor { name: shortened(&name), job: first, lot, nodes });
            }
        }
    }
    flavors
}

fn add_flavor(frame: &Frame<'_>, flavor: &Flavor<'_>, files: &mut Files) -> Result<(), EmitError> {
    let mut selector = node_selector(frame.blueprint, flavor.job.machine, &mut files.warnings);
    // Lots of one pool differ by their label only, so a single one needs none.
    if lots(flavor.lot.pool).len() > 1 {
        let key = capacity_label(frame);
        if frame.deploy.karpenter.is_none() || flavor.lot.way == "owned" {
            ask(flavor.job.machine, key, flavor.lot.way, &mut files.warnings);
        }
        selector.insert(key.to_owned(), flavor.lot.way.to_owned());
    }
    let object = Object {
        api_version: "kueue.x-k8s.io/v1beta2",
        kind: "ResourceFlavor",
        metadata: frame.cluster_meta(&flavor.name, Wave::Queues, &Labels::new()),
        spec: json!({ "nodeLabels": selector, "tolerations": tolerations(flavor.job.machine) }),
    };
    let note = format!("{} nodes of {} at {}.", flavor.lot.way, flavor.lot.pool.shape, flavor.lot.pool.site);
    files.add(Wave::Queues, FOLDER, ("ResourceFlavor", &flavor.name), &note, &object)
}

/// Returns the label that tells nodes by the way in which they were bought.
pub(super) fn capacity_label(frame: &Frame<'_>) -> &'static str {
    if frame.deploy.karpenter.is_some() { "karpenter.sh/capacity-type" } else { "capstan.dev/capacity" }
}

fn add_queue(
    frame: &Frame<'_>,
    name: &str,
    flavors: &[Flavor<'_>],
    files: &mut Files,
) -> Result<(), EmitError> {
    let mut groups: Vec<Value> = Vec::new();
    let mut vendors: Vec<&str> = flavors.iter().filter_map(|one| one.job.machine.vendor()).collect();
    vendors.dedup();
    if vendors.len() > 1 {
        return Err(EmitError::SeveralVendors { queue: name.to_owned() });
    }
    if let Some(vendor) = vendors.first() {
        // What a pod asks for and no queue covers keeps it waiting, so rails are covered too.
        let most = flavors.iter().map(|flavor| taken(frame, flavor.job)).max().unwrap_or(0);
        let mut covered = vec!["cpu".to_owned(), "memory".to_owned(), resource(vendor).to_owned()];
        covered.extend((0..most).map(rails::resource));
        groups.push(json!({ "coveredResources": covered, "flavors": rows(frame, flavors, most, files) }));
    }
    let spec = json!({
        "namespaceSelector": { "matchLabels": labels([("kubernetes.io/metadata.name", frame.deploy.namespace.as_str())]) },
        "queueingStrategy": "BestEffortFIFO",
        "flavorFungibility": { "whenCanBorrow": "MayStopSearch", "whenCanPreempt": "TryNextFlavor" },
        "preemption": { "withinClusterQueue": "LowerPriority" },
        "resourceGroups": groups,
    });
    let object = Object {
        api_version: "kueue.x-k8s.io/v1beta2",
        kind: "ClusterQueue",
        metadata: frame.cluster_meta(name, Wave::Queues, &Labels::new()),
        spec,
    };
    let note = "the machines that were planned for training, way by way.";
    files.add(Wave::Queues, FOLDER, ("ClusterQueue", name), note, &object)
}

/// Returns the rails that a pod of a training takes.
fn taken(frame: &Frame<'_>, job: &Job<'_>) -> usize {
    rails::taken(frame, job.machine, job.run.candidate.nodes)
}

/// Returns the quotas of flavors, each with the first so many rails.
fn rows(frame: &Frame<'_>, flavors: &[Flavor<'_>], most: usize, files: &mut Files) -> Vec<Value> {
    let row = |flavor: &Flavor<'_>| {
        let mut row = row(flavor, files);
        let own = taken(frame, flavor.job);
        let nodes = |rail| if rail < own { flavor.nodes } else { 0 };
        let more = (0..most)
            .map(|rail| json!({ "name": rails::resource(rail), "nominalQuota": nodes(rail).to_string() }));
        if let Some(resources) = row["resources"].as_array_mut() {
            resources.extend(more);
        }
        row
    };
    flavors.iter().map(row).collect()
}

/// Returns the quota of a flavor: what pods may ask of its nodes.
fn row(flavor: &Flavor<'_>, files: &mut Files) -> Value {
    let job = flavor.job;
    let share = Share::of(job.machine, job.per_node(), &job.run.workload, &mut files.warnings);
    let nodes = u64::from(flavor.nodes);
    // What is not known of a machine is not asked for by its pods either; the quota must still name it.
    let cpu = share.cpu.unwrap_or(0) * nodes;
    let memory = share.memory_gib.unwrap_or(0) * nodes;
    json!({ "name": flavor.name, "resources": [
        { "name": "cpu", "nominalQuota": cpu.to_string() },
        { "name": "memory", "nominalQuota": format!("{memory}Gi") },
        { "name": job.machine.vendor().map(resource), "nominalQuota": (nodes * u64::from(job.per_node())).to_string() },
    ] })
}
