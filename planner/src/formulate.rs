//! The plan's nouns as the program's numbers: what each pool offers, what each workload asks, what is limited.

use crate::apps::{self, AppColumns};
use crate::columns::{ServeColumns, TrainColumn, TrainColumns, charge, spare_nodes};
use crate::frame::Frame;
use crate::limit_unit::LimitUnit;
use crate::linear;
use crate::market::{Market, Stand};
use crate::outside::Outside;
use crate::parts::{self, Cuts, Part};
use crate::periods::lead_months;
use crate::pricing::{Basis, Quote};
use crate::program::{
    self, Bound, Column, OfferRef, Problem, Rule, Runs, Solution, Terms, Workload, day_type_slots,
};
use crate::ways_out::Change;
use crate::worlds::Placed;
use capstan_types::blueprint::{HOURS, Period};
use capstan_types::hardware::NodeShape;
use capstan_types::offering::PurchaseOption;
use capstan_types::place::Place;
use capstan_types::spec::{Buy, Frame as SpecFrame, Objective, Rack, Site, Spec};
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
}

/// The program with what is needed to read its answer.
#[derive(Debug, Clone)]
pub struct Formulation {
    /// The program. Its periods are parts of the plan's.
    pub problem: Problem,
    /// The parts.
    pub(crate) parts: Vec<Part>,
    /// A name for each of its limits, in order.
    pub limits: Vec<NamedLimit>,
    /// What was bought before this world was known.
    pub(crate) placed: Option<Placed>,
    /// Limits on shares, where they are held against the answer with what was bought before.
    shares: Vec<program::Limit>,
}

impl Formulation {
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
pub(crate) fn formulate(frame: &Frame<'_>, serves: &[ServeColumns<'_>], ends: &Ends) -> Formulation {
    let Frame { spec, market, trains, periods, .. } = frame;
    let parts = ends.cuts.parts(periods, trains);
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
    let mut limits = Limits { rules: Vec::new(), names: Vec::new() };
    let outside =
        placed.as_ref().map_or_else(|| frame.outside.clone(), |placed| placed.beside(&frame.outside));
    limits.add_sites(spec, market, &outside);
    limits.add_budgets(spec, periods, parts.len(), market, &outside);
    limits.add_rules(spec, periods, market, outside.total(periods));
    let mut shares = Limits { rules: Vec::new(), names: Vec::new() };
    for (index, serve) in serves.iter().enumerate() {
        let stands: Vec<usize> = serve.columns.iter().map(|column| column.stand).collect();
        shares.add_shares((index, &serve.serve.name), &serve.serve.buy, market, &stands);
    }
    for (index, train) in trains.iter().enumerate() {
        let stands: Vec<usize> = train.columns.iter().map(|column| column.stand).collect();
        shares.add_shares((serves.len() + index, &train.train.name), &train.train.buy, market, &stands);
    }
    let others = serves.len() + trains.len();
    for (index, app) in frame.apps.iter().enumerate() {
        let stands: Vec<usize> = app.columns.iter().map(|column| column.stand).collect();
        shares.add_shares((others + index, &app.app.name), &app.app.buy, market, &stands);
    }
    problem.workloads = workloads(frame, serves, &parts, ends.is_bound);
    if let Some(placed) = &placed {
        placed.stand_in(&mut problem.pools);
    } else {
        limits.rules.append(&mut shares.rules);
        limits.names.append(&mut shares.names);
    }
    problem.limits = limits.rules;
    Formulation { problem, parts, limits: limits.names, placed, shares: shares.rules }
}

fn workloads(
    frame: &Frame<'_>,
    serves: &[ServeColumns<'_>],
    parts: &[Part],
    is_bound: bool,
) -> Vec<Workload> {
    let (market, by_hour) = (&frame.market, frame.kept.as_ref().map(|kept| kept.firm));
    let serving = serves.iter().map(|serve| serve_workload(serve, market, parts, by_hour));
    let training = frame.trains.iter().map(|train| {
        let held = |column: &TrainColumn| parts::of_job(parts, &frame.periods, column, is_bound);
        train_workload(train, market, held, by_hour)
    });
    let bases = serves.iter().flat_map(|serve| base_workloads(serve, market, parts));
    let apps = frame.apps.iter().map(|app| app_workload(app, market, parts, by_hour));
    serving.chain(training).chain(apps).chain(bases).collect()
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
    nodes_in(stand.site.rack.as_ref()?, stand.shape)
}

/// As [`nodes_per_rack`], of a machine in a rack.
pub(crate) fn nodes_in(rack: &Rack, shape: &NodeShape) -> Option<u32> {
    let by_height = (rack.height_u / shape.height_u?).floor();
    let by_power = match &rack.power {
        Some(limit) => (limit.value.get() / shape.power?.get()).floor(),
        None => by_height,
    };
    Some(by_height.min(by_power).max(0.0) as u32)
}

fn offer(frame: &SpecFrame, periods: &[Period], site: &Site, quote: &Quote) -> program::Offer {
    let hourly = Some(quote.sum(Basis::NodeHour));
    let terms = match quote.option {
        PurchaseOption::Owned => Terms::Owned {
            capex_per_node: Some(quote.sum(Basis::Purchase)),
            opex_per_node_month: quote.sum(Basis::NodeMonth),
            residual_per_node: residuals(frame, periods, quote),
        },
        PurchaseOption::Reserved { term_months } => {
            Terms::Reserved { term_months: f64::from(term_months), price_per_node_hour: hourly }
        }
        PurchaseOption::OnDemand => Terms::OnDemand { price_per_node_hour: hourly },
        PurchaseOption::Spot => Terms::Spot { price_per_node_hour: hourly },
    };
    let first_period = if quote.option == PurchaseOption::Owned {
        let lead = lead_months(site);
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
        Some(firm) => !buy.option.is_for_a_term() && !(firm && buy.at_most.is_some()),
    };
    let wanted = |quote: &Quote| buy.iter().any(|buy| buy.option == quote.option && is_left(buy));
    (0..stand.quotes.len()).filter(|&index| wanted(&stand.quotes[index])).collect()
}

fn serve_workload(
    serve: &ServeColumns<'_>,
    market: &Market<'_>,
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
                min_replicas: column.fewest,
                spare_replicas: column.spares + column.redundancy,
            },
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
            let runs = Runs::Job { accelerators: u64::from(chunk[0]) * each, periods };
            let column = Column { pool: base.stand, offers: Vec::new(), runs };
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
        let nodes = column.nodes + spare_nodes(stand.site.redundancy, column.nodes);
        Column {
            pool: column.stand,
            offers: allowed_offers(stand, &train.train.buy, by_hour),
            runs: Runs::Job {
                accelerators: u64::from(nodes) * u64::from(stand.shape.accelerators),
                periods: held(column),
            },
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
    });
    Workload { demand: vec![demand; parts.len()], columns: columns.collect() }
}

struct Limits {
    rules: Vec<program::Limit>,
    names: Vec<NamedLimit>,
}

impl Limits {
    /// The program knows no limit below zero: by how much one is passed already is kept with its name.
    fn add(&mut self, rule: Rule, bound: Bound, name: NamedLimit) {
        let (bound, short) = match bound {
            Bound::AtMost(most) => (Bound::AtMost(most.max(0.0)), (-most).max(0.0)),
            Bound::AtLeast(_) => (bound, 0.0),
        };
        self.rules.push(program::Limit { rule, bound });
        self.names.push(NamedLimit { short, ..name });
    }

    fn add_sites(&mut self, spec: &Spec, market: &Market<'_>, outside: &Outside) {
        for (index, site) in spec.sites.iter().enumerate() {
            let named = |what: &str, unit, place: &Place, (change, beside)| NamedLimit {
                what: format!("{what} at {}", site.name),
                unit,
                place: Some(place.clone()),
                change: Some(change),
                outside: beside,
                short: 0.0,
            };
            if let Some(limit) = &site.power {
                let beside = outside.power_kw[index];
                let bound = Bound::AtMost(limit.value.kw() - beside);
                self.add(
                    Rule::SitePower { site: index },
                    bound,
                    named("power", LimitUnit::Kilowatts, &limit.place, (Change::Power(index), beside)),
                );
            }
            if let Some(limit) = &site.racks {
                let beside = outside.racks[index];
                let bound = Bound::AtMost(f64::from(limit.value) - beside);
                self.add(
                    Rule::SiteRacks { site: index },
                    bound,
                    named("racks", LimitUnit::Racks, &limit.place, (Change::Racks(index), beside)),
                );
            }
            for (at, quota) in site.quotas.iter().enumerate() {
                let of_kind = |stand: &&Stand<'_>| {
                    stand.site_index == index && stand.shape.accelerator.as_ref() == Some(&quota.accelerator)
                };
                let weights =
                    offers_where(market, of_kind, |_| true, |stand| f64::from(stand.shape.accelerators));
                let each = market.stands.iter().zip(&outside.bought).filter(|(stand, _)| of_kind(stand));
                let beside = each.map(|(stand, &nodes)| f64::from(nodes * stand.shape.accelerators)).sum();
                let bound = Bound::AtMost(f64::from(quota.most.value) - beside);
                let what = format!("quota of {}", quota.accelerator);
                self.add(
                    Rule::Nodes { weights },
                    bound,
                    named(
                        &what,
                        LimitUnit::Accelerators,
                        &quota.most.place,
                        (Change::Quota(index, at), beside),
                    ),
                );
            }
        }
    }

    fn add_budgets(
        &mut self,
        spec: &Spec,
        periods: &[Period],
        n_parts: usize,
        market: &Market<'_>,
        outside: &Outside,
    ) {
        let all = 0..n_parts;
        let money = |limit: &rust_decimal::Decimal| limit.to_f64().unwrap_or(f64::MAX);
        let (highest, total) = (outside.highest_per_month(), outside.total(periods));
        for (index, budget) in spec.budgets.iter().enumerate() {
            let named = |what: &str, unit, place: &Place, (change, beside)| NamedLimit {
                what: format!("{what} of budget {}", budget.name),
                unit,
                place: Some(place.clone()),
                change: Some(change),
                outside: beside,
                short: 0.0,
            };
            if let Some(limit) = &budget.capex {
                let bound = Bound::AtMost(money(&limit.value) - outside.capex);
                self.add(
                    Rule::Capex { periods: all.clone() },
                    bound,
                    named("capex", LimitUnit::Money, &limit.place, (Change::Capex(index), outside.capex)),
                );
            }
            if let Some(limit) = &budget.opex_per_month {
                let bound = Bound::AtMost(money(&limit.value) - highest);
                let name = named(
                    "opex per month",
                    LimitUnit::MoneyPerMonth,
                    &limit.place,
                    (Change::Opex(index), highest),
                );
                self.add(Rule::OpexPerMonth { periods: all.clone() }, bound, name);
            }
            if let Some(limit) = &budget.total {
                let bound = Bound::AtMost(money(&limit.value) - total);
                let name = named("total", LimitUnit::Money, &limit.place, (Change::Total(index), total));
                self.add(whole_cost(market), bound, name);
            }
        }
    }

    /// Rules that limit what the whole costs; the others are checked afterwards.
    fn add_rules(&mut self, spec: &Spec, periods: &[Period], market: &Market<'_>, total: f64) {
        for (budget, rule, most) in linear::most_costs(spec, periods) {
            let told = rule.label.as_deref().unwrap_or(&rule.text);
            let at = spec.budgets.iter().position(|other| std::ptr::eq(other, budget));
            let of_budget = budget.rules.iter().position(|other| std::ptr::eq(other, rule));
            let can_move = linear::moved(spec, periods, rule, most).is_some();
            let name = NamedLimit {
                what: format!("cost that `{told}` of budget {} allows", budget.name),
                unit: LimitUnit::Money,
                place: Some(rule.place.clone()),
                change: at.zip(of_budget).filter(|_| can_move).map(|(at, rule)| Change::Rule(at, rule)),
                outside: total,
                short: 0.0,
            };
            self.add(whole_cost(market), Bound::AtMost(most - total), name);
        }
    }

    fn add_shares(
        &mut self,
        (index, workload): (usize, &str),
        buy: &[Buy],
        market: &Market<'_>,
        stands: &[usize],
    ) {
        let mine = |stand: &&Stand<'_>| {
            market
                .stands
                .iter()
                .position(|other| std::ptr::eq(other, *stand))
                .is_some_and(|at| stands.contains(&at))
        };
        let allowed = |quote: &Quote| buy.iter().any(|buy| buy.option == quote.option);
        let refs = |keep: &dyn Fn(&Quote) -> bool| -> Vec<OfferRef> {
            offers_where(market, mine, keep, |_| 1.0).into_iter().map(|(offer, _)| offer).collect()
        };
        for (at, entry) in buy.iter().enumerate() {
            let part = refs(&|quote: &Quote| quote.option == entry.option);
            let whole = refs(&|quote: &Quote| allowed(quote));
            let named = |side: &str, place: &Place, is_most| NamedLimit {
                what: format!("{side} share of {} for {workload}", entry.option.words()),
                unit: LimitUnit::NodeHours,
                place: Some(place.clone()),
                change: Some(Change::Share { workload: index, entry: at, is_most }),
                outside: 0.0,
                short: 0.0,
            };
            let rule = || Rule::Share { part: part.clone(), whole: whole.clone(), workload: Some(index) };
            if let Some(limit) = &entry.at_most {
                self.add(rule(), Bound::AtMost(limit.value), named("largest", &limit.place, true));
            }
            if let Some(limit) = &entry.at_least {
                self.add(rule(), Bound::AtLeast(limit.value), named("smallest", &limit.place, false));
            }
        }
    }
}

/// What everything that is bought costs, not discounted.
fn whole_cost(market: &Market<'_>) -> Rule {
    let weights = (0..market.stands.len()).map(|pool| (pool, 1.0)).collect();
    Rule::Cost { weights, discounted: false }
}

/// Returns the offers of the pools that `stands` keeps and the quotes that `quotes` keeps, each with a weight.
fn offers_where(
    market: &Market<'_>,
    stands: impl Fn(&&Stand<'_>) -> bool,
    quotes: impl Fn(&Quote) -> bool,
    weight: impl Fn(&Stand<'_>) -> f64,
) -> Vec<(OfferRef, f64)> {
    let mut found = Vec::new();
    for (pool, stand) in market.stands.iter().enumerate().filter(|(_, stand)| stands(stand)) {
        for (offer, _) in stand.quotes.iter().enumerate().filter(|(_, kept)| quotes(kept)) {
            found.push((OfferRef { pool, offer }, weight(stand)));
        }
    }
    found
}
