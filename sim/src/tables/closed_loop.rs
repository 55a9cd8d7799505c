//! A closed loop as the sum of its steps.
//!
//! C clients that send the next request as soon as the last is answered, on one replica: whatever a step takes, the
//! same steps follow each other, since requests come only when steps end. So the loop is simulated once, with steps of
//! equal length, and both mean times are sums over its steps, each with a weight: how many requests wait for their first
//! token in it, or write. Other step times then cost a sum and no simulation.

use crate::serving::{
    Batch, ClosedLoop, ConfigError, Lengths, Outcome, Record, ServingConfig, StepTime, Workload, simulate,
};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Requests per client: the measured runs had ten.
const ROUNDS: u64 = 10;

/// What runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Loop {
    /// The replica.
    pub config: ServingConfig,
    /// Requests in flight.
    pub clients: u32,
    /// Prompt and output lengths.
    pub lengths: Lengths,
}

impl Loop {
    /// Returns the requests of the clients.
    fn workload(&self) -> Workload {
        Workload::Closed(ClosedLoop {
            name: "closed".to_owned(),
            clients: self.clients,
            think_ns: 0,
            lengths: self.lengths.clone(),
            max_tokens: u32::MAX,
            max_requests: ROUNDS * u64::from(self.clients),
        })
    }
}

/// Steps of equal shape, and what they weigh in the two means.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Steps {
    batch: Batch,
    /// Weight in the mean time to first token, and mean cached tokens by that weight.
    waiting: (f64, f64),
    /// The same in the mean time per output token.
    writing: (f64, f64),
}

/// A loop that ran.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    ran: Loop,
    steps: Vec<Steps>,
    completed: bool,
}

/// Where the trace of a row is kept between prices.
#[derive(Debug, Default)]
pub struct Memo(Mutex<Option<Arc<Trace>>>);

impl Clone for Memo {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Memo {
    /// Returns the trace of `wanted`, from memory if the last was the same.
    ///
    /// # Errors
    /// As [`Trace::of`].
    pub fn trace(&self, wanted: Loop) -> Result<Arc<Trace>, ConfigError> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(trace) = kept.as_ref().filter(|trace| trace.ran == wanted) {
            return Ok(Arc::clone(trace));
        }
        let trace = Arc::new(Trace::of(wanted)?);
        *kept = Some(Arc::clone(&trace));
        Ok(trace)
    }
}

/// Nanoseconds of every step of the recorded loop.
const STEP_NS: u64 = 1024;

/// Notes every step; each takes as long as the other.
#[derive(Default)]
struct Recorder(Mutex<Vec<Batch>>);

impl StepTime for Recorder {
    fn nanoseconds(&self, batch: &Batch) -> f64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(*batch);
        STEP_NS as f64
    }
}

impl Trace {
    /// Runs a loop.
    ///
    /// # Errors
    /// [`ConfigError`] where the replica cannot be simulated.
    pub fn of(ran: Loop) -> Result<Self, ConfigError> {
        let recorder = Recorder::default();
        let result = simulate(&ran.config, &recorder, &ran.workload(), 1, 0)?;
        let batches = recorder.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        let (waiting, writing) = weights(&result.records, batches.len());
        let completed = waiting.iter().any(|weight| *weight > 0.0);
        Ok(Self { ran, steps: gathered(&batches, &waiting, &writing), completed })
    }

    /// Returns the mean times to first token and per output token, in milliseconds; `None` where nothing completed.
    pub fn means_ms(&self, time: &impl StepTime) -> Option<(f64, f64)> {
        let (mut first, mut each) = (0.0, 0.0);
        for steps in &self.steps {
            let of = |(weight, kv): (f64, f64)| {
                let batch = Batch { decode_kv: kv.round() as u64, ..steps.batch };
                if weight > 0.0 { weight * time.nanoseconds(&batch) } else { 0.0 }
            };
            first += of(steps.waiting);
            each += of(steps.writing);
        }
        self.completed.then_some((first / 1e6, each / 1e6))
    }
}

/// Returns the weight of every step in the mean time to first token and in that per output token.
fn weights(records: &[Record], steps: usize) -> (Vec<f64>, Vec<f64>) {
    let done: Vec<&Record> = records.iter().filter(|record| record.outcome == Outcome::Completed).collect();
    let several = done.iter().filter(|record| record.output > 1).count() as f64;
    let (mut waiting, mut writing) = (vec![0.0; steps + 1], vec![0.0; steps + 1]);
    let step = |ns: u64| ((ns / STEP_NS) as usize).min(steps);
    for record in &done {
        let [arrival, first, last] =
            [record.arrival, record.first_token, record.completed].map(|at| step(at.ns()));
        waiting[arrival] += 1.0 / done.len() as f64;
        waiting[first] -= 1.0 / done.len() as f64;
        if record.output > 1 {
            let share = 1.0 / (f64::from(record.output) - 1.0) / several;
            writing[first] += share;
            writing[last] -= share;
        }
    }
    for weights in [&mut waiting, &mut writing] {
        for place in 1..weights.len() {
            weights[place] += weights[place - 1];
        }
    }
    (waiting, writing)
}

/// Joins steps that only decode as many sequences; their time is a straight line over cached tokens.
fn gathered(batches: &[Batch], waiting: &[f64], writing: &[f64]) -> Vec<Steps> {
    let mut decoding: BTreeMap<u32, Steps> = BTreeMap::new();
    let mut all = Vec::new();
    for (place, batch) in batches.iter().enumerate() {
        let kv = batch.decode_kv as f64;
        // Rounding leaves weights of 1e-17 where nobody waits.
        let [waiting, writing] = [waiting[place], writing[place]].map(|w| if w > 1e-12 { w } else { 0.0 });
        if batch.prefills > 0 {
            all.push(Steps { batch: *batch, waiting: (waiting, kv), writing: (writing, kv) });
            continue;
        }
        let none = Steps { batch: *batch, waiting: (0.0, 0.0), writing: (0.0, 0.0) };
        let steps = decoding.entry(batch.decodes).or_insert(none);
        for ((weight, sum), added) in [(&mut steps.waiting, waiting), (&mut steps.writing, writing)] {
            *weight += added;
            *sum += added * kv;
        }
    }
    for steps in decoding.into_values() {
        let mean = |(weight, sum): (f64, f64)| (weight, if weight > 0.0 { sum / weight } else { 0.0 });
        all.push(Steps { waiting: mean(steps.waiting), writing: mean(steps.writing), ..steps });
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serving::{KvCache, Length, StepTable};

    /// Means of a simulation with the step times themselves.
    fn simulated(ran: &Loop, time: &StepTable) -> (f64, f64) {
        let records = simulate(&ran.config, time, &ran.workload(), 1, 0).unwrap().records;
        let n = records.len() as f64;
        let first = records.iter().map(|r| r.first_token.since(r.arrival) as f64).sum::<f64>() / n;
        let each = records
            .iter()
            .map(|r| r.completed.since(r.first_token) as f64 / f64::from(r.output - 1))
            .sum::<f64>();
        (first / 1e6, each / n / 1e6)
    }

    #[test]
    fn sums_over_steps_are_what_a_simulation_finds() {
        let time = StepTable {
            by_tokens: vec![0.0, 5e6, 5.1e6],
            by_sampled: vec![0.0, 2e4],
            per_decode_kv: 13.0,
            prefill_step: 4e6,
            per_pair_twice: 0.7,
            per_pair_over_context: 2.0,
        };
        for blocks in [100_000, 1_200] {
            let kv = KvCache { blocks, block_tokens: 16, watermark_blocks: 0 };
            for visible in [0, 2] {
                let config =
                    ServingConfig { visibility_steps: visible, ..ServingConfig::chunked(2048, 24, kv) };
                let (prompt, output) = (Length::Uniform(800, 1000), Length::Uniform(80, 100));
                let ran = Loop { config, clients: 24, lengths: Lengths::Independent { prompt, output } };
                let found = Trace::of(ran.clone()).unwrap().means_ms(&time).unwrap();
                let wanted = simulated(&ran, &time);
                for (found, wanted) in [(found.0, wanted.0), (found.1, wanted.1)] {
                    assert!((found / wanted - 1.0).abs() < 1e-4, "{found} {wanted} with {blocks} blocks");
                }
            }
        }
    }
}
