//! Adapters on one base model: how many run at once, and what reading one takes.

mod common;

use capstan_sim::engine::Time;
use capstan_sim::serving::{Adapters, KvCache, Outcome, Record, Request, RunTotals, ServingConfig, Workload};

fn config(adapters: Option<Adapters>) -> ServingConfig {
    ServingConfig { adapters, ..ServingConfig::chunked(4_096, 64, KvCache::new(10_000)) }
}

fn run(config: &ServingConfig, n: u32, apart_ns: u64) -> (Vec<Record>, RunTotals) {
    let row =
        |index: u32| Request { arrival: Time::from_ns(u64::from(index) * apart_ns), prompt: 64, output: 50 };
    common::run(config, &Workload::Trace((0..n).map(row).collect()))
}

#[test]
fn requests_of_no_more_adapters_than_places_run_at_once() {
    let at_once = |places: u32| {
        let (records, totals) = run(&config(Some(Adapters::drawn(64, places, 0, 1))), 640, 0);
        assert!(records.iter().all(|record| record.outcome == Outcome::Completed));
        totals.replicas[0].sequence_ns as f64 / totals.replicas[0].busy_ns as f64
    };
    let (one, four, all) = (at_once(1), at_once(4), at_once(64));
    // 640 requests of 64 adapters: about ten of each, and those of four run together.
    assert!((5.0..12.0).contains(&one), "{one}");
    assert!((20.0..48.0).contains(&four), "{four}");
    assert!(all > 55.0, "{all}");
    let (without, _) = run(&config(None), 640, 0);
    let (with, _) = run(&config(Some(Adapters::drawn(64, 64, 0, 1))), 640, 0);
    assert_eq!(with, without, "with a place for each nobody waits");
}

#[test]
fn an_adapter_that_is_not_there_is_waited_for() {
    // One request at a time: each finds its adapter with a chance of 2 in 20.
    let mean = |load_ns: u64| {
        let (records, _) = run(&config(Some(Adapters::drawn(20, 2, load_ns, 1))), 2_000, 100_000_000);
        records.iter().filter_map(Record::ttft_ns).sum::<u64>() as f64 / 2_000.0
    };
    let waited = mean(5_000_000) - mean(0);
    assert!((waited / (0.9 * 5e6) - 1.0).abs() < 0.03, "{waited}");
}

#[test]
fn adapters_need_a_place_and_a_scheduler_that_knows_them() {
    let none = config(Some(Adapters::drawn(4, 0, 0, 1)));
    assert!(none.validate().is_err());
    let adapters = Some(Adapters::drawn(4, 1, 0, 1));
    let statically =
        ServingConfig { adapters, ..ServingConfig::static_batching(64, 0, KvCache::new(10_000)) };
    assert!(statically.validate().is_err());
}

#[test]
fn the_other_engines_wait_for_adapters_too() {
    let at_once = |engine: fn(u32, u32, KvCache) -> ServingConfig, places: u32| {
        let adapters = Some(Adapters::drawn(64, places, 0, 1));
        let config = ServingConfig { adapters, ..engine(4_096, 64, KvCache::new(10_000)) };
        let (records, totals) = run(&config, 640, 0);
        assert!(records.iter().all(|record| record.outcome == Outcome::Completed));
        totals.replicas[0].sequence_ns as f64 / totals.replicas[0].busy_ns as f64
    };
    for engine in [ServingConfig::sglang, ServingConfig::tensorrt_llm] {
        let (one, four, all) = (at_once(engine, 1), at_once(engine, 4), at_once(engine, 64));
        assert!(one < 12.0 && four > 1.8 * one && all > 1.3 * four, "{one} {four} {all}");
    }
}
