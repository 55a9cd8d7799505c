//! What stands there already is used first: the part of a workload that it carries, and what is left to buy for.
//!
//! A workload otherwise runs in one way. Where machines that stand there carry only a part of it, that part is fixed
//! beforehand and the program decides on the rest; the plan with that split is compared with the one without.

use crate::candidates::Way;
use crate::columns::{charge, is_allowed};
use crate::market::{Market, Stand};
use capstan_types::blueprint::DemandCurve;
use capstan_types::spec::{Redundancy, Serve};
use std::ops::Range;

/// The part of a workload on machines that stand there already.
#[derive(Debug, Clone, PartialEq)]
pub struct Base {
    /// Index into the market.
    pub stand: usize,
    /// Index into the ways.
    pub way: usize,
    /// Rate of one replica after derating.
    pub rate: f64,
    /// Fewest replicas while it has any: one in each zone.
    pub least: u32,
    /// Most replicas by period.
    pub most: Vec<u32>,
}

impl Base {
    /// Returns the replicas for a demand (headroom included) in a period.
    pub fn replicas(&self, demand: f64, period: usize) -> u32 {
        ((demand / self.rate - 1e-9).ceil().max(0.0) as u32).max(self.least).min(self.most[period])
    }

    /// Returns the part of it that some periods have; `None` where that is nothing.
    pub fn within(&self, periods: &Range<usize>) -> Option<Base> {
        let kept = |(index, &most): (usize, &u32)| if periods.contains(&index) { most } else { 0 };
        let most: Vec<u32> = self.most.iter().enumerate().map(kept).collect();
        most.iter().any(|&most| most > 0).then(|| Base { most, ..self.clone() })
    }

    /// Returns the demand that is left for others, headroom included in both.
    pub fn rest(&self, demand: f64, period: usize) -> f64 {
        (demand - f64::from(self.most[period]) * self.rate).max(0.0)
    }
}

/// One workload with what decides on its base.
#[derive(Debug, Clone, Copy)]
pub struct Asking<'a> {
    /// The workload.
    pub serve: &'a Serve,
    /// Its demand.
    pub demand: &'a DemandCurve,
    /// Its ways.
    pub ways: &'a [Way],
}

/// Returns the base of each workload: workloads, in the order of the plan, get what stands there as far as it
/// carries them.
///
/// A fleet that carries a workload whole needs no base: the program uses it, since it costs nothing more.
pub fn bases(
    asking: &[Asking<'_>],
    market: &Market<'_>,
    factor: impl Fn(&Serve, &Way) -> f64,
) -> Vec<Option<Base>> {
    let mut left: Vec<Vec<u32>> = market.stands.iter().map(|stand| stand.fleet.clone()).collect();
    let mut bases = vec![None; asking.len()];
    for (index, ask) in asking.iter().enumerate() {
        let found = market
            .stands
            .iter()
            .enumerate()
            .filter_map(|(at, stand)| best_base(ask, at, stand, &left[at], &factor));
        let base = found.max_by(|a, b| capacity(a).total_cmp(&capacity(b)).then(b.stand.cmp(&a.stand)));
        let Some(base) = base.filter(|base| is_partial(ask, base)) else { continue };
        let stand = &market.stands[base.stand];
        let each = charge(&ask.ways[base.way], stand);
        for (left, most) in left[base.stand].iter_mut().zip(&base.most) {
            *left = left.saturating_sub((most * each).div_ceil(stand.shape.accelerators.max(1)));
        }
        bases[index] = Some(base);
    }
    bases
}

fn capacity(base: &Base) -> f64 {
    base.most.iter().map(|&replicas| f64::from(replicas)).sum::<f64>() * base.rate
}

/// Returns the way that gets most out of the nodes that are left at a stand.
fn best_base(
    ask: &Asking<'_>,
    index: usize,
    stand: &Stand<'_>,
    left: &[u32],
    factor: &impl Fn(&Serve, &Way) -> f64,
) -> Option<Base> {
    if !is_allowed(ask.serve.sites.as_ref(), stand.site) || left.iter().all(|&nodes| nodes == 0) {
        return None;
    }
    let spare = match stand.site.redundancy {
        Redundancy::None => 0,
        Redundancy::NPlus1 => 1,
        Redundancy::NPlus2 => 2,
        Redundancy::TwoN => left.iter().copied().max().unwrap_or(0).div_ceil(2),
    };
    let here = ask.ways.iter().enumerate().filter(|(_, way)| way.candidate.shape == stand.shape.id);
    here.filter_map(|(way_index, way)| {
        let rate = way.estimate.rate.get() * factor(ask.serve, way);
        let per_node = stand.shape.accelerators / charge(way, stand).max(1);
        // Fewer machines than zones are no base: one machine is in one zone.
        let zones = ask.serve.zones_at(stand.site);
        let usable = |nodes: &u32| Some(nodes.saturating_sub(spare)).filter(|&nodes| nodes >= zones);
        let most: Vec<u32> = left.iter().map(|nodes| usable(nodes).unwrap_or(0) * per_node).collect();
        let enough = most.iter().any(|&replicas| replicas > 0) && rate > 0.0;
        enough.then_some(Base { stand: index, way: way_index, rate, least: zones, most })
    })
    .max_by(|a, b| capacity(a).total_cmp(&capacity(b)).then(b.way.cmp(&a.way)))
}

/// Returns whether a base carries a part of the demand only.
fn is_partial(ask: &Asking<'_>, base: &Base) -> bool {
    let with_headroom = 1.0 + ask.serve.headroom;
    let mut periods = ask.demand.rates.iter().enumerate();
    periods.any(|(period, hours)| hours.iter().any(|rate| base.rest(rate * with_headroom, period) > 0.0))
}
