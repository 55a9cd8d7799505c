//! From a checked spec to a blueprint: enumerate, solve, simulate, derate, solve again, account, audit.

use crate::apps;
use crate::assemble::{Draft, draft, summaries};
use crate::columns::ServeColumns;
use crate::cost::{self, PricedPool, Usage, Used};
use crate::fabric;
use crate::formulate::Formulation;
use crate::frame::{Frame, Unsolved};
use crate::infeasible;
use crate::program::{NoPlan, Solution, Status as ProgramStatus, Unservable, charged_accelerators};
use crate::scenarios::{self, Scenario};
use crate::settle::{Deratings, Proof, prove};
use crate::storage;
use crate::verify::VerifyError;
use crate::ways_out::{self, Source};
use crate::worlds::{self, Worlds};
use crate::{audit, demand, outcome, rules};
use capstan_sim::serving::Request;
use capstan_types::blueprint::{
    AppRun, Blueprint, FORMAT, InputFile, Inputs, Override, Placement, Round, Solver, SolverStatus, Status,
};
use capstan_types::catalog::Catalog;
use capstan_types::spec::Spec;
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

/// The plan as it is checked elsewhere than in its own file: in other worlds, and in its scenarios.
#[derive(Debug, Clone, Default)]
pub struct Variants {
    /// Worlds that are drawn, where something is uncertain.
    pub worlds: Worlds,
    /// Scenarios that are planned beside it.
    pub scenarios: Vec<Scenario>,
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

/// One turn of the loop.
pub(crate) struct Turn<'a> {
    pub(crate) serves: Vec<ServeColumns<'a>>,
    pub(crate) formulation: Formulation,
    pub(crate) solution: Solution,
    pub(crate) draft: Draft,
    pub(crate) proof: Proof,
}

/// Returns the blueprint of `spec`.
///
/// `traces` holds the requests of each trace that the plan names, by path; `variants` the plan in other worlds and in its
/// scenarios. `progress` is told what is being done.
///
/// # Errors
/// See [`PlanError`]; infeasible plans are blueprints.
pub fn plan(
    spec: Spec,
    catalog: &Catalog,
    traces: &BTreeMap<String, Vec<Request>>,
    variants: &Variants,
    provenance: Provenance,
    progress: &dyn Fn(&str),
) -> Result<Blueprint, PlanError> {
    // Without worlds the plan is one for the medians.
    let certain = variants.worlds.drawn.is_empty().then(|| Spec { uncertain: Vec::new(), ..spec.clone() });
    let spec = certain.unwrap_or(spec);
    let mut blueprint = planned(&spec, catalog, traces, &variants.worlds, provenance, progress)?;
    if !variants.scenarios.is_empty() {
        progress("planning scenarios");
        blueprint.scenarios = scenarios::outcomes(&blueprint, &variants.scenarios, traces)?;
        blueprint.audit = audit::audit(&blueprint);
    }
    Ok(blueprint)
}

fn planned(
    spec: &Spec,
    catalog: &Catalog,
    traces: &BTreeMap<String, Vec<Request>>,
    worlds: &Worlds,
    provenance: Provenance,
    progress: &dyn Fn(&str),
) -> Result<Blueprint, PlanError> {
    progress("enumerating candidates");
    let frame = Frame::of(spec, catalog, traces)?;
    let alone = vec![None; spec.serves.len()];
    let passed = infeasible::passed_already(
        &frame,
        &frame.formulated(&alone, &Deratings::default(), &frame.few_ends()).1,
    );
    if !passed.is_empty() {
        let findings = ways_out::verified(&Source { spec, catalog, traces }, passed);
        return Ok(outcome::infeasible(&frame, provenance, Vec::new(), findings));
    }
    match settle(&frame, progress)? {
        Settled::Holds { turn, rounds, settled, deratings } => {
            let (runners_up, prices) =
                (outcome::runners_up(&frame, &turn), outcome::limit_prices(&frame, &turn));
            progress("weighing worlds");
            let chosen = worlds::least_regret(&frame, &turn, &deratings, worlds)?;
            let kept = chosen.as_ref().and_then(|chosen| chosen.kept.clone());
            let kept = kept.map(|kept| frame.keeping(kept));
            let again = kept.as_ref().map(|frame| settle(frame, progress)).transpose()?;
            progress("accounting and auditing");
            let bound = turn.solution.best_bound;
            let mut blueprint = match again.zip(kept.as_ref()) {
                Some((Settled::Holds { turn, rounds, settled, .. }, frame)) => {
                    finish(frame, *turn, rounds, settled, provenance)
                }
                _ => finish(&frame, *turn, rounds, settled, provenance),
            };
            // What is settled for all worlds may cost more for the medians than the cheapest plan for them alone.
            let above =
                (blueprint.solver.objective - bound) / blueprint.solver.objective.max(f64::MIN_POSITIVE);
            (blueprint.solver.bound, blueprint.solver.gap) = (Some(bound), Some(above.max(0.0)));
            (blueprint.runners_up, blueprint.limit_prices) = (runners_up, prices);
            blueprint.uncertainty = chosen.map(|chosen| chosen.uncertainty);
            blueprint.audit = audit::audit(&blueprint);
            Ok(blueprint)
        }
        Settled::Stuck { rounds, why } => {
            let Stop { serves, formulation, unservable, deratings } = *why;
            let stuck = infeasible::findings(&frame, &serves, &formulation, &unservable, &deratings)
                .map_err(PlanError::Program)?;
            progress("planning with each way out");
            let source = Source { spec, catalog, traces };
            let findings = ways_out::verified(&source, stuck);
            Ok(outcome::infeasible(&frame, provenance, rounds, findings))
        }
    }
}

/// How the loop ended.
pub(crate) enum Settled<'f> {
    /// With a plan.
    Holds { turn: Box<Turn<'f>>, rounds: Vec<Round>, settled: bool, deratings: Deratings },
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
        let draft = draft(frame, &serves, (&formulation.parts, &solution));
        progress(&format!("round {}: simulating", rounds.len() + 1));
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
    Ok(Settled::Holds { turn: Box::new(turn), rounds, settled, deratings })
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
    let solver = solved(&turn.solution, rounds, settled);
    findings.extend(outcome::findings(frame, &turn, settled));
    let unpriced = frame.market.unpriced.clone();
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
        apps: turn.draft.apps,
        pools,
        sites,
        networks,
        stores: frame.stores.all.clone(),
        cost: bill,
        verdicts: turn.proof.verdicts,
        rules: Vec::new(),
        solver,
        runners_up: Vec::new(),
        limit_prices: Vec::new(),
        uncertainty: None,
        scenarios: Vec::new(),
        rejections: frame.rejections.clone(),
        unpriced,
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

/// Returns how the answer was found.
fn solved(solution: &Solution, rounds: Vec<Round>, settled: bool) -> Solver {
    Solver {
        status: match solution.status {
            ProgramStatus::Optimal => SolverStatus::Optimal,
            ProgramStatus::WithinGap if solution.gap <= outcome::WIDE_GAP => SolverStatus::Optimal,
            ProgramStatus::WithinGap => SolverStatus::NodeLimit,
        },
        objective: solution.objective,
        bound: Some(solution.best_bound),
        gap: Some(solution.gap),
        columns: solution.n_columns as u32,
        rounds,
        settled,
        ties: TIES.to_owned(),
    }
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

/// Returns what each workload uses: accelerator-hours charged, and the tokens of its mean demand.
fn usage(frame: &Frame<'_>, turn: &Turn<'_>) -> Vec<Usage> {
    let mut usage = Vec::new();
    for serve in &turn.serves {
        let service = turn.draft.services.iter().find(|service| service.workload == serve.serve.name);
        let placements = service.iter().flat_map(|service| &service.placements);
        let used = |placement: &Placement| Used {
            site: placement.site.clone(),
            shape: placement.candidate.shape.clone(),
            hours: charged_hours(frame, placement),
            accelerators: true,
        };
        let load = &serve.serve.load;
        let requests: f64 = frame.periods.iter().map(|period| demand::requests(load, period)).sum();
        usage.push(Usage {
            workload: serve.serve.name.clone(),
            on: placements.map(used).collect(),
            requests,
            prompt_tokens: requests * load.prompt.mean,
            output_tokens: requests * load.output.mean,
        });
    }
    for run in &turn.draft.trainings {
        let per_node = frame.catalog.shape(&run.candidate.shape).map_or(0, |shape| shape.accelerators);
        let nodes = f64::from(run.candidate.nodes + run.spare_nodes);
        let train = frame.spec.trains.iter().find(|train| train.name == run.workload);
        usage.push(Usage {
            workload: run.workload.clone(),
            on: vec![Used {
                site: run.site.clone(),
                shape: run.candidate.shape.clone(),
                hours: nodes * f64::from(per_node) * run.hours,
                accelerators: true,
            }],
            requests: 0.0,
            prompt_tokens: train.map_or(0.0, |train| train.tokens.get()),
            output_tokens: 0.0,
        });
    }
    usage.extend(turn.draft.apps.iter().map(|run| app_usage(frame, run)));
    usage
}

/// Returns what a service or group of notebooks uses: accelerators where it has some, machines otherwise.
fn app_usage(frame: &Frame<'_>, run: &AppRun) -> Usage {
    let shape = frame.catalog.shape(&run.shape);
    let mut units = 0.0;
    for period in &frame.periods {
        for hour in 0..run.instances.len() {
            let taken = shape.map_or(0, |shape| apps::units_at(run, shape, hour));
            units += f64::from(taken) * demand::hour_weight(hour, period);
        }
    }
    Usage {
        workload: run.workload.clone(),
        on: vec![Used {
            site: run.site.clone(),
            shape: run.shape.clone(),
            hours: units,
            accelerators: run.per_accelerator > 0,
        }],
        requests: 0.0,
        prompt_tokens: 0.0,
        output_tokens: 0.0,
    }
}

/// Returns the accelerator-hours that a placement is charged over the horizon.
fn charged_hours(frame: &Frame<'_>, placement: &Placement) -> f64 {
    let per_node = frame.catalog.shape(&placement.candidate.shape).map_or(0, |shape| shape.accelerators);
    let charged = f64::from(charged_accelerators(placement.candidate.accelerators, per_node));
    let periods = placement.replicas.iter().zip(&frame.periods);
    periods
        .map(|(hours, period)| {
            let each = hours.iter().enumerate();
            each.map(|(hour, &n)| f64::from(n) * charged * demand::hour_weight(hour, period)).sum::<f64>()
        })
        .sum()
}
