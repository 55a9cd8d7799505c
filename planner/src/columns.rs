//! The choices that the program has for each workload: one way at one place is a column.

use crate::candidates::Way;
use crate::derate::Derating;
use crate::fleet::{Asking, Base};
use crate::legs::Leg;
use crate::market::{Market, Stand};
use crate::parts::Held;
use crate::program::charged_accelerators;
use crate::spares;
use crate::worlds::Pick;
use capstan_types::blueprint::{Candidate, DemandCurve, TrainingRun};
use capstan_types::spec::{Redundancy, Serve, Site, Train};
use std::ops::Range;

/// A serving workload with its columns.
#[derive(Debug, Clone)]
pub struct ServeColumns<'a> {
    /// The workload.
    pub serve: &'a Serve,
    /// Its index in the plan.
    pub of: usize,
    /// Periods in which these columns run it.
    pub periods: Range<usize>,
    /// Its demand.
    pub demand: DemandCurve,
    /// Its ways.
    pub ways: &'a [Way],
    /// The part on machines that stand there already, where that is not all of it.
    pub base: Option<Base>,
    /// Its columns, for what the base does not carry.
    pub columns: Vec<ServeColumn>,
}

impl ServeColumns<'_> {
    /// Returns the demand that the columns carry, headroom included, by period and hour; none where they do not run.
    pub fn rest(&self) -> Vec<Vec<f64>> {
        let headroom = 1.0 + self.serve.headroom;
        let rest = |period: usize, rate: f64| match &self.base {
            Some(base) => base.rest(rate * headroom, period),
            None => rate * headroom,
        };
        let of = |(period, hours): (usize, &Vec<f64>)| {
            let runs = self.periods.contains(&period);
            hours.iter().filter(|_| runs).map(|&rate| rest(period, rate)).collect()
        };
        self.demand.rates.iter().enumerate().map(of).collect()
    }
}

/// One way at one place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ServeColumn {
    /// Index into the market.
    pub stand: usize,
    /// Index into the ways.
    pub way: usize,
    /// Rate of one replica after derating.
    pub rate: f64,
    /// Replicas beyond demand that availability asks for.
    pub spares: u32,
    /// Replicas' worth of spare machines that the site's redundancy asks for.
    pub redundancy: u32,
    /// Fewest replicas.
    pub fewest: u32,
    /// Fewest replicas' worth of machines, spares not counted: more than the replicas where these stand in several zones.
    pub least: u32,
}

/// A training workload with its columns.
#[derive(Debug, Clone)]
pub struct TrainColumns<'a> {
    /// The workload.
    pub train: &'a Train,
    /// Its columns.
    pub columns: Vec<TrainColumn>,
    /// Every way that ends in time, also those that a column makes needless.
    pub every: Vec<TrainColumn>,
    /// Ways that begin later than they might, with few nodes: where jobs may take turns.
    pub later: Vec<TrainColumn>,
}

/// One way to train at one place in one stretch of time.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainColumn {
    /// Index into the market.
    pub stand: usize,
    /// Nodes held, spares included.
    pub nodes: u32,
    /// Periods in which they are held.
    pub periods: Range<usize>,
    /// What the blueprint says of it.
    pub run: TrainingRun,
}

impl TrainColumn {
    /// Returns when its machines are held.
    pub(crate) fn held(&self) -> Held {
        Held { stand: self.stand, periods: self.periods.clone(), hours: self.run.hours }
    }
}

/// Returns the columns of a serving workload: each way at each place where its shape can be had.
///
/// `derating` gives what the simulator asks of a way. Of two columns of one pool the one with a lower rate and no fewer
/// accelerators, each and at its fewest, is left out: whatever it serves the other serves with no more nodes.
///
/// With `only` there is at most the column of that way at that place, whatever else would be no dearer.
///
/// In a leg with a base the columns carry what it does not, away from its machines, and may have no replica at all.
pub fn serve_columns(
    asking: &Asking<'_>,
    leg: &Leg,
    market: &Market<'_>,
    only: Option<&Pick>,
    derating: impl Fn(&Way) -> Derating,
) -> Vec<ServeColumn> {
    let Asking { serve, demand, ways } = *asking;
    let base = leg.base.as_ref();
    let peak = highest_rest(serve, demand, leg);
    let mut columns = Vec::new();
    for (stand_index, stand) in market.stands.iter().enumerate() {
        let away = base.is_none_or(|base| base.stand != stand_index);
        let meant = only.is_none_or(|pick| pick.site == stand.site.name);
        if !(meant && away && is_allowed(serve.sites.as_ref(), stand.site)) {
            continue;
        }
        let mut here: Vec<ServeColumn> = Vec::new();
        for (way_index, way) in
            ways.iter().enumerate().filter(|(_, way)| way.candidate.shape == stand.shape.id)
        {
            if only.is_some_and(|pick| pick.way != way.candidate.key()) {
                continue;
            }
            let derating = derating(way);
            let rate = way.estimate.rate.get() * derating.factor;
            let fewest = derating.fewest.max(serve.min_replicas).max(1);
            let Some((spares, redundancy)) =
                (rate > 0.0).then(|| spare_replicas(serve, (peak, rate, fewest), way, stand)).flatten()
            else {
                continue;
            };
            let zones = serve.zones_at(stand.site);
            let fewest = match base {
                None => fewest,
                // Beside a base there may be none, unless those that there are must stand in several zones.
                Some(_) if zones > 1 => zones,
                Some(_) => 0,
            };
            let apart = replicas_apart(zones, &way.candidate, stand.shape.accelerators);
            let least = fewest.max(apart.saturating_sub(spares));
            here.push(ServeColumn {
                stand: stand_index,
                way: way_index,
                rate,
                spares,
                redundancy,
                fewest,
                least,
            });
        }
        let charged = |column: &ServeColumn| charge(&ways[column.way], stand);
        let dominated = |column: &ServeColumn, index: usize| {
            here.iter().enumerate().any(|(other_index, other)| {
                let no_worse = other.rate >= column.rate
                    && charged(other) <= charged(column)
                    && other.least * charged(other) <= column.least * charged(column)
                    && other.spares <= column.spares
                    && other.redundancy * charged(other) <= column.redundancy * charged(column);
                let better = other.rate > column.rate || charged(other) < charged(column);
                no_worse && (better || other_index < index)
            })
        };
        let kept = here.iter().enumerate().filter(|(index, column)| !dominated(column, *index));
        columns.extend(kept.map(|(_, column)| *column));
    }
    columns
}

/// Returns whether a workload may stand at a site.
pub fn is_allowed(sites: Option<&Vec<String>>, site: &Site) -> bool {
    sites.is_none_or(|names| names.contains(&site.name))
}

/// Returns the accelerators that one replica is charged.
pub fn charge(way: &Way, stand: &Stand<'_>) -> u32 {
    charged(&way.candidate, stand.shape.accelerators)
}

/// Returns the accelerators that one replica is charged on machines of `per_node`: those that it has, or its part of a
/// machine whose host holds fewer replicas than its accelerators do.
pub(crate) fn charged(candidate: &Candidate, per_node: u32) -> u32 {
    let part = match candidate.replicas_per_node {
        0 => 0,
        several => per_node.div_ceil(several),
    };
    charged_accelerators(candidate.accelerators.max(part), per_node)
}

/// Returns the replicas' worth of machines that is sure to be on as many machines as zones are asked for; 0 where that is
/// one.
///
/// A machine is in one zone. So many replicas less one fill the machines of all zones but one, so whatever runs beside
/// them, a machine in each zone has room for a replica.
pub(crate) fn replicas_apart(zones: u32, candidate: &Candidate, per_node: u32) -> u32 {
    let on_one = (per_node / charged(candidate, per_node).max(1)).max(1);
    if zones > 1 { (zones - 1).saturating_mul(on_one).saturating_add(1) } else { 0 }
}

/// Returns the replicas beyond demand that availability asks for, and the replicas' worth of machines that the site's
/// redundancy asks for; `None` where the availability cannot be reached.
fn spare_replicas(
    serve: &Serve,
    (peak, rate, fewest): (f64, f64, u32),
    way: &Way,
    stand: &Stand<'_>,
) -> Option<(u32, u32)> {
    let needed = ((peak / rate).ceil() as u32).max(fewest);
    let nodes = f64::from(way.candidate.nodes_per_replica.max(1));
    let each = libm::pow(spares::node_availability(stand.site.is_own()), nodes);
    let for_availability = match &serve.availability {
        Some(limit) => spares::spares(needed, each, limit.value)?,
        None => 0,
    };
    let per_node = way.candidate.replicas_per_node.max(1);
    let busiest = (needed + for_availability).div_ceil(per_node).max(serve.zones_at(stand.site));
    Some((for_availability, per_node * spare_nodes(stand.site.redundancy, busiest)))
}

/// Returns the spare machines that a site keeps beside `busiest` that work.
pub fn spare_nodes(redundancy: Redundancy, busiest: u32) -> u32 {
    match redundancy {
        Redundancy::None => 0,
        Redundancy::NPlus1 => 1,
        Redundancy::NPlus2 => 2,
        Redundancy::TwoN => busiest,
    }
}

/// Returns the highest demand that is left for the columns in a leg, headroom included.
fn highest_rest(serve: &Serve, demand: &DemandCurve, leg: &Leg) -> f64 {
    let headroom = 1.0 + serve.headroom;
    let left = |period: usize, rate: f64| {
        leg.base.as_ref().map_or(rate * headroom, |base| base.rest(rate * headroom, period))
    };
    let periods = demand.rates.iter().enumerate().filter(|(period, _)| leg.periods.contains(period));
    periods.flat_map(|(period, hours)| hours.iter().map(move |&rate| left(period, rate))).fold(0.0, f64::max)
}
