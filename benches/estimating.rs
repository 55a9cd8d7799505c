//! How fast are candidates found? Every way to run one chat service on every machine of the built-in catalog.

mod common;

use capstan_planner::candidates::enumerate;
use capstan_types::hardware::{NodeShape, Precision};
use capstan_types::spec::Serve;
use capstan_types::testing::blueprint::chat_blueprint;
use criterion::{Criterion, Throughput};
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
    let found = enumerate(&catalog, &serve, model, engine, &shapes);
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
        bench.iter(|| enumerate(&catalog, black_box(&serve), model, engine, &shapes))
    });
    group.finish();
    criterion.final_summary();
}
