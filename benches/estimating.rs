//! How fast are candidates found? Every way to run one chat service on every machine of the built-in catalog; one serving
//! step; the layouts of one training job.

mod common;

use capstan_planner::candidates::{Served, enumerate};
use capstan_sim::perf::training::{Cluster, Job, Known, Method, Search, Space, best, search};
use capstan_sim::perf::{PreparedStep, Ranks, Setup, StepShape};
use capstan_types::catalog::Catalog;
use capstan_types::hardware::{NodeShape, Precision};
use capstan_types::spec::{Parallelism, Serve};
use capstan_types::testing::blueprint::chat_blueprint;
use capstan_types::units::{BytesPerSecond, Tokens};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};
use std::hint::black_box;
use std::time::Duration;

/// Returns the service of the shared blueprint, free to run on anything.
fn serve() -> Serve {
    let mut serve = chat_blueprint().inputs.spec.serves.swap_remove(0);
    serve.accelerators = None;
    serve.precisions = vec![Precision::Bf16, Precision::Fp8];
    serve
}

fn main() {
    let (catalog, serve) = (common::catalog(), serve());
    let model = catalog.model("meta-llama/Llama-3.1-70B-Instruct").expect("a model that the catalog has");
    let engine = catalog.engine(&serve.engine).expect("an engine that the catalog has");
    let shapes: Vec<&NodeShape> = catalog.shapes.iter().collect();
    let served = Served { serve: &serve, model, draft: None, engine, offline: false };
    let found = enumerate(&catalog, &served, &shapes);
    let rejected: u32 = found.rejections.iter().map(|row| row.count).sum();
    assert!(!found.ways.is_empty(), "nothing serves the model");
    println!(
        "{} machines: {} candidates, {rejected} rejections, {} threads",
        shapes.len(),
        found.ways.len(),
        rayon::current_num_threads()
    );
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("estimating");
    group.measurement_time(Duration::from_secs(5)).sample_size(10);
    group.throughput(Throughput::Elements(found.ways.len() as u64 + u64::from(rejected)));
    group.bench_function("Llama 3.1 70B on every machine", |bench| {
        bench.iter(|| enumerate(&catalog, black_box(&served), &shapes))
    });
    group.finish();
    steps(&mut criterion, &catalog);
    training(&mut criterion, &catalog);
    criterion.final_summary();
}

/// One serving step, prepared and then asked for. The figures to keep: below 5 ms and below 100 ns.
fn steps(criterion: &mut Criterion, catalog: &Catalog) {
    let setup = Setup {
        model: catalog.model("llama3_1_70b").expect("a model that the catalog has"),
        accelerator: catalog.accelerator("h100_sxm").expect("an accelerator that the catalog has"),
        engine: catalog.engine("vllm").expect("an engine that the catalog has"),
        ranks: Ranks::of(4, 1),
        precision: Precision::Bf16,
        kv_precision: None,
    };
    let mut group = criterion.benchmark_group("steps");
    group.bench_function("prepare one", |bench| {
        bench.iter(|| PreparedStep::prepare(catalog, black_box(&setup)).expect("a step"))
    });
    let step = PreparedStep::prepare(catalog, &setup).expect("a step");
    let mixed = StepShape::decode(63.0, 80_000.0).with_chunk(512.0, 1024.0, true);
    group.bench_function("ask for one", |bench| bench.iter(|| step.step_ns(black_box(&mixed))));
    group.finish();
}

/// Every configuration of GPT-3 175B on 64 A100 that Calculon's search looks at. The figure to keep: 2 s.
fn every(group: &mut BenchmarkGroup<'_, WallTime>, catalog: &Catalog, known: &Known) {
    let accelerator = catalog.accelerator("a100_sxm_80gb").expect("an accelerator that the catalog has");
    let model = catalog.model("gpt3_175b").expect("a model that the catalog has");
    let cluster =
        Cluster { known, accelerator, per_node: 8, nodes: 8, scale_out: Some(BytesPerSecond(200e9)) };
    let job = Job { model, batch: Tokens(64.0 * 2048.0), sequence: 2048, precision: Precision::Bf16 };
    let fixed = Parallelism::default();
    let (space, method) = (Space::wide(&cluster, &job, &fixed, true), Method::default());
    let all = Search { space: &space, method: &method, wanted: 1, host: None };
    let found = search(&cluster, &job, &all).expect("a configuration that fits");
    assert_eq!(found.priced + found.rejected, 3_232_128);
    group.throughput(Throughput::Elements(found.priced + found.rejected));
    group.sample_size(10);
    group.bench_function("every configuration of GPT-3 175B on 64 A100", |bench| {
        bench.iter(|| search(&cluster, black_box(&job), &all).expect("a configuration that fits"))
    });
}

/// Layouts of a training job, memory check included.
fn training(criterion: &mut Criterion, catalog: &Catalog) {
    let accelerator = catalog.accelerator("h100_sxm").expect("an accelerator that the catalog has");
    let model = catalog.model("llama3_1_70b").expect("a model that the catalog has");
    let known = Known::of(catalog);
    let cluster = Cluster {
        known: &known,
        accelerator,
        per_node: 8,
        nodes: 64,
        scale_out: Some(BytesPerSecond(400e9)),
    };
    let job = Job { model, batch: Tokens(4.0 * 1024.0 * 1024.0), sequence: 8192, precision: Precision::Bf16 };
    let fixed = Parallelism::default();
    let found = best(&cluster, &job, &fixed).expect("a layout that fits");
    let mut group = criterion.benchmark_group("training");
    group.throughput(Throughput::Elements(found.priced + found.rejected));
    group.bench_function("layouts of Llama 3.1 70B on 512 H100", |bench| {
        bench.iter(|| best(&cluster, black_box(&job), &fixed).expect("a layout that fits"))
    });
    every(&mut group, catalog, &known);
    group.finish();
}
