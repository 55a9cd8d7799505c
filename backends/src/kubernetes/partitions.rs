//! How are accelerators cut up for services and notebooks? Partitions of the hardware, and shares of time.
//!
//! Geometries for the MIG manager and configurations of the device plugin of NVIDIA, both chosen by a label of each machine.
//! Labels are set by people: a machine that is cut anew must be empty first, which nothing here ensures.

use super::affinity::{Machine, ask};
use super::apps::Runner;
use super::object::{ConfigMap, Labels, Meta, labels};
use super::server::shortened;
use super::{EmitError, Files, Frame, Wave};
use capstan_types::blueprint::{AppRun, Blueprint, HOURS, Pool};
use capstan_types::spec::Slice;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

const FOLDER: &str = "05-nodes";

/// Namespace of the GPU operator, as its chart has it.
const OPERATOR: &str = "gpu-operator";

/// Label by which the MIG manager knows the geometry of a machine.
const MIG_LABEL: &str = "nvidia.com/mig.config";

/// Label by which the device plugin knows its configuration on a machine.
pub(super) const PLUGIN_LABEL: &str = "nvidia.com/device-plugin.config";

/// The geometry of machines without the label.
pub(super) const UNCUT: &str = "all-disabled";

/// The configuration of the device plugin on machines without the label.
pub(super) const UNSHARED: &str = "whole";

/// Accelerators of one machine that are cut alike: the profile, how many of it one accelerator has, and how many those are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Cut {
    profile: String,
    each: u32,
    accelerators: u32,
}

/// Machines that are cut alike.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Layout<'a> {
    site: &'a str,
    shape: &'a str,
    /// Of one machine; what is left of it stays whole.
    cuts: Vec<Cut>,
    /// Accelerators of one machine.
    accelerators: u32,
    machines: u32,
}

impl Layout<'_> {
    /// Returns its name, which is the same for machines that are cut the same.
    fn name(&self) -> String {
        let cuts: Vec<String> = self
            .cuts
            .iter()
            .map(|cut| format!("{}-x{}", cut.profile.replace('+', "."), cut.accelerators))
            .collect();
        let whole = self.whole();
        let rest = if whole > 0 { format!("-whole-x{whole}") } else { String::new() };
        shortened(&format!("{}{rest}", cuts.join("-")))
    }

    fn whole(&self) -> u32 {
        self.accelerators - self.cuts.iter().map(|cut| cut.accelerators).sum::<u32>()
    }

    /// Returns the rows of mig-parted: which accelerators are cut into what.
    fn rows(&self) -> Value {
        let mut rows = Vec::new();
        let mut next = 0;
        for cut in &self.cuts {
            let devices: Vec<u32> = (next..next + cut.accelerators).collect();
            next += cut.accelerators;
            let profiles = Map::from_iter([(cut.profile.clone(), json!(cut.each))]);
            rows.push(json!({ "devices": devices, "mig-enabled": true, "mig-devices": profiles }));
        }
        if next < self.accelerators {
            let devices: Vec<u32> = (next..self.accelerators).collect();
            rows.push(json!({ "devices": devices, "mig-enabled": false }));
        }
        Value::Array(rows)
    }
}

/// Returns whether anything takes partitions of the hardware, and whether anything takes shares of time.
pub(super) fn asked(runners: &[Runner<'_>]) -> (bool, bool) {
    let takes = || runners.iter().filter(|one| one.is_written()).filter_map(|one| one.takes.as_ref());
    (takes().any(|one| one.resource.contains("/mig-")), takes().any(|one| one.plugin.is_some()))
}

/// Returns the names of the ConfigMaps: geometries, and configurations of the device plugin.
pub(super) fn names(frame: &Frame<'_>) -> (String, String) {
    (shortened(&format!("{}-partitions", frame.plan)), shortened(&format!("{}-shares", frame.plan)))
}

/// Adds how accelerators are cut up, and says which machines must be labelled for it.
pub(super) fn add(frame: &Frame<'_>, runners: &[Runner<'_>], files: &mut Files) -> Result<(), EmitError> {
    let (partitions, shares) = names(frame);
    let layouts = layouts(runners);
    for layout in &layouts {
        let name = layout.name();
        let label = if frame.deploy.gpu_operator { String::new() } else { what(layout) };
        let message = format!(
            "label {} of its {} nodes, while they are empty, with `{MIG_LABEL}={name}`{label}; nothing else does",
            layout.machines, layout.shape
        );
        files.warn(layout.site, message);
    }
    let plugins = plugins(runners);
    for (name, _, machine, nodes) in &plugins {
        ask(*machine, PLUGIN_LABEL, name, &mut files.warnings);
        let message = format!(
            "{nodes} of its {} nodes are shared by time as a whole: what takes whole accelerators does not run on them",
            machine.shape.id
        );
        files.warn(&machine.site.name, message);
    }
    warn_of_mixtures(frame, runners, files);
    if !frame.deploy.gpu_operator {
        return Ok(());
    }
    if !layouts.is_empty() {
        let mut all = Map::new();
        all.insert(UNCUT.to_owned(), json!([{ "devices": "all", "mig-enabled": false }]));
        all.extend(layouts.iter().map(|layout| (layout.name(), layout.rows())));
        let text = text(&json!({ "version": "v1", "mig-configs": all }))?;
        let note = "how accelerators are partitioned; a machine takes the geometry that its label names.";
        add_map(frame, &partitions, labels([("config.yaml", &text)]), note, files)?;
    }
    if !plugins.is_empty() {
        let mut all = Labels::new();
        all.insert(UNSHARED.to_owned(), text(&json!({ "version": "v1" }))?);
        for (name, shares, ..) in &plugins {
            let row = json!({ "name": "nvidia.com/gpu", "replicas": shares });
            // Under a name of their own, so that nothing takes a share for a whole accelerator.
            let sharing = json!({ "timeSlicing": { "renameByDefault": true, "resources": [row] } });
            all.insert(name.clone(), text(&json!({ "version": "v1", "sharing": sharing }))?);
        }
        let note =
            "how accelerators are shared by time; a machine takes the configuration that its label names.";
        add_map(frame, &shares, all, note, files)?;
    }
    Ok(())
}

/// Says where more machines are needed than are planned, because one is shared by time in one way as a whole: parts of
/// different sizes, or parts and whole accelerators, are then on machines of their own.
fn warn_of_mixtures(frame: &Frame<'_>, runners: &[Runner<'_>], files: &mut Files) {
    for pool in &frame.blueprint.pools {
        let mut shared: BTreeMap<&str, Vec<&Runner<'_>>> = BTreeMap::new();
        for runner in runners.iter().filter(|runner| is_of(pool, &runner.run.site, &runner.run.shape)) {
            if let Some(name) = runner.takes.as_ref().and_then(|takes| takes.plugin.as_deref()) {
                shared.entry(name).or_default().push(runner);
            }
        }
        let Some((asked, planned)) = short(frame.blueprint, pool, &shared) else { continue };
        let parts = |(name, of): (&&str, &Vec<&Runner<'_>>)| {
            let names: Vec<String> = of.iter().map(|runner| format!("`{}`", runner.run.workload)).collect();
            format!("{} ({name})", names.join(", "))
        };
        let parts: Vec<String> = shared.iter().map(parts).collect();
        let message = format!(
            "a machine is shared by time as a whole and in one way: with nodes for each of {} and for whole accelerators it takes {asked} {}, and {planned} are planned: use one `slice` for all, or add machines",
            parts.join(" and "),
            pool.shape
        );
        files.warn(&pool.site, message);
    }
}

/// Returns the nodes that a pool needs if each way to share by time has nodes of its own, and those that are planned, at the
/// hour at which the most are missing; none where none are.
fn short(
    blueprint: &Blueprint,
    pool: &Pool,
    shared: &BTreeMap<&str, Vec<&Runner<'_>>>,
) -> Option<(u32, u32)> {
    let all = pool.accelerators.max(1);
    let at = |period: usize, hour: usize| {
        let taken = |runner: &&Runner<'_>| accelerators_of(runner, runner.run.instances[hour]);
        let of_each = shared.values().map(|of| of.iter().map(taken).sum::<u32>().div_ceil(all));
        let asked = of_each.sum::<u32>() + whole_at(blueprint, pool, period, hour).div_ceil(all);
        let needed = pool.needed.get(period).and_then(|hours| hours.get(hour)).copied().unwrap_or(0);
        (asked, needed.saturating_sub(pool.spares))
    };
    let hours = (0..blueprint.periods.len()).flat_map(|period| (0..HOURS).map(move |hour| (period, hour)));
    let missing = hours.map(|(period, hour)| at(period, hour)).filter(|(asked, planned)| asked > planned);
    missing.filter(|_| !shared.is_empty()).max_by_key(|(asked, planned)| asked - planned)
}

/// Returns the accelerators of a pool that are not shared by time at an hour.
fn whole_at(blueprint: &Blueprint, pool: &Pool, period: usize, hour: usize) -> u32 {
    let placements = blueprint.services.iter().flat_map(|service| &service.placements);
    let placements = placements.filter(|one| is_of(pool, &one.site, &one.candidate.shape));
    let serving = placements.map(|one| {
        let replicas = one.replicas.get(period).and_then(|hours| hours.get(hour)).copied().unwrap_or(0);
        replicas * one.candidate.accelerators
    });
    let batches = blueprint.batches.iter().filter(|run| is_of(pool, &run.site, &run.candidate.shape));
    let batches = batches.map(|run| run.replicas_at(period, hour) * run.candidate.accelerators);
    let trainings = blueprint.trainings.iter().filter(|run| is_of(pool, &run.site, &run.candidate.shape));
    let trainings = trainings
        .filter(|run| run.runs_at(period, hour))
        .map(|run| (run.candidate.nodes + run.spare_nodes) * pool.accelerators);
    let apps = blueprint.apps.iter().filter(|run| is_of(pool, &run.site, &run.shape));
    let is_shared = |run: &AppRun| matches!(run.part, Some(Slice::Share { .. })) && run.per_accelerator > 1;
    let apps = apps.filter(|run| run.part.is_some() && !is_shared(run));
    let apps = apps.map(|run| run.instances[hour].div_ceil(run.per_accelerator.max(1)));
    serving.chain(batches).chain(trainings).chain(apps).sum()
}

fn is_of(pool: &Pool, site: &str, shape: &str) -> bool {
    pool.site == site && pool.shape == shape
}

/// Returns what a layout is, for those who make it without the operator.
fn what(layout: &Layout<'_>) -> String {
    let cuts: Vec<String> = layout
        .cuts
        .iter()
        .map(|cut| format!("{} × {} on each of {} accelerators", cut.each, cut.profile, cut.accelerators))
        .collect();
    format!(" ({}, under the strategy `mixed`)", cuts.join(", "))
}

fn text(tree: &Value) -> Result<String, EmitError> {
    serde_saphyr::to_string(tree).map_err(|error| EmitError::Yaml(error.to_string()))
}

/// Adds a ConfigMap that the GPU operator reads.
pub(super) fn add_map(
    frame: &Frame<'_>,
    name: &str,
    data: Labels,
    note: &str,
    files: &mut Files,
) -> Result<(), EmitError> {
    let metadata = Meta {
        namespace: Some(OPERATOR.to_owned()),
        ..frame.cluster_meta(name, Wave::Config, &Labels::new())
    };
    let map = ConfigMap { api_version: "v1", kind: "ConfigMap", metadata, data };
    files.add(Wave::Config, FOLDER, ("ConfigMap", name), note, &map)
}

/// Returns how machines are cut for everything that takes partitions: accelerators in the order of the plan, machine by machine.
fn layouts<'a>(runners: &[Runner<'a>]) -> Vec<Layout<'a>> {
    let mut pools: BTreeMap<(&str, &str), (u32, Vec<Cut>)> = BTreeMap::new();
    for runner in runners.iter().filter(|runner| runner.is_written()) {
        let (Some(Slice::Profile { profile }), Some(chip)) = (&runner.run.part, runner.machine.accelerator)
        else {
            continue;
        };
        let all = runner.machine.shape.accelerators;
        let each = chip.slices.iter().find(|slice| slice.profile == *profile).map_or(1, |slice| slice.most);
        let place = (runner.run.site.as_str(), runner.run.shape.as_str());
        let (_, cuts) = pools.entry(place).or_insert((all, Vec::new()));
        let accelerators = accelerators(runner);
        match cuts.iter_mut().find(|cut| cut.profile == *profile) {
            Some(cut) => cut.accelerators += accelerators,
            None => cuts.push(Cut { profile: profile.clone(), each, accelerators }),
        }
    }
    let mut layouts: Vec<Layout<'a>> = Vec::new();
    for ((site, shape), (all, cuts)) in pools {
        for cuts in machines(cuts, all) {
            let alike =
                |known: &&mut Layout<'_>| (known.site, known.shape) == (site, shape) && known.cuts == cuts;
            match layouts.iter_mut().find(alike) {
                Some(layout) => layout.machines += 1,
                None => layouts.push(Layout { site, shape, cuts, accelerators: all, machines: 1 }),
            }
        }
    }
    layouts
}

/// Returns the accelerators that the instances of the busiest hour take.
fn accelerators(runner: &Runner<'_>) -> u32 {
    accelerators_of(runner, runner.instances())
}

fn accelerators_of(runner: &Runner<'_>, instances: u32) -> u32 {
    let each = runner.run.per_accelerator.max(1);
    let all = runner.machine.shape.accelerators;
    // Where threads or memory hold fewer instances than the accelerators do, one has several of them for itself.
    instances.div_ceil(each) * (each * all).div_ceil(runner.run.per_node.max(1))
}

/// Deals cuts out over machines with so many accelerators each.
fn machines(cuts: Vec<Cut>, all: u32) -> Vec<Vec<Cut>> {
    let (mut machines, mut left): (Vec<Vec<Cut>>, u32) = (Vec::new(), 0);
    for cut in cuts {
        let mut open = cut.accelerators;
        while open > 0 {
            if left == 0 {
                machines.push(Vec::new());
                left = all.max(1);
            }
            let taken = open.min(left);
            if let Some(machine) = machines.last_mut() {
                machine.push(Cut { accelerators: taken, ..cut.clone() });
            }
            (open, left) = (open - taken, left - taken);
        }
    }
    machines
}

/// Returns the configurations of the device plugin: their names, shares of one accelerator, and on how many of which machines.
fn plugins<'a>(runners: &[Runner<'a>]) -> Vec<(String, u32, Machine<'a>, u32)> {
    let mut plugins: Vec<(String, u32, Machine<'a>, u32)> = Vec::new();
    for runner in runners.iter().filter(|runner| runner.is_written()) {
        let Some(name) = runner.takes.as_ref().and_then(|takes| takes.plugin.clone()) else { continue };
        let nodes = runner.instances().div_ceil(runner.run.per_node.max(1));
        plugins.push((name, runner.run.per_accelerator, runner.machine, nodes));
    }
    plugins
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(profile: &str, accelerators: u32) -> Cut {
        Cut { profile: profile.to_owned(), each: 7, accelerators }
    }

    #[test]
    fn accelerators_are_dealt_out_machine_by_machine() {
        let machines = machines(vec![cut("1g.5gb", 9), cut("3g.20gb", 2)], 4);
        let full = vec![cut("1g.5gb", 4)];
        assert_eq!(machines, [full.clone(), full, vec![cut("1g.5gb", 1), cut("3g.20gb", 2)]]);
        let layout = |cuts| Layout { site: "a", shape: "b", cuts, accelerators: 4, machines: 1 };
        let last = layout(machines[2].clone());
        assert_eq!(last.name(), "1g.5gb-x1-3g.20gb-x2-whole-x1");
        assert_eq!(
            last.rows(),
            json!([
                { "devices": [0], "mig-enabled": true, "mig-devices": { "1g.5gb": 7 } },
                { "devices": [1, 2], "mig-enabled": true, "mig-devices": { "3g.20gb": 7 } },
                { "devices": [3], "mig-enabled": false },
            ])
        );
        assert_eq!(layout(machines[0].clone()).name(), "1g.5gb-x4");
    }
}
