//! Operating points: what follows from the mean number of running sequences.

use super::latency::{Latencies, Queued, Spread, Stratum, Tail};
use super::{Demand, SLO_MARGIN, Shortcuts, SloEstimate};
use crate::estimate::Bound;
use crate::perf::memory::default_limits;
use crate::perf::{PreparedStep, ServingMemory, Setup, StepShape};
use capstan_types::catalog::Engine;
use capstan_types::spec::{Slo, SloMetric};
use capstan_types::traffic::Lengths;
use capstan_types::units::Seconds;

/// Edges of the strata in which a distribution of lengths is read, dense where percentiles are asked.
const EDGES: [f64; POINTS + 1] =
    [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 1.0];
const POINTS: usize = 15;
/// Standard deviations of the running sequences that must still be admitted at once (99 % of a normal).
const ADMISSION: f64 = 2.33;

/// A configuration and a demand, ready to be asked for operating points.
pub(super) struct Operating<'a> {
    step: &'a PreparedStep,
    engine: &'a Engine,
    memory: &'a ServingMemory,
    prompts: [f64; POINTS],
    outputs: [(f64, f64); POINTS],
    /// Mean tokens that a running sequence has written: long answers run longer, so E[O²] / 2 E[O].
    written: f64,
    output_lengths: &'a Lengths,
    prompt: f64,
    output: f64,
    prompt_square: f64,
    burstiness: f64,
    background: f64,
    unseen_steps: f64,
    step_tokens: f64,
    max_sequences: f64,
    shortcuts: Shortcuts,
}

/// Everything that follows from a mean batch, in seconds.
pub(super) struct Point<'a> {
    of: &'a Operating<'a>,
    batch: f64,
    /// Decode step.
    step: f64,
    /// Extra time of one prompt, its mean and mean square.
    prompt: f64,
    prompt_square: f64,
    /// Step that is full of prompt tokens.
    full_step: f64,
}

/// Edges of the strata of output lengths, dense where answers are short: those see the widest times per token.
const OUTPUT_EDGES: [f64; POINTS + 1] =
    [0.0, 0.005, 0.01, 0.02, 0.035, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0];

/// Returns one length per stratum: its middle, and its upper edge in the tail.
fn points(lengths: &Lengths) -> [f64; POINTS] {
    std::array::from_fn(|i| {
        let (low, high) = (EDGES[i], EDGES[i + 1]);
        lengths.quantile(if low < 0.9 { f64::midpoint(low, high) } else { high }).max(1.0)
    })
}

/// Returns the middle length of each stratum of outputs and the share of requests in it.
fn output_points(lengths: &Lengths) -> [(f64, f64); POINTS] {
    std::array::from_fn(|i| {
        let (low, high) = (OUTPUT_EDGES[i], OUTPUT_EDGES[i + 1]);
        (high - low, lengths.quantile(f64::midpoint(low, high)).max(1.0))
    })
}

/// Returns the share of requests in each stratum.
fn weights() -> [f64; POINTS] {
    std::array::from_fn(|i| EDGES[i + 1] - EDGES[i])
}

/// Returns the mean of a function over strata.
fn mean_of(points: &[f64; POINTS], value: impl Fn(f64) -> f64) -> f64 {
    points.iter().zip(weights()).map(|(&point, weight)| weight * value(point)).sum()
}

impl<'a> Operating<'a> {
    pub(super) fn new(
        step: &'a PreparedStep,
        memory: &'a ServingMemory,
        setup: &Setup<'a>,
        demand: &Demand<'a>,
    ) -> Self {
        let engine = setup.engine;
        let limits = default_limits(engine, setup.accelerator);
        let prompts = points(demand.prompt);
        let squares = mean_of(&prompts, |tokens| tokens * tokens);
        let prompt = demand.prompt.mean;
        let outputs = output_points(demand.output);
        let square: f64 = outputs.iter().map(|(weight, tokens)| weight * tokens * tokens).sum();
        let written = square / (2.0 * demand.output.mean.max(1.0));
        Self {
            step,
            engine,
            memory,
            prompts,
            outputs,
            written,
            output_lengths: demand.output,
            prompt,
            output: demand.output.mean.max(1.0),
            prompt_square: squares.max(prompt * prompt),
            burstiness: demand.burstiness,
            background: demand.background,
            unseen_steps: demand.unseen_steps,
            step_tokens: f64::from(demand.step_tokens.unwrap_or(limits.step_tokens).max(1)),
            max_sequences: f64::from(demand.max_sequences.unwrap_or(limits.max_sequences).max(1)),
            shortcuts: demand.shortcuts,
        }
    }

    /// Returns the tokens of a step that prompts may have beside `decodes` decodes.
    fn budget(&self, decodes: f64) -> f64 {
        let taken = decodes * (1.0 + self.shortcuts.drafted);
        (self.step_tokens - taken).max(self.step_tokens / 8.0)
    }

    /// Returns the batch of a vanishing load.
    pub(super) fn smallest(&self) -> f64 {
        1e-2
    }

    /// Returns the largest batch whose fluctuations are still admitted, and what would bind beyond it.
    ///
    /// The number of running sequences varies like that of a system without queue: variance b (1 + c²)/2.
    pub(super) fn largest(&self) -> (f64, Bound) {
        let (most, bound) = self.admitted();
        let z = ADMISSION * self.arrival_spread().sqrt();
        // b + z √b = most
        let root = ((z * z + 4.0 * most).sqrt() - z) / 2.0;
        ((root * root).max(2.0 * self.smallest()), bound)
    }

    /// Returns how many sequences run at once at most, and what admits no more.
    pub(super) fn admitted(&self) -> (f64, Bound) {
        // What prompts have in common is held once, beside what each holds alone.
        let whole = self.prompt + self.written;
        let held = self.prompt * (1.0 - self.shortcuts.shared) + self.written;
        let free = self.memory.kv_tokens_at(whole) - self.shortcuts.kept_tokens;
        let by_cache = (free / held).max(1.0);
        if by_cache < self.max_sequences {
            (by_cache, Bound::KvCache)
        } else {
            (self.max_sequences, Bound::MaxSequences)
        }
    }

    /// Returns the share of prompts that is computed.
    fn computed(&self) -> f64 {
        1.0 - self.shortcuts.reused
    }

    fn arrival_spread(&self) -> f64 {
        (1.0 + self.burstiness * self.burstiness) / 2.0
    }

    fn shape(&self, batch: f64) -> StepShape {
        // A step that runs at all holds one sequence at least.
        let running = batch.max(1.0);
        StepShape::decode(running, running * (self.prompt + self.written))
    }

    fn decode_s(&self, batch: f64) -> f64 {
        self.step.step_ns(&self.shape(batch)) * 1e-9
    }

    pub(super) fn at(&self, batch: f64) -> Point<'_> {
        let decode = self.shape(batch);
        let step = self.step.step_ns(&decode) * 1e-9;
        let budget = self.budget(decode.decodes);
        // What each prompt adds to the steps that it shares, cut where it exceeds the budget of a step.
        let extra = self.prompts.map(|tokens| {
            let computed = tokens * self.computed();
            let piece = computed.min(budget);
            let before = tokens - computed;
            let mixed = self.step.step_ns(&decode.with_chunk(piece, before, true)) * 1e-9;
            (mixed - step) * computed / piece + before * self.shortcuts.read_back_ns * 1e-9
        });
        let (prompt, prompt_square) = (mean_of(&extra, |s| s), mean_of(&extra, |s| s * s));
        let full = decode.with_chunk(budget, (self.prompt / 2.0).min(budget), true);
        Point { of: self, batch, step, prompt, prompt_square, full_step: self.step.step_ns(&full) * 1e-9 }
    }
}

impl Point<'_> {
    /// Returns mean time per output token: s + b W / O.
    pub(super) fn tpot(&self) -> f64 {
        self.step + self.batch * self.prompt / self.of.output
    }

    /// Returns the request rate of the point, by Little's law.
    pub(super) fn rate(&self) -> f64 {
        self.batch / (self.of.output * self.tpot())
    }

    fn budget(&self) -> f64 {
        self.of.budget(self.batch.max(1.0))
    }

    /// Returns the share of the prompt throughput of full steps that is used.
    pub(super) fn prefill_load(&self) -> f64 {
        self.rate() * self.of.prompt * self.of.computed() * self.full_step / self.budget()
    }

    /// Returns time to first token of a prompt of `tokens` without queueing: host work, the rest of the running
    /// step and those that do not see it, the prompt's own steps and delivery.
    fn first_token(&self, tokens: f64) -> f64 {
        let engine = self.of.engine;
        let host = (engine.request_us + engine.prompt_token_us * tokens) * 1e-6;
        let decode = self.of.shape(self.batch);
        let running = if self.batch < 1.0 { StepShape::default() } else { decode };
        let budget = self.budget();
        let computed = tokens * self.of.computed();
        let mut read = tokens - computed;
        let mut span = read * self.of.shortcuts.read_back_ns * 1e-9;
        // At most 64 pieces are walked; longer prompts go on at the pace of the last piece.
        let pieces = (computed / budget).ceil().clamp(1.0, 64.0);
        let piece = computed / pieces;
        for index in 0..pieces as u32 {
            let ends = index + 1 == pieces as u32;
            span += self.of.step.step_ns(&running.with_chunk(piece, read, ends)) * 1e-9;
            read += piece;
        }
        let busy = self.batch.min(1.0) * self.step * (0.5 + self.of.unseen_steps);
        host + busy + span + engine.delivered_after() * self.tpot()
    }

    /// Returns mean queueing time of prompts that do not yield: one server that reads a budget of tokens per full step.
    fn mean_wait(&self) -> f64 {
        let of = self.of;
        let service = of.prompt * of.computed() * self.full_step / self.budget();
        let variation = of.prompt_square / (of.prompt * of.prompt) - 1.0;
        let load = self.prefill_load().min(0.999);
        // Allen and Cunneen's approximation of G/G/1; who yields is only waited for where it is being read (Cobham 1954).
        let spread = (of.burstiness * of.burstiness + variation) / 2.0;
        load / (1.0 - load * (1.0 - of.background)) * spread * service
    }

    fn queued(&self) -> Queued {
        let own = self.of.prompts.map(|tokens| self.first_token(tokens));
        Queued {
            own: weights().into_iter().zip(own).collect(),
            mean_wait: self.mean_wait(),
            load: self.prefill_load().min(0.999),
        }
    }

    fn quantile(&self, metric: SloMetric, q: f64) -> f64 {
        match metric {
            SloMetric::Ttft => self.queued().quantile(q),
            SloMetric::Tpot => self.tpot_spreads().quantile(q),
            SloMetric::E2e => {
                let gaps = (self.of.output_lengths.quantile(q) - 1.0).max(0.0);
                self.first_token(self.of.prompt) + self.mean_wait() + gaps * self.tpot_at_crowded(q)
            }
        }
    }

    /// Returns whether a service level is missed, without working out by how much.
    pub(super) fn misses(&self, slo: &Slo) -> bool {
        let (q, most) = (f64::from(slo.per_mille) / 1000.0, slo.target.get() * SLO_MARGIN);
        match slo.metric {
            SloMetric::Ttft => self.queued().above(most) > 1.0 - q,
            SloMetric::Tpot => self.tpot_spreads().above(most) > 1.0 - q,
            SloMetric::E2e => self.quantile(slo.metric, q) > most,
        }
    }

    /// Returns the standard deviation of the running sequences.
    fn batch_spread(&self) -> f64 {
        (self.batch * self.of.arrival_spread()).sqrt()
    }

    /// Returns time per output token while the batch is at quantile q of its fluctuations.
    fn tpot_at_crowded(&self, q: f64) -> f64 {
        self.tpot_with(super::latency::normal_quantile(q).max(0.0))
    }

    /// Returns time per output token while `deviations` standard deviations more sequences run than on average.
    fn tpot_with(&self, deviations: f64) -> f64 {
        let crowded = self.batch + deviations * self.batch_spread();
        self.of.decode_s(crowded) + self.batch * self.prompt / self.of.output
    }

    /// Returns how a request's time per output token spreads, by output length.
    ///
    /// Two causes: the batch it lives in, and how many prompts happen to share its steps: a Poisson number, each
    /// worth its extra time over the request's gaps between tokens.
    fn tpot_spreads(&self) -> Spread {
        let mean = self.tpot();
        let batch = (self.tpot_with(1.0) - mean).max(0.0);
        // Who arrived while the request's own prompt was read is read next, in its first gap.
        let behind = self.rate() * (self.step + self.prompt);
        let variance = (self.prompt_square - self.prompt * self.prompt).max(0.0);
        let strata = self.of.outputs.map(|(weight, output)| {
            let gaps = (output - 1.0).max(1.0);
            let prompts = self.rate() * gaps * mean + behind;
            let each = self.prompt / gaps;
            let mean = mean + behind * each;
            Stratum { weight, mean, prompts, each, each_variance: variance / (gaps * gaps) }
        });
        Spread { batch, strata: Vec::from(strata) }
    }

    /// Returns mean and percentiles of a metric.
    pub(super) fn latencies(&self, metric: SloMetric) -> Latencies {
        let mean = match metric {
            SloMetric::Ttft => self.mean_first_token(),
            SloMetric::Tpot => self.tpot_spreads().mean(),
            SloMetric::E2e => self.mean_first_token() + (self.of.output - 1.0) * self.tpot(),
        };
        let at = |q: f64| Seconds(self.quantile(metric, q));
        Latencies { mean: Seconds(mean), p50: at(0.5), p90: at(0.9), p99: at(0.99) }
    }

    fn mean_first_token(&self) -> f64 {
        mean_of(&self.of.prompts, |tokens| self.first_token(tokens)) + self.mean_wait()
    }

    /// Returns what is expected of a service level.
    pub(super) fn judge(&self, slo: &Slo) -> SloEstimate {
        let expected = Seconds(self.quantile(slo.metric, f64::from(slo.per_mille) / 1000.0));
        SloEstimate { metric: slo.metric, per_mille: slo.per_mille, expected, target: slo.target }
    }

    /// Returns the service level that is missed by the largest factor, if any is missed.
    pub(super) fn worst_miss(&self, slos: &[Slo]) -> Option<SloEstimate> {
        let excess = |judged: &SloEstimate| judged.expected / judged.target;
        slos.iter()
            .filter(|slo| self.misses(slo))
            .map(|slo| self.judge(slo))
            .max_by(|a, b| excess(a).total_cmp(&excess(b)))
    }
}
