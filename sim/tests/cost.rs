//! What does a request cost? Counted, not timed, so that no other process can make it pass or fail.
//!
//! A run costs an agenda entry for each event of a replica and an evaluation for each step, those included that an arrival
//! makes vain. If one of the two grows, the simulator has become slower, however fast the machine.

use std::sync::atomic::{AtomicU64, Ordering};

use capstan_sim::engine::Time;
use capstan_sim::serving::{
    Batch, KvCache, Length, Lengths, OpenLoop, Rate, RunTotals, ServingConfig, StepTable, StepTime, Workload,
    simulate_into,
};

/// A step time that counts how often it is asked.
struct Counted(StepTable, AtomicU64);

impl StepTime for Counted {
    fn nanoseconds(&self, batch: &Batch) -> f64 {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.nanoseconds(batch)
    }
}

/// 200 requests for each of so many replicas, with lengths and load as in Vidur's run R3: about 20 run at a time.
fn cost(n_replicas: u32) -> (RunTotals, u64) {
    let by_tokens = vec![0.0, 22e6, 22.04e6];
    let table = StepTable { by_tokens, per_decode_kv: 40.0, per_pair_twice: 0.5, ..StepTable::default() };
    let step = Counted(table, AtomicU64::new(0));
    let config = ServingConfig { n_replicas, ..ServingConfig::chunked(512, 128, KvCache::new(27_904)) };
    let workload = Workload::Open(OpenLoop {
        name: "cost".into(),
        rate: Rate::constant(2.0 * f64::from(n_replicas)),
        burstiness: 1.0,
        lengths: Lengths::Independent {
            prompt: Length::LogNormal { mu: 6.6, sigma: 0.9 },
            output: Length::LogNormal { mu: 5.1, sigma: 0.8 },
        },
        max_tokens: 4_096,
        until: Time::NEVER,
        max_requests: 200 * u64::from(n_replicas),
    });
    let totals = simulate_into(&config, &step, &workload, 1, 0, &mut |_, _| ()).unwrap();
    (totals, step.1.into_inner())
}

fn per_request(n_replicas: u32) -> (f64, f64, f64) {
    let (totals, evaluations) = cost(n_replicas);
    let iterations: u64 = totals.replicas.iter().map(|work| work.iterations).sum();
    let each = |n: u64| n as f64 / totals.requests as f64;
    let (scheduled, evaluated, iterated) = (each(totals.scheduled), each(evaluations), each(iterations));
    println!(
        "{n_replicas} replicas, per request: {scheduled:.2} scheduled, {evaluated:.2} evaluated, {iterated:.2} steps"
    );
    (scheduled, evaluated, iterated)
}

#[test]
fn a_request_costs_few_events_and_few_vain_evaluations() {
    let (scheduled, evaluated, iterated) = per_request(100);
    assert!(scheduled < 5.5, "{scheduled} agenda entries per request");
    assert!(evaluated < 1.75 * iterated, "{evaluated} evaluations for {iterated} steps");
}

#[test]
fn a_request_costs_the_same_among_1_000_replicas() {
    let (few, many) = (per_request(100), per_request(1_000));
    assert!(many.0 < 1.02 * few.0, "{} agenda entries per request, {} among fewer", many.0, few.0);
    assert!(many.1 < 1.02 * few.1, "{} evaluations per request, {} among fewer", many.1, few.1);
}
