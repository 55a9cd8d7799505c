//! On a published trace with block hashes, the share of input that a cache has read before is the published one.
//!
//! Needs the data folder (`CAPSTAN_DATA`): request-traces/mooncake-fast25, whose README prints the shares.

mod common;

use std::io::Read;

use capstan_sim::engine::Time;
use capstan_sim::serving::{
    Beginnings, CacheTier, KvCache, Outcome, PrefixCache, Prefixes, Record, Request, Router, RunResult,
    ServingConfig, StepTable, Trial, Unwatched, Watch, Window, Workload, simulate, simulate_watched,
};
use capstan_types::testing::data;
use proptest::prelude::*;

/// Tokens in a block of the traces; the last of a prompt may be partial.
const BLOCK_TOKENS: u64 = 512;

/// Rows of (input tokens, hashes), or `None` where there is no data and none is required.
fn trace(name: &str) -> Option<Vec<(u64, Vec<u64>)>> {
    let path = data()?.join(format!("request-traces/mooncake-fast25/{name}.csv.gz"));
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    let rows = csv::Reader::from_reader(text.as_bytes())
        .records()
        .map(|row| {
            let row = row.unwrap();
            let hashes = row[3].split(' ').map(|hash| hash.parse().unwrap()).collect();
            (row[1].parse().unwrap(), hashes)
        })
        .collect();
    Some(rows)
}

fn percent_reusable(rows: &[(u64, Vec<u64>)], blocks: u32) -> f64 {
    let mut cache = PrefixCache::new(blocks);
    let (mut all, mut reused) = (0, 0);
    for (tokens, hashes) in rows {
        all += tokens;
        reused += (cache.leading_hits(hashes) as u64 * BLOCK_TOKENS).min(*tokens);
        cache.touch(hashes);
    }
    100.0 * reused as f64 / all as f64
}

fn check(name: &str, expect: [(u32, &str); 4]) {
    let Some(rows) = trace(name) else { return };
    for (blocks, percent) in expect {
        assert_eq!(format!("{:.1}", percent_reusable(&rows, blocks)), percent, "{name}, {blocks} blocks");
    }
}

#[test]
fn conversations_reuse_as_much_as_is_published() {
    check("conversation", [(1_000, "4.5"), (10_000, "21.5"), (50_000, "36.2"), (u32::MAX, "37.4")]);
}

#[test]
fn synthetic_requests_reuse_as_much_as_is_published() {
    check("synthetic", [(1_000, "8.4"), (10_000, "43.1"), (50_000, "65.1"), (u32::MAX, "65.1")]);
}

/// A step of 1 µs and 100 ns for each token.
fn step() -> StepTable {
    StepTable { by_tokens: vec![1_000.0, 1_100.0], ..StepTable::default() }
}

/// Requests with their hashes, put in the order that is asked for.
fn prefixed(mut rows: Vec<(Request, Vec<u64>)>, tokens: u32) -> Workload {
    rows.sort();
    let mut prefixes = Prefixes::new(tokens);
    rows.iter().for_each(|(_, hashes)| prefixes.push(hashes));
    Workload::Prefixed(rows.into_iter().map(|(request, _)| request).collect(), prefixes)
}

fn reused(result: &RunResult) -> u64 {
    result.replicas.iter().map(|work| work.reused_tokens).sum()
}

/// Each needs 12 blocks in all. What the first has written since it was admitted is no longer to come, so the second is let
/// in at the next step where there are 24, and when the first has left where there is one less.
#[test]
fn what_is_written_of_an_output_is_not_reserved_as_well() {
    let step = StepTable { by_tokens: vec![10.0, 10.0], ..StepTable::default() };
    let request = |at_ns| Request { arrival: Time::from_ns(at_ns), prompt: 4, output: 8 };
    let workload = prefixed(vec![(request(0), vec![1]), (request(25), vec![2])], 4);
    for engine in [ServingConfig::sglang, ServingConfig::tensorrt_llm] {
        let scheduled = |blocks: u32| {
            let kv = KvCache { blocks, block_tokens: 1, watermark_blocks: 0 };
            let base = engine(64, 8, kv);
            let config = ServingConfig { visibility_steps: 0, reserved_output_per_mille: 1_000, ..base };
            simulate(&config, &step, &workload, 1, 0).unwrap().records[1].scheduled.ns()
        };
        assert_eq!((scheduled(24), scheduled(23)), (30, 80));
    }
}

#[test]
fn a_prompt_that_was_read_before_is_read_from_its_last_token_on() {
    let row = |at_ns, hashes: &[u64]| {
        (Request { arrival: Time::from_ns(at_ns), prompt: 1_024, output: 1 }, hashes.to_vec())
    };
    let rows =
        vec![row(0, &[1, 2]), row(1_000_000, &[1, 2]), row(2_000_000, &[1, 9]), row(3_000_000, &[7, 2])];
    for engine in ENGINES {
        let config = engine(4_096, 8, KvCache::new(1_000));
        let result = simulate(&config, &step(), &prefixed(rows.clone(), 512), 1, 0).unwrap();
        let waits: Vec<u64> = result.records.iter().map(|record| record.ttft_ns().unwrap()).collect();
        // All of it; the second block, for its last token; the second, which is new; all, since the beginning is new.
        assert_eq!(waits, [103_400, 52_200, 52_200, 103_400]);
        assert_eq!(reused(&result), 1_024);
    }
}

/// Every scheduler of an engine: tokens of a step, sequences, and a cache.
const ENGINES: [fn(u32, u32, KvCache) -> ServingConfig; 3] =
    [ServingConfig::chunked, ServingConfig::sglang, ServingConfig::tensorrt_llm];

/// Forty requests with one beginning of 480 tokens, of 512, and room for ten that share nothing.
#[test]
fn what_prompts_share_is_held_once_whatever_the_engine() {
    for (index, engine) in ENGINES.into_iter().enumerate() {
        let row = |number: u64, root: u64| {
            let hashes = (0..15).map(|depth| root * 100 + depth).chain([1_000_000 + number]).collect();
            (Request { arrival: Time::from_ns(number), prompt: 512, output: 64 }, hashes)
        };
        let at_once = |alike: bool| {
            let rows = (0..40).map(|number| row(number, if alike { 7 } else { 10 + number })).collect();
            // A request of 576 tokens holds 36 blocks.
            let config = engine(8_192, 64, KvCache::new(360));
            let (records, totals) = common::run(&config, &prefixed(rows, 32));
            assert!(records.iter().all(|record| record.outcome == Outcome::Completed));
            totals.replicas[0].sequence_ns as f64 / totals.replicas[0].busy_ns as f64
        };
        let (alike, apart) = (at_once(true), at_once(false));
        assert!(alike > 1.5 * apart && apart <= 11.0, "engine {index}: {alike} against {apart}");
    }
}

#[test]
fn hashes_that_no_cache_can_hold_are_refused() {
    let row = vec![(Request { arrival: Time::ZERO, prompt: 100, output: 1 }, vec![1, 2])];
    let workload = prefixed(row, 40);
    let refused = |config: &ServingConfig| simulate(config, &step(), &workload, 1, 0).is_err();
    assert!(refused(&ServingConfig::chunked(64, 8, KvCache::new(100))), "blocks of 16 do not divide 40");
    let kv = KvCache { block_tokens: 8, ..KvCache::new(100) };
    assert!(!refused(&ServingConfig::chunked(64, 8, kv)));
    assert!(!refused(&ServingConfig::sglang(64, 8, kv)));
    assert!(!refused(&ServingConfig::tensorrt_llm(64, 8, kv)));
    assert!(refused(&ServingConfig::static_batching(8, 0, kv)), "a batch at a time keeps nothing");
}

/// Engines keep full blocks only, compute the last token of a prompt again, and share their cache with outputs: a little
/// less is reused than the trace allows, and more with more room. A router that knows prefixes finds more of it.
#[test]
fn replicas_reuse_nearly_what_the_trace_allows() {
    let Some(rows) = trace("conversation") else { return };
    let request = |(index, (tokens, hashes)): (usize, (u64, Vec<u64>))| {
        let arrival = Time::from_seconds(index as f64 * 0.3);
        (Request { arrival, prompt: tokens as u32, output: 50 }, hashes)
    };
    let all: u64 = rows.iter().map(|row| row.0).sum();
    let workload = prefixed(rows.into_iter().enumerate().map(request).collect(), 512);
    let percent = |blocks: u32, n_replicas: u32, router| {
        let kv = KvCache { block_tokens: 512, ..KvCache::new(blocks) };
        let config = ServingConfig { n_replicas, router, ..ServingConfig::chunked(8_192, 256, kv) };
        // One replica is never busy; of eight, half is.
        let per_token = if n_replicas == 1 { 100.0 } else { 1e5 };
        let step = StepTable { by_tokens: vec![0.0, per_token], ..StepTable::default() };
        let result = simulate(&config, &step, &workload, 1, 0).unwrap();
        assert!(result.records.iter().all(|record| record.outcome == Outcome::Completed));
        100.0 * reused(&result) as f64 / all as f64
    };
    let least = Router::LeastOutstanding;
    let one: Vec<f64> = [1_000, 10_000, 50_000].into_iter().map(|blocks| percent(blocks, 1, least)).collect();
    let spread = percent(5_000, 8, Router::RoundRobin);
    let found = percent(5_000, 8, Router::Prefix { slack: 8 });
    let stays = percent(5_000, 8, Router::Sticky);
    println!("one replica {one:?}; eight: round robin {spread:.1}, prefix {found:.1}, sticky {stays:.1} %");
    // What the trace allows with unlimited room is 37.4 %.
    for (ours, published) in one.iter().zip([4.5, 21.5, 36.2]) {
        assert!((0.85 * published..=37.4).contains(ours), "{one:?}");
    }
    assert!(one.is_sorted(), "{one:?}");
    assert!(found > 1.2 * spread, "prefix {found} %, round robin {spread} %");
    assert!(stays > spread, "sticky {stays} %, round robin {spread} %");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// Prompts of a small tree on tight caches that preempt: what is leapt over is what is stepped through, and blocks and
    /// tokens add up, which every run checks itself.
    #[test]
    fn leaping_and_stepping_keep_the_same_blocks(
        rows in prop::collection::vec((0u64..60, 1u32..70, 1u32..50, 0u64..3, 0u64..3), 1..60),
        (budget, max_sequences, blocks, n_replicas) in (16u32..90, 1u32..12, 32u32..80, 1u32..3),
        (unit, prefix_router, engine) in (1u32..4, any::<bool>(), 0usize..3),
    ) {
        let kv = KvCache { block_tokens: 4, ..KvCache::new(blocks) };
        let router = if prefix_router { Router::Prefix { slack: 3 } } else { Router::LeastOutstanding };
        let config = ServingConfig { n_replicas, router, ..ENGINES[engine](budget, max_sequences, kv) };
        let tokens = 4 * unit;
        let row = |(at, prompt, output, root, branch): (u64, u32, u32, u64, u64)| {
            let name = |depth: u64| if depth < 3 { 100 * root + depth } else { 1_000 * (branch + 1) + 100 * root + depth };
            let hashes = (0..u64::from(prompt.div_ceil(tokens))).map(name).collect();
            (Request { arrival: Time::from_ns(at * 3_001), prompt, output }, hashes)
        };
        let workload = prefixed(rows.into_iter().map(row).collect(), tokens);
        let trial = Trial::of(&config, &workload, 1, 0);
        let (mut leapt, mut stepped) = (Vec::new(), Vec::new());
        let mut log = |number: u64, record: &Record| leapt.push((number, *record));
        let fast = simulate_watched(&trial, &step(), &mut log, &mut Unwatched).unwrap();
        let mut watch = Watch::new(n_replicas, Window::ALL, Time::from_ns(1), 1);
        let mut log = |number: u64, record: &Record| stepped.push((number, *record));
        let slow = simulate_watched(&trial, &step(), &mut log, &mut watch).unwrap();
        leapt.sort_by_key(|row| row.0);
        stepped.sort_by_key(|row| row.0);
        prop_assert_eq!(leapt, stepped);
        let reused = |totals: &capstan_sim::serving::RunTotals| {
            totals.replicas.iter().map(|work| work.reused_tokens).collect::<Vec<u64>>()
        };
        prop_assert_eq!(reused(&fast), reused(&slow));
        // Who reserves all of every output evicts nothing, whatever prompts share.
        let evicted: u64 = fast.replicas.iter().map(|work| work.preemptions).sum();
        prop_assert!(engine != 2 || evicted == 0, "{} evicted", evicted);
    }
}

/// Prompts of 1,024 tokens, of which a share begins in one of `n` ways, far apart in time: (share found, of that read back,
/// mean time to first token in nanoseconds).
fn alike(n: u32, share: f64, blocks: u32, host: CacheTier) -> (f64, f64, f64) {
    let row =
        |index: u32| Request { arrival: Time::from_ns(u64::from(index) * 400_000), prompt: 1_024, output: 2 };
    let workload = Workload::Trace((0..4_000).map(row).collect());
    let tiers = [host, CacheTier::default()];
    let config = ServingConfig { tiers, ..ServingConfig::chunked(4_096, 8, KvCache::new(blocks)) };
    let beginnings = Some(Beginnings { n, share, tokens: 64 });
    let trial = Trial { beginnings, ..Trial::of(&config, &workload, 3, 0) };
    let mut waited = 0;
    let mut log = |_: u64, record: &Record| waited += record.ttft_ns().unwrap();
    let totals = simulate_watched(&trial, &step(), &mut log, &mut Unwatched).unwrap();
    let work = totals.replicas[0];
    let all = work.reused_tokens + work.prefill_tokens;
    let back = work.read_back_tokens as f64 / work.reused_tokens.max(1) as f64;
    (work.reused_tokens as f64 / all as f64, back, waited as f64 / 4_000.0)
}

#[test]
fn the_share_that_prompts_have_in_common_is_found_while_there_is_room_for_all_beginnings() {
    let nothing = CacheTier::default();
    let (found, back, waited) = alike(10, 0.5, 2_000, nothing);
    // Ten beginnings are read once; the others find half of each prompt.
    assert!((found - 0.5).abs() < 0.005 && back == 0.0, "{found}");
    assert!((waited / (1_000.0 + 512.0 * 100.0) - 1.0).abs() < 0.02, "{waited}");
    // A hundred beginnings of 32 blocks do not fit into 400 blocks beside what runs.
    let (few, _, _) = alike(100, 0.5, 400, nothing);
    assert!(few > 0.02 && few < 0.1, "{few}");
}

#[test]
fn what_has_left_the_cache_comes_back_from_host_memory_at_its_bandwidth() {
    let host = |block_ns| CacheTier { blocks: 100_000, block_ns };
    let (found, back, fast) = alike(100, 0.5, 400, host(0));
    assert!(found > 0.48 && back > 0.8, "{found} {back}");
    let (same, _, slow) = alike(100, 0.5, 400, host(500));
    // 32 blocks of 500 ns, for what is read back.
    let expect = back * found * 64.0 * 500.0;
    assert!((same - found).abs() < 1e-9 && ((slow - fast) / expect - 1.0).abs() < 0.02, "{slow} {fast}");
}
