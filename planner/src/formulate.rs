//! The plan's nouns as the program's numbers: what each pool offers, what each workload asks, what is limited.

use crate::apps::{self, AppColumns};
use crate::batches::{self, BatchColumn, BatchColumns};
use crate::columns::{ServeColumns, TrainColumn, TrainColumns, charge, spare_nodes};
use crate::egress;
use crate::frame::Frame;
use crate::limit_unit::LimitUnit;
use crate::limits::Limits;
use crate::market::{Market, Stand};
use crate::parts::{self, Cuts, Part};
use crate::periods::lead_months;
use crate::pricing::{Basis, Quote};
use crate::program::{self, Column, Problem, Runs, Solution, Terms, Workload, day_type_slots};
use crate::ways_out::Change;
use crate::worlds::Placed;
use capstan_types::blueprint::{HOURS, Period};
use capstan_types::offering::PurchaseOption;
use capstan_types::place::Place;
use capstan_types::spec::{Buy, Frame as SpecFrame, Objective, Site, Spec};
use rust_decimal::prelude::ToPrimitive;

/// A limit of the plan and the words for it.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedLimit {
    /// What it limits, such as `power at hz1`.
    pub what: String,
    /// Unit of its value.
    pub unit: LimitUnit,
    /// Where it stands.
    pub place: Option<Place>,
    /// What of the plan to change to move it; `None` where that is not one value.
    pub change: Option<Change>,
    /// Added to the program's value to get the plan's: what stands there already and storage cost, draw or fill.
    pub outside: f64,
    /// By how much that alone passes the limit.
    pub short: f64,
    /// What the plan says where it is not kept: the `else` of a rule.
    pub said: Option<String>,
}

impl NamedLimit {
    /// Returns what it limits, with what the plan says where it is not kept.
    pub fn told(&self) -> String {
        let said = self.said.as_ref().map_or_else(String::new, |said| format!(" ({said})"));
        format!("{}{said}", self.what)
    }
}

/// The program with what is needed to read its answer.
#[derive(Debug, Clone)]
pub struct Formulation<'a> {
    /// The program. Its periods are parts of the plan's.
    pub problem: Problem,
    /// The parts.
    pub(crate) parts: Vec<Part>,
    /// A name for each of its limits, in order.
    pub limits: Vec<NamedLimit>,
    /// Offline inference with its columns.
    pub(crate) batches: Vec<BatchColumns<'a>>,
    /// What was bought before this world was known.
    pub(crate) placed: Option<Placed>,
    /// Limits on shares, where they are held against the answer with what was bought before.
    shares: Vec<program::Limit>,
}

impl Formulation<'_> {
    /// Returns the answer with what was bought before; none where a limit on shares is not kept then.
    pub(crate) fn with_kept(&self, solution: Solution) -> Option<Solution> {
        let Some(placed) = &self.placed else { return Some(solution) };
        placed.added_to(solution, &self.problem, &self.shares)
    }
}

/// How jobs that end inside a period are taken.
#[derive(Debug, Clone)]
pub(crate) struct Ends {
    /// Ways whose ends are cut.
    pub cuts: Cuts,
    /// Are all others taken to end at the cut before, so that no plan costs less?
    pub is_bound: bool,
}

/// Returns the program over all columns.
pub(crate) fn formulate<'f>(
    frame: &'f Frame<'_>,
    serves: &[ServeColumns<'_>],
    batches: Vec<BatchColumns<'f>>,
    ends: &Ends,
) -> Formulation<'f> {
    let Frame { spec, market, periods, .. } = frame;
    let parts = ends.cuts.parts(periods, &frame.held(&batches));
    let present = spec.frame.minimize == Objective::NetPresentCost;
    let mut problem = Problem {
        periods: program_periods(spec, periods, &parts, present),
        slots: day_type_slots(),
        discount_at_end: if present { end_discount(&spec.frame) } else { 1.0 },
        pools: market.stands.iter().map(|stand| pool(&spec.frame, periods, &parts, stand)).collect(),
        workloads: Vec::new(),
        limits: Vec::new(),
    };
    let placed = frame.kept.as_ref().map(|kept| kept.placed(market, periods, &parts, &problem));
    let mut limits = Limits::default();
    let outside =
        placed.as_ref().map_or_else(|| frame.outside.clone(), |placed| placed.beside(&frame.outside));
    limits.add_sites(spec, market, &outside);
    limits.add_budgets(spec, periods, &parts, market, &outside);
    limits.add_rules(spec, periods, market, outside.total(periods));
    let mut shares = Limits::default();
    shares.add_spot(spec, market);
    add_shares(&mut shares, frame, serves, &batches);
    problem.workloads = workloads(frame, (serves, &batches), &parts, ends.is_bound);
    if let Some(placed) = &placed {
        placed.stand_in(&mut problem.pools);
    } else {
        limits.rules.append(&mut shares.rules);
        limits.names.append(&mut shares.names);
    }
    problem.limits = limits.rules;
    Formulation { problem, parts, limits: limits.names, batches, placed, shares: shares.rules }
}

/// Adds what each workload may have of a way of buying. Its index in the plan is told, that in the program may be another.
fn add_shares(
    shares: &mut Limits,
    frame: &Frame<'_>,
    serves: &[ServeColumns<'_>],
    batches: &[BatchColumns<'_>],
) {
    let planned = frame.spec.serves.len();
    let mut add = |(index, of): (usize, usize), name: &str, buy: &[Buy], stands: Vec<usize>| {
        shares.add_shares((index, of, name), buy, &frame.market, &stands);
    };
    for (index, serve) in serves.iter().enumerate() {
        let stands = serve.columns.iter().map(|column| column.stand).collect();
        add((index, serve.of), &serve.serve.name, &serve.serve.buy, stands);
    }
    for (index, train) in frame.trains.iter().enumerate() {
        let stands = train.columns.iter().map(|column| column.stand).collect();
        add((serves.len() + index, planned + index), &train.train.name, &train.train.buy, stands);
    }
    let others = frame.trains.len();
    for (index, app) in (others..).zip(&frame.apps) {
        let stands = app.columns.iter().map(|column| column.stand).collect();
        add((serves.len() + index, planned + index), &app.app.name, &app.app.buy, stands);
    }
    let others = others + frame.apps.len();
    for (index, batch) in (others..).zip(batches) {
        let stands = batch.columns.iter().map(|column| column.stand).collect();
        add((serves.len() + index, planned + index), &batch.batch.name, &batch.batch.buy, stands);
    }
}

fn workloads(
    frame: &Frame<'_>,
    (serves, batches): (&[ServeColumns<'_>], &[BatchColumns<'_>]),
    parts: &[Part],
    is_bound: bool,
) -> Vec<Workload> {
    let (market, by_hour) = (&frame.market, frame.kept.as_ref().map(|kept| kept.firm));
    let serving = serves.iter().map(|serve| serve_workload(serve, (market, &frame.periods), parts, by_hour));
    let training = frame.trains.iter().map(|train| {
        let held = |column: &TrainColumn| parts::of_job(parts, &frame.periods, &column.held(), is_bound);
        train_workload(train, market, held, by_hour)
    });
    let offline = batches.iter().map(|batch| {
        let held = |column: &BatchColumn| parts::of_job(parts, &frame.periods, &column.held(), is_bound);
        batch_workload(batch, market, held, by_hour)
    });
    let bases = serves.iter().flat_map(|serve| base_workloads(serve, market, parts));
    let apps = frame.apps.iter().map(|app| app_workload(app, market, parts, by_hour));
    serving.chain(training).chain(apps).chain(offline).chain(bases).collect()
}

fn end_discount(frame: &SpecFrame) -> f64 {
    let monthly = crate::periods::monthly_rate(frame.discount_per_year);
    crate::periods::present_value(monthly, frame.months - 1)
}

/// Everything in a part is discounted like its period, as the bill does.
fn program_periods(spec: &Spec, periods: &[Period], parts: &[Part], present: bool) -> Vec<program::Period> {
    let monthly = crate::periods::monthly_rate(spec.frame.discount_per_year);
    let start = |period: &Period| crate::periods::present_value(monthly, period.first_month);
    let opens = |index: usize| index == 0 || parts[index - 1].period != parts[index].period;
    let part = |(index, part): (usize, &Part)| {
        let period = &periods[part.period];
        program::Period {
            months: part.months,
            discount_at_start: if present { start(period) } else { 1.0 },
            discount: if present { period.discount } else { 1.0 },
            opens: opens(index),
        }
    };
    parts.iter().enumerate().map(part).collect()
}

fn pool(frame: &SpecFrame, periods: &[Period], parts: &[Part], stand: &Stand<'_>) -> program::Pool {
    let power_kw = stand.shape.power.map_or(0.0, |power| power.kw() * stand.site.pue);
    let offer = |quote: &Quote| {
        let offer = offer(frame, periods, stand.site, quote);
        let of_part = |residuals: Vec<f64>| -> Vec<f64> {
            if residuals.is_empty() {
                residuals
            } else {
                parts.iter().map(|part| residuals[part.period]).collect()
            }
        };
        let terms = match offer.terms {
            Terms::Owned { capex_per_node, opex_per_node_month, residual_per_node } => Terms::Owned {
                capex_per_node,
                opex_per_node_month,
                residual_per_node: of_part(residual_per_node),
            },
            hourly => hourly,
        };
        let first_period = parts::of_periods(parts, &(offer.first_period..periods.len())).start;
        program::Offer { terms, first_period, ..offer }
    };
    program::Pool {
        site: stand.site_index,
        accelerators_per_node: apps::units(stand.shape),
        power_kw_per_node: power_kw,
        rack_units_per_node: racks_per_node(stand).unwrap_or(0.0),
        existing_nodes: parts.iter().map(|part| stand.fleet[part.period]).collect(),
        offers: stand.quotes.iter().map(offer).collect(),
    }
}

/// Returns the racks that one node takes: the reciprocal of how many a rack holds by height and by power.
///
/// `None` where the site states no rack, or the node's height or power is unknown.
pub fn racks_per_node(stand: &Stand<'_>) -> Option<f64> {
    nodes_per_rack(stand).filter(|&nodes| nodes > 0).map(|nodes| 1.0 / f64::from(nodes))
}

/// Returns how many nodes one rack holds, by height and by power.
pub fn nodes_per_rack(stand: &Stand<'_>) -> Option<u32> {
    stand.site.rack.as_ref()?.holds(stand.shape)
}

fn offer(frame: &SpecFrame, periods: &[Period], site: &Site, quote: &Quote) -> program::Offer {
    let hourly = Some(quote.sum(Basis::NodeHour));
    let terms = match quote.option {
        PurchaseOption::Owned => Terms::Owned {
            capex_per_node: Some(quote.sum(Basis::Purchase)),
            opex_per_node_month: quote.sum(Basis::NodeMonth),
            residual_per_node: residuals(frame, periods, quote),
        },
        PurchaseOption::Spot => Terms::Spot { price_per_node_hour: hourly },
        _ => match quote.option.contract_months() {
            Some(term_months) => Terms::Reserved { term_months, price_per_node_hour: hourly },
            None => Terms::OnDemand { price_per_node_hour: hourly },
        },
    };
    let first_period = if quote.option == PurchaseOption::Owned {
        let lead = lead_months(frame, site);
        periods.iter().position(|period| period.first_month >= lead).unwrap_or(periods.len())
    } else {
        0
    };
    program::Offer { terms, max_nodes: None, first_period }
}

fn residuals(frame: &SpecFrame, periods: &[Period], quote: &Quote) -> Vec<f64> {
    let Some(write_off) = &quote.write_off else { return Vec::new() };
    let value = |period: &Period| write_off.value_after(frame.months - period.first_month);
    periods.iter().map(|period| value(period).to_f64().unwrap_or(0.0)).collect()
}

/// Returns the offers of a pool that a list of options allows: all, or those by the hour only; `Some(true)` leaves out
/// what may only have a share.
fn allowed_offers(stand: &Stand<'_>, buy: &[Buy], by_hour: Option<bool>) -> Vec<usize> {
    let is_left = |buy: &Buy| match by_hour {
        None => true,
        Some(firm) => !(buy.option.is_for_a_term() || firm && buy.at_most.is_some()),
    };
    let wanted = |quote: &Quote| buy.iter().any(|buy| buy.option == quote.option && is_left(buy));
    (0..stand.quotes.len()).filter(|&index| wanted(&stand.quotes[index])).collect()
}

/// Returns what is paid in each part, of what is paid in each period; nothing of nothing.
fn of_parts(parts: &[Part], periods: &[Period], paid: &[f64]) -> Vec<f64> {
    let share = |part: &Part| part.months / f64::from(periods[part.period].months);
    if paid.is_empty() {
        return Vec::new();
    }
    parts.iter().map(|part| paid[part.period] * share(part)).collect()
}

fn serve_workload(
    serve: &ServeColumns<'_>,
    (market, periods): (&Market<'_>, &[Period]),
    parts: &[Part],
    by_hour: Option<bool>,
) -> Workload {
    let rest = serve.rest();
    let columns = serve.columns.iter().map(|column| {
        let stand = &market.stands[column.stand];
        Column {
            pool: column.stand,
            offers: allowed_offers(stand, &serve.serve.buy, by_hour),
            runs: Runs::Replicas {
                units_per_replica: column.rate,
                accelerators: charge(&serve.ways[column.way], stand),
                min_replicas: column.least,
                spare_replicas: column.spares + column.redundancy,
            },
            paid: of_parts(parts, periods, &egress::paid(serve, column, market, periods)),
        }
    });
    Workload {
        demand: parts.iter().map(|part| rest[part.period].clone()).collect(),
        columns: columns.collect(),
    }
}

/// Returns the base of a workload as jobs on machines that stand there already, one for each stretch of equal size.
///
/// They come last, so that the choices of real workloads keep their places, and nothing is bought for them.
fn base_workloads(serve: &ServeColumns<'_>, market: &Market<'_>, parts: &[Part]) -> Vec<Workload> {
    let Some(base) = &serve.base else { return Vec::new() };
    let each = u64::from(charge(&serve.ways[base.way], &market.stands[base.stand]));
    let mut workloads = Vec::new();
    let mut start = 0;
    for chunk in base.most.chunk_by(|a, b| a == b) {
        let end = start + chunk.len();
        if chunk[0] > 0 {
            let periods = parts::of_periods(parts, &(start..end));
            let runs = Runs::Job { accelerators: vec![u64::from(chunk[0]) * each], periods };
            let column = Column { pool: base.stand, offers: Vec::new(), runs, paid: Vec::new() };
            workloads.push(Workload { demand: Vec::new(), columns: vec![column] });
        }
        start = end;
    }
    workloads
}

fn train_workload(
    train: &TrainColumns<'_>,
    market: &Market<'_>,
    held: impl Fn(&TrainColumn) -> std::ops::Range<usize>,
    by_hour: Option<bool>,
) -> Workload {
    let columns = train.columns.iter().map(|column| {
        let stand = &market.stands[column.stand];
        // Spare nodes of the site stand ready at all hours.
        let spare = spare_nodes(stand.site.redundancy, column.nodes);
        let taken = |nodes: u32| u64::from(nodes) * u64::from(stand.shape.accelerators);
        let at_hours =
            column.run.at_hours.iter().map(|&runs| taken(if runs { column.nodes + spare } else { spare }));
        let always = column.run.at_hours.is_empty().then(|| taken(column.nodes + spare));
        Column {
            pool: column.stand,
            offers: allowed_offers(stand, &train.train.buy, by_hour),
            runs: Runs::Job { accelerators: at_hours.chain(always).collect(), periods: held(column) },
            paid: Vec::new(),
        }
    });
    Workload { demand: Vec::new(), columns: columns.collect() }
}

/// Returns offline inference: what its pattern takes at each hour.
fn batch_workload(
    batch: &BatchColumns<'_>,
    market: &Market<'_>,
    held: impl Fn(&BatchColumn) -> std::ops::Range<usize>,
    by_hour: Option<bool>,
) -> Workload {
    let columns = batch.columns.iter().map(|column| {
        let stand = &market.stands[column.stand];
        Column {
            pool: column.stand,
            offers: allowed_offers(stand, &batch.batch.buy, by_hour),
            runs: Runs::Job {
                accelerators: batches::charged(column, batch.ways, stand),
                periods: held(column),
            },
            paid: Vec::new(),
        }
    });
    Workload { demand: Vec::new(), columns: columns.collect() }
}

/// Returns a service or group of notebooks: as many instances as are asked for at each hour.
fn app_workload(
    app: &AppColumns<'_>,
    market: &Market<'_>,
    parts: &[Part],
    by_hour: Option<bool>,
) -> Workload {
    let demand: Vec<f64> = (0..HOURS).map(|hour| f64::from(app.app.instances_at(hour))).collect();
    let columns = app.columns.iter().map(|column| Column {
        pool: column.stand,
        offers: allowed_offers(&market.stands[column.stand], &app.app.buy, by_hour),
        runs: Runs::Replicas {
            units_per_replica: f64::from(column.per_charge),
            accelerators: column.charge,
            min_replicas: 0,
            spare_replicas: column.spares.div_ceil(column.per_charge) + column.redundancy,
        },
        paid: Vec::new(),
    });
    Workload { demand: vec![demand; parts.len()], columns: columns.collect() }
}
