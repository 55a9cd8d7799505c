//! What holds for every scheduler, router and workload.

use capstan_sim::engine::Time;
use capstan_sim::serving::{
    Admission, ClosedLoop, Effect, Fault, Interrupted, KvCache, Length, Lengths, Metric, Objective, OpenLoop,
    Outcome, Rate, Record, Reject, Request, Router, RunResult, Scheduler, ServingConfig, StepTable, Stop,
    Tally, Trial, Unwatched, Watch, Window, Workload, replicate, simulate, simulate_into, simulate_watched,
};
use proptest::prelude::*;

/// Slopes that are no whole nanoseconds, so that a lost remainder shows.
fn step() -> StepTable {
    StepTable {
        by_tokens: vec![0.0, 5_000.37, 5_100.91],
        by_sampled: vec![0.0, 10.1],
        per_decode_kv: 0.37,
        prefill_step: 55.5,
        per_pair_twice: 0.0117,
        per_pair_over_context: 0.13,
    }
}

fn schedulers() -> impl Strategy<Value = (Scheduler, u32)> {
    let admission = prop_oneof![Just(Admission::ChunkFits), Just(Admission::PromptFits)];
    prop_oneof![
        (16u32..80, admission)
            .prop_map(|(token_budget, admission)| (Scheduler::Chunked { token_budget, admission }, 1)),
        (1u32..80, 1u32..4).prop_map(|(chunk, stages)| (Scheduler::Sarathi { chunk }, stages)),
        (40u32..200, 1u32..4)
            .prop_map(|(padded_tokens, stages)| (Scheduler::WholePrompts { padded_tokens }, stages)),
        (1u32..80).prop_map(|token_budget| (Scheduler::PrefillFirst { token_budget }, 1)),
        (30u32..200, 1u32..4)
            .prop_map(|(token_budget, groups)| (Scheduler::InFlight { token_budget, groups }, 1)),
        (0u64..50_000).prop_map(|queue_delay_ns| (Scheduler::Static { queue_delay_ns }, 1)),
    ]
}

fn configs() -> impl Strategy<Value = ServingConfig> {
    let routers = prop::sample::select(vec![
        Router::RoundRobin,
        Router::LeastOutstanding,
        Router::LeastWaiting,
        Router::LeastTokens,
        Router::RandomOfTwo,
    ]);
    let kv = (6u32..30, 1u32..9, 0u32..3).prop_map(|(blocks, block_tokens, watermark_blocks)| KvCache {
        blocks,
        block_tokens,
        watermark_blocks,
    });
    let late_and_reserved = (0u32..4, prop_oneof![Just(0), 1u32..1_000, Just(1_000)]);
    (schedulers(), 3u32..16, 1u32..5, kv, late_and_reserved, routers).prop_map(
        |((scheduler, n_stages), max_sequences, n_replicas, kv, late_and_reserved, router)| {
            let base = ServingConfig::chunked(16, max_sequences, kv);
            let (visibility_steps, reserved_output_per_mille) =
                if n_stages == 1 { late_and_reserved } else { (0, 0) };
            let base = ServingConfig { visibility_steps, reserved_output_per_mille, ..base };
            ServingConfig { n_replicas, n_stages, scheduler, router, max_context: 120, ..base }
        },
    )
}

/// Requests that come in clumps, some too long, some empty.
fn traces() -> impl Strategy<Value = Vec<Request>> {
    let request = (0u64..30, 0u32..60, 0u32..40).prop_map(|(at, prompt, output)| Request {
        arrival: Time::from_ns(at * 7_001),
        prompt,
        output,
    });
    prop::collection::vec(request, 0..60)
}

/// Replicas that fail, some before others are back, some for ever, some that there are not.
fn faults() -> impl Strategy<Value = Vec<Fault>> {
    let effect = prop_oneof![
        3 => Just(Effect::Down(Interrupted::Retried)),
        1 => Just(Effect::Down(Interrupted::Lost)),
        2 => (500u32..9_000).prop_map(|per_mille| Effect::Slow { per_mille }),
    ];
    let lasts = prop_oneof![5 => (1u64..100_000).prop_map(Some), 1 => Just(None)];
    let notice = prop_oneof![Just(0), 0u64..60_000];
    let fault = (0u64..300_000, 0u32..5, lasts, effect, notice).prop_map(
        |(warned, replica, lasts, effect, notice)| {
            let warned = Time::from_ns(warned);
            let at = warned.plus(notice);
            Fault { warned, at, replica, back: lasts.map_or(Time::NEVER, |ns| at.plus(ns)), effect }
        },
    );
    prop::collection::vec(fault, 0..6)
}

fn run(config: &ServingConfig, workload: &Workload) -> RunResult {
    simulate(config, &step(), workload, 9, 0).unwrap()
}

fn stays(result: &RunResult) -> u128 {
    let served = result.records.iter().filter(|record| record.outcome == Outcome::Completed);
    served.map(|record| u128::from(record.completed.since(record.arrival))).sum()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Every request is served or refused for a reason that is true; Little's law holds to the nanosecond. Tokens and
    /// blocks are checked by `simulate` itself, in every run.
    #[test]
    fn nothing_is_lost_and_littles_law_is_exact(config in configs(), trace in traces()) {
        let result = run(&config, &Workload::Trace(trace.clone()));
        prop_assert_eq!(result.stop, Stop::Drained);
        prop_assert_eq!(result.records.len(), trace.len());
        for record in &result.records {
            let request = Request { arrival: record.arrival, prompt: record.prompt, output: record.output };
            let expect = config.rejects(&request).map_or(Outcome::Completed, Outcome::Rejected);
            prop_assert_eq!(record.outcome, expect);
        }
        prop_assert_eq!(result.outstanding_ns, stays(&result));
        let summary = result.summarize(&config, Window::ALL, &[]);
        prop_assert!(summary.kv_peak <= 1.0 && summary.utilisation <= 1.0);
        prop_assert_eq!(summary.completed + summary.rejected, trace.len() as u64);
    }

    #[test]
    fn the_order_of_rows_does_not_matter(config in configs(), trace in traces(), seed in any::<u64>()) {
        let mut shuffled = trace.clone();
        let mut stream = capstan_sim::random::Streams::new(seed).stream("shuffle");
        for last in (1..shuffled.len()).rev() {
            shuffled.swap(last, stream.below(last as u64 + 1) as usize);
        }
        prop_assert_eq!(run(&config, &Workload::Trace(trace)), run(&config, &Workload::Trace(shuffled)));
    }

    /// A run that is stopped is the beginning of the run that is not, and conserves tokens in mid-flight.
    #[test]
    fn a_stopped_run_is_the_beginning_of_the_whole(config in configs(), trace in traces(), stop_ns in 0u64..400_000) {
        let until = Time::from_ns(stop_ns);
        let whole = run(&config, &Workload::Trace(trace.clone()));
        let part = run(&ServingConfig { until, ..config }, &Workload::Trace(trace));
        for (part, whole) in part.records.iter().zip(&whole.records) {
            let seen = |at: Time| if at <= until { at } else { Time::NEVER };
            prop_assert_eq!(part.completed, seen(whole.completed));
            prop_assert_eq!(part.first_token, seen(whole.first_token));
        }
    }

    /// What is handed out as requests leave is what is kept, and sums up to the same.
    #[test]
    fn handing_records_out_changes_nothing(config in configs(), trace in traces(), stop_ns in 0u64..400_000) {
        let config = ServingConfig { until: Time::from_ns(stop_ns), ..config };
        let objective = Objective { metric: Metric::Ttft, quantile: 0.9, limit_ns: 50_000.0, window_ns: None };
        let window = Window { from: Time::from_ns(9_000), until: Time::from_ns(150_000) };
        let workload = Workload::Trace(trace);
        let kept = run(&config, &workload);
        let (mut tally, mut left) = (Tally::new(window, &[objective]), 0);
        let mut log = |number: u64, record: &Record| {
            assert_eq!(kept.records[number as usize], *record);
            left += 1;
            tally.add(record);
        };
        let totals = simulate_into(&config, &step(), &workload, 9, 0, &mut log).unwrap();
        prop_assert_eq!((left, totals.requests), (kept.records.len(), kept.records.len() as u64));
        let summary = tally.summarize(&config, &totals.replicas, totals.stop, totals.end);
        prop_assert_eq!(summary, kept.summarize(&config, window, &[objective]));
    }

    /// The worst of some windows is that of lists written out, and no easier than all requests together.
    #[test]
    fn a_shorter_window_is_never_easier(
        config in configs(), trace in traces(), length_ns in 10_000u64..200_000, quantile in 0.1f64..0.9,
    ) {
        let result = run(&config, &Workload::Trace(trace));
        let (from, until) = (9_000, 150_000);
        let window = Window { from: Time::from_ns(from), until: Time::from_ns(until) };
        let whole = Objective { metric: Metric::E2e, quantile, limit_ns: 60_000.0, window_ns: None };
        let parts = Objective { window_ns: Some(length_ns), ..whole };
        let seen = result.summarize(&config, window, &[whole, parts]).attained;
        let last = ((until - from) / length_ns).max(1) - 1;
        let mut windows = vec![Vec::new(); last as usize + 1];
        for record in result.records.iter().filter(|one| (from..until).contains(&one.arrival.ns())) {
            let number = ((record.arrival.ns() - from) / length_ns).min(last);
            windows[number as usize].push(record.e2e_ns().map_or(f64::INFINITY, |ns| ns as f64));
        }
        let (mut worst_ns, mut worst_share) = (seen[0].quantile_ns, seen[0].share);
        for mut window in windows {
            // Too few have no such quantile.
            if window.len() as f64 * (1.0 - quantile) < 1.0 {
                continue;
            }
            window.sort_by(f64::total_cmp);
            let place = quantile * (window.len() - 1) as f64;
            let (low, high) = (window[place.floor() as usize], window[place.ceil() as usize]);
            let between = if low == high { low } else { low + (high - low) * place.fract() };
            let within = window.iter().filter(|ns| **ns <= whole.limit_ns).count() as f64 / window.len() as f64;
            worst_ns = worst_ns.map(|ns| ns.max(between));
            worst_share = worst_share.map(|share| share.min(within));
        }
        prop_assert_eq!((seen[1].quantile_ns, seen[1].share), (worst_ns, worst_share));
        prop_assert!(seen[1].quantile_ns >= seen[0].quantile_ns && seen[1].share <= seen[0].share);
    }

    /// Whatever fails, and whenever: each request is completed, rejected, or lost for a reason; tokens and blocks are checked
    /// by the run itself. Where all are sent again and somebody lives, none is lost, and Little's law holds.
    #[test]
    fn faults_lose_nothing_that_can_be_sent_again(
        config in configs(), trace in traces(), faults in faults(), stop_ns in 100_000u64..2_000_000,
    ) {
        let workload = Workload::Trace(trace.clone());
        let failing = |config: &ServingConfig| {
            let mut records = Vec::new();
            let trial = Trial { faults: &faults, ..Trial::of(config, &workload, 9, 0) };
            let mut log = |_: u64, record: &Record| records.push(*record);
            let totals = simulate_watched(&trial, &step(), &mut log, &mut Unwatched).unwrap();
            (records, totals)
        };
        failing(&ServingConfig { until: Time::from_ns(stop_ns), ..config });
        let (records, totals) = failing(&config);
        prop_assert_eq!((totals.stop, records.len()), (Stop::Drained, trace.len()));
        let lost = records.iter().filter(|record| record.outcome == Outcome::Lost).count();
        let again = |fault: &Fault| fault.effect != Effect::Down(Interrupted::Lost) && fault.back != Time::NEVER;
        let all_again = faults.iter().all(again);
        if all_again {
            prop_assert_eq!(lost, 0);
            let served = records.iter().filter(|record| record.outcome == Outcome::Completed);
            let stays: u128 = served.map(|record| u128::from(record.completed.since(record.arrival))).sum();
            prop_assert_eq!(totals.outstanding_ns, stays);
        }
    }

    /// Somebody who watches sees every step of a replica without stages, and changes nothing.
    #[test]
    fn watching_changes_nothing(config in configs(), trace in traces(), faults in faults()) {
        let config = ServingConfig { n_stages: 1, ..config };
        let workload = Workload::Trace(trace);
        let trial = Trial { faults: &faults, ..Trial::of(&config, &workload, 9, 0) };
        let (mut seen, mut unseen) = (Vec::new(), Vec::new());
        let mut watch = Watch::new(config.n_replicas, Window::ALL, Time::from_ns(1_000_000), 10);
        watch.steps = Some(Vec::new());
        let totals =
            simulate_watched(&trial, &step(), &mut |_, record: &Record| seen.push(*record), &mut watch).unwrap();
        simulate_watched(&trial, &step(), &mut |_, record: &Record| unseen.push(*record), &mut Unwatched).unwrap();
        // Those that leave at one instant leave in any order.
        let sorted = |mut records: Vec<Record>| {
            records.sort_by_key(|record| (record.arrival, record.prompt, record.output, record.completed, record.replica));
            records
        };
        prop_assert_eq!(sorted(seen), sorted(unseen));
        let iterations: u64 = totals.replicas.iter().map(|work| work.iterations).sum();
        prop_assert_eq!(watch.steps.map(|steps| steps.len() as u64), Some(iterations));
    }

    /// With C clients never more than C requests are there, and all are served.
    #[test]
    fn a_closed_loop_serves_all_and_never_has_more_than_its_clients(
        config in configs(), clients in 1u32..20, think_ns in 0u64..20_000, n in 0u64..80,
    ) {
        let lengths = Lengths::Independent { prompt: Length::Uniform(0, 60), output: Length::Uniform(1, 30) };
        let closed = ClosedLoop { name: "c".into(), clients, think_ns, lengths, max_tokens: 100, max_requests: n };
        let result = run(&config, &Workload::Closed(closed));
        prop_assert_eq!(result.stop, Stop::Drained);
        prop_assert_eq!(result.records.len() as u64, n);
        prop_assert_eq!(result.outstanding_ns, stays(&result));
        for record in &result.records {
            let there = result.records.iter().filter(|other| {
                other.outcome == Outcome::Completed && other.arrival <= record.arrival && other.completed > record.arrival
            });
            prop_assert!(there.count() as u32 <= clients);
        }
    }
}

fn chat(n: u64) -> Workload {
    let lengths = Lengths::Independent {
        prompt: Length::LogNormal { mu: 3.0, sigma: 0.8 },
        output: Length::LogNormal { mu: 2.5, sigma: 0.9 },
    };
    let (rate, burstiness) = (Rate::constant(200_000.0), 1.8);
    let until = Time::NEVER;
    Workload::Open(OpenLoop {
        name: "chat".into(),
        rate,
        burstiness,
        lengths,
        max_tokens: 100,
        until,
        max_requests: n,
    })
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let config = ServingConfig { n_replicas: 3, ..ServingConfig::chunked(64, 12, KvCache::new(30)) };
    let objective = Objective { metric: Metric::Ttft, quantile: 0.9, limit_ns: 150_000.0, window_ns: None };
    let replicated = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let objectives = [objective, Objective { window_ns: Some(1_000_000), ..objective }];
        pool.install(|| replicate(&config, &step(), &chat(2_000), 5, Window::ALL, &objectives).unwrap())
    };
    let one = replicated(1);
    assert!(one.runs.iter().any(|run| run.preemptions > 0), "the cache is small enough to matter");
    let [all, windows] = [0, 1].map(|at| one.judged[at].quantile_ns.unwrap().mean);
    assert!(windows > all, "the worst millisecond of several is worse than all: {windows} against {all}");
    assert_eq!(one, replicated(2));
    assert_eq!(one, replicated(8));
}

#[test]
fn seeds_and_replications_differ_and_repeat() {
    let config = ServingConfig::chunked(64, 12, KvCache::new(60));
    let run = |seed, replication| simulate(&config, &step(), &chat(200), seed, replication).unwrap();
    assert_eq!(run(1, 0), run(1, 0));
    assert_ne!(run(1, 0).records, run(1, 1).records);
    assert_ne!(run(1, 0).records, run(2, 0).records);
}

/// In every build, on every machine: blueprints record seeds, and what they gave.
#[test]
fn what_a_seed_gives_never_changes() {
    let config = ServingConfig { n_replicas: 3, ..ServingConfig::chunked(64, 12, KvCache::new(30)) };
    let result = simulate(&config, &step(), &chat(2_000), 5, 0).unwrap();
    let summary = result.summarize(&config, Window::ALL, &[]);
    let seen = (
        result.end.ns(),
        result.outstanding_ns,
        summary.iterations,
        summary.preemptions,
        summary.output_tokens,
    );
    assert_eq!(seen, (10_532_850, 464_542_632, 4_268, 351, 34_974));
}

/// Every number of every record, in order: FNV-1a over 64-bit words.
fn digest(result: &RunResult) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    let mut eat = |word: u64| hash = (hash ^ word).wrapping_mul(0x0000_0100_0000_01b3);
    for record in &result.records {
        for time in [record.arrival, record.scheduled, record.first_token, record.completed] {
            eat(time.ns());
        }
        for count in [record.prompt, record.output, record.replica, record.restarts] {
            eat(u64::from(count));
        }
    }
    result.replicas.iter().for_each(|work| eat(work.iterations ^ work.busy_ns ^ work.kv_block_ns as u64));
    hash
}

/// The same for each scheduler and source of requests, to the last record.
#[test]
fn what_each_policy_gives_never_changes() {
    let kv = KvCache { blocks: 60, block_tokens: 8, watermark_blocks: 1 };
    let base = ServingConfig { n_replicas: 3, ..ServingConfig::chunked(64, 12, kv) };
    let lengths = Lengths::Independent { prompt: Length::Uniform(1, 60), output: Length::Exponential(20.0) };
    let (clients, think_ns, max_tokens, max_requests) = (40, 30_000, 100, 1_500);
    let closed = ClosedLoop { name: "c".into(), clients, think_ns, lengths, max_tokens, max_requests };
    let seen = [
        (base, chat(1_500)),
        (
            ServingConfig { scheduler: Scheduler::Sarathi { chunk: 40 }, ..base },
            Workload::Closed(closed.clone()),
        ),
        (ServingConfig { scheduler: Scheduler::Sarathi { chunk: 40 }, n_stages: 2, ..base }, chat(1_500)),
        (ServingConfig { scheduler: Scheduler::WholePrompts { padded_tokens: 200 }, ..base }, chat(1_500)),
        (ServingConfig { router: Router::RoundRobin, ..base }, Workload::Closed(closed)),
    ]
    .map(|(config, workload)| digest(&run(&config, &workload)));
    let expect = [
        3_354_596_705_577_676_117,
        10_445_933_888_578_265_564,
        9_542_071_460_453_545_786,
        12_116_505_975_579_222_507,
        3_056_107_702_693_174_694,
    ];
    assert_eq!(seen, expect);
}

/// The measurement behind published latencies: C clients, 10 C requests, the next at once when one is answered.
#[test]
fn what_each_engine_gives_in_a_closed_loop_never_changes() {
    let kv = KvCache { blocks: 120, block_tokens: 8, watermark_blocks: 0 };
    let lengths = Lengths::Independent { prompt: Length::Uniform(48, 60), output: Length::Uniform(32, 40) };
    let (clients, think_ns, max_tokens, max_requests) = (16, 0, 100, 160);
    let closed = ClosedLoop { name: "c".into(), clients, think_ns, lengths, max_tokens, max_requests };
    let workload = Workload::Closed(closed);
    let configs = [
        ServingConfig::vllm(128, 32, kv),
        ServingConfig::sglang(128, 32, kv),
        ServingConfig::tensorrt_llm(128, 32, kv),
        ServingConfig::static_batching(8, 50_000, kv),
    ];
    let results = configs.map(|config| run(&config, &workload));
    let preemptions = results.each_ref().map(|result| result.replicas[0].preemptions);
    assert!(preemptions[0] > 0 && preemptions[2..] == [0, 0], "{preemptions:?}");
    let expect = [
        16_658_027_455_311_152_423,
        825_537_672_964_542_458,
        13_643_211_469_513_491_378,
        6_901_883_156_606_802_914,
    ];
    assert_eq!(results.each_ref().map(digest), expect);
}

#[test]
fn a_bound_on_events_stops_the_run_and_says_so() {
    let config = ServingConfig { max_events: 1_000, ..ServingConfig::chunked(64, 12, KvCache::new(60)) };
    let result = simulate(&config, &step(), &chat(2_000), 1, 0).unwrap();
    assert_eq!(result.stop, Stop::MaxEvents);
    assert!(result.events >= 1_000 && result.records.iter().any(|r| r.outcome == Outcome::InFlight));
}

#[test]
fn a_million_requests_at_one_instant_are_served() {
    let config =
        ServingConfig { n_replicas: 2, ..ServingConfig::chunked(8_192, 1_024, KvCache::new(1 << 16)) };
    let request = Request { arrival: Time::ZERO, prompt: 4, output: 2 };
    let result = run(&config, &Workload::Trace(vec![request; 1_000_000]));
    assert_eq!(result.stop, Stop::Drained);
    assert!(result.records.iter().all(|record| record.outcome == Outcome::Completed));
}

/// A full batch begins at once, another when its first request has waited; nobody joins a batch that runs.
#[test]
fn a_static_batch_begins_when_it_is_full_or_its_first_request_has_waited() {
    let step = StepTable { by_tokens: vec![100.0; 40], ..StepTable::default() };
    let config = ServingConfig::static_batching(2, 1_000, KvCache::new(100));
    let row = |at, output| Request { arrival: Time::from_ns(at), prompt: 10, output };
    let rows = vec![row(0, 3), row(40, 5), row(50, 1), row(1_500, 2), row(3_000, 1)];
    let result = simulate(&config, &step, &Workload::Trace(rows), 1, 0).unwrap();
    let seen: Vec<(u64, u64)> =
        result.records.iter().map(|record| (record.scheduled.ns(), record.completed.ns())).collect();
    // 40 to 540: two at once, five steps. 50 waits alone until 1,050; 1,500 until 2,500; 3,000 until 4,000.
    assert_eq!(seen, [(40, 340), (40, 540), (1_050, 1_150), (2_500, 2_700), (4_000, 4_100)]);
    assert_eq!(result.stop, Stop::Drained);
}

#[test]
fn absurd_inputs_end_without_a_panic() {
    let config = ServingConfig::chunked(u32::MAX, 4, KvCache::new(u32::MAX));
    let row = |at, prompt, output| Request { arrival: Time::from_ns(at), prompt, output };
    let rows = vec![row(0, u32::MAX - 1, 1), row(0, u32::MAX - 1, 1), row(7, 3, 2), row(u64::MAX - 1, 3, 2)];
    let result = run(&config, &Workload::Trace(rows));
    assert_eq!(
        result.stop,
        Stop::Until,
        "a prompt of 4 billion tokens takes longer than all that is simulated"
    );
    assert_eq!(result.records.len(), 3, "and the last request would come later still");

    struct Nonsense(f64);
    impl capstan_sim::serving::StepTime for Nonsense {
        fn nanoseconds(&self, _: &capstan_sim::serving::Batch) -> f64 {
            self.0
        }
    }
    for ns in [f64::NAN, -1.0, 0.0, 1e300, f64::INFINITY] {
        let result =
            simulate(&config, &Nonsense(ns), &Workload::Trace(vec![row(0, 40, 40); 9]), 1, 0).unwrap();
        let stopped = result.stop == Stop::Until;
        assert_eq!(stopped, ns > 1e20, "{ns}");
    }
    let clients = ClosedLoop {
        name: String::new(),
        clients: u32::MAX,
        think_ns: u64::MAX,
        lengths: Lengths::Pairs(vec![]),
        max_tokens: 0,
        max_requests: 5,
    };
    assert_eq!(run(&config, &Workload::Closed(clients)).records.len(), 5);
    assert!(ServingConfig { n_replicas: 0, ..config }.validate().is_err());
    assert!(simulate(&ServingConfig { max_sequences: u32::MAX, ..config }, &step(), &chat(1), 1, 0).is_err());
}

#[test]
fn what_can_never_be_served_is_counted_with_its_reason() {
    let kv = KvCache { blocks: 10, block_tokens: 16, watermark_blocks: 1 };
    let scheduler = Scheduler::WholePrompts { padded_tokens: 100 };
    let config = ServingConfig { scheduler, max_context: 150, ..ServingConfig::chunked(16, 4, kv) };
    let row = |prompt, output| Request { arrival: Time::ZERO, prompt, output };
    let rows = vec![
        row(0, 5),
        row(5, 0),
        row(100, 51),
        row(u32::MAX, u32::MAX),
        row(96, 49),
        row(101, 1),
        row(80, 5),
    ];
    let result = run(&config, &Workload::Trace(rows));
    let reasons: Vec<Outcome> = result.records.iter().map(|record| record.outcome).collect();
    let no = Outcome::Rejected;
    // By prompt: 0+5, 5+0, 80+5, 96+49 (10 blocks, 9 may be used), 100+51, 101+1, the absurd one.
    let expect =
        [no(Reject::Empty), no(Reject::Empty), Outcome::Completed, no(Reject::Cache), no(Reject::Context)];
    assert_eq!(reasons[..5], expect);
    assert_eq!(reasons[5..], [no(Reject::Step), no(Reject::Context)]);
}
