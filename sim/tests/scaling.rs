//! What do an autoscaler, a notice and a slow replica do to requests? Small cases whose answer follows on paper,
//! and what holds however replicas come and go.

use capstan_sim::engine::Time;
use capstan_sim::serving::{
    Autoscaler, Behaviour, ColdStart, Effect, Fault, Interrupted, KvCache, Outcome, Pipe, Record, Request,
    RunTotals, ServingConfig, StepTable, Stop, Trial, Unwatched, Workload, simulate_watched,
};
use proptest::prelude::*;

/// Every step takes a second.
fn run(
    n_replicas: u32,
    requests: Vec<Request>,
    faults: &[Fault],
    autoscaler: Option<&Autoscaler>,
) -> (Vec<Record>, RunTotals) {
    let step = StepTable { by_tokens: vec![1e9, 1e9], ..StepTable::default() };
    let config = ServingConfig { n_replicas, ..ServingConfig::chunked(64, 4, KvCache::new(100)) };
    let workload = Workload::Trace(requests);
    let trial = Trial { faults, autoscaler, ..Trial::of(&config, &workload, 1, 0) };
    let mut records = Vec::new();
    let mut log = |_: u64, record: &Record| records.push(*record);
    let totals = simulate_watched(&trial, &step, &mut log, &mut Unwatched).unwrap();
    records.sort_by_key(|record| (record.arrival, record.completed));
    (records, totals)
}

fn at(seconds: f64) -> Time {
    Time::from_seconds(seconds)
}

fn request(arrival: f64, output: u32) -> Request {
    Request { arrival: at(arrival), prompt: 16, output }
}

/// 10 GB of image and 40 GB of weights over 10 GB/s each; a node takes 60 s, warming up 20 s.
fn start() -> ColdStart {
    let pipe = Pipe { shared: 10e9, own: 10e9 };
    ColdStart {
        provision_ns: 60_000_000_000,
        image_bytes: 10e9,
        image_rest_bytes: 0.0,
        weight_bytes: 40e9,
        registry: pipe,
        storage: pipe,
        warm_up_ns: 20_000_000_000,
    }
}

#[test]
fn a_replica_serves_after_all_parts_of_its_start_and_several_share_what_they_load_from() {
    let wakes = |n: usize| {
        let scaler = Autoscaler { start: start(), ..Autoscaler::kubernetes(0, 0, 1.0) };
        run(8, vec![request(0.0, 200); n], &[], Some(&scaler))
    };
    // Looked at after 15 s; node, image, weights and warming up take 60 + 1 + 4 + 20 s.
    let (records, totals) = wakes(1);
    assert_eq!(records[0].scheduled, at(100.0));
    assert_eq!(totals.scaled.unwrap().longest_start_ns, 85_000_000_000);
    // One is woken after 15 s, four more are wanted after 30 s and load together: 60 + 4 + 16 + 20 s.
    let (_, totals) = wakes(5);
    let scaled = totals.scaled.unwrap();
    assert_eq!((scaled.starts, scaled.longest_start_ns), (5, 100_000_000_000));
    let lazy = ColdStart { image_bytes: 0.64e9, image_rest_bytes: 9.36e9, ..start() };
    let scaler = Autoscaler { start: lazy, ..Autoscaler::kubernetes(0, 0, 1.0) };
    let (records, _) = run(8, vec![request(0.0, 2)], &[], Some(&scaler));
    assert_eq!(records[0].scheduled, at(99.064), "the rest of the image holds nobody up");
}

#[test]
fn replicas_that_are_not_needed_end_what_they_have_and_go() {
    let scaler = Autoscaler::kubernetes(1, 3, 2.0);
    let (records, totals) = run(3, vec![request(0.0, 900); 3], &[], Some(&scaler));
    assert!(records.iter().all(|record| record.outcome == Outcome::Completed));
    let scaled = totals.scaled.unwrap();
    let (end, serving, on) = *scaled.course.last().unwrap();
    // Three are in flight: two replicas are wanted after five minutes; the third keeps its request until second 900.
    assert_eq!((serving, on), (2, 2));
    assert_eq!(end, at(900.0));
    assert_eq!(scaled.course[1], (at(300.0), 2, 3));
}

fn down(warned: f64, from: f64, replica: u32, back: f64) -> Fault {
    let effect = Effect::Down(Interrupted::Retried);
    Fault { warned: at(warned), at: at(from), replica, back: at(back), effect }
}

#[test]
fn a_notice_lets_short_requests_end_and_keeps_new_ones_away() {
    let requests = || vec![request(0.0, 20), request(30.5, 5)];
    // Equal replicas: the first takes both. Without notice what it has is begun again, on the other.
    let (records, _) = run(2, requests(), &[down(10.0, 10.0, 0, 60.0)], None);
    assert_eq!((records[0].restarts, records[0].completed), (1, at(30.0)));
    let (records, totals) = run(2, requests(), &[down(10.0, 40.0, 0, 60.0)], None);
    assert_eq!((records[0].restarts, records[0].completed), (0, at(20.0)));
    assert_eq!((records[1].replica, totals.stop), (1, Stop::Drained));
}

#[test]
fn those_that_come_back_together_share_what_waited_for_them() {
    let requests = (0..40).map(|index| request(20.0 + f64::from(index), 5)).collect();
    let faults: Vec<Fault> = (0..4).map(|replica| down(10.0, 10.0, replica, 60.0)).collect();
    let (records, _) = run(4, requests, &faults, None);
    let on = |replica: u32| records.iter().filter(|record| record.replica == replica).count();
    assert_eq!([0, 1, 2, 3].map(on), [10; 4]);
}

#[test]
fn a_slow_replica_is_slow_from_its_next_step_to_the_one_that_runs_when_it_recovers() {
    let slow = |from: f64, to: f64| Fault {
        warned: at(from),
        at: at(from),
        replica: 0,
        back: at(to),
        effect: Effect::Slow { per_mille: 3_000 },
    };
    let ends = |fault| run(1, vec![request(0.0, 10)], &[fault], None).0[0].completed;
    // Two steps of a second, two of three; the last of them runs when the replica recovers; six of a second.
    assert_eq!(ends(slow(1.5, 6.5)), at(14.0));
    assert_eq!(ends(slow(0.0, 99.0)), at(30.0));
    assert_eq!(ends(slow(90.0, 99.0)), at(10.0));
}

/// Autoscalers of every temper, from zero on, with starts that take nothing up to most of a trace.
fn autoscalers() -> impl Strategy<Value = Autoscaler> {
    let start = (0u64..40_000, 0.0..9e3f64, 0.0..9e3f64, 0u64..40_000).prop_map(
        |(provision_ns, image, weights, warm)| {
            let pipe = Pipe { shared: 1e9, own: 4e8 };
            ColdStart {
                provision_ns,
                image_bytes: image,
                image_rest_bytes: image / 2.0,
                weight_bytes: weights,
                registry: pipe,
                storage: pipe,
                warm_up_ns: warm,
            }
        },
    );
    (0u32..3, 0u32..4, 0.5..6.0f64, start, 0u64..60_000).prop_map(
        |(least, initial, target, start, window_ns)| {
            let down = Behaviour { window_ns, pods: 1, percent: 30, period_ns: 9_000 };
            let up = Behaviour { period_ns: 9_000, ..Behaviour::UP };
            Autoscaler {
                up,
                down,
                cooldown_ns: window_ns,
                start,
                ..Autoscaler::kubernetes(least, initial.max(least), target)
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// However replicas come and go, every request is served once; tokens are checked by the run itself.
    #[test]
    fn an_autoscaler_loses_nothing(
        rows in prop::collection::vec((0u64..200_000, 1u32..60, 1u32..40), 0..60),
        (n_replicas, max_sequences, blocks) in (1u32..5, 1u32..9, 30u32..60),
        crash in prop::option::of((0u64..300_000, 0u32..5, 1u64..90_000)),
        scaler in autoscalers(), sync_ns in 500u64..50_000,
    ) {
        let kv = KvCache { blocks, block_tokens: 4, watermark_blocks: 0 };
        let config = ServingConfig { n_replicas, ..ServingConfig::chunked(40, max_sequences, kv) };
        let row = |&(at, prompt, output): &(u64, u32, u32)| Request { arrival: Time::from_ns(at), prompt, output };
        let workload = Workload::Trace(rows.iter().map(row).collect());
        let crash = crash.map(|(at, replica, lasts)| Fault {
            warned: Time::from_ns(at),
            at: Time::from_ns(at + lasts / 2),
            replica,
            back: Time::from_ns(at + lasts),
            effect: Effect::Down(Interrupted::Retried),
        });
        let faults: Vec<Fault> = crash.into_iter().collect();
        let (least, initial) = (scaler.least.min(config.n_replicas), scaler.initial.min(config.n_replicas));
        let scaler = Autoscaler { least: least.min(initial), initial, sync_ns, ..scaler };
        let trial = Trial { faults: &faults, autoscaler: Some(&scaler), ..Trial::of(&config, &workload, 9, 0) };
        let step = StepTable { by_tokens: vec![0.0, 900.4, 1_000.9], ..StepTable::default() };
        let mut records = Vec::new();
        let totals = simulate_watched(&trial, &step, &mut |_, record: &Record| records.push(*record), &mut Unwatched).unwrap();
        prop_assert_eq!((totals.stop, records.len()), (Stop::Drained, rows.len()));
        prop_assert!(records.iter().all(|record| matches!(record.outcome, Outcome::Completed | Outcome::Rejected(_))));
        let served = records.iter().filter(|record| record.outcome == Outcome::Completed);
        let stays: u128 = served.map(|record| u128::from(record.completed.since(record.arrival))).sum();
        prop_assert_eq!(totals.outstanding_ns, stays);
        let scaled = totals.scaled.unwrap();
        prop_assert!(scaled.most_serving <= config.n_replicas);
        prop_assert!(scaled.course.iter().all(|(_, serving, on)| serving <= on && *on <= config.n_replicas));
        let busy: u128 = totals.replicas.iter().map(|work| u128::from(work.busy_ns)).sum();
        prop_assert!(busy <= scaled.on_ns, "{} busy in {} ns that are paid for", busy, scaled.on_ns);
    }
}
