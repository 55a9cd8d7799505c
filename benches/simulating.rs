//! How many requests are simulated in a second? One run of a chat load on 1, 100 and 1,000 replicas, one thread.

use capstan_sim::engine::Time;
use capstan_sim::serving::{
    KvCache, Length, Lengths, OpenLoop, Rate, ServingConfig, StepTable, Stop, Workload, simulate,
};
use criterion::{Criterion, Throughput};
use std::hint::black_box;
use std::time::Duration;

/// Requests per second and replica: busy, and no queue that only grows.
const RATE: f64 = 4.0;

/// Replicas, and seconds of load on each.
const SIZES: [(u32, f64); 3] = [(1, 3_600.0), (100, 120.0), (1_000, 30.0)];

/// Returns a step of 8 ms, 40 µs for each token and 20 ns for each token of cache that is read.
fn step() -> StepTable {
    StepTable {
        by_tokens: (0..=2_048).map(|tokens| 8e6 + 4e4 * f64::from(tokens)).collect(),
        per_decode_kv: 20.0,
        ..StepTable::default()
    }
}

fn load(replicas: u32, seconds: f64) -> Workload {
    Workload::Open(OpenLoop {
        name: "chat".to_owned(),
        rate: Rate::constant(RATE * f64::from(replicas)),
        burstiness: 1.0,
        lengths: Lengths::Independent {
            prompt: Length::Exponential(1_000.0),
            output: Length::Exponential(200.0),
        },
        max_tokens: 8_192,
        until: Time::from_seconds(seconds),
        max_requests: u64::MAX,
    })
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("simulating");
    group.measurement_time(Duration::from_secs(5)).warm_up_time(Duration::from_secs(1)).sample_size(10);
    let step = step();
    for (replicas, seconds) in SIZES {
        let config = ServingConfig {
            n_replicas: replicas,
            ..ServingConfig::chunked(2_048, 256, KvCache::new(16_000))
        };
        let load = load(replicas, seconds);
        let run = || simulate(&config, &step, black_box(&load), 1, 0).expect("a valid configuration");
        let once = run();
        assert_eq!(once.stop, Stop::Drained, "the load is more than the replicas bear");
        group.throughput(Throughput::Elements(once.records.len() as u64));
        group.bench_function(format!("requests on {replicas} replicas"), |bench| bench.iter(run));
    }
    group.finish();
    criterion.final_summary();
}
