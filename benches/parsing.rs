//! How fast is plan text read? One megabyte of the large example, clean and with mistakes, formatted; and one
//! megabyte of services, checked.

mod common;

use capstan_lang::{CheckContext, Source, check, parse};
use capstan_types::place::FileId;
use criterion::{Criterion, Throughput};
use std::hint::black_box;
use std::time::Duration;

const SAMPLE: &str = include_str!("../lang/tests/examples/chat_and_pretrain.plan");
const SHORTEST: &str = include_str!("../examples/first.plan");

/// Returns a plan of a megabyte without a mistake: the shortest one, with its service over and over.
fn services() -> String {
    let (head, serve) = SHORTEST.split_at(SHORTEST.find("serve chat").expect("it serves"));
    let copies = 1_000_000 / serve.len();
    let named = |n: usize| serve.replace("serve chat", &format!("serve chat_{n}"));
    (0..copies).fold(head.to_owned(), |text, n| text + &named(n))
}

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
    group.bench_function("1 MB, to its canonical form", |bench| {
        bench.iter(|| capstan_lang::format(black_box(&clean)))
    });
    let (catalog, services, context) = (common::catalog(), services(), CheckContext::default());
    let read = || {
        let parsed = parse(&file, black_box(&services));
        check(Source { file: &parsed.file, text: &services }, &catalog, &context)
    };
    let (spec, mistakes) = read();
    assert!(spec.is_some(), "{mistakes:?}");
    group.throughput(Throughput::Bytes(services.len() as u64));
    group.bench_function("1 MB of services, parsed and checked", |bench| bench.iter(read));
    group.finish();
    criterion.final_summary();
}
