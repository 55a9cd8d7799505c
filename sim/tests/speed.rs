//! How fast is it? Iterations and requests per second of one core, with real operator tables; steps and training
//! configurations.
//!
//! Needs the data folder (`CAPSTAN_DATA`); run alone and in a release build:
//! `cargo test --release -p capstan-sim --test speed -- --ignored --nocapture`.

use std::io::Read;
use std::path::PathBuf;

use capstan_sim::engine::Time;
use capstan_sim::perf::training::{Cluster, Job, Known, Method, Search, Space, search};
use capstan_sim::perf::{Device, PreparedStep, Ranks, Setup, StepShape};
use capstan_sim::serving::{
    KvCache, Layers, Lengths, OpenLoop, OperatorTables, Rate, Record, Scheduler, ServingConfig, TableTexts,
    Tally, Window, Workload, simulate_into,
};
use capstan_types::hardware::Precision;
use capstan_types::spec::Parallelism;
use capstan_types::testing;
use capstan_types::units::{BytesPerSecond, Tokens};

fn text(path: PathBuf) -> String {
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    text
}

/// Enough that the beginning and the end, with small batches, do not count.
const REQUESTS_PER_REPLICA: u64 = 1_500;

/// Nanoseconds that this thread has been on a processor; other processes do not count.
fn cpu_ns() -> u64 {
    let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    schedstat.split(' ').next().unwrap().parse().unwrap()
}

/// The set-up of Vidur's run R3, 2 requests per second for each replica, on 100 and on 1,000 of them.
#[test]
#[ignore = "a measurement, not a claim"]
fn requests_per_second() {
    #[expect(clippy::disallowed_methods, reason = "tests find their data through the environment")]
    let Ok(data) = std::env::var("CAPSTAN_DATA") else { return };
    let folder = PathBuf::from(data).join("vidur-profiles");
    let read = |table: &str| text(folder.join(format!("op-tables/codellama-34b_a100_tp2/{table}.csv.gz")));
    let (by_tokens, attn_decode, attn_prefill) =
        (read("by_tokens"), read("attn_decode"), read("attn_prefill"));
    let texts = TableTexts { by_tokens: &by_tokens, attn_decode: &attn_decode, attn_prefill: &attn_prefill };
    let tables = OperatorTables::parse(&texts, Layers { per_stage: 48, grouped_query: true }).unwrap();
    let run = text(folder.join("reference-runs/R3_cl34_a100_tp2_sar512_q2.requests.csv.gz"));
    let pairs: Vec<(u32, u32)> = csv::Reader::from_reader(run.as_bytes())
        .records()
        .map(|row| row.map(|row| (row[1].parse().unwrap(), row[2].parse().unwrap())).unwrap())
        .collect();
    for n_replicas in [100, 1_000, 100, 1_000] {
        let kv = KvCache::new(27_904).with_one_percent_watermark();
        let scheduler = Scheduler::Sarathi { chunk: 512 };
        let config = ServingConfig {
            n_replicas,
            scheduler,
            max_context: 4_096,
            ..ServingConfig::chunked(512, 128, kv)
        };
        let workload = Workload::Open(OpenLoop {
            name: "speed".into(),
            rate: Rate::constant(2.0 * f64::from(n_replicas)),
            burstiness: 1.0,
            lengths: Lengths::Pairs(pairs.clone()),
            max_tokens: 4_096,
            until: Time::NEVER,
            max_requests: u64::from(n_replicas) * REQUESTS_PER_REPLICA,
        });
        let tally = Tally::new(Window::ALL, &[]);
        let mut sum = 0u64;
        let mut log = |_: u64, record: &Record| sum ^= record.completed.ns();
        let start = cpu_ns();
        let totals = simulate_into(&config, &tables, &workload, 1, 0, &mut log).unwrap();
        let (ns, n) = ((cpu_ns() - start) as f64, totals.requests as f64);
        assert!(sum > 0);
        let summary = tally.summarize(&config, &totals.replicas, totals.stop, totals.end);
        let iterations = summary.iterations as f64;
        println!(
            "{n_replicas} replicas: {:.2} M requests/s, {:.1} M iterations/s ({:.0} % jumped, mean batch {:.1}, {:.1} per request), {:.0} ns per request",
            n / ns * 1e3,
            iterations / ns * 1e3,
            100.0 * summary.leapt_iterations as f64 / iterations,
            summary.mean_batch,
            iterations / n,
            ns / n,
        );
    }
}

/// Steps that are asked for, of other sizes each.
const STEPS: u32 = 200_000;
/// Nanoseconds of the figures to keep, which hold with all optimisations: `make bench` shows them. Debug assertions, which
/// compute the physical floor of each step again, and calls between modules cost up to this many times as much here.
const WITH_ASSERTIONS: f64 = 10.0;
/// Preparations that are timed together: one is shorter than the clock of a thread is fine.
const PREPARATIONS: u32 = 50;

/// One step takes less than 100 ns once it is prepared, preparing one less than 5 ms.
#[test]
#[ignore = "long"]
fn long_a_step_and_its_preparation_are_cheap() {
    let catalog = testing::catalog();
    let models = testing::models();
    let setup = Setup {
        model: &models[2],
        accelerator: catalog.accelerator("h100_sxm").unwrap(),
        engine: catalog.engine("vllm").unwrap(),
        ranks: Ranks::of(4, 1),
        precision: Precision::Bf16,
        kv_precision: None,
    };
    let device = Device::resolve(&catalog, setup.accelerator).unwrap();
    let start = cpu_ns();
    let mut step = PreparedStep::with_device(&device, &setup).unwrap();
    for _ in 1..PREPARATIONS {
        step = PreparedStep::with_device(&device, std::hint::black_box(&setup)).unwrap();
    }
    let prepared = (cpu_ns() - start) as f64 / f64::from(PREPARATIONS);
    let start = cpu_ns();
    let mut sum = 0.0;
    for asked in 0..STEPS {
        let batch = f64::from(asked % 251 + 1);
        sum += step.step_ns(&StepShape::decode(batch, batch * 900.0).with_chunk(512.0, 1024.0, true));
    }
    let each = (cpu_ns() - start) as f64 / f64::from(STEPS);
    println!("preparing {prepared:.0} ns, a step {each:.0} ns");
    assert!(sum > 0.0 && each < 100.0 * WITH_ASSERTIONS, "{each} ns for a step");
    assert!(prepared < 5e6 * WITH_ASSERTIONS, "{prepared} ns to prepare a step");
}

/// Two million training configurations per second of one core, memory check included.
#[test]
#[ignore = "long"]
fn long_training_configurations_are_cheap() {
    let catalog = testing::catalog();
    let models = testing::models();
    let known = Known::of(&catalog);
    let accelerator = catalog.accelerator("h100_sxm").unwrap();
    let scale_out = Some(BytesPerSecond(400e9));
    let cluster = Cluster { known: &known, accelerator, per_node: 8, nodes: 8, scale_out };
    let job =
        Job { model: &models[2], batch: Tokens(64.0 * 2048.0), sequence: 2048, precision: Precision::Bf16 };
    let fixed = Parallelism::default();
    let (space, method) = (Space::wide(&cluster, &job, &fixed, true), Method::default());
    let all = Search { space: &space, method: &method, wanted: 1, host: None };
    let start = cpu_ns();
    let found = search(&cluster, &job, &all).unwrap();
    let looked = (found.priced + found.rejected) as f64;
    let rate = looked / (cpu_ns() - start) as f64 * 1e9;
    println!("{looked} configurations, {rate:.0} per second");
    assert!(looked > 1e6 && rate > 2e6 / WITH_ASSERTIONS, "{rate} configurations per second");
}
