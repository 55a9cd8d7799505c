//! The program's answer in the plan's nouns: placements, pools, purchases, power.

use crate::apps;
use crate::autoscale;
use crate::batches;
use crate::candidates::Way;
use crate::columns::{self, ServeColumn, ServeColumns, spare_nodes};
use crate::contracts;
use crate::demand::hour_weight;
use crate::fabric;
use crate::formulate::{Formulation, nodes_per_rack};
use crate::frame::Frame;
use crate::market::{Market, Stand};
use crate::parts::Part;
use crate::pricing::{Basis, Quote};
use crate::program::{Nodes, OfferRef, Solution};
use capstan_types::blueprint::{
    AppRun, BatchRun, Candidate, HOURS, Network, Period, Placement, Pool, Purchase, Service, SiteSummary,
    TrainingRun,
};
use capstan_types::offering::PurchaseOption;
use capstan_types::origin::Origin;
use capstan_types::spec::{Serve, Spec};
use capstan_types::units::{HOURS_PER_MONTH, Seconds, Watts};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

/// Rate at which a starting replica reads its weights and its image, and the time an engine needs to warm up.
///
/// Origin: Assumed; no storage is sized yet. 2 GB/s is the "good" node read rate of the SuperPOD H100 storage guidance
/// halved, an engine image holds about 10 GB, and capturing graphs takes about a minute.
pub(crate) const READ_BYTES_PER_S: f64 = 2e9;
pub(crate) const IMAGE_BYTES: f64 = 10e9;
pub(crate) const WARM_UP_S: f64 = 60.0;

/// A draft of what runs and on what: everything that follows from one answer of the program.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// Serving.
    pub services: Vec<Service>,
    /// Training.
    pub trainings: Vec<TrainingRun>,
    /// Offline inference.
    pub batches: Vec<BatchRun>,
    /// Services and notebooks.
    pub apps: Vec<AppRun>,
    /// Machines, with the index of each in the market.
    pub pools: Vec<(usize, Pool)>,
}

/// Returns the draft of a solution.
pub(crate) fn draft(
    frame: &Frame<'_>,
    serves: &[ServeColumns<'_>],
    (formulation, solution): (&Formulation<'_>, &Solution),
) -> Draft {
    let parts = &formulation.parts;
    let Frame { spec, periods, market, trains, .. } = frame;
    let chosen = &solution.columns;
    let services: Vec<Service> = serves[..spec.serves.len()]
        .iter()
        .map(|serve| service(serve, pieces(serves, chosen, serve.of), market))
        .collect();
    let trainings: Vec<TrainingRun> = trains
        .iter()
        .zip(&chosen[serves.len()..])
        .map(|(train, &column)| train.columns[column].run.clone())
        .collect();
    let others = &chosen[serves.len() + trains.len()..];
    let apps: Vec<AppRun> =
        frame.apps.iter().zip(others).map(|(app, &column)| apps::run(app, column, market)).collect();
    let offline = formulation.batches.iter().zip(&others[frame.apps.len()..]);
    let batches: Vec<BatchRun> = offline.map(|(batch, &column)| batches::run(frame, batch, column)).collect();
    let runs = Runs {
        serves: &spec.serves,
        services: &services,
        trainings: &trainings,
        batches: &batches,
        apps: &apps,
    };
    let pools = market
        .stands
        .iter()
        .enumerate()
        .filter_map(|(index, stand)| {
            let working = working_hours(stand, periods.len(), &runs);
            pool(spec, index, stand, working, |offer| {
                purchase((periods, parts), stand, OfferRef { pool: index, offer }, solution)
            })
        })
        .collect();
    Draft { services, trainings, batches, apps, pools }
}

/// What runs.
struct Runs<'a> {
    serves: &'a [Serve],
    services: &'a [Service],
    trainings: &'a [TrainingRun],
    batches: &'a [BatchRun],
    apps: &'a [AppRun],
}

/// What one way at one place carries of a workload, over all its legs.
pub(crate) struct Piece {
    /// Index into the market.
    pub stand: usize,
    /// Index into the ways.
    pub way: usize,
    /// Rate of one replica after derating.
    pub rate: f64,
    /// Fewest replicas while it runs.
    pub fewest: u32,
    /// Replicas by period and hour, those for availability included.
    pub replicas: Vec<Vec<u32>>,
    /// The same without those for availability.
    pub working: Vec<Vec<u32>>,
}

impl Piece {
    fn add(&mut self, other: &Piece) {
        let sum = |all: &mut Vec<Vec<u32>>, more: &[Vec<u32>]| {
            all.iter_mut().flatten().zip(more.iter().flatten()).for_each(|(sum, more)| *sum += more);
        };
        self.fewest = self.fewest.min(other.fewest);
        sum(&mut self.replicas, &other.replicas);
        sum(&mut self.working, &other.working);
    }
}

/// Returns what carries a workload, by leg: the part on machines that stand there, if any, then the chosen column.
pub(crate) fn pieces(serves: &[ServeColumns<'_>], chosen: &[usize], of: usize) -> Vec<Piece> {
    let mut legs: Vec<(&ServeColumns<'_>, usize)> = serves
        .iter()
        .zip(chosen)
        .filter(|(leg, _)| leg.of == of)
        .map(|(leg, &column)| (leg, column))
        .collect();
    legs.sort_by_key(|(leg, _)| leg.periods.start);
    let mut pieces: Vec<Piece> = Vec::new();
    for (leg, column) in legs {
        for piece in on_fleet(leg).into_iter().chain([beside(leg, &leg.columns[column])]) {
            match pieces.iter_mut().find(|known| (known.stand, known.way) == (piece.stand, piece.way)) {
                Some(known) => known.add(&piece),
                None => pieces.push(piece),
            }
        }
    }
    pieces
}

fn on_fleet(leg: &ServeColumns<'_>) -> Option<Piece> {
    let base = leg.base.as_ref()?;
    let headroom = 1.0 + leg.serve.headroom;
    let at = |(period, hours): (usize, &Vec<f64>)| -> Vec<u32> {
        hours.iter().map(|rate| base.replicas(rate * headroom, period)).collect()
    };
    let replicas: Vec<Vec<u32>> = leg.demand.rates.iter().enumerate().map(at).collect();
    let working = replicas.clone();
    Some(Piece { stand: base.stand, way: base.way, rate: base.rate, fewest: 0, replicas, working })
}

fn beside(leg: &ServeColumns<'_>, column: &ServeColumn) -> Piece {
    let ServeColumn { stand, way, rate, fewest, spares, .. } = *column;
    let needed = |rest: f64| ((rest / rate - 1e-9).ceil().max(0.0) as u32).max(fewest);
    let rest = leg.rest();
    let with = |spares: u32| -> Vec<Vec<u32>> {
        let at = |hours: &Vec<f64>| match hours.as_slice() {
            [] => vec![0; HOURS],
            hours => hours.iter().map(|&rest| needed(rest) + spares).collect(),
        };
        rest.iter().map(at).collect()
    };
    Piece { stand, way, rate, fewest, replicas: with(spares), working: with(0) }
}

fn service(serve: &ServeColumns<'_>, pieces: Vec<Piece>, market: &Market<'_>) -> Service {
    let place = |piece: Piece| {
        let way = &serve.ways[piece.way];
        placement(serve.serve, way, (piece.rate, piece.fewest), &market.stands[piece.stand], piece.replicas)
    };
    Service {
        workload: serve.serve.name.clone(),
        model: serve.serve.model.clone(),
        placements: pieces.into_iter().map(place).collect(),
    }
}

fn placement(
    serve: &Serve,
    way: &Way,
    (rate, fewest): (f64, u32),
    stand: &Stand<'_>,
    replicas: Vec<Vec<u32>>,
) -> Placement {
    let target = |scaled| autoscale::target(serve, scaled, &way.estimate, rate);
    Placement {
        site: stand.site.name.clone(),
        candidate: way.candidate.clone(),
        estimate: way.estimate.clone(),
        derating: rate / way.estimate.rate.get(),
        fewest_that_hold: (fewest > serve.min_replicas.max(1)).then_some(fewest),
        replicas,
        start: start(way),
        start_origin: Origin::Assumed,
        in_flight_target: serve.autoscale.as_ref().map(target),
        interval: None,
    }
}

/// Returns the time from a crash of the program to its first answer: its image is there.
pub(crate) fn restart(start: Seconds) -> Seconds {
    Seconds((start.get() - IMAGE_BYTES / READ_BYTES_PER_S).max(0.0))
}

/// Returns the time from the start of a container to its first answer; each rank reads its own weights.
pub(crate) fn start(way: &Way) -> Seconds {
    let weights = way.estimate.weights.get() * f64::from(way.candidate.accelerators);
    let each = weights / f64::from(way.candidate.nodes_per_replica.max(1));
    Seconds((IMAGE_BYTES + each) / READ_BYTES_PER_S + WARM_UP_S)
}

fn pool(
    spec: &Spec,
    index: usize,
    stand: &Stand<'_>,
    working: Vec<Vec<u32>>,
    purchase: impl Fn(usize) -> Option<Purchase>,
) -> Option<(usize, Pool)> {
    let busiest = working.iter().flatten().copied().max().unwrap_or(0);
    let stood =
        spec.fleets.iter().any(|fleet| fleet.site == stand.site.name && fleet.shape == stand.shape.id);
    let purchases: Vec<Purchase> = (0..stand.quotes.len()).filter_map(purchase).collect();
    if busiest == 0 && !stood && purchases.is_empty() {
        return None;
    }
    let spares = if busiest > 0 { spare_nodes(stand.site.redundancy, busiest) } else { 0 };
    // A spare stands ready for what runs: none is needed before the first machine can stand there.
    let with_spares = |hours: &Vec<u32>| -> Vec<u32> {
        let runs = hours.iter().any(|nodes| *nodes > 0);
        hours.iter().map(|nodes| nodes + if runs { spares } else { 0 }).collect()
    };
    let needed = working.iter().map(with_spares).collect();
    let pool = Pool {
        site: stand.site.name.clone(),
        shape: stand.shape.id.clone(),
        accelerators: stand.shape.accelerators,
        needed,
        spares,
        fleet: stand.fleet.clone(),
        purchases,
    };
    Some((index, pool))
}

fn working_hours(stand: &Stand<'_>, n_periods: usize, runs: &Runs<'_>) -> Vec<Vec<u32>> {
    (0..n_periods).map(|period| hours_of(|hour| working(stand, runs, period, hour))).collect()
}

/// Returns something for each of the 48 typical hours.
pub(crate) fn hours_of<T>(at: impl FnMut(usize) -> T) -> Vec<T> {
    (0..HOURS).map(at).collect()
}

fn working(stand: &Stand<'_>, runs: &Runs<'_>, period: usize, hour: usize) -> u32 {
    let here = |site: &str, shape: &str| site == stand.site.name && shape == stand.shape.id;
    // Accelerators charged, not replicas per node: replicas of several workloads may share a node.
    let charged = |candidate: &Candidate| columns::charged(candidate, stand.shape.accelerators);
    let serving = runs.services.iter().map(|service| {
        let serve = runs.serves.iter().find(|serve| serve.name == service.workload);
        let zones = serve.map_or(1, |serve| serve.zones_at(stand.site));
        let placements = service.placements.iter();
        let placements = placements.filter(|placement| here(&placement.site, &placement.candidate.shape));
        let taken = |placement: &Placement| match placement.replicas[period][hour] {
            0 => 0,
            replicas => {
                let of = &placement.candidate;
                replicas.max(columns::replicas_apart(zones, of, stand.shape.accelerators)) * charged(of)
            }
        };
        placements.map(taken).sum::<u32>()
    });
    let serving: u32 = serving.sum();
    let batches: u32 = runs
        .batches
        .iter()
        .filter(|run| here(&run.site, &run.candidate.shape))
        .map(|run| run.replicas_at(period, hour) * charged(&run.candidate))
        .sum();
    let training: u32 = runs
        .trainings
        .iter()
        .filter(|run| here(&run.site, &run.candidate.shape))
        .filter(|run| run.runs_at(period, hour))
        .map(|run| run.candidate.nodes + run.spare_nodes)
        .sum();
    let apps = runs.apps.iter().filter(|run| here(&run.site, &run.shape));
    let apps: u32 = apps.map(|run| apps::units_at(run, stand.shape, hour)).sum();
    (serving + batches + apps).div_ceil(apps::units(stand.shape)) + training
}

/// Returns what is bought in one way. What is paid by the hour in a part of a period is paid for that part only.
fn purchase(
    (periods, parts): (&[Period], &[Part]),
    stand: &Stand<'_>,
    of: OfferRef,
    solution: &Solution,
) -> Option<Purchase> {
    let mut nodes = vec![0_u32; periods.len()];
    let mut hours = vec![0.0; periods.len()];
    for bought in solution.purchases.iter().filter(|bought| bought.offer == of) {
        match &bought.nodes {
            Nodes::Committed { count, from, until } => {
                let end = parts.get(*until).map_or(periods.len(), |part| part.period);
                for index in parts[*from].period..end {
                    nodes[index] += *count as u32;
                    hours[index] += *count as f64 * f64::from(periods[index].months) * HOURS_PER_MONTH;
                }
            }
            Nodes::Hourly { counts } => {
                let mut most = vec![0_u32; periods.len()];
                for (part, slots) in parts.iter().zip(counts) {
                    let index = part.period;
                    most[index] = most[index].max(slots.iter().copied().max().unwrap_or(0) as u32);
                    let share = part.months / f64::from(periods[index].months);
                    let weighted = slots.iter().enumerate();
                    let all: f64 =
                        weighted.map(|(hour, &n)| n as f64 * hour_weight(hour, &periods[index])).sum();
                    hours[index] += all * share;
                }
                nodes.iter_mut().zip(most).for_each(|(nodes, most)| *nodes += most);
            }
        }
    }
    let most = nodes.iter().copied().max().unwrap_or(0);
    let quote = &stand.quotes[of.offer];
    if let Some(term) = quote.option.contract_months() {
        // Paid for used or not, also where a term ends inside a period.
        hours = contracts::hours_by_period(&contracts::contracts(term, &nodes, periods), periods);
    }
    (most > 0).then(|| Purchase {
        option: quote.option,
        nodes: most,
        nodes_by_period: nodes,
        node_hours_by_period: hours,
        price: Some(quote.row.clone()),
        busy_above: busy_above(periods, stand, quote),
    })
}

/// Returns the share of its term above which a node costs less than on demand (Stokely et al., arXiv 2503.10235): what it
/// costs whether used or not, over what all hours of that time cost on demand.
fn busy_above(periods: &[Period], stand: &Stand<'_>, quote: &Quote) -> Option<f64> {
    let on_demand = stand.on_demand?.to_f64().filter(|price| *price > 0.0)?;
    let months: f64 = periods.iter().map(|period| f64::from(period.months)).sum();
    let firm = match quote.option {
        PurchaseOption::Reserved { .. }
        | PurchaseOption::SavingsPlan { .. }
        | PurchaseOption::Block { .. } => quote.sum(Basis::NodeHour),
        PurchaseOption::Owned => {
            let left =
                quote.write_off.as_ref().map_or(Decimal::ZERO, |terms| terms.value_after(months as u32));
            let bought = quote.sum(Basis::Purchase) - left.to_f64()?;
            (bought / months + quote.sum(Basis::NodeMonth)) / HOURS_PER_MONTH
        }
        PurchaseOption::OnDemand | PurchaseOption::Spot => return None,
    };
    Some(firm / on_demand)
}

/// Returns power and racks of every site that has machines.
pub(crate) fn summaries(frame: &Frame<'_>, draft: &Draft, networks: &[Network]) -> Vec<SiteSummary> {
    let (spec, periods, market, stores) = (frame.spec, &frame.periods, &frame.market, &frame.stores);
    let site_of = |index: usize| market.stands[index].site_index;
    spec.sites
        .iter()
        .enumerate()
        .filter_map(|(site_index, site)| {
            let here: Vec<&(usize, Pool)> =
                draft.pools.iter().filter(|(index, _)| site_of(*index) == site_index).collect();
            if here.is_empty() {
                return None;
            }
            let most = |weight: &dyn Fn(&Stand<'_>) -> Option<f64>| -> Option<f64> {
                let each = (0..periods.len()).map(|period| {
                    let sums = here.iter().map(|(index, pool)| {
                        weight(&market.stands[*index]).map(|each| each * f64::from(pool.at_once(period)))
                    });
                    sums.sum::<Option<f64>>()
                });
                each.collect::<Option<Vec<f64>>>().map(|sums| sums.into_iter().fold(0.0, f64::max))
            };
            let machines = most(&|stand| stand.shape.power.map(|power| power.get()));
            let beside = stores.power_at(&site.name).zip(fabric::power_at(networks, &site.name));
            let it_power =
                machines.zip(beside).map(|(power, (store, switches))| Watts(power) + store + switches);
            let racks = most(&|stand| nodes_per_rack(stand).map(|fit| 1.0 / f64::from(fit.max(1))));
            Some(SiteSummary {
                site: site.name.clone(),
                nodes: most(&|_| Some(1.0)).unwrap_or(0.0) as u32,
                accelerators: most(&|stand| Some(f64::from(stand.shape.accelerators))).unwrap_or(0.0) as u32,
                it_power,
                facility_power: it_power.map(|power| power * site.pue),
                power_limit: site.power.as_ref().map(|limit| limit.value),
                racks: racks
                    .zip(stores.racks_at(site))
                    .filter(|_| site.is_own())
                    .map(|(racks, store)| (racks + store - 1e-9).ceil() as u32),
            })
        })
        .collect()
}
