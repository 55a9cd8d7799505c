//! How long does the purchase program take? At the size it is built for, and at that of an everyday plan.

#[path = "../planner/tests/common/mod.rs"]
mod common;

use capstan_planner::program::{Options, Problem, solve};
use common::reference_instance;
use criterion::Criterion;
use std::hint::black_box;
use std::time::Duration;

/// Returns one workload of the reference instance.
fn everyday() -> Problem {
    let mut problem = reference_instance(1, 3);
    problem.workloads.truncate(1);
    problem
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("solving");
    group.measurement_time(Duration::from_secs(8)).warm_up_time(Duration::from_secs(1)).sample_size(10);
    let cases = [
        ("1 workload × 25 candidates × 3 periods", everyday()),
        ("60 workloads × 25 candidates × 1 period", reference_instance(1, 1)),
    ];
    for (name, problem) in cases {
        group.bench_function(name, |bench| {
            bench.iter(|| solve(black_box(&problem), &Options::default()).expect("feasible"))
        });
    }
    group.finish();
    criterion.final_summary();
}
