//! From a checked spec to a blueprint: enumerate, solve, simulate, derate, solve again, account, audit.

use crate::assemble::{Draft, draft, summaries};
use crate::candidates::{self, Served, Unreached, Way};
use crate::columns::{ServeColumns, TrainColumns, is_allowed, serve_columns};
use crate::cost::{self, PricedPool};
use crate::fabric;
use crate::fleet::{self, Asking, Base};
use crate::formulate::{Formulation, formulate};
use crate::infeasible;
use crate::jobs;
use crate::market::{Market, market};
use crate::outside::Outside;
use crate::periods::periods;
use crate::program::{NoPlan, Options, Solution, Status as ProgramStatus, Unservable, costs_at_least, solve};
use crate::settle::{Deratings, Proof, prove};
use crate::storage::{self, Stores};
use crate::usage::usage;
use crate::verify::VerifyError;
use crate::ways_out::{self, Source};
use crate::{apart, audit, demand, outcome, rules, what_if};
use capstan_sim::serving::Recording;
use capstan_types::blueprint::{
    Blueprint, DemandCurve, FORMAT, InputFile, Inputs, Override, Period, RejectionCount, Round, Solver,
    SolverStatus, Status,
};
use capstan_types::catalog::{Catalog, Engine};
use capstan_types::hardware::NodeShape;
use capstan_types::spec::{Disaggregated, Serve, Spec};
use std::collections::BTreeMap;

/// Most turns of solve, simulate, derate.
pub const MAX_ROUNDS: usize = 8;

/// How equally cheap answers are ordered.
const TIES: &str = "fewer kinds of machines, then the order of sites and shapes";

/// What the caller knows about where the inputs came from.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Provenance {
    /// Version of the tool.
    pub tool: String,
    /// Files with their digests.
    pub files: Vec<InputFile>,
    /// Changes made on the way in.
    pub overrides: Vec<Override>,
}

/// Why there is no blueprint at all. A plan that cannot be met is not an error: it is a blueprint that says why.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The program contradicts itself: a mistake of ours.
    #[error("the purchase program could not be solved")]
    Program(#[source] NoPlan),
    /// A simulation could not be set up.
    #[error("the draft could not be simulated")]
    Verify(#[from] VerifyError),
    /// A name that the checker resolved is not in the catalog that the planner was given.
    #[error("`{0}` is not in the catalog")]
    Unknown(String),
}

/// Everything that stays the same over all rounds.
pub(crate) struct Frame<'a> {
    pub(crate) spec: &'a Spec,
    pub(crate) catalog: &'a Catalog,
    pub(crate) periods: Vec<Period>,
    pub(crate) market: Market<'a>,
    pub(crate) demand: Vec<DemandCurve>,
    pub(crate) ways: Vec<Vec<Way>>,
    pub(crate) engines: Vec<&'a Engine>,
    pub(crate) trains: Vec<TrainColumns<'a>>,
    pub(crate) traces: &'a BTreeMap<String, Recording>,
    pub(crate) rejections: Vec<RejectionCount>,
    pub(crate) unreached: Vec<Vec<Unreached>>,
    pub(crate) outside: Outside,
    pub(crate) stores: Stores,
}

/// One turn of the loop.
pub(crate) struct Turn<'a> {
    pub(crate) serves: Vec<ServeColumns<'a>>,
    pub(crate) formulation: Formulation,
    pub(crate) solution: Solution,
    pub(crate) draft: Draft,
    pub(crate) proof: Proof,
}

/// Returns the blueprint of `spec`: with workloads in two parts where that is cheaper, and the plan allows it.
///
/// `traces` holds the requests of each trace that the plan names, by path. `progress` is told what is being done.
///
/// # Errors
/// See [`PlanError`]; infeasible plans are blueprints.
pub fn plan(
    spec: Spec,
    catalog: &Catalog,
    traces: &BTreeMap<String, Recording>,
    provenance: Provenance,
    progress: &dyn Fn(&str),
) -> Result<Blueprint, PlanError> {
    let asked = spec.serves.iter().filter(|serve| serve.disaggregated != Disaggregated::Never);
    let asked: Vec<(String, Disaggregated)> =
        asked.map(|serve| (serve.name.clone(), serve.disaggregated)).collect();
    let planned = |spec: Spec| as_it_stands(spec, catalog, traces, provenance.clone(), progress);
    let mut best = planned(spec)?;
    for (name, wish) in asked {
        let spec = &best.inputs.spec;
        let Some(index) = spec.serves.iter().position(|serve| serve.name == name) else { continue };
        let service = best.services.iter().find(|service| service.workload == name);
        let site = service.and_then(|service| service.placements.last()).map(|last| last.site.as_str());
        let mut apart: Option<Blueprint> = None;
        for variant in apart::variants(spec, index, site) {
            progress(&format!("planning {name} in two parts"));
            let one = planned(variant)?;
            apart = Some(match apart {
                Some(known) => apart::the_better(known, one).0,
                None => one,
            });
        }
        best = match (apart, wish) {
            (Some(apart), Disaggregated::Always) => apart::beside(apart, &best, &name),
            (Some(apart), _) => apart::better(best, apart, &name),
            (None, _) => best,
        };
    }
    Ok(best)
}

/// Returns the blueprint of `spec`, each workload as it is.
///
/// `traces` holds the requests of each trace that the plan names, by path. `progress` is told what is being done.
///
/// # Errors
/// See [`PlanError`]; infeasible plans are blueprints.
fn as_it_stands(
    spec: Spec,
    catalog: &Catalog,
    traces: &BTreeMap<String, Recording>,
    provenance: Provenance,
    progress: &dyn Fn(&str),
) -> Result<Blueprint, PlanError> {
    progress("enumerating candidates");
    let frame = Frame::of(&spec, catalog, traces)?;
    let alone = vec![None; spec.serves.len()];
    let passed = infeasible::passed_already(&frame, &frame.formulated(&alone, &Deratings::default()).1);
    if !passed.is_empty() {
        let findings = ways_out::verified(&Source { spec: &spec, catalog, traces }, passed);
        return Ok(outcome::infeasible(&frame, provenance, Vec::new(), findings));
    }
    match settle(&frame, progress)? {
        Settled::Holds { turn, rounds, settled } => {
            progress("accounting and auditing");
            let (runners_up, prices) =
                (outcome::runners_up(&frame, &turn), outcome::limit_prices(&frame, &turn));
            let mut blueprint = finish(&frame, *turn, rounds, settled, provenance);
            (blueprint.runners_up, blueprint.limit_prices) = (runners_up, prices);
            blueprint.what_ifs = what_if::outcomes(&blueprint, traces, progress);
            blueprint.bursts = what_if::bursts(&blueprint, traces);
            blueprint.findings.extend(what_if::findings(&blueprint));
            blueprint.audit = audit::audit(&blueprint);
            Ok(blueprint)
        }
        Settled::Stuck { rounds, why } => {
            let Stop { serves, formulation, unservable, deratings } = *why;
            let stuck = infeasible::findings(&frame, &serves, &formulation, &unservable, &deratings)
                .map_err(PlanError::Program)?;
            progress("planning with each way out");
            let source = Source { spec: &spec, catalog, traces };
            let findings = ways_out::verified(&source, stuck);
            Ok(outcome::infeasible(&frame, provenance, rounds, findings))
        }
    }
}

/// How the loop ended.
pub(crate) enum Settled<'f> {
    /// With a plan.
    Holds { turn: Box<Turn<'f>>, rounds: Vec<Round>, settled: bool },
    /// With limits that cannot be kept.
    Stuck { rounds: Vec<Round>, why: Box<Stop<'f>> },
}

/// What cannot be kept, and what had been found until then.
pub(crate) struct Stop<'f> {
    serves: Vec<ServeColumns<'f>>,
    formulation: Formulation,
    unservable: Vec<Unservable>,
    deratings: Deratings,
}

/// Solves, simulates and derates until nothing changes.
pub(crate) fn settle<'f>(frame: &'f Frame<'_>, progress: &dyn Fn(&str)) -> Result<Settled<'f>, PlanError> {
    let mut deratings = Deratings::default();
    let mut rounds: Vec<Round> = Vec::new();
    let (turn, settled) = loop {
        progress(&format!("round {}: solving", rounds.len() + 1));
        let (serves, formulation, solution) = match frame.solve(&deratings) {
            Ok(solved) => solved,
            Err(Unsolved::Infeasible(asked)) => {
                let (serves, formulation, unservable) = *asked;
                let why = Box::new(Stop { serves, formulation, unservable, deratings });
                return Ok(Settled::Stuck { rounds, why });
            }
            Err(Unsolved::Failed(why)) => return Err(PlanError::Program(why)),
        };
        let draft = draft(frame.spec, &frame.periods, &frame.market, &serves, &frame.trains, &solution);
        let costs = solution.objective.round();
        progress(&format!("round {}: simulating a plan that costs {costs}", rounds.len() + 1));
        let proof = prove(frame, &serves, &draft, &solution, &mut deratings)?;
        rounds.push(Round {
            objective: solution.objective,
            missed: proof.missed.clone(),
            derated: proof.derated.clone(),
        });
        let settled = proof.derated.is_empty();
        if settled || rounds.len() >= MAX_ROUNDS {
            break (Turn { serves, formulation, solution, draft, proof }, settled);
        }
    };
    Ok(Settled::Holds { turn: Box::new(turn), rounds, settled })
}

impl<'a> Frame<'a> {
    pub(crate) fn of(
        spec: &'a Spec,
        catalog: &'a Catalog,
        traces: &'a BTreeMap<String, Recording>,
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
            periods,
            market,
            ways: Vec::new(),
            engines: Vec::new(),
            trains: Vec::new(),
            traces,
            rejections: Vec::new(),
            unreached: Vec::new(),
        };
        let unknown = |id: &str| PlanError::Unknown(id.to_owned());
        let model = |id: &str| spec.models.iter().find(|model| model.id == id).ok_or_else(|| unknown(id));
        for serve in &spec.serves {
            let engine =
                catalog.engine(&serve.engine).ok_or_else(|| PlanError::Unknown(serve.engine.clone()))?;
            let shapes = frame.shapes(serve.sites.as_ref());
            let served = Served::of(serve, &spec.models, engine).map_err(unknown)?;
            let found = candidates::enumerate(catalog, &served, &shapes);
            frame.ways.push(found.ways);
            frame.unreached.push(found.unreached);
            frame.engines.push(engine);
            frame.rejections.extend(found.rejections);
        }
        frame.rejections.extend(refused_machines(spec, &frame.market));
        for train in &spec.trains {
            let found =
                jobs::enumerate(spec, catalog, &frame.market, &frame.periods, train, model(&train.model)?);
            frame.trains.push(TrainColumns { train, columns: found.columns });
            frame.rejections.extend(found.rejections);
        }
        Ok(frame)
    }

    /// Returns every shape that can be had at the sites allowed, once.
    fn shapes(&self, sites: Option<&Vec<String>>) -> Vec<&'a NodeShape> {
        let mut shapes: Vec<&NodeShape> = Vec::new();
        for stand in self.market.stands.iter().filter(|stand| is_allowed(sites, stand.site)) {
            if !shapes.iter().any(|known| known.id == stand.shape.id) {
                shapes.push(stand.shape);
            }
        }
        shapes
    }

    /// Returns the cheapest answer: with machines that stand there carrying a part of a workload, or without.
    fn solve<'f>(&'f self, deratings: &Deratings) -> Result<Solved<'f>, Unsolved<'f>> {
        let factor = |serve: &Serve, way: &Way| deratings.factor(&serve.name, way);
        let asking: Vec<Asking<'_>> = self.asking().collect();
        let bases = fleet::bases(&asking, &self.market, factor);
        let alone = self.solve_with(&vec![None; asking.len()], deratings);
        if bases.iter().all(Option::is_none) {
            return alone;
        }
        let least = || costs_at_least(&self.formulated(&bases, deratings).1.problem);
        if alone.as_ref().is_ok_and(|alone| least().is_some_and(|least| least >= alone.2.objective)) {
            return alone;
        }
        match (alone, self.solve_with(&bases, deratings)) {
            (Ok(alone), Ok(shared)) if alone.2.objective < shared.2.objective => Ok(alone),
            (_, Ok(shared)) => Ok(shared),
            (alone, Err(_)) => alone,
        }
    }

    fn asking(&self) -> impl Iterator<Item = Asking<'_>> {
        let each = self.spec.serves.iter().zip(&self.demand).zip(&self.ways);
        each.map(|((serve, demand), ways)| Asking { serve, demand, ways })
    }

    fn formulated<'f>(
        &'f self,
        bases: &[Option<Base>],
        deratings: &Deratings,
    ) -> (Vec<ServeColumns<'f>>, Formulation) {
        let columns = |(asking, base): (Asking<'f>, &Option<Base>)| ServeColumns {
            serve: asking.serve,
            demand: asking.demand.clone(),
            ways: asking.ways,
            columns: serve_columns(&asking, base.as_ref(), &self.market, |way| {
                deratings.factor(&asking.serve.name, way)
            }),
            base: base.clone(),
        };
        let serves: Vec<ServeColumns<'f>> = self.asking().zip(bases).map(columns).collect();
        let formulation =
            formulate(self.spec, &self.periods, &self.market, &serves, &self.trains, &self.outside);
        (serves, formulation)
    }

    fn solve_with<'f>(
        &'f self,
        bases: &[Option<Base>],
        deratings: &Deratings,
    ) -> Result<Solved<'f>, Unsolved<'f>> {
        let (serves, formulation) = self.formulated(bases, deratings);
        match solve(&formulation.problem, &Options::default()) {
            Ok(solution) => Ok((serves, formulation, solution)),
            Err(NoPlan::Infeasible(unservable)) => {
                Err(Unsolved::Infeasible(Box::new((serves, formulation, unservable))))
            }
            Err(other) => Err(Unsolved::Failed(other)),
        }
    }
}

/// Columns, program and answer of one turn.
type Solved<'f> = (Vec<ServeColumns<'f>>, Formulation, Solution);

/// Why a turn has no answer.
enum Unsolved<'f> {
    /// Nothing keeps all limits: what was asked, and which workloads cannot run at all.
    Infeasible(Box<(Vec<ServeColumns<'f>>, Formulation, Vec<Unservable>)>),
    /// A mistake of ours.
    Failed(NoPlan),
}

/// Returns a rejection for each machine that a site cannot take, by workload that may stand there.
fn refused_machines(spec: &Spec, market: &Market<'_>) -> Vec<RejectionCount> {
    let names =
        spec.serves.iter().map(|serve| &serve.name).chain(spec.trains.iter().map(|train| &train.name));
    let rows = names.flat_map(|workload| {
        market.refused.iter().map(move |(shape, reason, words)| RejectionCount {
            workload: workload.clone(),
            shape: shape.clone(),
            reason: (*reason).to_owned(),
            count: 1,
            nearest: words.clone(),
            excess: None,
        })
    });
    rows.collect()
}

pub(crate) fn finish(
    frame: &Frame<'_>,
    turn: Turn<'_>,
    rounds: Vec<Round>,
    settled: bool,
    provenance: Provenance,
) -> Blueprint {
    let bill = bill(frame, &turn);
    let sites = summaries(frame.spec, &frame.periods, &frame.market, &turn.draft, &frame.stores);
    let (networks, mut findings) = fabric::networks(frame.spec, frame.catalog, &turn.draft);
    findings.extend(fabric::over_power(frame.spec, &sites, &networks));
    findings.extend(frame.stores.findings.iter().cloned());
    let solver = Solver {
        status: match turn.solution.status {
            ProgramStatus::Optimal => SolverStatus::Optimal,
            ProgramStatus::WithinGap if turn.solution.gap <= outcome::WIDE_GAP => SolverStatus::Optimal,
            ProgramStatus::WithinGap => SolverStatus::NodeLimit,
        },
        objective: turn.solution.objective,
        bound: Some(turn.solution.best_bound),
        gap: Some(turn.solution.gap),
        columns: turn.solution.n_columns as u32,
        rounds,
        settled,
        ties: TIES.to_owned(),
    };
    findings.extend(outcome::findings(frame, &turn, settled));
    let pools: Vec<_> = turn.draft.pools.into_iter().map(|(_, pool)| pool).collect();
    let changes = pools.iter().any(|pool| !pool.purchases.is_empty());
    let mut blueprint = Blueprint {
        format: FORMAT,
        tool: provenance.tool,
        status: Status::Feasible,
        changes,
        inputs: Inputs {
            files: provenance.files,
            overrides: provenance.overrides,
            spec: frame.spec.clone(),
            catalog: outcome::rows_used(frame, &networks),
            oldest_price_days: outcome::oldest_price_days(frame.spec, &pools),
        },
        periods: frame.periods.clone(),
        demand: frame.demand.clone(),
        services: turn.draft.services,
        trainings: turn.draft.trainings,
        pools,
        sites,
        networks,
        stores: frame.stores.all.clone(),
        cost: bill,
        verdicts: turn.proof.verdicts,
        what_ifs: Vec::new(),
        bursts: Vec::new(),
        rules: Vec::new(),
        solver,
        runners_up: Vec::new(),
        limit_prices: Vec::new(),
        rejections: frame.rejections.clone(),
        unpriced: frame.market.unpriced.clone(),
        findings: Vec::new(),
        assumptions: outcome::assumptions(frame),
        audit: Vec::new(),
    };
    blueprint.rules = rules::outcomes(&blueprint);
    findings.extend(outcome::rule_findings(&blueprint));
    blueprint.findings = findings;
    blueprint.status = outcome::status(&blueprint);
    blueprint.audit = audit::audit(&blueprint);
    blueprint
}

fn bill(frame: &Frame<'_>, turn: &Turn<'_>) -> capstan_types::blueprint::Cost {
    let priced: Vec<PricedPool<'_>> = turn
        .draft
        .pools
        .iter()
        .map(|(index, pool)| {
            let stand = &frame.market.stands[*index];
            let quote_of = |option| stand.quotes.iter().find(|quote| quote.option == option);
            PricedPool {
                pool,
                site: stand.site,
                shape: stand.shape,
                quotes: pool.purchases.iter().map(|purchase| quote_of(purchase.option)).collect(),
                on_demand: stand.on_demand,
                committed: stand.committed,
            }
        })
        .collect();
    let beside = storage::bill(frame.spec, frame.catalog, &frame.periods, &frame.stores.all);
    cost::bill(&frame.spec.frame, &frame.periods, &priced, &usage(frame, turn), beside)
}
