//! How fast is plan text read? One megabyte of the large example, clean and with mistakes, and formatted.

use capstan_lang::{format, parse};
use capstan_types::place::FileId;
use criterion::{Criterion, Throughput};
use std::hint::black_box;
use std::time::Duration;

const SAMPLE: &str = include_str!("../lang/tests/examples/chat_and_pretrain.plan");

fn main() {
    let clean = SAMPLE.repeat(1_000_000 / SAMPLE.len());
    // One mistake in each copy of the sample; reading goes on at the next line.
    let broken = clean.replace("horizon  =", "horizon  :");
    assert_ne!(clean, broken, "the sample has a horizon");
    let file = FileId::new("sample.plan");
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("parsing");
    group.measurement_time(Duration::from_secs(5)).sample_size(20);
    group.throughput(Throughput::Bytes(clean.len() as u64));
    group.bench_function("1 MB", |bench| bench.iter(|| parse(&file, black_box(&clean))));
    group.bench_function("1 MB, a mistake in every copy of the sample", |bench| {
        bench.iter(|| parse(&file, black_box(&broken)))
    });
    group.bench_function("1 MB, to its canonical form", |bench| bench.iter(|| format(black_box(&clean))));
    group.finish();
    criterion.final_summary();
}
