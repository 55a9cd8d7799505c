//! What would happen to a plan? Each placement of a blueprint at the hours that were verified, with all of its replicas and
//! more replications, and under other circumstances: more requests, a machine that fails.
//!
//! It plans nothing and changes nothing: everything comes from the blueprint, but the requests of a trace.

mod asked;
mod failure;
mod hours;
mod run;
mod twin;

use crate::candidates::{Served, Way, enumerate};
pub use asked::Spike;
use capstan_sim::engine::Time;
use capstan_sim::random::QuantileTableError;
use capstan_sim::serving::{ConfigError, Record, Recording, StepSeen};
use capstan_types::blueprint::{Blueprint, Bursts, Placement, VerdictStatus};
use capstan_types::simulation::{SIMULATION_FORMAT, Simulation};
use capstan_types::spec::Serve;
use capstan_types::units::Seconds;
pub use failure::{Failing, Failure};
use std::collections::BTreeMap;

/// Requests of one replication of one hour, at most, where nothing else is said.
pub const MOST_REQUESTS: f64 = 200_000.0;

/// What is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// Replications, at least.
    pub replications: u32,
    /// Seed of every random stream.
    pub seed: u64,
    /// Factor on the rate of requests.
    pub surge: f64,
    /// Requests that come for a while above those that come anyway.
    pub spike: Option<Spike>,
    /// Clients that send the next request when the last is answered, in place of arrivals at a rate.
    pub clients: Option<u32>,
    /// What fails.
    pub failure: Option<Failure>,
    /// Requests of one replication of one hour, at most; a busier hour is simulated for a shorter time.
    pub most_requests: f64,
    /// Events of one replication, at most, where that is said.
    pub most_events: Option<u64>,
    /// Whether every hour is simulated at which the plan was verified, and not the first alone.
    pub at_all_hours: bool,
    /// Whether the requests of the first replication are wanted.
    pub keep_requests: bool,
    /// Whether its steps are wanted.
    pub keep_steps: bool,
}

/// The answer, and what was asked to be kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Simulated {
    /// The answer.
    pub simulation: Simulation,
    /// By run of the answer.
    pub details: Vec<Details>,
}

/// What happened in the first replication of one run.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Details {
    /// Requests, by number, each with what it waits outside the scheduler until its first token, and until its last, is seen.
    pub requests: Vec<(Record, Seconds)>,
    /// Steps, in the order of their ends; not more than can be shown.
    pub steps: Vec<StepSeen>,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress<'a> {
    /// The workload.
    pub workload: &'a str,
    /// Replications that are done, of this run.
    pub done: u32,
    /// Requests that they served.
    pub requests: u64,
}

/// Why a blueprint cannot be simulated.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SimulateError {
    /// Nothing in it serves.
    #[error("nothing in this blueprint serves requests")]
    NothingServes,
    /// A row that a placement stands on is not embedded.
    #[error("the blueprint does not hold `{0}`, on which a placement stands")]
    Missing(String),
    /// What is embedded does not give the way that the blueprint says.
    #[error(
        "the embedded rows do not give `{0}` as it was planned; another version of capstan may have planned it"
    )]
    OtherWay(String),
    /// The requests of a trace are not there.
    #[error("the requests of the trace `{0}` are not there")]
    NoTrace(String),
    /// Nothing is known of racks there.
    #[error("nothing says how many machines a rack of `{0}` holds; write `rack = {{ ... }}` in the site")]
    NoRacks(String),
    /// Nothing there is bought on the spot market.
    #[error("no machine at `{0}` is bought on the spot market; `--count` says how many are taken away")]
    NoSpot(String),
    /// Nothing is known of it.
    #[error("`{0}` runs in two parts, and what fails or who waits for answers is not simulated of those yet")]
    Apart(String),
    /// The simulator refuses the configuration.
    #[error("the simulator refuses the configuration")]
    Config(#[from] ConfigError),
    /// Lengths are no distribution.
    #[error("lengths are no distribution")]
    Lengths(#[from] QuantileTableError),
}

/// Simulates every placement of a blueprint.
///
/// `traces` holds the requests of the traces that the plan names, by path; `progress` is told after each replication, from
/// any thread. Where `stop` says so it ends with what is known.
///
/// # Errors
/// See [`SimulateError`].
pub fn simulate(
    blueprint: &Blueprint,
    question: &Question,
    traces: &BTreeMap<String, Recording>,
    progress: &(dyn Fn(&Progress<'_>) + Sync),
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<Simulated, SimulateError> {
    let (mut runs, mut details) = (Vec::new(), Vec::new());
    for service in &blueprint.services {
        let serve = blueprint.inputs.spec.serves.iter().find(|serve| serve.name == service.workload);
        let serve = serve.ok_or_else(|| SimulateError::Missing(service.workload.clone()))?;
        for (placement, hours) in service.placements.iter().zip(hours::of(blueprint, service, serve)) {
            let way = way(blueprint, serve, placement)?;
            let most = if question.at_all_hours { hours.len() } else { 1 };
            for hour in hours.into_iter().take(most) {
                if stop() && !runs.is_empty() {
                    break;
                }
                let scene = run::Scene { blueprint, serve, placement, way: &way, hour, question };
                let (seen, kept) = run::run(&scene, traces, progress, stop)?;
                runs.push(seen);
                details.push(kept);
            }
        }
    }
    if runs.is_empty() {
        return Err(SimulateError::NothingServes);
    }
    let levels = || runs.iter().flat_map(|run| run.levels.iter().map(|level| level.status));
    let worst = |status| levels().any(|seen| seen == status);
    let status = match (worst(VerdictStatus::Missed), worst(VerdictStatus::Undecided)) {
        (true, _) => VerdictStatus::Missed,
        (_, true) => VerdictStatus::Undecided,
        _ => VerdictStatus::Met,
    };
    let simulation = Simulation {
        format: SIMULATION_FORMAT,
        tool: env!("CARGO_PKG_VERSION").to_owned(),
        plan: blueprint.inputs.spec.name.clone(),
        seed: question.seed,
        what_if: question.words(),
        status,
        interrupted: stop(),
        runs,
    };
    Ok(Simulated { simulation, details })
}

/// Says what the bursts of each trace cost: how requests of its mean would fare at random.
///
/// # Errors
/// See [`SimulateError`].
pub fn random_arrivals(
    blueprint: &Blueprint,
    question: &Question,
    traces: &BTreeMap<String, Recording>,
) -> Result<Vec<Bursts>, SimulateError> {
    let mut found = Vec::new();
    for service in &blueprint.services {
        let serve = blueprint.inputs.spec.serves.iter().find(|serve| serve.name == service.workload);
        let Some(serve) = serve.filter(|serve| serve.load.trace.is_some() && serve.stage.is_none()) else {
            continue;
        };
        for (placement, hours) in service.placements.iter().zip(hours::of(blueprint, service, serve)) {
            let way = way(blueprint, serve, placement)?;
            let Some(&hour) = hours.first() else { continue };
            let scene = run::Scene { blueprint, serve, placement, way: &way, hour, question };
            let random = run::at_random(&scene, traces)?;
            found.extend(random.map(|random| Bursts {
                workload: serve.name.clone(),
                site: placement.site.clone(),
                replicas: hour.replicas,
                random,
            }));
        }
    }
    Ok(found)
}

impl Question {
    /// Says what is otherwise than planned.
    pub fn words(&self) -> Vec<String> {
        what_if(self)
    }
}

fn clients_words(clients: u32) -> String {
    format!("{clients} clients that wait for their answers")
}

fn what_if(question: &Question) -> Vec<String> {
    let surge = (question.surge != 1.0).then(|| format!("{} times the requests", question.surge));
    let failure = question.failure.as_ref().map(|failure| format!("a {}", failure.what.words()));
    let spike = question
        .spike
        .map(|spike| format!("{} times the requests for {:.0} s", spike.factor, spike.lasts.get()));
    let clients = question.clients.map(clients_words);
    surge.into_iter().chain(spike).chain(clients).chain(failure).collect()
}

/// Returns a placement's way, made again from what the blueprint embeds.
fn way(blueprint: &Blueprint, serve: &Serve, placement: &Placement) -> Result<Way, SimulateError> {
    let missing = |what: &str| SimulateError::Missing(what.to_owned());
    let (catalog, candidate) = (&blueprint.inputs.catalog, &placement.candidate);
    let engine = catalog.engine(&candidate.engine).ok_or_else(|| missing(&candidate.engine))?;
    let served = Served::of(serve, &blueprint.inputs.spec.models, engine).map_err(missing)?;
    let shape = catalog.shapes.iter().find(|shape| shape.id == candidate.shape);
    let shape = shape.ok_or_else(|| missing(&candidate.shape))?;
    let found = enumerate(catalog, &served, &[shape]).ways;
    let same = found.into_iter().find(|way| way.candidate == *candidate);
    same.ok_or_else(|| SimulateError::OtherWay(candidate.shape.clone()))
}

fn seconds(time: Time) -> Seconds {
    Seconds(time.seconds())
}
