//! What stays the same over all rounds of a plan, and one answer of the program to it.

use crate::apps::{self, AppColumns};
use crate::batches::{self, BatchColumn, BatchColumns};
use crate::candidates::{self, Served, Unreached, Way};
use crate::columns::{ServeColumns, TrainColumn, TrainColumns, is_allowed, serve_columns};
use crate::demand;
use crate::derate::Deratings;
use crate::fleet::{self, Asking, Base};
use crate::formulate::{Ends, Formulation, formulate};
use crate::jobs;
use crate::legs::{self, Leg};
use crate::market::{Market, Stand, market};
use crate::outside::Outside;
use crate::parts::{self, Cuts, Held};
use crate::periods::{lead_months, periods};
use crate::plan::PlanError;
use crate::program::{NoPlan, Options, PRICED, Solution, Status, Unservable, costs_at_least, solve};
use crate::refused;
use crate::storage::{self, Stores};
use crate::worlds::Kept;
use capstan_sim::serving::Recording;
use capstan_types::blueprint::{DemandCurve, Period, RejectionCount};
use capstan_types::catalog::{Catalog, Engine};
use capstan_types::hardware::NodeShape;
use capstan_types::spec::{Batch, Serve, Spec};
use capstan_types::units::HOURS_PER_MONTH;
use std::collections::BTreeMap;

/// Times that ends of jobs are cut and everything is solved again.
const MOST_CUTTINGS: usize = 8;

/// Gap at which a draft is good enough to be simulated. Origin: chosen; what a level asks of a way hardly depends on it.
const DRAFT_GAP: f64 = 0.03;

/// Share of its cost by which a plan with more legs must be cheaper: beyond what sums in another order differ by.
const SAME: f64 = 1e-9;

/// Ways of a training whose ends are cut at last, where cutting those that are taken does not end.
const CHEAPEST: usize = 4;

/// How well a program is solved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effort {
    /// Well enough to see in simulation what it asks of its ways.
    Draft,
    /// As well as plans are.
    Plan,
}

impl Effort {
    fn options(self) -> Options {
        let plan = Options::default();
        match self {
            Effort::Draft => Options { good_gap: DRAFT_GAP, rel_gap: DRAFT_GAP, ..plan },
            Effort::Plan => plan,
        }
    }
}

/// Everything that stays the same over all rounds.
#[derive(Clone)]
pub(crate) struct Frame<'a> {
    pub(crate) spec: &'a Spec,
    pub(crate) catalog: &'a Catalog,
    pub(crate) periods: Vec<Period>,
    pub(crate) market: Market<'a>,
    pub(crate) demand: Vec<DemandCurve>,
    pub(crate) ways: Vec<Vec<Way>>,
    pub(crate) engines: Vec<&'a Engine>,
    pub(crate) trains: Vec<TrainColumns<'a>>,
    pub(crate) batch_ways: Vec<Vec<Way>>,
    pub(crate) apps: Vec<AppColumns<'a>>,
    pub(crate) traces: &'a BTreeMap<String, Recording>,
    pub(crate) rejections: Vec<RejectionCount>,
    pub(crate) unreached: Vec<Vec<Unreached>>,
    pub(crate) outside: Outside,
    pub(crate) stores: Stores,
    /// What was settled before this world was known, where the plan is looked at in one.
    pub(crate) kept: Option<Kept>,
    /// May jobs begin later than they might?
    pub(crate) turns: bool,
}

impl<'a> Frame<'a> {
    pub(crate) fn of(
        spec: &'a Spec,
        catalog: &'a Catalog,
        traces: &'a BTreeMap<String, Recording>,
    ) -> Result<Self, PlanError> {
        Self::beside(spec, catalog, traces, None)
    }

    /// The same, where a frame is known of a spec that may differ in a few values: what does not follow from them is taken
    /// from there.
    pub(crate) fn beside(
        spec: &'a Spec,
        catalog: &'a Catalog,
        traces: &'a BTreeMap<String, Recording>,
        known: Option<&Frame<'_>>,
    ) -> Result<Self, PlanError> {
        let periods = periods(spec);
        let market = market(spec, catalog, &periods);
        let stores = storage::stores(spec, catalog);
        let mut frame = Self {
            spec,
            catalog,
            demand: spec.serves.iter().map(|serve| demand::curve(serve, &periods)).collect(),
            outside: Outside::of(spec, catalog, &market, &periods, &stores),
            stores,
            kept: None,
            turns: false,
            periods,
            market,
            ways: Vec::new(),
            engines: Vec::new(),
            trains: Vec::new(),
            batch_ways: Vec::new(),
            apps: Vec::new(),
            traces,
            rejections: Vec::new(),
            unreached: Vec::new(),
        };
        let model = |id: &str| {
            spec.models.iter().find(|model| model.id == id).ok_or_else(|| PlanError::Unknown(id.to_owned()))
        };
        let known = known.filter(|known| known.has_places_of(&frame));
        for (index, serve) in spec.serves.iter().enumerate() {
            let engine =
                catalog.engine(&serve.engine).ok_or_else(|| PlanError::Unknown(serve.engine.clone()))?;
            frame.engines.push(engine);
            if let Some(known) = known.filter(|known| has_ways_of(&known.spec.serves[index], serve)) {
                frame.ways.push(known.ways[index].clone());
                frame.unreached.push(known.unreached[index].clone());
                continue;
            }
            let shapes = frame.shapes(serve.sites.as_ref());
            let served =
                Served::of(serve, &spec.models, engine).map_err(|id| PlanError::Unknown(id.to_owned()))?;
            let found = candidates::enumerate(catalog, &served, &shapes);
            frame.ways.push(found.ways);
            frame.unreached.push(found.unreached);
            frame.rejections.extend(found.rejections);
        }
        frame.rejections.extend(refused::rejections(spec, &frame.market));
        for (index, train) in spec.trains.iter().enumerate() {
            let same = |known: &&Frame<'_>| {
                known.spec.trains[index] == *train && (!train.interruptible || known.demand == frame.demand)
            };
            if let Some(known) = known.filter(same) {
                frame.trains.push(TrainColumns { train, ..known.trains[index].clone() });
                continue;
            }
            let mut found = jobs::enumerate(&frame, train, model(&train.model)?);
            frame.rejections.append(&mut found.rejections);
            let jobs::Jobs { columns, every, later, .. } = found;
            frame.trains.push(TrainColumns { train, columns, every, later });
        }
        frame.add_batches(known)?;
        let (apps, rejections) = apps::enumerate(spec, catalog, &frame.market);
        frame.apps = apps;
        frame.rejections.extend(rejections);
        Ok(frame)
    }

    /// Adds the ways of offline inference, those of a frame with the same places where they are known.
    fn add_batches(&mut self, known: Option<&Frame<'_>>) -> Result<(), PlanError> {
        for (index, batch) in self.spec.batches.iter().enumerate() {
            let same = |other: &Batch| other.served() == batch.served();
            let known = known.filter(|known| known.spec.batches.get(index).is_some_and(same));
            let (ways, rejections) = match known {
                Some(known) => (known.batch_ways[index].clone(), Vec::new()),
                None => self.ways_offline(batch)?,
            };
            self.batch_ways.push(ways);
            self.rejections.extend(rejections);
        }
        Ok(())
    }

    /// Returns the ways in which one replica answers requests that never run out, and why others are none.
    fn ways_offline(&self, batch: &Batch) -> Result<(Vec<Way>, Vec<RejectionCount>), PlanError> {
        let unknown = |id: &str| PlanError::Unknown(id.to_owned());
        let engine = self.catalog.engine(&batch.engine).ok_or_else(|| unknown(&batch.engine))?;
        let serve = batch.served();
        let served = Served::of(&serve, &self.spec.models, engine).map_err(unknown)?;
        let shapes = self.shapes(batch.sites.as_ref());
        let found = candidates::enumerate(self.catalog, &Served { offline: true, ..served }, &shapes);
        Ok((found.ways, found.rejections))
    }

    /// Returns it with what was settled before this world was known.
    pub(crate) fn keeping(&self, kept: Kept) -> Self {
        let trains = self.trains.iter().enumerate().map(|(index, train)| TrainColumns {
            columns: train.every.iter().filter(|column| kept.is_job(index, &column.run)).cloned().collect(),
            ..train.clone()
        });
        let apps = self.apps.iter().enumerate().map(|(index, app)| AppColumns {
            columns: app
                .columns
                .iter()
                .filter(|column| kept.is_place_of(index, &self.market.stands[column.stand]))
                .cloned()
                .collect(),
            ..app.clone()
        });
        let (trains, apps) = (trains.collect(), apps.collect());
        Frame { trains, apps, kept: Some(kept), ..self.clone() }
    }

    /// Returns it with jobs that may begin later than they might, so that they take turns on machines; none where none may.
    ///
    /// Nobody waits for longer than all others and the delivery of machines take.
    pub(crate) fn taking_turns(&self) -> Option<Self> {
        let longest = |train: &TrainColumns<'_>| -> f64 {
            let hours = train.columns.iter().chain(&train.later).map(|column| column.run.hours);
            (hours.fold(0.0, f64::max) / HOURS_PER_MONTH).ceil()
        };
        let of_all: f64 = self.trains.iter().map(longest).sum();
        let ordered = self.spec.sites.iter().filter(|site| site.is_own());
        let ordered = ordered.map(|site| lead_months(&self.spec.frame, site)).max().unwrap_or(0);
        let first_month = |column: &TrainColumn| f64::from(self.periods[column.periods.start].first_month);
        let trains: Vec<TrainColumns<'a>> = self
            .trains
            .iter()
            .map(|train| {
                let earliest = train.columns.iter().map(first_month).fold(f64::INFINITY, f64::min);
                let earliest = if earliest.is_finite() { earliest } else { 0.0 };
                let waits = of_all - longest(train) + f64::from(ordered) + self.spec.batches.len() as f64;
                let later = train.later.iter().filter(|column| first_month(column) <= earliest + waits);
                let later: Vec<TrainColumn> = later.cloned().collect();
                let with = |columns: &[TrainColumn]| columns.iter().chain(&later).cloned().collect();
                let (columns, every) = (with(&train.columns), with(&train.every));
                TrainColumns { train: train.train, columns, every, later: Vec::new() }
            })
            .collect();
        let more =
            |(now, then): (&TrainColumns<'_>, &TrainColumns<'_>)| then.columns.len() > now.columns.len();
        let may = self.trains.iter().zip(&trains).any(more);
        may.then(|| Frame { trains, turns: true, ..self.clone() })
    }

    /// Are the same machines to be had at the same places and in the same months?
    fn has_places_of(&self, other: &Frame<'_>) -> bool {
        let places = |frame: &Frame<'_>| -> Vec<(usize, String)> {
            frame.market.stands.iter().map(|stand| (stand.site_index, stand.shape.id.clone())).collect()
        };
        let same_models = self.spec.models == other.spec.models;
        let same_storage = self.spec.storages == other.spec.storages;
        same_models && same_storage && self.periods == other.periods && places(self) == places(other)
    }

    /// Returns every shape that can be had at the sites allowed, once.
    fn shapes(&self, sites: Option<&Vec<String>>) -> Vec<&'a NodeShape> {
        let mut shapes: Vec<&NodeShape> = Vec::new();
        let has_any = |stand: &&Stand<'_>| stand.shape.accelerators > 0 && is_allowed(sites, stand.site);
        for stand in self.market.stands.iter().filter(has_any) {
            if !shapes.iter().any(|known| known.id == stand.shape.id) {
                shapes.push(stand.shape);
            }
        }
        shapes
    }

    /// Returns the cheapest answer: with machines that stand there carrying a part of a workload, or without.
    pub(crate) fn solve<'f>(
        &'f self,
        deratings: &Deratings,
        effort: Effort,
    ) -> Result<Solved<'f>, Unsolved<'f>> {
        let factor = |serve: &Serve, way: &Way| deratings.of(&serve.name, way).factor;
        let asking: Vec<Asking<'_>> = self.asking().collect();
        let bases = fleet::bases(&asking, &self.market, factor);
        let mut best = self.solve_with(&self.whole(), deratings, effort);
        if bases.iter().any(Option::is_some) {
            best = self.or_better(best, &legs::whole(&bases, &self.periods), 0.0, (deratings, effort));
        }
        for legs in self.several(&bases) {
            best = self.or_better(best, &legs, SAME, (deratings, effort));
        }
        best
    }

    /// Returns one leg for each workload, without a base.
    pub(crate) fn whole(&self) -> Vec<Leg> {
        legs::whole(&vec![None; self.spec.serves.len()], &self.periods)
    }

    /// Returns the ways to cut workloads into legs; what was settled before has as many as it has.
    fn several(&self, bases: &[Option<Base>]) -> Vec<Vec<Leg>> {
        let none = vec![None; bases.len()];
        let has_bases = bases.iter().any(Option::is_some);
        let mut all = vec![(none.as_slice(), false)];
        if has_bases {
            all.extend([(bases, false), (bases, true)]);
        }
        let split = |(bases, first_only)| legs::split(self.spec, &self.periods, bases, first_only);
        let fits = |legs: &Vec<Leg>| self.kept.as_ref().is_none_or(|kept| kept.serves.len() == legs.len());
        all.into_iter().filter_map(split).filter(fits).collect()
    }

    /// Returns the answer with these legs, where it costs less than one that is known by more than a share of that.
    fn or_better<'f>(
        &'f self,
        known: Result<Solved<'f>, Unsolved<'f>>,
        legs: &[Leg],
        by: f64,
        (deratings, effort): (&Deratings, Effort),
    ) -> Result<Solved<'f>, Unsolved<'f>> {
        let most = known.as_ref().map_or(f64::INFINITY, |known| known.2.objective * (1.0 - by));
        let least = || costs_at_least(&self.formulated(legs, deratings, &self.few_ends(deratings)).1.problem);
        if known.is_ok() && least().is_some_and(|least| least >= most) {
            return known;
        }
        match (known, self.solve_with(legs, deratings, effort)) {
            (Ok(known), Ok(other)) if most < other.2.objective => Ok(known),
            (_, Ok(other)) => Ok(other),
            (known, Err(_)) => known,
        }
    }

    pub(crate) fn asking(&self) -> impl Iterator<Item = Asking<'_>> {
        let each = self.spec.serves.iter().zip(&self.demand).zip(&self.ways);
        each.map(|((serve, demand), ways)| Asking { serve, demand, ways })
    }

    pub(crate) fn formulated<'f>(
        &'f self,
        legs: &[Leg],
        deratings: &Deratings,
        ends: &Ends,
    ) -> (Vec<ServeColumns<'f>>, Formulation<'f>) {
        let pick = |index: usize| self.kept.as_ref().and_then(|kept| kept.serves.get(index));
        let asking: Vec<Asking<'f>> = self.asking().collect();
        let columns = |(index, leg): (usize, &Leg)| {
            let asking = asking[leg.of];
            ServeColumns {
                serve: asking.serve,
                of: leg.of,
                periods: leg.periods.clone(),
                demand: asking.demand.clone(),
                ways: asking.ways,
                columns: serve_columns(&asking, leg, &self.market, pick(index), |way| {
                    deratings.of(&asking.serve.name, way)
                }),
                base: leg.base.clone(),
            }
        };
        let serves: Vec<ServeColumns<'f>> = legs.iter().enumerate().map(columns).collect();
        let formulation = formulate(self, &serves, batches::columns(self, deratings), ends);
        (serves, formulation)
    }

    /// Jobs that end inside a period: all of them are cut where they are few.
    pub(crate) fn few_ends(&self, deratings: &Deratings) -> Ends {
        Ends { cuts: Cuts::few(&self.held(&batches::columns(self, deratings))), is_bound: true }
    }

    /// Cuts the ends of the ways of each training that seem the cheapest.
    fn cut_cheapest(&self, cuts: &mut Cuts) {
        let price = |column: &TrainColumn| self.market.stands[column.stand].cheapest_per_hour();
        let cost = |column: &TrainColumn| price(column) * f64::from(column.nodes) * column.run.hours;
        for (job, train) in self.trains.iter().enumerate() {
            let mut ways: Vec<usize> = (0..train.columns.len()).collect();
            ways.sort_by(|&a, &b| cost(&train.columns[a]).total_cmp(&cost(&train.columns[b])));
            ways.into_iter().take(CHEAPEST).for_each(|way| cuts.add(job, way));
        }
    }

    /// Returns when each job holds machines, in each of its ways: trainings, then offline inference.
    pub(crate) fn held(&self, batches: &[BatchColumns<'_>]) -> Vec<Vec<Held>> {
        let trains = self.trains.iter().map(|train| train.columns.iter().map(TrainColumn::held).collect());
        let batches = batches.iter().map(|batch| batch.columns.iter().map(BatchColumn::held).collect());
        trains.chain(batches).collect()
    }

    /// Returns the cheapest answer with these legs.
    ///
    /// Where not every end of a job is cut, the others are taken to be earlier, so that no plan costs less; as long as a
    /// job runs in such a way, the ends at its place are cut as well. Where that does not end, the ends that are left are
    /// taken to be later, and what was found before is the bound.
    fn solve_with<'f>(
        &'f self,
        legs: &[Leg],
        deratings: &Deratings,
        effort: Effort,
    ) -> Result<Solved<'f>, Unsolved<'f>> {
        let mut ends = self.few_ends(deratings);
        for _ in 0..MOST_CUTTINGS {
            let solved = self.solve_once(legs, deratings, &ends, effort)?;
            let uncut = self.uncut(&solved);
            if uncut.is_empty() || effort == Effort::Draft {
                return Ok(solved);
            }
            uncut.into_iter().for_each(|(job, way)| ends.cuts.add(job, way));
        }
        self.cut_cheapest(&mut ends.cuts);
        let least = self.solve_once(legs, deratings, &ends, effort)?.2.best_bound;
        let (serves, formulation, solution) =
            self.solve_once(legs, deratings, &Ends { is_bound: false, ..ends }, effort)?;
        let best_bound = solution.best_bound.min(least);
        let gap = ((solution.objective - best_bound) / solution.objective.max(f64::MIN_POSITIVE)).max(0.0);
        let status = if gap > solution.gap { Status::WithinGap } else { solution.status };
        Ok((serves, formulation, Solution { best_bound, gap, status, ..solution }))
    }

    /// Returns the ways of jobs that are to be cut: all at a place where the job ends at what is no cut.
    fn uncut(&self, (serves, formulation, solution): &Solved<'_>) -> Vec<(usize, usize)> {
        let chosen = &solution.columns[serves.len()..];
        let of_batches = chosen[self.trains.len() + self.apps.len()..].iter();
        let chosen = chosen[..self.trains.len()].iter().chain(of_batches);
        let held = self.held(&formulation.batches);
        let mut uncut = Vec::new();
        for (job, (ways, &way)) in held.iter().zip(chosen).enumerate() {
            if !parts::ends_at_cut(&formulation.parts, &self.periods, &ways[way]) {
                let there = (0..ways.len()).filter(|&other| ways[other].stand == ways[way].stand);
                uncut.extend(there.map(|way| (job, way)));
            }
        }
        uncut
    }

    /// Returns whether a draft is as good as [`Effort::Plan`] would find: as near as prices of limits come, and every end cut
    /// that matters.
    pub(crate) fn is_plan(&self, draft: &Solved<'_>) -> bool {
        draft.2.gap <= PRICED && self.uncut(draft).is_empty()
    }

    fn solve_once<'f>(
        &'f self,
        legs: &[Leg],
        deratings: &Deratings,
        ends: &Ends,
        effort: Effort,
    ) -> Result<Solved<'f>, Unsolved<'f>> {
        let (serves, formulation) = self.formulated(legs, deratings, ends);
        match solve(&formulation.problem, &effort.options()) {
            Ok(solution) => match formulation.with_kept(solution) {
                Some(solution) => Ok((serves, formulation, solution)),
                None => Err(Unsolved::Infeasible(Box::new((serves, formulation, Vec::new())))),
            },
            Err(NoPlan::Infeasible(unservable)) => {
                Err(Unsolved::Infeasible(Box::new((serves, formulation, unservable))))
            }
            Err(other) => Err(Unsolved::Failed(other)),
        }
    }
}

/// Are the ways to serve the same, whatever the demand is?
fn has_ways_of(one: &Serve, other: &Serve) -> bool {
    let mut other = other.clone();
    let load = &one.load;
    other.load.peak = load.peak;
    other.load.growth_per_month = load.growth_per_month;
    other.load.daily = load.daily;
    other.load.weekend = load.weekend;
    *one == other
}

/// Columns, program and answer of one turn.
pub(crate) type Solved<'f> = (Vec<ServeColumns<'f>>, Formulation<'f>, Solution);

/// Why a turn has no answer.
pub(crate) enum Unsolved<'f> {
    /// Nothing keeps all limits: what was asked, and which workloads cannot run at all.
    Infeasible(Box<(Vec<ServeColumns<'f>>, Formulation<'f>, Vec<Unservable>)>),
    /// A mistake of ours.
    Failed(NoPlan),
}
