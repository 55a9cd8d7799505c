//! Which machines carry services and notebooks, and how many instances fit on one?
//!
//! An instance without an accelerator runs on a machine without any; it takes the larger of its shares of threads and
//! memory, rounded up to a half, a quarter and so on, since such parts fill machines without loss; or it has machines with
//! others of its kind alone, as many as these hold. One with a part of an
//! accelerator takes that, and as many share a machine as its accelerators, threads and memory hold. What a machine runs
//! for itself is kept free. It knows no price.

use crate::assemble::hours_of;
use crate::candidates::Tally;
use crate::columns::{is_allowed, spare_nodes};
use crate::market::{Market, Stand};
use crate::spares;
use capstan_types::blueprint::{AppRun, RejectionCount};
use capstan_types::catalog::Catalog;
use capstan_types::hardware::NodeShape;
use capstan_types::spec::{App, Slice, Spec};

/// Parts that a machine without accelerators is shared out in: a power of two, so that halves of halves fill it.
pub(crate) const PARTS_OF_NODE: u32 = 64;

/// Share of threads and memory that a machine keeps for its system and agents.
///
/// Origin: Assumed; Kubernetes on the machines of providers keeps 2 to 8 % for itself, and agents for metrics and logs
/// take as much again.
pub(crate) const KEPT_FREE: f64 = 0.1;

/// Returns the units that a machine is shared out in: its accelerators, or parts where it has none.
pub(crate) fn units(shape: &NodeShape) -> u32 {
    if shape.accelerators == 0 { PARTS_OF_NODE } else { shape.accelerators }
}

/// One workload with the places that can carry it.
#[derive(Debug, Clone)]
pub(crate) struct AppColumns<'a> {
    pub app: &'a App,
    pub columns: Vec<AppColumn>,
}

/// A place that can carry a workload.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AppColumn {
    /// Index into the market.
    pub stand: usize,
    /// Units of a machine that are charged at once.
    pub charge: u32,
    /// Instances that they hold.
    pub per_charge: u32,
    /// Instances that availability asks for beside.
    pub spares: u32,
    /// Charges that the spare machines of the site are worth.
    pub redundancy: u32,
    /// Instances that one accelerator and one machine hold.
    pub per_accelerator: u32,
    pub per_node: u32,
}

/// Why a machine cannot carry a workload.
enum Reject {
    NoAccelerator,
    NotAllowed,
    NoSuchPart,
    HostUnknown,
    TooSmall(f64),
    Availability,
}

impl Reject {
    fn code(&self) -> &'static str {
        match self {
            Self::NoAccelerator => "no_accelerator",
            Self::NotAllowed => "accelerator_not_allowed",
            Self::NoSuchPart => "no_such_partition",
            Self::HostUnknown => "host_unknown",
            Self::TooSmall(_) => "does_not_fit",
            Self::Availability => "availability_out_of_reach",
        }
    }

    fn words(&self) -> String {
        match self {
            Self::NoAccelerator => "it has no accelerator".to_owned(),
            Self::NotAllowed => "its accelerator is not allowed".to_owned(),
            Self::NoSuchPart => "its accelerator has no such partition".to_owned(),
            Self::HostUnknown => "its threads or memory are unknown".to_owned(),
            Self::TooSmall(excess) => format!("one instance takes {excess:.2} times what it has"),
            Self::Availability => "no number of spare instances reaches the availability".to_owned(),
        }
    }
}

/// Returns the places that can carry each workload, and why others cannot.
pub(crate) fn enumerate<'a>(
    spec: &'a Spec,
    catalog: &Catalog,
    market: &Market<'_>,
) -> (Vec<AppColumns<'a>>, Vec<RejectionCount>) {
    let mut rejections = Vec::new();
    let mut all = Vec::new();
    for app in &spec.apps {
        let mut tally = Tally::new(&app.name);
        let mut columns = Vec::new();
        for (index, stand) in market.stands.iter().enumerate() {
            let is_meant = app.part.is_some() == (stand.shape.accelerators > 0);
            if !is_meant || !is_allowed(app.sites.as_ref(), stand.site) {
                continue;
            }
            match places(catalog, app, index, stand) {
                Ok(here) => columns.extend(here),
                Err(reject) => {
                    let excess = if let Reject::TooSmall(excess) = reject { Some(excess) } else { None };
                    tally.add(&stand.shape.id, reject.code(), excess, &reject.words());
                }
            }
        }
        rejections.extend(tally.counts());
        all.push(AppColumns { app, columns });
    }
    (all, rejections)
}

/// Returns how a machine can carry a workload: shared with others, or, where it holds more so, alone.
fn places(catalog: &Catalog, app: &App, index: usize, stand: &Stand<'_>) -> Result<Vec<AppColumn>, Reject> {
    let shape = stand.shape;
    let by_host = by_host(app, shape)?;
    let host = by_host.floor().min(f64::from(u32::MAX)) as u32;
    let mut ways = Vec::new();
    match &app.part {
        None => {
            let share = 1.0 / by_host;
            let charge = ((share * f64::from(PARTS_OF_NODE) - 1e-9).ceil() as u32).max(1).next_power_of_two();
            let shared = PARTS_OF_NODE / charge;
            ways.push((charge, 1, 0, shared));
            if host > shared && !host.is_power_of_two() {
                ways.push((PARTS_OF_NODE, host, 0, host));
            }
        }
        Some(part) => {
            let each = per_accelerator(catalog, app, part, shape)?;
            let all = shape.accelerators;
            // Where threads or memory hold fewer than the accelerators do, fewer share one, or some stay empty.
            let each = each.min(host / all).max(1);
            let charge = all.div_ceil(host.min(all));
            ways.push((charge, each, each, each * (all / charge)));
        }
    }
    let spares = match &app.availability {
        Some(limit) => {
            spares::spares(app.instances, spares::node_availability(stand.site.is_own()), limit.value)
                .ok_or(Reject::Availability)?
        }
        None => 0,
    };
    let column = |(charge, per_charge, per_accelerator, per_node): (u32, u32, u32, u32)| {
        let busiest = (app.instances + spares).div_ceil(per_node.max(1));
        let redundancy = spare_nodes(stand.site.redundancy, busiest) * units(shape) / charge;
        AppColumn { stand: index, charge, per_charge, spares, redundancy, per_accelerator, per_node }
    };
    Ok(ways.into_iter().map(column).collect())
}

/// Returns how many instances the threads and the memory of a machine hold: at least one, as a fraction.
fn by_host(app: &App, shape: &NodeShape) -> Result<f64, Reject> {
    let (Some(threads), Some(memory)) = (shape.vcpus, shape.host_memory) else {
        // A machine with accelerators has a host made for them; what it holds beside is not told for all.
        return if shape.accelerators > 0 { Ok(f64::INFINITY) } else { Err(Reject::HostUnknown) };
    };
    let threads = f64::from(threads) * (1.0 - KEPT_FREE) / app.threads;
    let memory = memory.get() * (1.0 - KEPT_FREE) / app.memory.get();
    let fit = threads.min(memory);
    if fit < 1.0 { Err(Reject::TooSmall(1.0 / fit)) } else { Ok(fit) }
}

fn per_accelerator(catalog: &Catalog, app: &App, part: &Slice, shape: &NodeShape) -> Result<u32, Reject> {
    let chip =
        shape.accelerator.as_deref().and_then(|id| catalog.accelerator(id)).ok_or(Reject::NoAccelerator)?;
    if app.accelerators.as_ref().is_some_and(|names| !names.contains(&chip.id)) {
        return Err(Reject::NotAllowed);
    }
    match part {
        Slice::Whole => Ok(1),
        Slice::Share { share } => Ok((1.0 / share + 1e-9).floor().max(1.0) as u32),
        Slice::Profile { profile } => {
            let slice = chip.slices.iter().find(|slice| slice.profile == *profile);
            slice.map(|slice| slice.most).filter(|most| *most > 0).ok_or(Reject::NoSuchPart)
        }
    }
}

/// Returns what the blueprint says of a workload at the place that was chosen.
pub(crate) fn run(columns: &AppColumns<'_>, column: usize, market: &Market<'_>) -> AppRun {
    let (app, column) = (columns.app, &columns.columns[column]);
    let stand = &market.stands[column.stand];
    let at = |hour: usize| {
        let asked = app.instances_at(hour);
        if asked == 0 { 0 } else { asked + column.spares }
    };
    AppRun {
        workload: app.name.clone(),
        kind: app.kind,
        image: app.image.clone(),
        site: stand.site.name.clone(),
        shape: stand.shape.id.clone(),
        part: app.part.clone(),
        instances: hours_of(at),
        spares: column.spares,
        per_accelerator: column.per_accelerator,
        per_node: column.per_node,
    }
}

/// Returns the units of a machine that the instances of an hour take.
pub(crate) fn units_at(run: &AppRun, shape: &NodeShape, hour: usize) -> u32 {
    let instances = run.instances[hour];
    match run.per_accelerator {
        0 if run.per_node.is_power_of_two() => instances * (PARTS_OF_NODE / run.per_node),
        0 => instances.div_ceil(run.per_node.max(1)) * PARTS_OF_NODE,
        each => instances.div_ceil(each) * (each * shape.accelerators).div_ceil(run.per_node.max(1)),
    }
}
