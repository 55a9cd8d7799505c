//! Every way to run a serving workload on the machines at hand, and a counted reason for every way that is not possible.
//!
//! Physics depends on the accelerator, not on who sells the machine around it, so each way is estimated once per
//! accelerator and then offered on every shape that holds it.

use crate::scheduling::{sequences, step_tokens, unseen_steps};
use crate::shortcuts::{adapter_bytes, held_by_tiers, network_of, replica_token, shortcuts, speculating};
use crate::splits::{self, Spread};
use capstan_sim::calibrate;
use capstan_sim::estimate::{self, Bound, Demand, Estimate, Pace, Shortcuts};
use capstan_sim::perf::held::replicas_of_host;
use capstan_sim::perf::{Device, PreparedStep, Reason, ServingMemory, Setup, default_limits};
use capstan_types::blueprint::{Candidate, RejectionCount, ServiceEstimate};
use capstan_types::catalog::{Calibration, Catalog, Engine};
use capstan_types::degrees::Degrees;
use capstan_types::hardware::{Accelerator, NodeShape, Precision};
use capstan_types::model::Model;
use capstan_types::spec::{Draft, Serve, SloMetric};
use capstan_types::units::{Bytes, BytesPerSecond, Seconds};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The shape under which machines are counted whose accelerator the plan does not allow.
const OTHER_MACHINES: &str = "other machines";

/// Why machines are none: the plan leaves them out, they have too few accelerators for a split that it fixes, or too little
/// memory or disk for the cache that it asks for beside them.
pub(crate) const NOT_ALLOWED: &str = "not_allowed";
pub(crate) const TOO_WIDE: &str = "too_few_accelerators";
pub(crate) const TIER_TOO_LARGE: &str = "cache_tier_too_large";

/// One way to run a workload, estimated and ready to be simulated.
#[derive(Debug, Clone)]
pub struct Way {
    /// The candidate, on one shape.
    pub candidate: Candidate,
    /// What one replica achieves.
    pub estimate: ServiceEstimate,
    /// Mean time per output token by the requests that come to one replica.
    pub pace: Pace,
    /// Its step, for the simulator.
    pub step: Arc<PreparedStep>,
    /// Blocks of the cache of one replica.
    pub kv_blocks: u32,
    /// Bytes of cache of one token, on all ranks of a replica.
    pub kv_token: Bytes,
    /// What a replica can send and receive, where that is known.
    pub network: Option<BytesPerSecond>,
    /// Bytes of one adapter, where requests need any.
    pub adapter: Option<Bytes>,
}

/// The ways of one workload, and why the others are none.
#[derive(Debug, Clone, Default)]
pub struct Enumerated {
    /// Ways, by shape, then precision, then ranks.
    pub ways: Vec<Way>,
    /// What was turned down.
    pub rejections: Vec<RejectionCount>,
    /// The nearest miss of each service level that some candidate cannot reach even alone.
    pub unreached: Vec<Unreached>,
}

/// A service level and the candidate that comes nearest to it at a vanishing load.
#[derive(Debug, Clone, PartialEq)]
pub struct Unreached {
    /// What is measured.
    pub metric: SloMetric,
    /// Percentile in thousandths.
    pub per_mille: u32,
    /// What it reaches.
    pub best: Seconds,
    /// The candidate, in words.
    pub words: String,
}

/// What was tried on one accelerator.
struct Trial {
    precision: Precision,
    degrees: Degrees,
    outcome: Result<Estimated, Reason>,
}

#[derive(Clone)]
struct Estimated {
    estimate: Estimate,
    step: Arc<PreparedStep>,
    memory: ServingMemory,
}

/// A workload and what it runs.
#[derive(Debug, Clone, Copy)]
pub struct Served<'a> {
    /// The workload.
    pub serve: &'a Serve,
    /// Its model.
    pub model: &'a Model,
    /// The model that drafts for it, if one does.
    pub draft: Option<&'a Model>,
    /// Its engine.
    pub engine: &'a Engine,
    /// Do its requests never run out, and nobody waits for them?
    pub offline: bool,
}

impl<'a> Served<'a> {
    /// Returns a workload with its models, which are among `models`, or the name of the one that is not.
    ///
    /// # Errors
    /// The name.
    pub fn of(serve: &'a Serve, models: &'a [Model], engine: &'a Engine) -> Result<Self, &'a str> {
        let find = |id: &'a str| models.iter().find(|model| model.id == id).ok_or(id);
        let draft = match serve.speculative.as_ref().map(|speculative| &speculative.draft) {
            Some(Draft::Model { model }) => Some(find(model)?),
            _ => None,
        };
        Ok(Self { serve, model: find(&serve.model)?, draft, engine, offline: false })
    }

    fn spread(&self) -> Spread<'a> {
        let Self { serve, model, engine, .. } = *self;
        Spread { model, engine, fixed: &serve.parallelism, serve: Some(serve) }
    }

    /// Returns what a step achieves for it.
    ///
    /// # Errors
    /// Why it achieves nothing.
    fn estimate(
        &self,
        step: &PreparedStep,
        memory: &ServingMemory,
        setup: &Setup<'_>,
        demand: &Demand<'_>,
    ) -> Result<Estimate, Reason> {
        let of = if self.offline { estimate::offline } else { estimate::estimate };
        of(step, memory, setup, demand)
    }
}

/// Returns every way to run a workload on `shapes`.
pub fn enumerate(catalog: &Catalog, served: &Served<'_>, shapes: &[&NodeShape]) -> Enumerated {
    let Served { serve, .. } = *served;
    let mut by_accelerator: BTreeMap<&str, Vec<&NodeShape>> = BTreeMap::new();
    for shape in shapes {
        if let Some(accelerator) = shape.accelerator.as_deref().filter(|_| shape.accelerators > 0) {
            by_accelerator.entry(accelerator).or_default().push(shape);
        }
    }
    let mut found = Enumerated::default();
    let mut tally = Tally::new(&serve.name);
    for (id, shapes) in by_accelerator {
        let Some(accelerator) = catalog.accelerator(id) else { continue };
        if !allowed(serve, accelerator) {
            // One row for all of them: which machines a plan leaves out is no news, their number is.
            shapes.iter().for_each(|_| tally.add(OTHER_MACHINES, NOT_ALLOWED, None, &not_allowed(serve)));
            continue;
        }
        let trials = try_all(catalog, served, accelerator, &shapes);
        note_unreached(&mut found.unreached, accelerator, &trials);
        for shape in shapes {
            if let Some((excess, why)) = served.spread().too_wide(shape) {
                tally.add(&shape.id, TOO_WIDE, Some(excess), &why);
                continue;
            }
            collect(&mut found.ways, &mut tally, served, accelerator, shape, &trials);
        }
    }
    found.rejections = tally.counts();
    found
}

/// Keeps the nearest miss of each service level.
fn note_unreached(unreached: &mut Vec<Unreached>, accelerator: &Accelerator, trials: &[Trial]) {
    for trial in trials {
        let Err(Reason::SloUnreachable { metric, per_mille, best, .. }) = trial.outcome else { continue };
        let count = trial.degrees.accelerators();
        let words = format!("{count} × {}, {}", accelerator.id, trial.precision.word());
        let known = unreached.iter_mut().find(|known| (known.metric, known.per_mille) == (metric, per_mille));
        match known {
            Some(known) if known.best <= best => {}
            Some(known) => (known.best, known.words) = (best, words),
            None => unreached.push(Unreached { metric, per_mille, best, words }),
        }
    }
}

fn allowed(serve: &Serve, accelerator: &Accelerator) -> bool {
    serve.accelerators.as_ref().is_none_or(|names| names.contains(&accelerator.id))
}

fn not_allowed(serve: &Serve) -> String {
    format!("the plan allows {}", serve.accelerators.as_deref().unwrap_or_default().join(", "))
}

/// Tries every precision and every split on one accelerator, in parallel; results keep their order.
fn try_all(
    catalog: &Catalog,
    served: &Served<'_>,
    accelerator: &Accelerator,
    shapes: &[&NodeShape],
) -> Vec<Trial> {
    let Served { serve, model, engine, .. } = *served;
    let device = Device::resolve(catalog, accelerator);
    let spread = served.spread();
    let splits = spread.on_machines(shapes);
    let tried: Vec<(Precision, Degrees)> = serve
        .precisions
        .iter()
        .flat_map(|&precision| splits.iter().map(move |&degrees| (precision, degrees)))
        .collect();
    tried
        .into_par_iter()
        .map(|(precision, degrees)| {
            let outcome = spread.ranks(degrees).and_then(|ranks| {
                let kv_precision = serve.kv_precision;
                let setup = Setup { model, accelerator, engine, ranks, precision, kv_precision };
                try_one(catalog, device.as_ref().map_err(Clone::clone)?, &setup, served)
            });
            Trial { precision, degrees, outcome }
        })
        .collect()
}

/// Estimates with a step as the user's own measurements say that it takes near the load that a replica bears without them.
fn calibrated(
    step: PreparedStep,
    memory: &ServingMemory,
    setup: &Setup<'_>,
    (served, demand): (&Served<'_>, &Demand<'_>),
    own: &Calibration,
) -> Result<(PreparedStep, Estimate), Reason> {
    // A service level that seems out of reach may not be; one sequence is the load then.
    let batch = served.estimate(&step, memory, setup, demand).map_or(1.0, |estimate| estimate.batch);
    let factor = calibrate::tpot(own, (batch, demand.prompt.mean, demand.output.mean));
    let step = factor.map_or(step.clone(), |factor| step.scaled(factor.value));
    let estimate = served.estimate(&step, memory, setup, demand)?;
    Ok((step, estimate))
}

fn key<'a>(setup: &Setup<'a>) -> (&'a str, &'a str, &'a str, &'a str) {
    (setup.model.known_as(), &setup.accelerator.id, &setup.engine.id, &setup.engine.version)
}

fn try_one(
    catalog: &Catalog,
    device: &Device,
    setup: &Setup<'_>,
    served: &Served<'_>,
) -> Result<Estimated, Reason> {
    let serve = served.serve;
    let limits = default_limits(setup.engine, setup.accelerator);
    let asked = |shortcuts: Shortcuts| Demand {
        prompt: &serve.load.prompt,
        output: &serve.load.output,
        burstiness: serve.load.burstiness,
        slos: &serve.slos,
        max_sequences: Some(sequences(serve, setup.engine, limits)),
        in_flight: serve.autoscale.as_ref().and_then(|scaled| scaled.target),
        step_tokens: Some(step_tokens(serve, setup.engine, limits)),
        shortcuts,
        background: serve.background.as_ref().map_or(0.0, |background| background.share),
        unseen_steps: unseen_steps(serve, setup.engine),
    };
    let longest = asked(Shortcuts::default()).longest();
    let mut memory = ServingMemory::of(setup, longest)?;
    if let Some(refusal) = memory.refusal() {
        return Err(refusal);
    }
    if let Some(adapters) = &serve.adapters {
        let ranks = f64::from(setup.ranks.of_sequence().max(1));
        let each = adapter_bytes(setup.model, adapters.rank) * (1.0 / ranks);
        memory = memory.holding(each * f64::from(adapters.slots));
        if let Some(refusal) = memory.refusal() {
            return Err(refusal);
        }
    }
    let mut step = PreparedStep::with_device(device, setup)?;
    if let Some(speculative) = &serve.speculative {
        let alone = (memory, step);
        (memory, step) = speculating(speculative, served.draft, device, setup, alone, longest)?;
    }
    let demand = asked(shortcuts(serve, &memory, setup.ranks));
    let own =
        setup.ranks.degrees().and_then(|degrees| catalog.calibration(key(setup), setup.precision, degrees));
    let (step, estimate) = match own {
        Some(own) => calibrated(step, &memory, setup, (served, &demand), own)?,
        None => {
            let estimate = served.estimate(&step, &memory, setup, &demand)?;
            (step, estimate)
        }
    };
    Ok(Estimated { estimate, step: Arc::new(step), memory })
}

fn collect(
    ways: &mut Vec<Way>,
    tally: &mut Tally,
    served: &Served<'_>,
    accelerator: &Accelerator,
    shape: &NodeShape,
    trials: &[Trial],
) {
    let Served { serve, model, engine, .. } = *served;
    let limits = default_limits(engine, accelerator);
    for trial in trials {
        let Some((replicas_per_node, nodes_per_replica)) = splits::layout(trial.degrees, shape) else {
            continue;
        };
        let Degrees { tensor, pipeline, data, expert } = trial.degrees;
        let words = format!("{}, {}", trial.degrees.words(), trial.precision.word());
        let network = network_of(shape, trial.degrees.accelerators());
        if serve.stage.is_some() && network.is_none() {
            let why = "nobody knows how fast its network is, which the cache of a prompt must cross";
            tally.add(&shape.id, "network_unknown", None, &format!("{words}: {why}"));
            continue;
        }
        let replicas_per_node = match held_by_tiers(serve, shape, replicas_per_node) {
            Ok(held) => held,
            Err((excess, why)) => {
                tally.add(&shape.id, TIER_TOO_LARGE, excess, &format!("{words}: {why}"));
                continue;
            }
        };
        let outcome = trial.outcome.as_ref().map_err(Clone::clone).and_then(|done| {
            let held = on_host(done, trial.degrees, shape, replicas_per_node)?;
            Ok((done, held))
        });
        match outcome {
            Err(reason) => {
                tally.add(&shape.id, reason.code(), reason.excess(), &format!("{words}: {reason}"))
            }
            Ok((done, replicas_per_node)) => ways.push(Way {
                candidate: Candidate {
                    shape: shape.id.clone(),
                    accelerator: accelerator.id.clone(),
                    accelerators: trial.degrees.accelerators(),
                    tensor,
                    pipeline,
                    data,
                    expert,
                    precision: trial.precision,
                    kv_precision: serve.kv_precision.unwrap_or(Precision::Bf16),
                    engine: engine.id.clone(),
                    max_sequences: sequences(serve, engine, limits),
                    step_tokens: step_tokens(serve, engine, limits),
                    replicas_per_node,
                    nodes_per_replica,
                },
                estimate: service_estimate(&done.estimate, &done.memory, serve),
                pace: done.estimate.pace.clone(),
                step: Arc::clone(&done.step),
                kv_blocks: done.memory.kv_blocks(engine.block_tokens).saturating_mul(data),
                kv_token: replica_token(&done.memory, trial.degrees.of_sequence()),
                network,
                adapter: serve.adapters.map(|adapters| adapter_bytes(model, adapters.rank)),
            }),
        }
    }
}

/// Returns how many replicas of a machine its host has memory for.
fn on_host(done: &Estimated, degrees: Degrees, shape: &NodeShape, replicas: u32) -> Result<u32, Reason> {
    let workers = degrees.accelerators().min(shape.accelerators);
    let host = shape.host_memory.unwrap_or(Bytes(f64::INFINITY));
    replicas_of_host(done.memory.weights, workers, replicas.max(1), host).map(|held| held.min(replicas))
}

fn service_estimate(estimate: &Estimate, memory: &ServingMemory, serve: &Serve) -> ServiceEstimate {
    let expected = |metric: SloMetric| {
        let asked = serve.slos.iter().position(|slo| slo.metric == metric);
        asked.and_then(|index| estimate.slos.get(index)).map(|slo| slo.expected)
    };
    ServiceEstimate {
        rate: estimate.rate,
        ttft: expected(SloMetric::Ttft).unwrap_or(estimate.ttft.p50),
        tpot: expected(SloMetric::Tpot).unwrap_or(estimate.tpot.p50),
        kv_tokens: estimate.kv_tokens.max(0.0) as u64,
        weights: memory.weights,
        memory: memory.budget,
        batch: estimate.batch,
        bound_by: bound_words(estimate.bound_by),
        origin: estimate.origin,
    }
}

fn bound_words(bound: Bound) -> String {
    match bound {
        Bound::Slo { metric, per_mille } => {
            format!("{} p{}", metric.word(), f64::from(per_mille) / 10.0)
        }
        Bound::KvCache => "cache memory".to_owned(),
        Bound::MaxSequences => "sequences at once".to_owned(),
        Bound::InFlight => "requests in flight aimed at".to_owned(),
        Bound::PromptThroughput => "prompt tokens per step".to_owned(),
    }
}

/// Counts rejections by shape and reason and keeps the nearest miss of each.
pub(crate) struct Tally {
    workload: String,
    rows: BTreeMap<(String, String), (u32, f64, String)>,
}

impl Tally {
    /// Returns an empty tally of a workload.
    pub(crate) fn new(workload: &str) -> Self {
        Self { workload: workload.to_owned(), rows: BTreeMap::new() }
    }

    /// Adds one rejection; a smaller `excess` is nearer.
    pub(crate) fn add(&mut self, shape: &str, reason: &str, excess: Option<f64>, words: &str) {
        let excess = excess.unwrap_or(f64::INFINITY);
        let key = (shape.to_owned(), reason.to_owned());
        let row = self.rows.entry(key).or_insert_with(|| (0, f64::INFINITY, words.to_owned()));
        row.0 += 1;
        if excess < row.1 {
            (row.1, row.2) = (excess, words.to_owned());
        }
    }

    /// Returns the counts, by shape, then reason.
    pub(crate) fn counts(self) -> Vec<RejectionCount> {
        let Self { workload, rows } = self;
        rows.into_iter()
            .map(|((shape, reason), (count, excess, nearest))| RejectionCount {
                workload: workload.clone(),
                shape,
                reason,
                count,
                nearest,
                excess: excess.is_finite().then_some(excess),
            })
            .collect()
    }
}
