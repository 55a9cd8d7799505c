//! Every way to answer the requests of a `batch` by its last day: on which machines, with how many replicas, at which hours.
//!
//! A way is one of those in which its model can be served, at the rate of a replica whose requests never run out. At each
//! place it runs around the clock; where it may be interrupted also in the quietest hours of each day only, or beside the
//! serving load that is expected there, so that machines held for the busiest hour are used at all others. What a column
//! costs is left to the program. Growth after its first day is not looked at: one pattern holds for the whole run.

mod offline;
mod pattern;

pub(crate) use offline::watch;

use crate::assemble::start;
use crate::candidates::Way;
use crate::columns::{charge, is_allowed};
use crate::derate::Deratings;
use crate::fleet::Asking;
use crate::frame::Frame;
use crate::jobs::{self, Window};
use crate::market::Stand;
use crate::parts::Held;
use crate::spares;
use crate::worlds::Pick;
use capstan_types::blueprint::{BatchRun, DemandCurve, HOURS, OfflineEstimate, Period};
use capstan_types::spec::Batch;
use capstan_types::units::Seconds;
use jiff::ToSpan;
use std::ops::Range;

/// Shares of the time that is left which a run around the clock may take: the later are dearer only where machines are
/// held for a term, the earlier let others have them.
const SHARES_OF_TIME: [f64; 2] = [1.0, 0.5];

/// Quietest hours of a day that are tried.
const QUIET_HOURS: [usize; 3] = [8, 12, 16];

/// Most replicas that are tried.
const MOST_REPLICAS: u32 = 1 << 20;

/// Seconds of an hour.
const HOUR_S: f64 = 3600.0;

/// A workload of offline inference with its columns.
#[derive(Debug, Clone)]
pub struct BatchColumns<'a> {
    /// The workload.
    pub batch: &'a Batch,
    /// Its ways.
    pub ways: &'a [Way],
    /// Its columns.
    pub columns: Vec<BatchColumn>,
}

/// One way at one place with a pattern of replicas over the day.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchColumn {
    /// Index into the market.
    pub stand: usize,
    /// Index into the ways.
    pub way: usize,
    /// Factor of the simulator on the rate of a replica.
    pub derating: f64,
    /// Replicas by typical hour.
    pub replicas: Vec<u32>,
    /// Periods in which they are held.
    pub periods: Range<usize>,
    /// Hours from the first to the last answer.
    pub hours: f64,
}

impl BatchColumn {
    /// Returns when its machines are held.
    pub(crate) fn held(&self) -> Held {
        Held { stand: self.stand, periods: self.periods.clone(), hours: self.hours }
    }
}

/// What is the same for all columns of a workload.
struct Ask<'a, 'f> {
    frame: &'a Frame<'f>,
    batch: &'a Batch,
    ways: &'a [Way],
    deratings: &'a Deratings,
    window: Window,
}

/// A way at a place, and what it must do there.
struct Place<'a> {
    stand: usize,
    way: usize,
    derating: f64,
    /// Accelerators charged for a replica, and those of a node.
    each: u64,
    per_node: u64,
    /// Hours of one replica that the work takes, and those of each start.
    work: f64,
    loading: f64,
    /// Hours in which it must be done.
    limit: f64,
    at: &'a Stand<'a>,
}

impl Place<'_> {
    fn span(&self, pattern: &[u32]) -> Option<f64> {
        pattern::span(pattern, self.work, self.loading)
    }

    fn fewest(&self, most: u32, limit: f64, pattern: impl Fn(u32) -> Vec<u32>) -> Option<u32> {
        pattern::fewest(most, limit, |count| self.span(&pattern(count)))
    }

    /// Replicas around the clock: the fewest that are in time, for all and for parts of it, also as whole nodes hold.
    fn flat(&self) -> Vec<Vec<u32>> {
        let fewest = SHARES_OF_TIME
            .iter()
            .filter_map(|share| self.fewest(MOST_REPLICAS, self.limit * share, pattern::flat));
        let per_node = (self.per_node / self.each).max(1) as u32;
        let mut counts: Vec<u32> =
            fewest.flat_map(|count| [count, count.next_multiple_of(per_node)]).collect();
        counts.sort_unstable();
        counts.dedup();
        counts.into_iter().map(pattern::flat).collect()
    }

    /// Replicas in the quietest hours.
    fn quiet(&self, load: &[f64]) -> Vec<Vec<u32>> {
        let of = |hours: usize| {
            let at = |count: u32| pattern::quiet(load, hours, count);
            self.fewest(MOST_REPLICAS, self.limit, at).map(at)
        };
        QUIET_HOURS.iter().filter_map(|&hours| of(hours)).collect()
    }

    /// Replicas beside a serving load: on the fewest machines that do, on those of its busiest hour, and on those that
    /// stand there already; of the latter two as few as are in time.
    fn beside(&self, load: &[u64], stood: u32) -> Vec<Vec<u32>> {
        let on =
            |nodes: u32, most: u32| pattern::beside(load, u64::from(nodes) * self.per_node, self.each, most);
        let busiest = load.iter().copied().max().unwrap_or(0).div_ceil(self.per_node);
        let busiest = u32::try_from(busiest).unwrap_or(MOST_REPLICAS);
        let enough = self.fewest(MOST_REPLICAS, self.limit, pattern::flat).unwrap_or(0);
        let more = (u64::from(enough) * self.each).div_ceil(self.per_node);
        let most = busiest.saturating_add(u32::try_from(more).unwrap_or(MOST_REPLICAS));
        let fewest = self.fewest(most, self.limit, |nodes| on(nodes, u32::MAX));
        let mut found: Vec<Vec<u32>> = fewest.map(|nodes| on(nodes, u32::MAX)).into_iter().collect();
        for nodes in [busiest, stood] {
            let slots = u64::from(nodes) * self.per_node / self.each;
            let slots = u32::try_from(slots).unwrap_or(MOST_REPLICAS).max(1);
            found.extend(self.fewest(slots, self.limit, |most| on(nodes, most)).map(|most| on(nodes, most)));
        }
        found
    }
}

/// Returns the columns of every `batch`, with what the simulator asks of its ways; of those that are settled beforehand
/// only the ways that were.
pub(crate) fn columns<'f>(frame: &'f Frame<'_>, deratings: &Deratings) -> Vec<BatchColumns<'f>> {
    let each = frame.spec.batches.iter().zip(&frame.batch_ways).enumerate();
    each.map(|(index, (batch, ways))| {
        let window = Window::of(frame.spec, &frame.periods, batch.start.as_ref(), batch.finish.as_ref());
        let ask = Ask { frame, batch, ways, deratings, window };
        let pick = frame.kept.as_ref().and_then(|kept| kept.batches.get(index));
        BatchColumns { batch, ways, columns: ask.columns(pick) }
    })
    .collect()
}

impl Ask<'_, '_> {
    fn columns(&self, only: Option<&Pick>) -> Vec<BatchColumn> {
        let mut columns = Vec::new();
        for (index, stand) in self.frame.market.stands.iter().enumerate() {
            let meant = only.is_none_or(|pick| pick.site == stand.site.name);
            if !(meant && is_allowed(self.batch.sites.as_ref(), stand.site)) {
                continue;
            }
            let mut here: Vec<(u64, BatchColumn)> = Vec::new();
            for way in self.ways_at(stand, only) {
                let Some(place) = self.place(index, stand, way) else { continue };
                here.extend(self.columns_at(&place).into_iter().map(|column| (place.each, column)));
            }
            columns.extend(undominated(here));
        }
        columns
    }

    /// Returns the ways at a place that get most out of an accelerator, and those that take fewer at a time.
    fn ways_at(&self, stand: &Stand<'_>, only: Option<&Pick>) -> Vec<usize> {
        let here = self.ways.iter().enumerate().filter(|(_, way)| {
            way.candidate.shape == stand.shape.id && only.is_none_or(|pick| pick.way == way.candidate.key())
        });
        let rated = here.map(|(index, way)| {
            let each = charge(way, stand);
            let rate = way.estimate.rate.get() * self.deratings.of(&self.batch.name, way).factor;
            (index, each, rate / f64::from(each.max(1)))
        });
        let rated: Vec<(usize, u32, f64)> = rated.filter(|(_, _, yields)| *yields > 0.0).collect();
        let dominated = |one: &(usize, u32, f64)| {
            rated.iter().any(|other| {
                let no_worse = other.1 <= one.1 && other.2 >= one.2;
                no_worse && (other.1 < one.1 || other.2 > one.2 || other.0 < one.0)
            })
        };
        rated.iter().filter(|one| !dominated(one)).map(|(index, _, _)| *index).collect()
    }

    fn place<'s>(&self, index: usize, stand: &'s Stand<'s>, way_index: usize) -> Option<Place<'s>> {
        let way = &self.ways[way_index];
        let derating = self.deratings.of(&self.batch.name, way).factor;
        let rate = way.estimate.rate.get() * derating * up(way, stand);
        let limit = self.window.hours();
        (rate > 0.0 && limit > 0.0).then(|| Place {
            stand: index,
            way: way_index,
            derating,
            each: u64::from(charge(way, stand)),
            per_node: u64::from(stand.shape.accelerators.max(1)),
            work: self.batch.requests / rate / HOUR_S,
            loading: start(way).get() / HOUR_S,
            limit,
            at: stand,
        })
    }

    fn columns_at(&self, place: &Place<'_>) -> Vec<BatchColumn> {
        let mut patterns = place.flat();
        if self.batch.interruptible {
            if let Some(by_hour) = load(&self.frame.demand, self.window.periods.start) {
                patterns.extend(place.quiet(&by_hour));
            }
            let stood = place.at.fleet.get(self.window.periods.start).copied().unwrap_or(0);
            for load in self.loads(place.at) {
                patterns.extend(place.beside(&load, stood));
            }
        }
        let column = |replicas: Vec<u32>| {
            let hours = place.span(&replicas)?;
            let periods = jobs::held(&self.frame.periods, &self.window.periods, hours).ok()?;
            let Place { stand, way, derating, .. } = *place;
            Some(BatchColumn { stand, way, derating, replicas, periods, hours })
        };
        patterns.into_iter().filter_map(column).collect()
    }

    /// Returns the accelerators that services are expected to take at a place: all that may run there, and, where these are
    /// several, the largest alone.
    fn loads(&self, stand: &Stand<'_>) -> Vec<Vec<u64>> {
        let each: Vec<Vec<u64>> =
            self.frame.asking().filter_map(|asking| self.load(&asking, stand)).collect();
        if each.is_empty() {
            return Vec::new();
        }
        let sum = |hour: usize| each.iter().map(|load| load[hour]).sum::<u64>();
        let mut loads = vec![(0..HOURS).map(sum).collect::<Vec<u64>>()];
        let peak = |load: &Vec<u64>| load.iter().copied().max().unwrap_or(0);
        if each.len() > 1 {
            loads.extend(each.into_iter().max_by_key(peak));
        }
        loads
    }

    /// Returns the accelerators that a service takes at each hour in its cheapest way at a place.
    fn load(&self, asking: &Asking<'_>, stand: &Stand<'_>) -> Option<Vec<u64>> {
        let serve = asking.serve;
        if !is_allowed(serve.sites.as_ref(), stand.site) {
            return None;
        }
        let rates = asking.demand.rates.get(self.window.periods.start)?;
        let here = asking.ways.iter().filter(|way| way.candidate.shape == stand.shape.id);
        let rated = here.filter_map(|way| {
            let derating = self.deratings.of(&serve.name, way);
            let rate = way.estimate.rate.get() * derating.factor;
            (rate > 0.0).then(|| (charge(way, stand), rate, derating.fewest.max(serve.min_replicas)))
        });
        let per_accelerator = |&(each, rate, _): &(u32, f64, u32)| rate / f64::from(each.max(1));
        let (each, rate, fewest) =
            rated.max_by(|a, b| per_accelerator(a).total_cmp(&per_accelerator(b)).then(b.0.cmp(&a.0)))?;
        let replicas = |asked: &f64| {
            let needed = (asked * (1.0 + serve.headroom) / rate - 1e-9).ceil().max(0.0) as u64;
            needed.max(u64::from(fewest)) * u64::from(each)
        };
        Some(rates.iter().map(replicas).collect())
    }
}

/// Returns the rates of all services at each hour of a period, each over that of its busiest; none where no hour is quieter
/// than another.
fn load(demand: &[DemandCurve], period: usize) -> Option<Vec<f64>> {
    let mut all = vec![0.0; HOURS];
    for rates in demand.iter().filter_map(|curve| curve.rates.get(period)) {
        let busiest = rates.iter().copied().fold(0.0, f64::max);
        if busiest > 0.0 {
            all.iter_mut().zip(rates).for_each(|(sum, rate)| *sum += rate / busiest);
        }
    }
    all.iter().any(|load| *load != all[0]).then_some(all)
}

/// Returns the hours of each day at which something that may be interrupted runs: those in which services need least.
pub(crate) fn quiet_hours(demand: &[DemandCurve], period: usize) -> Vec<Vec<bool>> {
    let load = load(demand, period);
    let of = |load: Vec<f64>| {
        QUIET_HOURS.map(|hours| pattern::quiet(&load, hours, 1).into_iter().map(|count| count > 0).collect())
    };
    load.map(of).into_iter().flatten().collect()
}

/// Returns the hours from the first to the last token of `work` hours at these hours of each day, where each stop and start
/// takes `resume` hours; none where it never ends.
pub(crate) fn span_at(at_hours: &[bool], work: f64, resume: f64) -> Option<f64> {
    let runs: Vec<u32> = at_hours.iter().map(|&runs| u32::from(runs)).collect();
    pattern::span(&runs, work, resume)
}

/// Returns the share of the time in which the machines of a replica are up.
fn up(way: &Way, stand: &Stand<'_>) -> f64 {
    let nodes = f64::from(way.candidate.nodes_per_replica.max(1));
    libm::pow(spares::node_availability(stand.site.is_own()), nodes)
}

/// Returns the columns of one place of which no other is done as early on no more accelerators at any hour.
fn undominated(columns: Vec<(u64, BatchColumn)>) -> Vec<BatchColumn> {
    let no_worse = |(each, one): &(u64, BatchColumn), (others, other): &(u64, BatchColumn)| {
        let mut hours = one.replicas.iter().zip(&other.replicas);
        one.hours <= other.hours && hours.all(|(a, b)| u64::from(*a) * each <= u64::from(*b) * others)
    };
    let is_needless = |index: usize, column: &(u64, BatchColumn)| {
        columns.iter().enumerate().any(|(at, other)| {
            at != index && no_worse(other, column) && (at < index || !no_worse(column, other))
        })
    };
    let kept = columns.iter().enumerate().filter(|(index, column)| !is_needless(*index, column));
    kept.map(|(_, (_, column))| column.clone()).collect()
}

/// Returns what the blueprint says of a column.
pub(crate) fn run(frame: &Frame<'_>, columns: &BatchColumns<'_>, chosen: usize) -> BatchRun {
    let column = &columns.columns[chosen];
    let (batch, way) = (columns.batch, &columns.ways[column.way]);
    let stand = &frame.market.stands[column.stand];
    let window = Window::of(frame.spec, &frame.periods, batch.start.as_ref(), batch.finish.as_ref());
    // The last day on which it runs: a run of 24 hours ends on the day on which it starts.
    let days = ((column.hours / 24.0 - 1e-9).ceil() as i64 - 1).max(0);
    let estimate = &way.estimate;
    BatchRun {
        workload: batch.name.clone(),
        model: batch.model.clone(),
        site: stand.site.name.clone(),
        candidate: way.candidate.clone(),
        estimate: OfflineEstimate {
            rate: estimate.rate,
            tpot: estimate.tpot,
            kv_tokens: estimate.kv_tokens,
            weights: estimate.weights,
            memory: estimate.memory,
            batch: estimate.batch,
            bound_by: estimate.bound_by.clone(),
            origin: estimate.origin,
        },
        simulated: None,
        derating: column.derating,
        up: up(way, stand),
        replicas: column.replicas.clone(),
        loading: Seconds(start(way).get()),
        start: window.begins,
        end: window.begins.saturating_add(days.days()),
        hours: column.hours,
        shares: jobs::shares(&frame.periods, &column.periods, column.hours),
        replica_hours: column.hours * pattern::held_per_hour(&column.replicas),
        requests: batch.requests,
    }
}

/// Returns the accelerators that a column is charged at each hour, with the machines that the site keeps spare.
pub(crate) fn charged(column: &BatchColumn, ways: &[Way], stand: &Stand<'_>) -> Vec<u64> {
    let each = u64::from(charge(&ways[column.way], stand));
    let per_node = u64::from(stand.shape.accelerators.max(1));
    let most = column.replicas.iter().copied().max().unwrap_or(0);
    let busiest = u32::try_from((u64::from(most) * each).div_ceil(per_node)).unwrap_or(u32::MAX);
    let spare = u64::from(crate::columns::spare_nodes(stand.site.redundancy, busiest)) * per_node;
    let all: Vec<u64> = column.replicas.iter().map(|&count| u64::from(count) * each + spare).collect();
    if all.iter().all(|count| *count == all[0]) { vec![all[0]] } else { all }
}

/// Returns whether a run of offline inference could not be done in any number of hours that the plan leaves it.
pub(crate) fn has_time(frame: &Frame<'_>, batch: &Batch) -> bool {
    let periods: &[Period] = &frame.periods;
    Window::of(frame.spec, periods, batch.start.as_ref(), batch.finish.as_ref()).hours() > 0.0
}
