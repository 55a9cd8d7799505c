//! What a candidate achieves, in closed form: the highest request rate per replica at which every service level holds.
//!
//! A mean-field picture of continuous batching. With b sequences running, output mean O, a decode step of s(b) and
//! W the extra time that one prompt adds to the steps it shares, Little's law gives
//!   TPOT = s + b W / O and rate = b / (O s + b W),
//! so every operating point follows from b alone, and the largest admissible b is found by bisection.
//!
//! Against the simulator, at the rates that it promises: means within 12 %, 99th percentiles within 18 %, mostly
//! on the low side (`tests/perf_against_simulation.rs`).
//!
//! It knows no scheduler order and no preemption, and of a prefix cache only the share that is found; the simulator does. An SLO counts as met at
//! [`SLO_MARGIN`] of its target, so that most candidates that pass here pass there too.

mod latency;
mod operating;

use crate::perf::{Device, Fit, PreparedStep, Reason, ServingMemory, Setup};
use capstan_types::origin::Origin;
use capstan_types::spec::{Slo, SloMetric};
use capstan_types::traffic::Lengths;
use capstan_types::units::{RequestsPerSecond, Seconds};
pub use latency::Latencies;
use operating::Operating;

pub use crate::perf::rejection::Reason as Rejection;

/// Share of an SLO's target that the estimate may use up. Chosen, not fitted: closed-form percentiles of a
/// queueing system are good to several percent at best.
pub const SLO_MARGIN: f64 = 0.95;

/// Highest use of the prompt budget of steps: above it, queues grow faster than an estimate can follow.
const PREFILL_LOAD: f64 = 0.95;

/// Requests that a replica is to serve.
#[derive(Debug, Clone, Copy)]
pub struct Demand<'a> {
    /// Prompt lengths.
    pub prompt: &'a Lengths,
    /// Output lengths.
    pub output: &'a Lengths,
    /// Coefficient of variation of the time between arrivals.
    pub burstiness: f64,
    /// Service levels; none means that only capacity bounds the rate.
    pub slos: &'a [Slo],
    /// Most sequences at once, where the plan says so.
    pub max_sequences: Option<u32>,
    /// Mean requests in flight that an autoscaler aims at, where the plan says so: beyond it there are more replicas.
    pub in_flight: Option<f64>,
    /// Most tokens in a step, where the plan says so.
    pub step_tokens: Option<u32>,
    /// What need not be computed.
    pub shortcuts: Shortcuts,
    /// Share of the requests that wait behind the others and have no service level.
    pub background: f64,
    /// Steps that begin before the engine sees a request, where any run.
    pub unseen_steps: f64,
}

/// What a replica need not compute, and what that takes.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Shortcuts {
    /// Share of the tokens of prompts that are not computed here.
    pub reused: f64,
    /// Share of the tokens of prompts that several hold together.
    pub shared: f64,
    /// Tokens of the cache that are kept for it beside those of running requests.
    pub kept_tokens: f64,
    /// Nanoseconds to read one of these tokens back, mean over all of them: zero where all lie in the cache.
    pub read_back_ns: f64,
    /// Tokens that are drafted for each sequence in a step, and take its budget.
    pub drafted: f64,
}

impl Demand<'_> {
    /// Returns the longest request: the context that the cache must hold for one sequence.
    pub fn longest(&self) -> u32 {
        let longest = self.prompt.quantile(1.0) + self.output.quantile(1.0);
        longest.ceil().clamp(1.0, f64::from(u32::MAX)) as u32
    }

    fn check(&self) -> Result<(), Reason> {
        let all = [(self.prompt.mean, "prompt length"), (self.output.mean, "output length")];
        let bad = |value: f64| !(value.is_finite() && value > 0.0);
        match all.iter().find(|&&(value, _)| bad(value)) {
            Some(&(_, what)) => Err(Reason::NotPositive { what }),
            None if !(self.burstiness.is_finite() && self.burstiness >= 0.0) => {
                Err(Reason::NotPositive { what: "burstiness" })
            }
            None => Ok(()),
        }
    }
}

/// What keeps a replica from a higher rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// A service level.
    Slo {
        /// Of what.
        metric: SloMetric,
        /// At which percentile, in thousandths.
        per_mille: u32,
    },
    /// Cache memory.
    KvCache,
    /// Most sequences at once.
    MaxSequences,
    /// Requests in flight that the plan's autoscaler aims at.
    InFlight,
    /// Prompts fill the token budget of every step.
    PromptThroughput,
}

/// A service level and what is expected of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SloEstimate {
    /// What is measured.
    pub metric: SloMetric,
    /// Percentile in thousandths.
    pub per_mille: u32,
    /// Expected.
    pub expected: Seconds,
    /// The limit.
    pub target: Seconds,
}

/// What one replica achieves.
#[derive(Debug, Clone, PartialEq)]
pub struct Estimate {
    /// Highest rate at which every service level is expected to hold.
    pub rate: RequestsPerSecond,
    /// Time to first token at that rate.
    pub ttft: Latencies,
    /// Time per output token at that rate.
    pub tpot: Latencies,
    /// Time from arrival to the last token at that rate.
    pub e2e: Latencies,
    /// Each service level.
    pub slos: Vec<SloEstimate>,
    /// Tokens that the cache holds.
    pub kv_tokens: f64,
    /// Mean sequences running.
    pub batch: f64,
    /// Mean time per output token at rates up to that one.
    pub pace: Pace,
    /// What keeps it from more.
    pub bound_by: Bound,
    /// How the worst number in it came to be.
    pub origin: Origin,
    /// What a person should know, one sentence each.
    pub notes: Vec<String>,
}

/// Mean time per output token by request rate of a replica: both rise from point to point.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Pace(Vec<(f64, f64)>);

impl Pace {
    /// Points from a vanishing load to the highest.
    const POINTS: u32 = 12;

    fn of(model: &Operating<'_>, most: f64, groups: f64) -> Self {
        let least = model.smallest().min(most);
        let at = |index: u32| {
            let share = f64::from(index) / f64::from(Self::POINTS - 1);
            let point = model.at(least * libm::pow(most / least, share));
            (groups * point.rate(), point.tpot())
        };
        Self((0..Self::POINTS).map(at).collect())
    }

    /// Returns the mean time per output token where so many requests come to a replica each second: on the line between
    /// two points, and that of the highest rate beyond it.
    pub fn at(&self, requests_per_s: f64) -> Seconds {
        let next = self.0.iter().position(|(rate, _)| *rate >= requests_per_s);
        let of = |index: usize| self.0.get(index).copied().unwrap_or_default();
        Seconds(match next {
            Some(0) => of(0).1,
            Some(index) => {
                let ((from, before), (to, after)) = (of(index - 1), of(index));
                before + (after - before) * (requests_per_s - from) / (to - from)
            }
            None => of(self.0.len().saturating_sub(1)).1,
        })
    }
}

/// Returns what `setup` achieves under `demand`, with a step that is prepared already.
///
/// # Errors
/// A [`Reason`] where it does not fit, or misses a service level even at a vanishing load.
pub fn estimate(
    step: &PreparedStep,
    memory: &ServingMemory,
    setup: &Setup<'_>,
    demand: &Demand<'_>,
) -> Result<Estimate, Reason> {
    demand.check()?;
    if let Some(refusal) = memory.refusal() {
        return Err(refusal);
    }
    let model = Operating::new(step, memory, setup, demand);
    let idle = model.at(model.smallest());
    if let Some(missed) = idle.worst_miss(demand.slos) {
        let (metric, per_mille, target) = (missed.metric, missed.per_mille, missed.target);
        return Err(Reason::SloUnreachable { metric, per_mille, best: missed.expected, target });
    }
    let (batch, bound) = largest(&model, demand);
    let aimed_at = demand.in_flight.map(|all| (all / f64::from(step.groups())).max(model.smallest()));
    let reached = match aimed_at {
        Some(aimed_at) if aimed_at < batch => (aimed_at, Bound::InFlight),
        _ => (batch, bound),
    };
    Ok(achieved(&model, demand, reached, (step, memory)))
}

/// Returns what a replica achieves whose requests never run out: as many run at once as the cache and the engine admit,
/// and nobody waits for any of them.
///
/// # Errors
/// A [`Reason`] where it does not fit.
pub fn offline(
    step: &PreparedStep,
    memory: &ServingMemory,
    setup: &Setup<'_>,
    demand: &Demand<'_>,
) -> Result<Estimate, Reason> {
    demand.check()?;
    if let Some(refusal) = memory.refusal() {
        return Err(refusal);
    }
    let model = Operating::new(step, memory, setup, demand);
    Ok(achieved(&model, demand, model.admitted(), (step, memory)))
}

/// Returns what follows from a mean batch.
fn achieved(
    model: &Operating<'_>,
    demand: &Demand<'_>,
    (batch, bound_by): (f64, Bound),
    (step, memory): (&PreparedStep, &ServingMemory),
) -> Estimate {
    let point = model.at(batch);
    // Attention-parallel groups each do the same.
    let groups = f64::from(step.groups());
    Estimate {
        rate: RequestsPerSecond(groups * point.rate()),
        ttft: point.latencies(SloMetric::Ttft),
        tpot: point.latencies(SloMetric::Tpot),
        e2e: point.latencies(SloMetric::E2e),
        slos: demand.slos.iter().map(|slo| point.judge(slo)).collect(),
        kv_tokens: groups * memory.kv_tokens(),
        batch: groups * batch,
        pace: Pace::of(model, batch, groups),
        bound_by,
        origin: step.origin().weaker(memory.origin),
        notes: notes(step, memory),
    }
}

/// Prepares and estimates in one call.
///
/// # Errors
/// As [`estimate`], and a [`Reason`] where the step cannot be prepared.
pub fn estimate_candidate(
    device: &Device,
    setup: &Setup<'_>,
    demand: &Demand<'_>,
) -> Result<Estimate, Reason> {
    demand.check()?;
    let memory = ServingMemory::of(setup, demand.longest())?;
    if let Some(refusal) = memory.refusal() {
        return Err(refusal);
    }
    let step = PreparedStep::with_device(device, setup)?;
    estimate(&step, &memory, setup, demand)
}

/// What clients see that keep a fixed number of requests in flight.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClosedLoop {
    /// Mean time per output token in the steady state.
    pub tpot: Seconds,
    /// Output tokens per second of the replica.
    pub output_tokens_per_s: f64,
    /// Sequences that run; fewer than asked where the cache or the engine admits no more.
    pub batch: f64,
}

/// Returns the steady state of `concurrency` clients that each send the next request when one ends.
///
/// The burst at the start is not part of it: the simulator shows that one.
///
/// # Errors
/// A [`Reason`] where the model does not fit.
pub fn closed_loop(
    step: &PreparedStep,
    memory: &ServingMemory,
    setup: &Setup<'_>,
    demand: &Demand<'_>,
    concurrency: u32,
) -> Result<ClosedLoop, Reason> {
    demand.check()?;
    if let Some(refusal) = memory.refusal() {
        return Err(refusal);
    }
    let model = Operating::new(step, memory, setup, demand);
    let groups = f64::from(step.groups());
    let batch = (f64::from(concurrency.max(1)) / groups).min(model.admitted().0);
    let point = model.at(batch);
    Ok(ClosedLoop {
        tpot: Seconds(point.tpot()),
        output_tokens_per_s: groups * point.rate() * demand.output.mean,
        batch: groups * batch,
    })
}

/// Returns the largest mean batch at which everything holds, and what stops a larger one.
fn largest(model: &Operating<'_>, demand: &Demand<'_>) -> (f64, Bound) {
    let (most, capacity) = model.largest();
    let stop = |batch: f64| {
        let point = model.at(batch);
        if point.prefill_load() > PREFILL_LOAD {
            return Some(Bound::PromptThroughput);
        }
        let missed = demand.slos.iter().find(|slo| point.misses(slo))?;
        Some(Bound::Slo { metric: missed.metric, per_mille: missed.per_mille })
    };
    let Some(mut bound) = stop(most) else { return (most, capacity) };
    let (mut good, mut bad) = (model.smallest(), most);
    // Bisection on the logarithm: 16 halvings of five decades leave a relative error below 2e-4.
    for _ in 0..16 {
        let middle = (good * bad).sqrt();
        match stop(middle) {
            Some(reason) => (bad, bound) = (middle, reason),
            None => good = middle,
        }
    }
    (good, bound)
}

fn notes(step: &PreparedStep, memory: &ServingMemory) -> Vec<String> {
    let mut notes = Vec::new();
    if step.origin() == Origin::Assumed {
        notes.push("some efficiencies are assumed from the data sheet; nobody measured this accelerator at this precision".to_owned());
    }
    if let Fit::Tight { needed, free, .. } = memory.fit {
        notes.push(format!(
            "memory is tight: {:.1} GiB of {:.1} GiB with one longest request",
            needed.gib(),
            free.gib()
        ));
    }
    notes
}
