//! Requests that yield to the others: exact waiting times where theory knows them, and what must not change.

mod common;

use capstan_sim::engine::Time;
use capstan_sim::serving::{
    Background, KvCache, Length, Lengths, OpenLoop, Outcome, Rate, Record, Reject, Request, ServingConfig,
    Workload,
};
use common::run;
use proptest::prelude::*;

fn background(share: f64) -> Option<Background> {
    Some(Background::drawn(share, u32::MAX, 1))
}

/// Batches of one and a constant service time, no step interrupted: Cobham's waits of two priorities (Operations Research
/// 2(1), 1954). With ρ = 0.9, a third of it in the background: R = ρ/2, W₁ = R/(1 − ρ₁), W₂ = R/((1 − ρ₁)(1 − ρ)).
#[test]
fn waits_are_those_of_two_priorities() {
    let (load, share) = (0.9, 1.0 / 3.0);
    let config =
        ServingConfig { background: background(share), ..ServingConfig::chunked(64, 1, KvCache::new(64)) };
    let workload = Workload::Open(OpenLoop {
        name: "queue".into(),
        rate: Rate::constant(load * 1e3),
        burstiness: 1.0,
        lengths: Lengths::Independent { prompt: Length::Fixed(16), output: Length::Fixed(1) },
        max_tokens: u32::MAX,
        until: Time::from_seconds(2_000.0),
        max_requests: u64::MAX,
    });
    let (records, _) = run(&config, &workload);
    // Means of ten parts, whose spread is that of the whole.
    let waits = |yields: bool| {
        let of: Vec<f64> = records
            .iter()
            .filter(|record| record.background == yields)
            .filter_map(|record| Some(record.ttft_ns()? as f64 / 1e6 - 1.0))
            .collect();
        let parts: Vec<f64> = of
            .chunks(of.len().div_ceil(10))
            .map(|part| part.iter().sum::<f64>() / part.len() as f64)
            .collect();
        let mean = parts.iter().sum::<f64>() / 10.0;
        let variance = parts.iter().map(|part| (part - mean) * (part - mean)).sum::<f64>() / 9.0;
        (mean, (variance / 10.0).sqrt())
    };
    let first = load * (1.0 - share);
    let residual = load / 2.0;
    let expected = [residual / (1.0 - first), residual / ((1.0 - first) * (1.0 - load))];
    for (yields, expected) in [false, true].into_iter().zip(expected) {
        let (mean, error) = waits(yields);
        assert!((mean - expected).abs() < 4.0 * error, "{mean} ± {error} against {expected}");
        assert!(error / expected < 0.05, "{error}");
    }
}

/// Where the cache is short, who yields is evicted, and nobody else as long as one of them runs.
#[test]
fn who_yields_loses_its_cache_first() {
    let config =
        ServingConfig { background: background(0.5), ..ServingConfig::chunked(512, 64, KvCache::new(60)) };
    let row = |index: u32| Request { arrival: Time::from_ns(u64::from(index)), prompt: 40, output: 150 };
    let (records, totals) = run(&config, &Workload::Trace((0..16).map(row).collect()));
    assert!(records.iter().all(|record| record.outcome == Outcome::Completed));
    assert!(totals.replicas[0].preemptions > 0);
    let restarts = |yields: bool| -> u32 {
        records.iter().filter(|record| record.background == yields).map(|record| record.restarts).sum()
    };
    assert!(restarts(true) > 2 * restarts(false), "{} {}", restarts(true), restarts(false));
    let last = |yields: bool| {
        records.iter().filter(|record| record.background == yields).map(|record| record.completed).max()
    };
    assert!(last(false) < last(true));
}

/// A limit on those that wait turns away the background alone.
#[test]
fn a_limit_of_its_own_turns_away_the_background_alone() {
    let background = Some(Background::drawn(0.5, 3, 1));
    let config = ServingConfig { background, ..ServingConfig::chunked(64, 1, KvCache::new(64)) };
    let row = |index: u32| Request { arrival: Time::from_ns(u64::from(index)), prompt: 16, output: 4 };
    let (records, _) = run(&config, &Workload::Trace((0..40).map(row).collect()));
    for record in records {
        let refused = record.outcome == Outcome::Rejected(Reject::Queue);
        assert!(record.background || !refused, "{record:?}");
        assert!(!record.background || refused || record.arrival.ns() < 8, "{record:?}");
    }
}

#[test]
fn an_order_needs_a_scheduler_that_keeps_it() {
    let cache = KvCache::new(10_000);
    let sglang = ServingConfig { background: background(0.5), ..ServingConfig::sglang(4_096, 64, cache) };
    assert!(sglang.validate().is_err());
}

proptest! {
    /// Whatever comes, and however short blocks and tokens are: the run checks its own balance, a background of nobody
    /// changes nothing, and one of all changes nothing either.
    #[test]
    fn an_order_of_one_class_is_none(
        rows in prop::collection::vec((0u64..40_000_000, 1u32..300, 1u32..80), 1..60),
        blocks in 25u32..120,
        budget in 8u32..200,
        share in 0.05..0.95,
    ) {
        let row = |&(at, prompt, output): &(u64, u32, u32)| Request { arrival: Time::from_ns(at), prompt, output };
        let workload = Workload::Trace(rows.iter().map(row).collect());
        let with = |background| ServingConfig { background, ..ServingConfig::chunked(budget, 8, KvCache::new(blocks)) };
        let plain = run(&with(None), &workload);
        prop_assert_eq!(&run(&with(background(0.0)), &workload), &plain);
        let all: Vec<Record> = run(&with(background(1.0)), &workload).0;
        let same = all.iter().zip(&plain.0).all(|(one, other)| Record { background: false, ..*one } == *other);
        prop_assert!(same && all.iter().all(|record| record.background));
        let (some, totals) = run(&with(background(share)), &workload);
        prop_assert_eq!(some.len(), plain.0.len());
        prop_assert_eq!(totals.stop, plain.1.stop);
    }
}
