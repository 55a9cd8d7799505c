//! From a checked spec to a blueprint: enumerate, solve, simulate, derate, solve again, account, audit.

use crate::assemble::{Draft, draft, summaries};
use crate::columns::ServeColumns;
use crate::cost::{self, PricedPool};
use crate::derate::{self, Deratings};
use crate::egress;
use crate::fabric;
use crate::formulate::Formulation;
use crate::frame::{Effort, Frame, Unsolved};
use crate::infeasible;
use crate::intervals;
use crate::outside;
use crate::program::{NoPlan, Problem, Solution, Status as ProgramStatus, Unservable};
use crate::scenarios::{self, Scenario};
use crate::settle::{Proof, prove, prove_offline};
use crate::usage::usage;
use crate::verify::VerifyError;
use crate::ways_out::{self, Source};
use crate::worlds::{self, Worlds};
use crate::{apart, audit, outcome, reclaims, rules, what_if};
use capstan_sim::serving::Recording;
use capstan_types::blueprint::{
    Blueprint, FORMAT, InputFile, Inputs, Network, Override, Round, Solver, SolverStatus, Status,
};
use capstan_types::catalog::Catalog;
use capstan_types::origin::Origin;
use capstan_types::spec::{Assumption, Disaggregated, Spec};
use std::collections::BTreeMap;

/// Most turns of solve, simulate, derate.
const MAX_ROUNDS: usize = 24;

/// Share of its cost by which a plan must be cheaper for jobs to wait: what is paid later is worth less, however it is paid.
const WORTH_WAITING: f64 = 0.05;

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
    pub(crate) formulation: Formulation<'a>,
    pub(crate) solution: Solution,
    pub(crate) draft: Draft,
    pub(crate) proof: Proof,
}

impl Turn<'_> {
    pub(crate) fn whole(&self, frame: &Frame<'_>) -> Whole {
        Whole::of(frame, &self.formulation.problem, &self.solution)
    }
}

/// What a plan costs by the objective, and what none costs less than: the program's answer with what is spent beside it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Whole {
    pub(crate) objective: f64,
    pub(crate) bound: f64,
}

impl Whole {
    pub(crate) fn of(frame: &Frame<'_>, problem: &Problem, solution: &Solution) -> Self {
        let beside = frame.outside.present(&frame.periods, problem);
        Whole { objective: solution.objective + beside, bound: solution.best_bound + beside }
    }

    /// Returns by what share of the plan's cost another may be cheaper.
    pub(crate) fn gap(&self) -> f64 {
        ((self.objective - self.bound) / self.objective.max(f64::MIN_POSITIVE)).max(0.0)
    }
}

/// Returns the blueprint of `spec`: with workloads in two parts where that is cheaper, and the plan allows it.
///
/// `traces` holds the requests of each trace that the plan names, by path; `variants` the plan in other worlds and in its
/// scenarios. `progress` is told what is being done.
///
/// # Errors
/// See [`PlanError`]; infeasible plans are blueprints.
pub fn plan(
    spec: Spec,
    catalog: &Catalog,
    traces: &BTreeMap<String, Recording>,
    variants: &Variants,
    provenance: Provenance,
    progress: &dyn Fn(&str),
) -> Result<Blueprint, PlanError> {
    // Without worlds the plan is one for the medians.
    let certain = variants.worlds.drawn.is_empty().then(|| spec.at_medians());
    let spec = certain.unwrap_or(spec);
    let source = Source { spec: &spec, catalog, traces };
    let mut blueprint = in_parts(&source, &variants.worlds, &provenance, progress)?;
    if !variants.scenarios.is_empty() {
        progress("planning scenarios");
        blueprint.scenarios = scenarios::outcomes(&blueprint, &variants.scenarios, traces)?;
        blueprint.audit = audit::audit(&blueprint);
    }
    Ok(blueprint)
}

/// Returns the blueprint with each workload whole, or in two parts where it asks for that, or may be and that is cheaper.
fn in_parts(
    source: &Source<'_>,
    worlds: &Worlds,
    provenance: &Provenance,
    progress: &dyn Fn(&str),
) -> Result<Blueprint, PlanError> {
    let Source { spec, catalog, traces } = *source;
    let asked = spec.serves.iter().filter(|serve| serve.disaggregated != Disaggregated::Never);
    let asked: Vec<(String, Disaggregated)> =
        asked.map(|serve| (serve.name.clone(), serve.disaggregated)).collect();
    if asked.is_empty() {
        return planned(spec, catalog, traces, worlds, provenance.clone(), progress);
    }
    let medians = Worlds::default();
    let planned = |spec: &Spec| planned(spec, catalog, traces, &medians, provenance.clone(), progress);
    let mut best = planned(&spec.at_medians())?;
    for (name, wish) in asked {
        let spec = &best.inputs.spec;
        let Some(index) = spec.serves.iter().position(|serve| serve.name == name) else { continue };
        let service = best.services.iter().find(|service| service.workload == name);
        let site = service.and_then(|service| service.placements.last()).map(|last| last.site.as_str());
        let mut apart: Option<Blueprint> = None;
        for variant in apart::variants(spec, index, site) {
            progress(&format!("planning {name} in two parts"));
            let one = planned(&variant)?;
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
    if !worlds.drawn.is_empty() {
        let text = "uncertain quantities are taken at their medians, since a workload may be in two parts";
        best.assumptions.push(Assumption { text: text.to_owned(), place: None, origin: Origin::Assumed });
    }
    Ok(best)
}

fn planned(
    spec: &Spec,
    catalog: &Catalog,
    traces: &BTreeMap<String, Recording>,
    worlds: &Worlds,
    provenance: Provenance,
    progress: &dyn Fn(&str),
) -> Result<Blueprint, PlanError> {
    progress("enumerating candidates");
    let frame = Frame::of(spec, catalog, traces)?;
    let passed = infeasible::passed_already(
        &frame,
        &frame.formulated(&frame.whole(), &Deratings::default(), &frame.few_ends(&Deratings::default())).1,
    );
    if !passed.is_empty() {
        let findings = ways_out::verified(&Source { spec, catalog, traces }, passed);
        return Ok(outcome::infeasible(&frame, provenance, Vec::new(), findings));
    }
    let turns = frame.taking_turns();
    let (frame, settled) = in_turns(&frame, turns.as_ref(), progress)?;
    match settled {
        Settled::Holds { turn, rounds, settled, deratings } => {
            let runners_up = outcome::runners_up(frame, &turn);
            let prices = outcome::limit_prices(frame, &turn);
            progress("weighing worlds");
            let chosen = worlds::least_regret(frame, &turn, &deratings, worlds)?;
            let kept = chosen.as_ref().and_then(|chosen| chosen.kept.clone());
            let kept = kept.map(|kept| frame.keeping(kept));
            let again = kept.as_ref().map(|frame| settle(frame, progress)).transpose()?;
            progress("accounting and auditing");
            let bound = turn.whole(frame).bound;
            let mut blueprint = match again.zip(kept.as_ref()) {
                Some((Settled::Holds { turn, rounds, settled, .. }, frame)) => {
                    finish(frame, *turn, rounds, settled, provenance)
                }
                _ => finish(frame, *turn, rounds, settled, provenance),
            };
            // What is settled for all worlds may cost more for the medians than the cheapest plan for them alone.
            let settled = Whole { objective: blueprint.solver.objective, bound };
            (blueprint.solver.bound, blueprint.solver.gap) = (Some(bound), Some(settled.gap()));
            (blueprint.runners_up, blueprint.limit_prices) = (runners_up, prices);
            blueprint.uncertainty = chosen.map(|chosen| chosen.uncertainty);
            blueprint.what_ifs = what_if::outcomes(&blueprint, traces, progress);
            blueprint.bursts = what_if::bursts(&blueprint, traces);
            blueprint.findings.extend(what_if::findings(&blueprint));
            blueprint.audit = audit::audit(&blueprint);
            Ok(blueprint)
        }
        Settled::Stuck { rounds, why } => {
            let Stop { serves, formulation, unservable, deratings } = *why;
            let stuck = infeasible::findings(frame, &serves, &formulation, &unservable, &deratings)
                .map_err(PlanError::Program)?;
            progress("planning with each way out");
            let source = Source { spec, catalog, traces };
            let findings = ways_out::verified(&source, stuck);
            Ok(outcome::infeasible(frame, provenance, rounds, findings))
        }
    }
}

/// Settles a plan in which each job begins as early as it may, and one in which they wait for machines where they may: that
/// is taken where there is no other, or where it is cheaper by more than time alone makes it.
fn in_turns<'f, 'a>(
    frame: &'f Frame<'a>,
    turns: Option<&'f Frame<'a>>,
    progress: &dyn Fn(&str),
) -> Result<(&'f Frame<'a>, Settled<'f>), PlanError> {
    let at_once = settle(frame, progress)?;
    let Some(turns) = turns else { return Ok((frame, at_once)) };
    progress("planning jobs that take turns");
    let waiting = settle(turns, progress)?;
    let cost = |frame: &Frame<'_>, settled: &Settled<'_>| match settled {
        Settled::Holds { turn, settled: true, .. } => Some(turn.whole(frame).objective),
        _ => None,
    };
    let is_better = match (cost(frame, &at_once), cost(turns, &waiting)) {
        (Some(known), Some(other)) => other < known * (1.0 - WORTH_WAITING),
        (None, Some(_)) => true,
        (_, None) => false,
    };
    Ok(if is_better { (turns, waiting) } else { (frame, at_once) })
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
    formulation: Formulation<'f>,
    unservable: Vec<Unservable>,
    deratings: Deratings,
}

/// Solves, simulates and derates until nothing changes: drafts first, whose gap is wide, then a plan.
pub(crate) fn settle<'f>(frame: &'f Frame<'_>, progress: &dyn Fn(&str)) -> Result<Settled<'f>, PlanError> {
    let mut deratings = Deratings::default();
    let mut rounds: Vec<Round> = Vec::new();
    let mut effort = Effort::Draft;
    let (turn, settled) = loop {
        progress(&format!("round {}: solving", rounds.len() + 1));
        let (is_plan, (serves, formulation, solution)) = match frame.solve(&deratings, effort) {
            Ok(solved) => (effort == Effort::Plan || frame.is_plan(&solved), solved),
            Err(Unsolved::Infeasible(asked)) => {
                if let Some(round) = hoped(frame, &mut deratings)? {
                    rounds.push(round);
                    continue;
                }
                let (serves, formulation, unservable) = *asked;
                let why = Box::new(Stop { serves, formulation, unservable, deratings });
                return Ok(Settled::Stuck { rounds, why });
            }
            Err(Unsolved::Failed(why)) => return Err(PlanError::Program(why)),
        };
        let mut draft = draft(frame, &serves, (&formulation, &solution));
        let costs = Whole::of(frame, &formulation.problem, &solution).objective;
        progress(&format!("round {}: simulating a plan that costs {}", rounds.len() + 1, costs.round()));
        let mut proof = prove(frame, &serves, &solution, &mut deratings, derate::judge)?;
        prove_offline(frame, (&serves, &formulation), (&mut draft, &solution), &mut deratings, &mut proof)?;
        rounds.push(Round {
            objective: costs,
            missed: proof.missed.clone(),
            derated: proof.derated.clone(),
            raised: proof.raised.clone(),
        });
        let settled = proof.is_settled();
        let is_over = settled || rounds.len() >= MAX_ROUNDS;
        if is_over && !is_plan {
            effort = Effort::Plan;
        } else if is_over {
            break (Turn { serves, formulation, solution, draft, proof }, settled);
        }
    };
    Ok(Settled::Holds { turn: Box::new(turn), rounds, settled, deratings })
}

/// Nothing holds by what is estimated: has replicas simulated until one carries more, as long as a plan would hold if all
/// others did. Returns what was seen then.
fn hoped(frame: &Frame<'_>, deratings: &mut Deratings) -> Result<Option<Round>, PlanError> {
    while let Ok((serves, formulation, solution)) = frame.solve(&deratings.hopeful(), Effort::Draft) {
        let known = deratings.asked_of();
        let proof = prove(frame, &serves, &solution, deratings, derate::explore)?;
        if !proof.is_settled() {
            let objective = Whole::of(frame, &formulation.problem, &solution).objective;
            return Ok(Some(Round {
                objective,
                missed: Vec::new(),
                derated: proof.derated,
                raised: Vec::new(),
            }));
        }
        if deratings.asked_of() == known {
            break;
        }
    }
    Ok(None)
}

/// Returns the blueprint of a turn, not audited yet.
pub(crate) fn finish(
    frame: &Frame<'_>,
    turn: Turn<'_>,
    rounds: Vec<Round>,
    settled: bool,
    provenance: Provenance,
) -> Blueprint {
    let (networks, mut findings) = fabric::networks(frame.spec, frame.catalog, &turn.draft);
    let bill = bill(frame, &turn, &networks);
    let sites = summaries(frame, &turn.draft, &networks);
    findings.extend(fabric::over_power(frame.spec, &sites, &networks));
    findings.extend(frame.stores.findings.iter().cloned());
    let solver = solved(&turn, turn.whole(frame), rounds, settled);
    findings.extend(outcome::still_bound(frame, &bill));
    findings.extend(outcome::findings(frame, &turn, (!settled).then_some(solver.rounds.len())));
    let pools: Vec<_> = turn.draft.pools.into_iter().map(|(_, pool)| pool).collect();
    let changes = pools.iter().any(|pool| !pool.purchases.is_empty());
    findings.extend(intervals::late_if_slow(frame, &turn.draft.trainings));
    findings.extend(reclaims::findings(frame, &turn.draft.trainings, &pools.iter().collect::<Vec<_>>()));
    let catalog = outcome::rows_used(frame, &networks);
    let mut assumptions = outcome::assumptions(frame);
    assumptions.extend(outcome::of_purchases(frame, &pools));
    let mut services = turn.draft.services;
    intervals::fill_in(frame, &catalog, &mut services);
    let mut blueprint = Blueprint {
        format: FORMAT,
        tool: provenance.tool,
        status: Status::Feasible,
        changes,
        inputs: Inputs {
            files: provenance.files,
            overrides: provenance.overrides,
            spec: frame.spec.clone(),
            catalog,
            oldest_price_days: outcome::oldest_price_days(frame.spec, &pools),
        },
        periods: frame.periods.clone(),
        demand: frame.demand.clone(),
        services,
        trainings: turn.draft.trainings,
        batches: turn.draft.batches,
        apps: turn.draft.apps,
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
        uncertainty: None,
        scenarios: Vec::new(),
        rejections: frame.rejections.clone(),
        unpriced: frame.market.unpriced.clone(),
        findings: Vec::new(),
        assumptions,
        audit: Vec::new(),
    };
    blueprint.rules = rules::outcomes(&blueprint);
    findings.extend(outcome::rule_findings(&blueprint));
    blueprint.findings = findings;
    blueprint.status = outcome::status(&blueprint);
    blueprint
}

/// Returns how the answer was found.
fn solved(turn: &Turn<'_>, whole: Whole, rounds: Vec<Round>, settled: bool) -> Solver {
    Solver {
        status: match turn.solution.status {
            ProgramStatus::Optimal => SolverStatus::Optimal,
            ProgramStatus::WithinGap if whole.gap() <= outcome::WIDE_GAP => SolverStatus::Optimal,
            ProgramStatus::WithinGap => SolverStatus::NodeLimit,
        },
        objective: whole.objective,
        bound: Some(whole.bound),
        gap: Some(whole.gap()),
        columns: turn.solution.n_columns as u32,
        rounds,
        settled,
        ties: TIES.to_owned(),
    }
}

fn bill(frame: &Frame<'_>, turn: &Turn<'_>, networks: &[Network]) -> capstan_types::blueprint::Cost {
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
                contracts: &stand.contracts,
            }
        })
        .collect();
    let (mut beside, mut unknown) = outside::bill(frame.spec, frame.catalog, &frame.periods, &frame.stores);
    let usage = usage(frame, turn);
    let (lines, unpriced) =
        egress::bill(frame.spec, &frame.periods, usage.iter().flat_map(|used| &used.sent));
    let pools = turn.draft.pools.iter().map(|(_, pool)| pool);
    let (of_switches, not_known) = fabric::bill(frame.spec, &frame.periods, networks, pools);
    beside.extend(lines.into_iter().chain(of_switches));
    unknown.extend(unpriced.into_iter().chain(not_known));
    cost::bill(&frame.spec.frame, &frame.periods, &priced, &usage, (beside, unknown))
}
